"""The optimizers of optax 0.2.8: its arguments, its defaults, its numbers.

A dtype for the accumulator is refused (``gs.Optimizer(..., state_dtype="bfloat16")`` rounds without drift), and so is a
mask (``groups={"*.bias": {"weight_decay": 0.0}}`` goes by name). Weight decay is decoupled but in ``adadelta``.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "amsgrad",
    "lion",
    "nadam",
    "nadamw",
    "radam",
    "rmsprop",
    "sgd",
    "sign_sgd",
]

_DTYPE = 'the state is stored as gs.Optimizer(..., state_dtype="bfloat16") says, in all of it and without drift'
_MASK = 'say it by name: gs.Optimizer(..., groups={"*.bias": {"weight_decay": 0.0}})'

constructor = Library(
    "optax",
    becomes={
        "learning_rate": "lr",
        "b1": "beta1",
        "b2": "beta2",
        "decay": "rho",
        "initial_scale": "initial_accumulator",
        "initial_accumulator_value": "initial_accumulator",
    },
    told="eps_root",
    refused={"accumulator_dtype": _DTYPE, "mu_dtype": _DTYPE, "mask": _MASK, "weight_decay_mask": _MASK},
)

_AMSGRAD = {  # by (bias_correction_mu, bias_correction_nu)
    (True, True): variants.amsgrad_optax,
    (True, False): variants.amsgrad_optax_mean,
    (False, True): variants.amsgrad_optax_square,
    (False, False): variants.amsgrad_optax_uncorrected,
}
_RMS = {  # by (centered, eps_in_sqrt, bias_correction)
    (False, False, False): variants.scale_by_rms,
    (False, False, True): variants.scale_by_rms_corrected,
    (False, True, False): variants.scale_by_rms_inside,
    (False, True, True): variants.scale_by_rms_inside_corrected,
    (True, False, False): variants.scale_by_centered_rms,
    (True, False, True): variants.scale_by_centered_rms_corrected,
    (True, True, False): variants.scale_by_centered_rms_inside,
    (True, True, True): variants.scale_by_centered_rms_inside_corrected,
}


@constructor
def sgd(learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None) -> Stage:
    """``optax.sgd``: the learning rate stands outside of the trace."""
    moved = variants.unfolded_nesterov if nesterov else variants.unfolded_momentum
    return chain(moved if momentum else rules.sgd)


@constructor
def sign_sgd(learning_rate: Any) -> Stage:
    """``optax.sign_sgd``: every element goes by the learning rate."""
    return variants.sign_sgd()


@constructor
def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Stage:
    """``optax.adagrad``: eps inside of the root, sums that start at 0.1."""
    return variants.adagrad_inside()


@constructor
def rmsprop(
    learning_rate: Any,
    decay: Any = 0.9,
    eps: Any = 1e-8,
    initial_scale: Any = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Any = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Stage:
    """``optax.rmsprop``: eps inside of the root, the learning rate within the momentum."""
    moved = rules.nesterov if nesterov else rules.momentum
    return chain(_RMS[centered, eps_in_sqrt, bias_correction], moved if momentum else rules.sgd)


@constructor
def adadelta(
    learning_rate: Any = None, rho: Any = 0.9, eps: Any = 1e-6, weight_decay: Any = 0.0, weight_decay_mask: Any = None
) -> Stage:
    """``optax.adadelta``. Its default learning rate, none at all, is refused: optax then goes uphill.

    Raises
    ------
    GradstepValueError
        Without a learning rate, and for a mask.
    """
    if not learning_rate:
        raise GradstepValueError(
            "optax.adadelta: without a learning_rate optax adds the step and climbs; 1.0 gives Zeiler's Adadelta."
        )
    return chain(stages.l2, rules.adadelta)


@constructor
def adam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
) -> Stage:
    """``optax.adam``: eps on the corrected root; with ``nesterov`` it is ``optax.nadam``."""
    return chain(_adam(eps_root, nesterov))


@constructor
def adamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> Stage:
    """``optax.adamw``: Adam with decoupled weight decay, a hundredth of torch's by default."""
    return chain(stages.decay, _adam(eps_root, nesterov))


@constructor
def amsgrad(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    bias_correction_mu: bool = True,
    bias_correction_nu: bool = True,
) -> Stage:
    """``optax.amsgrad``: the largest v after its correction, where torch and Keras take it before."""
    return chain(_AMSGRAD[bias_correction_mu, bias_correction_nu])


@constructor
def adamax(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Stage:
    """``optax.adamax``: eps is added to the gradient within the maximum."""
    return variants.adamax_eps_inside()


@constructor
def adamaxw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    mask: Any = None,
) -> Stage:
    """``optax.adamaxw``: Adamax with decoupled weight decay."""
    return chain(stages.decay, variants.adamax_eps_inside)


@constructor
def lion(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.99,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-3,
    mask: Any = None,
) -> Stage:
    """``optax.lion``: Lion with decoupled weight decay."""
    return chain(stages.decay, rules.lion)


@constructor
def nadam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    *,
    nesterov: bool = True,
) -> Stage:
    """``optax.nadam``: a constant momentum, where torch's and Keras's grows."""
    return chain(_adam(eps_root, nesterov))


@constructor
def nadamw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = True,
) -> Stage:
    """``optax.nadamw``: its NAdam with decoupled weight decay."""
    return chain(stages.decay, _adam(eps_root, nesterov))


@constructor
def radam(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    threshold: Any = 5.0,
    *,
    nesterov: bool = False,
) -> Stage:
    """``optax.radam``: rectified from rho = threshold on; eps on the corrected root."""
    return chain(variants.radam_optax_nesterov if nesterov else variants.radam_optax)


def _adam(eps_root: Any, nesterov: bool) -> Rule:
    if nesterov:
        return variants.nadam_optax
    return variants.adam_eps_root if eps_root else rules.adam
