"""The optimizers of optax 0.2.8: its arguments, its defaults, its numbers.

A dtype for the accumulator is refused (``gs.Optimizer(..., state_dtype="bfloat16")`` rounds without drift), and so is a
mask (``groups={"*.bias": {"weight_decay": 0.0}}`` goes by name). Weight decay is decoupled but in ``adadelta``.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.common import chained, given, is_zero, number, rate, refused
from gradstep.errors import GradstepValueError
from gradstep.rule import Stage

__all__ = [
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "amsgrad",
    "nadam",
    "nadamw",
    "radam",
    "rmsprop",
    "sgd",
]

_DTYPE = 'the state is stored as gs.Optimizer(..., state_dtype="bfloat16") says, in all of it and without drift'
_MASK = 'say it by name: gs.Optimizer(..., groups={"*.bias": {"weight_decay": 0.0}})'
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


def sgd(learning_rate: Any, momentum: Any = None, nesterov: bool = False, accumulator_dtype: Any = None) -> Stage:
    """``optax.sgd``: the learning rate stands outside of the trace."""
    refused("optax.sgd", "accumulator_dtype", accumulator_dtype, _DTYPE)
    lr = rate("optax.sgd", learning_rate)
    if is_zero(momentum):
        return rules.sgd(lr=lr)
    return (variants.unfolded_nesterov if nesterov else variants.unfolded_momentum)(lr=lr, momentum=number(momentum))


def adagrad(learning_rate: Any, initial_accumulator_value: Any = 0.1, eps: Any = 1e-7) -> Stage:
    """``optax.adagrad``: eps inside of the root, sums that start at 0.1."""
    start = number(initial_accumulator_value)
    return variants.adagrad_inside(lr=rate("optax.adagrad", learning_rate), eps=number(eps), initial_accumulator=start)


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
    lr = rate("optax.rmsprop", learning_rate)
    made = _RMS[bool(centered), bool(eps_in_sqrt), bool(bias_correction)]
    scaled = made(rho=number(decay), eps=number(eps), initial_accumulator=number(initial_scale))
    if is_zero(momentum):
        return chained(scaled, rules.sgd(lr=lr))
    return chained(scaled, (rules.nesterov if nesterov else rules.momentum)(lr=lr, momentum=number(momentum)))


def adadelta(
    learning_rate: Any = None, rho: Any = 0.9, eps: Any = 1e-6, weight_decay: Any = 0.0, weight_decay_mask: Any = None
) -> Stage:
    """``optax.adadelta``. Its default learning rate, none at all, is refused: optax then goes uphill.

    Raises
    ------
    GradstepValueError
        Without a learning rate, and for a mask.
    """
    if learning_rate is None:
        raise GradstepValueError(
            "optax.adadelta: without a learning_rate optax adds the step and climbs; 1.0 gives Zeiler's Adadelta."
        )
    refused("optax.adadelta", "weight_decay_mask", weight_decay_mask, _MASK)
    made = rules.adadelta(lr=rate("optax.adadelta", learning_rate), rho=number(rho), eps=number(eps))
    return chained(*given(stages.l2, weight_decay=weight_decay), made)


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
    return _adam("optax.adam", learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


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
    return _adamw("optax.adamw", learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov)


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
    refused("optax.amsgrad", "mu_dtype", mu_dtype, _DTYPE)
    made = _AMSGRAD[bool(bias_correction_mu), bool(bias_correction_nu)]
    return made(**_hyper("optax.amsgrad", learning_rate, b1, b2, eps), eps_root=number(eps_root))


def adamax(learning_rate: Any, b1: Any = 0.9, b2: Any = 0.999, eps: Any = 1e-8) -> Stage:
    """``optax.adamax``: eps is added to the gradient within the maximum."""
    return variants.adamax_eps_inside(**_hyper("optax.adamax", learning_rate, b1, b2, eps))


def adamaxw(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    mask: Any = None,
) -> Stage:
    """``optax.adamaxw``: Adamax with decoupled weight decay."""
    refused("optax.adamaxw", "mask", mask, _MASK)
    made = variants.adamax_eps_inside(**_hyper("optax.adamaxw", learning_rate, b1, b2, eps))
    return chained(*given(stages.decay, weight_decay=weight_decay), made)


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
    return _adam("optax.nadam", learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)


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
    return _adamw("optax.nadamw", learning_rate, b1, b2, eps, eps_root, mu_dtype, weight_decay, mask, nesterov)


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
    own = _hyper("optax.radam", learning_rate, b1, b2, eps)
    made = variants.radam_optax_nesterov if nesterov else variants.radam_optax
    return made(**own, eps_root=number(eps_root), threshold=number(threshold))


def _hyper(owner: str, learning_rate: Any, b1: Any, b2: Any, eps: Any) -> dict[str, Any]:
    return dict(lr=rate(owner, learning_rate), beta1=number(b1), beta2=number(b2), eps=number(eps))


def _adam(
    owner: str, learning_rate: Any, b1: Any, b2: Any, eps: Any, eps_root: Any, mu_dtype: Any, nesterov: bool
) -> Stage:
    refused(owner, "mu_dtype", mu_dtype, _DTYPE)
    own = _hyper(owner, learning_rate, b1, b2, eps)
    if nesterov:
        return variants.nadam_optax(**own, eps_root=number(eps_root))
    return rules.adam(**own) if is_zero(eps_root) else variants.adam_eps_root(**own, eps_root=number(eps_root))


def _adamw(
    owner: str,
    learning_rate: Any,
    b1: Any,
    b2: Any,
    eps: Any,
    eps_root: Any,
    mu_dtype: Any,
    weight_decay: Any,
    mask: Any,
    nesterov: bool,
) -> Stage:
    refused(owner, "mask", mask, _MASK)
    made = _adam(owner, learning_rate, b1, b2, eps, eps_root, mu_dtype, nesterov)
    return chained(*given(stages.decay, weight_decay=weight_decay), made)
