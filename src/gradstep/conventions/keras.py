"""The optimizers of Keras 3.15, ``keras.optimizers``: its arguments, its defaults, its numbers.

Weight decay is decoupled, ``learning_rate * weight_decay``, and comes first. Of the arguments that all of them share,
``name`` is ignored, and gradient accumulation and the overwriting of weights by their average are refused.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library, for_matrices, minus
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "RMSprop",
    "ScheduleFreeAdamW",
]


def _whole(
    moved: Rule | Stage,
    weight_decay: Any,
    *,
    clipnorm: float | None = None,
    clipvalue: float | None = None,
    global_clipnorm: float | None = None,
    use_ema: bool = False,
    ema_momentum: float = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: float | None = None,
    gradient_accumulation_steps: int | None = None,
    name: str | None = None,
) -> Stage:
    """A rule with what Keras's base class does to gradients and variables before it and after."""
    clips = {
        stages.clip_by_norm: clipnorm,
        stages.clip_by_value: clipvalue,
        stages.clip_by_global_norm: global_clipnorm,
    }
    clip = [stage for stage, is_given in clips.items() if is_given]
    if len(clip) > 1:
        raise GradstepValueError("keras: only one of clipnorm, clipvalue and global_clipnorm can be set, as in Keras.")
    return chain(
        *[stages.unscale] * bool(loss_scale_factor),
        *clip,
        *[stages.decay] * bool(weight_decay),
        moved,
        *[variants.ema_after_first] * use_ema,
    )


constructor = Library(
    "keras",
    becomes={
        "learning_rate": "lr",
        "beta_1": "beta1",
        "beta_2": "beta2",
        "epsilon": "eps",
        "initial_accumulator_value": "initial_accumulator",
        "clipnorm": "max_norm",
        "clipvalue": "max_value",
        "global_clipnorm": "max_norm",
        "ema_momentum": "decay",
        "loss_scale_factor": "loss_scale",
    },
    told="momentum",
    labels="name relative_step",
    refused={
        "ema_overwrite_frequency": "the average is read by opt.averaged(), and the parameters stay as they are",
        "gradient_accumulation_steps": "sum the gradients yourself and step with their mean",
    },
    shared=_whole,
)


@constructor
def SGD(
    learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: Any = None, **base: Any
) -> Stage:
    """``keras.optimizers.SGD``: the learning rate stands within the velocity."""
    return _whole(_descent(momentum, nesterov), weight_decay, **base)


@constructor
def Adagrad(
    learning_rate: Any = 0.001,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adagrad``: epsilon inside of the root, sums that start at 0.1."""
    return _whole(variants.adagrad_inside, weight_decay, **base)


@constructor
def RMSprop(
    learning_rate: Any = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    centered: bool = False,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.RMSprop``: epsilon inside of the root, the learning rate within the momentum.

    Centered, the variance is clamped at zero before epsilon is added.
    """
    scaled = variants.scale_by_centered_rms_inside if centered else variants.scale_by_rms_inside
    return _whole(chain(scaled, _descent(momentum)), weight_decay, **base)


@constructor
def Adadelta(
    learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, weight_decay: Any = None, **base: Any
) -> Stage:
    """``keras.optimizers.Adadelta``: Zeiler's with a thousandth of its steps, by the default learning rate."""
    return _whole(rules.adadelta, weight_decay, **base)


@constructor
def Adam(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adam``: epsilon on the root before its correction ("epsilon hat")."""
    return _whole(variants.amsgrad_eps_hat if amsgrad else variants.adam_eps_hat, weight_decay, **base)


@constructor
def AdamW(
    learning_rate: Any = 0.001,
    weight_decay: Any = 0.004,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    amsgrad: bool = False,
    **base: Any,
) -> Stage:
    """``keras.optimizers.AdamW``: Adam with ``weight_decay=0.004``."""
    return _whole(variants.amsgrad_eps_hat if amsgrad else variants.adam_eps_hat, True, **base)


@constructor
def Adamax(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adamax``: epsilon is added to the maximum."""
    return _whole(variants.adamax_eps_outside, weight_decay, **base)


@constructor
def Nadam(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Nadam``: its momentum grows 250 times as fast as torch's, with 0.96^t."""
    return _whole(variants.nadam_torch(momentum_decay=1.0), weight_decay, **base)


@constructor(
    becomes={
        "l1_regularization_strength": "l1",
        "l2_regularization_strength": "l2",
        "l2_shrinkage_regularization_strength": "shrinkage",
    },
    refused={"learning_rate_power": "the square root is part of the rule"},
)
def Ftrl(
    learning_rate: Any = 0.001,
    learning_rate_power: float = -0.5,
    initial_accumulator_value: float = 0.1,
    l1_regularization_strength: float = 0.0,
    l2_regularization_strength: float = 0.0,
    l2_shrinkage_regularization_strength: float = 0.0,
    beta: float = 0.0,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Ftrl``: sums start at 0.1, and l2 counts twice; the first weights are forgotten."""
    return _whole(variants.ftrl_keras, weight_decay, **base)


@constructor
def Lion(
    learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: Any = None, **base: Any
) -> Stage:
    """``keras.optimizers.Lion``."""
    return _whole(rules.lion, weight_decay, **base)


@constructor
def Lamb(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Lamb``: the decay comes first and has no part in the step that the ratio scales."""
    return _whole(variants.lamb_keras, None, **base)


@constructor(
    becomes={
        "beta_2_decay": minus("decay_rate"),
        "epsilon_1": "eps1",
        "epsilon_2": "eps2",
        "clip_threshold": "clip",
    },
)
def Adafactor(
    learning_rate: Any = 0.001,
    beta_2_decay: float = -0.8,
    epsilon_1: float = 1e-30,
    epsilon_2: float = 0.001,
    clip_threshold: float = 1.0,
    relative_step: bool = True,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adafactor``: the last two axes are factored, and the weights' size is taken when they decayed.

    ``relative_step`` changes nothing, as in Keras, where the rate is at most ``1 / sqrt(t)`` with it and without.
    """
    return _whole(variants.adafactor_keras, None, **base)


_STEPS = "Jordan's five steps with his coefficients are part of the rule"
_GROUPS = 'give the others a rule of their own: gs.Optimizer(..., groups={"*.bias": gs.conventions.keras.AdamW()})'


@constructor(
    optional="weight_decay",
    refused={
        **dict.fromkeys(("muon_a", "muon_b", "muon_c", "ns_steps"), _STEPS),
        **dict.fromkeys(("adam_beta_1", "adam_beta_2", "adam_weight_decay", "adam_lr_ratio", "epsilon"), _GROUPS),
        **dict.fromkeys(("exclude_layers", "exclude_embeddings"), _GROUPS),
    },
)
def Muon(
    learning_rate: Any = 0.001,
    adam_beta_1: float = 0.9,
    adam_beta_2: float = 0.999,
    adam_weight_decay: float = 0.004,
    epsilon: float = 1e-7,
    weight_decay: Any = 0.004,
    exclude_layers: Any = None,
    exclude_embeddings: bool = True,
    muon_a: float = 3.4445,
    muon_b: float = -4.775,
    muon_c: float = 2.0315,
    adam_lr_ratio: float = 1,
    momentum: float = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    rms_rate: float = 0.2,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Muon`` of its matrices: Moonshot's, with a sum for momentum.

    What is no matrix is refused: Keras gives it to AdamW, and embeddings too, which a group does here.
    """
    moved = variants.muon_keras if nesterov else variants.muon_keras_plain
    return _whole(for_matrices(moved if weight_decay else moved(weight_decay=0.0)), None, **base)


@constructor(becomes={"warmup_steps": "warmup"})
def ScheduleFreeAdamW(
    learning_rate: Any = 0.0025,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    warmup_steps: float = 0,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.ScheduleFreeAdamW``, as Keras steps on JAX: all steps weigh alike, those of the warm-up too.

    On torch Keras overwrites the sequence that it still needs, and goes another way.
    """
    return _whole(variants.schedule_free_adamw_keras, None, **base)


def _descent(momentum: Any, nesterov: bool = False) -> Rule:
    if not momentum:
        return rules.sgd
    return rules.nesterov if nesterov else rules.momentum
