"""The optimizers of MLX 0.32, ``mlx.optimizers``: its arguments, its defaults, its numbers.

Adam and AdamW do without bias correction unless asked, and Adamax always.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.common import chained, given, is_zero, number, pair, rate
from gradstep.errors import GradstepValueError
from gradstep.rule import Stage

__all__ = ["SGD", "AdaDelta", "Adagrad", "Adam", "AdamW", "Adamax", "RMSprop"]


def SGD(
    learning_rate: Any,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
) -> Stage:
    """``mlx.optimizers.SGD``: the first gradient is dampened too, unlike torch's.

    Raises
    ------
    GradstepValueError
        As MLX: nesterov needs a momentum and no dampening.
    """
    lr = rate("mlx.SGD", learning_rate)
    if nesterov and (is_zero(momentum) or not is_zero(dampening)):
        raise GradstepValueError("mlx.SGD: nesterov=True needs a momentum above 0 and dampening=0, as in MLX.")
    if is_zero(momentum):
        made = rules.sgd(lr=lr)
    elif nesterov:
        made = variants.unfolded_nesterov(lr=lr, momentum=number(momentum))
    else:
        less = number(dampening)
        made = variants.unfolded_momentum(lr=lr, momentum=number(momentum), dampening=less, first_dampening=less)
    return chained(*given(stages.l2, weight_decay=weight_decay), made)


def RMSprop(learning_rate: Any, alpha: float = 0.99, eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.RMSprop``: eps outside of the root."""
    return rules.rmsprop(lr=rate("mlx.RMSprop", learning_rate), rho=number(alpha), eps=number(eps))


def Adagrad(learning_rate: Any, eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.Adagrad``: eps outside of the root."""
    return rules.adagrad(lr=rate("mlx.Adagrad", learning_rate), eps=number(eps))


def AdaDelta(learning_rate: Any, rho: float = 0.9, eps: float = 1e-6) -> Stage:
    """``mlx.optimizers.AdaDelta``."""
    return rules.adadelta(lr=rate("mlx.AdaDelta", learning_rate), rho=number(rho), eps=number(eps))


def Adam(learning_rate: Any, betas: Any = (0.9, 0.999), eps: float = 1e-8, bias_correction: bool = False) -> Stage:
    """``mlx.optimizers.Adam``: without bias correction by default, so that its first step is 3.16 times torch's."""
    return _adam("mlx.Adam", learning_rate, betas, eps, bias_correction)


def AdamW(
    learning_rate: Any,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = False,
) -> Stage:
    """``mlx.optimizers.AdamW``: its Adam with decoupled weight decay."""
    made = _adam("mlx.AdamW", learning_rate, betas, eps, bias_correction)
    return chained(*given(stages.decay, weight_decay=weight_decay), made)


def Adamax(learning_rate: Any, betas: Any = (0.9, 0.999), eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.Adamax``: without bias correction; eps is added to the maximum."""
    beta1, beta2 = pair("mlx.Adamax", "betas", betas)
    return variants.adamax_uncorrected(lr=rate("mlx.Adamax", learning_rate), beta1=beta1, beta2=beta2, eps=number(eps))


def _adam(owner: str, learning_rate: Any, betas: Any, eps: Any, bias_correction: bool) -> Stage:
    beta1, beta2 = pair(owner, "betas", betas)
    made = rules.adam if bias_correction else variants.adam_uncorrected
    return made(lr=rate(owner, learning_rate), beta1=beta1, beta2=beta2, eps=number(eps))
