"""The optimizers of MLX 0.32, ``mlx.optimizers``: its arguments, its defaults, its numbers.

Adam and AdamW do without bias correction unless asked, and Adamax always.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Stage

__all__ = ["SGD", "AdaDelta", "Adagrad", "Adam", "AdamW", "Adamax", "RMSprop"]

constructor = Library(
    "mlx",
    becomes={
        "learning_rate": "lr",
        "alpha": "rho",
        "betas": ("beta1", "beta2"),
        "dampening": "dampening first_dampening",
    },
    told="momentum dampening",
)


@constructor
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
    if nesterov and (not momentum or dampening):
        raise GradstepValueError("mlx.SGD: nesterov=True needs a momentum above 0 and dampening=0, as in MLX.")
    moved = variants.unfolded_nesterov if nesterov else variants.unfolded_momentum
    return chain(stages.l2, moved if momentum else rules.sgd)


@constructor
def RMSprop(learning_rate: Any, alpha: float = 0.99, eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.RMSprop``: eps outside of the root."""
    return rules.rmsprop()


@constructor
def Adagrad(learning_rate: Any, eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.Adagrad``: eps outside of the root."""
    return rules.adagrad()


@constructor
def AdaDelta(learning_rate: Any, rho: float = 0.9, eps: float = 1e-6) -> Stage:
    """``mlx.optimizers.AdaDelta``."""
    return rules.adadelta()


@constructor
def Adam(learning_rate: Any, betas: Any = (0.9, 0.999), eps: float = 1e-8, bias_correction: bool = False) -> Stage:
    """``mlx.optimizers.Adam``: without bias correction by default, so that its first step is 3.16 times torch's."""
    return chain(rules.adam if bias_correction else variants.adam_uncorrected)


@constructor
def AdamW(
    learning_rate: Any,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    bias_correction: bool = False,
) -> Stage:
    """``mlx.optimizers.AdamW``: its Adam with decoupled weight decay."""
    return chain(stages.decay, rules.adam if bias_correction else variants.adam_uncorrected)


@constructor
def Adamax(learning_rate: Any, betas: Any = (0.9, 0.999), eps: float = 1e-8) -> Stage:
    """``mlx.optimizers.Adamax``: without bias correction; eps is added to the maximum."""
    return variants.adamax_uncorrected()
