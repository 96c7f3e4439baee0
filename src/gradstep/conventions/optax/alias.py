"""The optimizers that optax has as ``optax.NAME``: the functions of its ``alias.py``."""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.optax.shared import ROOT, constructor
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "amsgrad",
    "lamb",
    "lars",
    "lion",
    "nadam",
    "nadamw",
    "novograd",
    "polyak_sgd",
    "radam",
    "rmsprop",
    "sgd",
    "sign_sgd",
    "signum",
    "sm3",
    "yogi",
]

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


@constructor(refused={"nesterov": "AdaBelief here has no Nesterov momentum"})
def adabelief(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-16,
    eps_root: Any = 1e-16,
    *,
    nesterov: bool = False,
) -> Stage:
    """``optax.adabelief``: eps_root is added to the mean of squares, and stays in it."""
    return chain(rules.adabelief)


@constructor
def adan(
    learning_rate: Any,
    b1: Any = 0.98,
    b2: Any = 0.92,
    b3: Any = 0.99,
    eps: Any = 1e-8,
    eps_root: Any = 1e-8,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Stage:
    """``optax.adan``, with its defect: it looks ahead by 1 - b2 of the change, where paper and authors take b2."""
    return chain(stages.decay, variants.adan_optax)


@constructor(refused={"eps_root": ROOT})
def lamb(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-6,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Stage:
    """``optax.lamb``: the decay is in the step, before its norm is taken."""
    return chain(rules.lamb)


@constructor(
    becomes={"trust_coefficient": "trust"},
    refused={"trust_ratio_mask": 'give arrays without a ratio a rule of their own: groups={"*.bias": gs.momentum()}'},
)
def lars(
    learning_rate: Any,
    weight_decay: Any = 0.0,
    weight_decay_mask: Any = True,
    trust_coefficient: Any = 0.001,
    eps: Any = 0.0,
    trust_ratio_mask: Any = True,
    momentum: Any = 0.9,
    nesterov: bool = False,
) -> Stage:
    """``optax.lars``: the norm of gradient and decay together, and the learning rate within the momentum."""
    return chain(variants.lars_optax_nesterov if nesterov else variants.lars_optax)


@constructor(refused={"eps_root": ROOT})
def novograd(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.25,
    eps: Any = 1e-6,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
) -> Stage:
    """``optax.novograd``: a b2 of 0.25, where the paper advises 0.98."""
    return chain(rules.novograd)


@constructor(becomes={"max_learning_rate": "lr"}, choices={"variant": ("sps", "sps+")})
def polyak_sgd(
    max_learning_rate: Any = 1.0,
    scaling: Any = 1.0,
    f_min: Any = 0.0,
    eps: Any = 0.0,
    variant: str = "sps",
) -> Stage:
    """``optax.polyak_sgd``: takes the loss, ``opt.step(grads, loss=f)``, optax's ``value``.

    As there, it goes uphill where the loss is below f_min, but with ``variant="sps+"``.
    """
    return chain(variants.polyak_optax_plus if variant == "sps+" else variants.polyak_optax)


@constructor(
    becomes={"clipping_threshold": "clip", "weight_decay_rate": "weight_decay", "eps": "eps1"},
    choices={"min_dim_size_to_factor": (128, 1)},
    refused={
        "decay_offset": "updates are counted from the first",
        "multiply_by_parameter_scale": "steps are as long as the parameters are large",
        "dtype_momentum": 'the state is stored as gs.Optimizer(..., state_dtype="bfloat16") says',
    },
)
def adafactor(
    learning_rate: Any = None,
    min_dim_size_to_factor: int = 128,
    decay_rate: Any = 0.8,
    decay_offset: Any = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Any = 1.0,
    momentum: Any = None,
    dtype_momentum: Any = "float32",
    weight_decay_rate: Any = None,
    eps: Any = 1e-30,
    factored: bool = True,
    weight_decay_mask: Any = None,
) -> Stage:
    """``optax.adafactor``: without a learning rate it is 1; no matrix with a side below 128 is factored.

    The decay is not multiplied by the learning rate. The momentum of float64 parameters is float64, and float32 there.
    """
    if not factored:
        return chain(variants.adafactor_optax_unfactored)
    return chain(variants.adafactor_optax if min_dim_size_to_factor == 1 else variants.adafactor_optax_128)


@constructor(becomes={"beta": "beta1"})
def signum(learning_rate: Any, beta: Any = 0.9, accumulator_dtype: Any = None) -> Stage:
    """``optax.signum``: the sign of an average of gradients."""
    return chain(rules.signum)


@constructor
def sm3(learning_rate: Any, momentum: Any = 0.9) -> Stage:
    """``optax.sm3``: the largest sums of squares of rows and columns; arrays of more than two axes are refused."""
    return chain(variants.sm3_optax)


@constructor
def yogi(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-3) -> Stage:
    """``optax.yogi``: both averages start at 1e-6 and are corrected."""
    return chain(variants.yogi_corrected)


def _adam(eps_root: Any, nesterov: bool) -> Rule:
    if nesterov:
        return variants.nadam_optax
    return variants.adam_eps_root if eps_root else rules.adam
