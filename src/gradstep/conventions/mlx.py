"""The optimizers of MLX 0.32, ``mlx.optimizers``: its arguments, its defaults, its numbers.

Adam and AdamW do without bias correction unless asked, and Adamax always.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library, for_matrices, minus, refusing
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Stage

__all__ = ["SGD", "AdaDelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Muon", "RMSprop"]

ABSENT = {"MultiOptimizer": "groups= gives parameters a rule of their own by name"}
__getattr__ = refusing(__name__, ABSENT)

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


@constructor
def Lion(learning_rate: Any, betas: Any = (0.9, 0.99), weight_decay: float = 0.0) -> Stage:
    """``mlx.optimizers.Lion``: its decay is decoupled and comes first."""
    return chain(stages.decay, rules.lion)


@constructor(
    becomes={
        "eps": ("eps1", "eps2"),
        "clip_threshold": "clip",
        "decay_rate": minus("decay_rate"),
        "beta_1": "beta1",
    },
    optional="learning_rate",
    refused={
        "warmup_init": "gs.variants.adafactor_timm(lr=gs.schedules.linear(1e-6, 9_999, final=0.01)) is what it does"
    },
)
def Adafactor(
    learning_rate: Any = None,
    eps: Any = (1e-30, 1e-3),
    clip_threshold: float = 1.0,
    decay_rate: float = -0.8,
    beta_1: float | None = None,
    weight_decay: float = 0.0,
    scale_parameter: bool = True,
    relative_step: bool = True,
    warmup_init: bool = False,
) -> Stage:
    """``mlx.optimizers.Adafactor``: decay and momentum are of the finished step, which is as long as the parameters.

    Raises
    ------
    GradstepValueError
        For a learning rate beside ``relative_step=True``, which forgets it in MLX. With neither the rate is 1e-3 here,
        and MLX fails.
    """
    if relative_step and learning_rate:
        raise GradstepValueError(
            "mlx.Adafactor: MLX forgets the learning rate beside relative_step=True, its default; give "
            "learning_rate= with relative_step=False, or neither."
        )
    if relative_step:
        return chain((variants.adafactor_timm if scale_parameter else variants.adafactor_mlx_unsized)(lr=1e-2))
    return chain(variants.adafactor_mlx_sized if scale_parameter else variants.adafactor_timm_rate)


@constructor(refused={"ns_steps": "Jordan's five steps with his coefficients are part of the rule"})
def Muon(
    learning_rate: Any,
    momentum: float = 0.95,
    weight_decay: float = 0.01,
    nesterov: bool = True,
    ns_steps: int = 5,
) -> Stage:
    """``mlx.optimizers.Muon`` of its matrices: Jordan's, with a decay that is added to the gradient.

    What is no matrix is refused: MLX gives arrays of one axis plain momentum, which a group does here.
    """
    return for_matrices(variants.muon_mlx if nesterov else variants.muon_mlx_plain)
