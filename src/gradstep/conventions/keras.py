"""The optimizers of Keras 3.15, ``keras.optimizers``: its arguments, its defaults, its numbers.

Weight decay is decoupled, ``learning_rate * weight_decay``, and comes first. Of the arguments that all of them share,
``name`` is ignored, and gradient accumulation and the overwriting of weights by their average are refused.
"""

from inspect import signature
from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.common import chained, given, is_zero, number, rate, refused
from gradstep.errors import GradstepValueError
from gradstep.naming import unknown
from gradstep.rule import Stage

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Nadam", "RMSprop"]


def SGD(
    learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: Any = None, **base: Any
) -> Stage:
    """``keras.optimizers.SGD``: the learning rate stands within the velocity."""
    return _whole("keras.SGD", _descent(rate("keras.SGD", learning_rate), momentum, nesterov), weight_decay, base)


def Adagrad(
    learning_rate: Any = 0.001,
    initial_accumulator_value: float = 0.1,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adagrad``: epsilon inside of the root, sums that start at 0.1."""
    lr, start = rate("keras.Adagrad", learning_rate), number(initial_accumulator_value)
    made = variants.adagrad_inside(lr=lr, eps=number(epsilon), initial_accumulator=start)
    return _whole("keras.Adagrad", made, weight_decay, base)


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
    scaled = (variants.scale_by_centered_rms_inside if centered else variants.scale_by_rms_inside)(
        rho=number(rho), eps=number(epsilon)
    )
    made = chained(scaled, _descent(rate("keras.RMSprop", learning_rate), momentum, False))
    return _whole("keras.RMSprop", made, weight_decay, base)


def Adadelta(
    learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, weight_decay: Any = None, **base: Any
) -> Stage:
    """``keras.optimizers.Adadelta``: Zeiler's with a thousandth of its steps, by the default learning rate."""
    made = rules.adadelta(lr=rate("keras.Adadelta", learning_rate), rho=number(rho), eps=number(epsilon))
    return _whole("keras.Adadelta", made, weight_decay, base)


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
    made = _adam("keras.Adam", learning_rate, beta_1, beta_2, epsilon, amsgrad)
    return _whole("keras.Adam", made, weight_decay, base)


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
    if weight_decay is None:
        raise GradstepValueError("keras.AdamW: weight_decay must be a number, as in Keras; keras.Adam has none.")
    made = _adam("keras.AdamW", learning_rate, beta_1, beta_2, epsilon, amsgrad)
    return _whole("keras.AdamW", made, weight_decay, base)


def Adamax(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Adamax``: epsilon is added to the maximum."""
    lr, beta1, beta2 = rate("keras.Adamax", learning_rate), number(beta_1), number(beta_2)
    made = variants.adamax_eps_outside(lr=lr, beta1=beta1, beta2=beta2, eps=number(epsilon))
    return _whole("keras.Adamax", made, weight_decay, base)


def Nadam(
    learning_rate: Any = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: Any = None,
    **base: Any,
) -> Stage:
    """``keras.optimizers.Nadam``: its momentum grows 250 times as fast as torch's, with 0.96^t."""
    lr, beta1, beta2 = rate("keras.Nadam", learning_rate), number(beta_1), number(beta_2)
    made = variants.nadam_torch(lr=lr, beta1=beta1, beta2=beta2, eps=number(epsilon), momentum_decay=1.0)
    return _whole("keras.Nadam", made, weight_decay, base)


def _descent(lr: Any, rate_of_momentum: Any, looks_ahead: bool) -> Stage:
    if is_zero(rate_of_momentum):
        return rules.sgd(lr=lr)
    return (rules.nesterov if looks_ahead else rules.momentum)(lr=lr, momentum=number(rate_of_momentum))


def _adam(owner: str, lr: Any, beta_1: Any, beta_2: Any, epsilon: Any, amsgrad: bool) -> Stage:
    hyper = dict(lr=rate(owner, lr), beta1=number(beta_1), beta2=number(beta_2), eps=number(epsilon))
    return (variants.amsgrad_eps_hat if amsgrad else variants.adam_eps_hat)(**hyper)


def _whole(owner: str, made: Stage, weight_decay: Any, base: dict[str, Any]) -> Stage:
    return chained(*_before(owner, weight_decay, **base), made, *_after(base))


def _before(
    owner: str,
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
    name: str | None = None,  # noqa: ARG001 - names nothing here
    **others: Any,
) -> list[Stage]:
    """What Keras's base class does to gradients and variables before the update of the optimizer."""
    if others:
        own = {*signature(globals()[owner.partition(".")[2]]).parameters, *signature(_before).parameters}
        raise unknown(f"{owner}: unknown argument", min(others), own - {"owner", "base", "others"})
    if sum(x is not None for x in (clipnorm, clipvalue, global_clipnorm)) > 1:
        raise GradstepValueError(
            f"{owner}: only one of clipnorm, clipvalue and global_clipnorm can be set, as in Keras."
        )
    if use_ema and not 0 <= number(ema_momentum) <= 1:
        raise GradstepValueError(f"{owner}: ema_momentum must be from 0 to 1, as in Keras, not {ema_momentum!r}.")
    never = "the average is read by opt.averaged(), and the parameters stay as they are"
    refused(owner, "ema_overwrite_frequency", ema_overwrite_frequency, never)
    by_hand = "sum the gradients yourself and step with their mean"
    refused(owner, "gradient_accumulation_steps", gradient_accumulation_steps, by_hand)
    clips = (
        (stages.clip_by_norm, clipnorm),
        (stages.clip_by_value, clipvalue),
        (stages.clip_by_global_norm, global_clipnorm),
    )
    return [
        *given(stages.unscale, loss_scale=loss_scale_factor),
        *(clip(number(bound)) for clip, bound in clips if bound is not None),
        *given(stages.decay, weight_decay=weight_decay),
    ]


def _after(base: dict[str, Any]) -> list[Stage]:
    return [variants.ema_after_first(decay=number(base.get("ema_momentum", 0.99)))] if base.get("use_ema") else []
