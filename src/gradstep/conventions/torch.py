"""The optimizers of torch 2.13, ``torch.optim``: its arguments but for ``params``, its defaults, its numbers.

``foreach``, ``fused`` and ``capturable`` say how torch computes and are ignored with a warning; ``differentiable`` is
refused. ``weight_decay`` is L2, added to the gradient, but where it is called decoupled.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.common import chained, given, ignored, is_zero, number, pair, rate, refused
from gradstep.errors import GradstepValueError
from gradstep.rule import Stage

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"]

_NO_GRAPH = "a step is not recorded for autograd; gs.apply on torch tensors is made of differentiable operations"


def SGD(
    lr: Any = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: Any = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Stage:
    """``torch.optim.SGD``. The first gradient is not dampened; the learning rate stands outside of the buffer.

    Raises
    ------
    GradstepValueError
        As torch: nesterov needs a momentum and no dampening; ``differentiable`` is refused.
    """
    lr = rate("torch.SGD", lr)
    if nesterov and (is_zero(momentum) or not is_zero(dampening)):
        raise GradstepValueError("torch.SGD: nesterov=True needs a momentum above 0 and dampening=0, as in torch.")
    if is_zero(momentum):
        made = rules.sgd(lr=lr)
    elif nesterov:
        made = variants.unfolded_nesterov(lr=lr, momentum=number(momentum))
    else:
        made = variants.unfolded_momentum(lr=lr, momentum=number(momentum), dampening=number(dampening))
    how = dict(foreach=foreach, fused=fused)
    return _whole("torch.SGD", made, weight_decay, False, maximize, differentiable, how)


def Adagrad(
    lr: Any = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Stage:
    """``torch.optim.Adagrad``: eps outside of the root, the rate ``lr / (1 + (t - 1) lr_decay)``."""
    lr, eps, decays, start = rate("torch.Adagrad", lr), number(eps), number(lr_decay), number(initial_accumulator_value)
    if is_zero(lr_decay) and is_zero(initial_accumulator_value):
        made = rules.adagrad(lr=lr, eps=eps)
    else:
        made = variants.adagrad_decaying(lr=lr, eps=eps, initial_accumulator=start, lr_decay=decays)
    how = dict(foreach=foreach, fused=fused)
    return _whole("torch.Adagrad", made, weight_decay, False, maximize, differentiable, how)


def RMSprop(
    lr: Any = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``torch.optim.RMSprop``: eps outside of the root, the learning rate outside of the momentum.

    Centered, the variance is clamped at zero, where torch takes the root of what rounding left, and may give NaN.
    """
    lr, rho, eps = rate("torch.RMSprop", lr), number(alpha), number(eps)
    if is_zero(momentum) and not centered:
        made = rules.rmsprop(lr=lr, rho=rho, eps=eps)
    else:
        scaled = (variants.scale_by_centered_rms if centered else variants.scale_by_rms)(rho=rho, eps=eps)
        step = rules.sgd(lr=lr) if is_zero(momentum) else variants.unfolded_momentum(lr=lr, momentum=number(momentum))
        made = chained(scaled, step)
    how = dict(foreach=foreach, capturable=capturable)
    return _whole("torch.RMSprop", made, weight_decay, False, maximize, differentiable, how)


def Adadelta(
    lr: Any = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    foreach: bool | None = None,
    *,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``torch.optim.Adadelta``."""
    made = rules.adadelta(lr=rate("torch.Adadelta", lr), rho=number(rho), eps=number(eps))
    how = dict(foreach=foreach, capturable=capturable)
    return _whole("torch.Adadelta", made, weight_decay, False, maximize, differentiable, how)


def Adam(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    decoupled_weight_decay: bool = False,
) -> Stage:
    """``torch.optim.Adam``: eps on the corrected root; amsgrad takes the largest v before its correction."""
    made = _adam("torch.Adam", lr, betas, eps, amsgrad)
    how = dict(foreach=foreach, capturable=capturable, fused=fused)
    return _whole("torch.Adam", made, weight_decay, decoupled_weight_decay, maximize, differentiable, how)


def AdamW(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
) -> Stage:
    """``torch.optim.AdamW``: Adam with decoupled weight decay, ``lr * weight_decay``."""
    made = _adam("torch.AdamW", lr, betas, eps, amsgrad)
    how = dict(foreach=foreach, capturable=capturable, fused=fused)
    return _whole("torch.AdamW", made, weight_decay, True, maximize, differentiable, how)


def Adamax(
    lr: Any = 2e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    foreach: bool | None = None,
    *,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
) -> Stage:
    """``torch.optim.Adamax``: eps is added to the gradient within the maximum."""
    beta1, beta2 = pair("torch.Adamax", "betas", betas)
    made = variants.adamax_eps_inside(lr=rate("torch.Adamax", lr), beta1=beta1, beta2=beta2, eps=number(eps))
    how = dict(foreach=foreach, capturable=capturable)
    return _whole("torch.Adamax", made, weight_decay, False, maximize, differentiable, how)


def NAdam(
    lr: Any = 2e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``torch.optim.NAdam``: the mean is one with beta1, unlike Dozat's.

    The product of momenta is kept in float64, where torch keeps it in float32.
    """
    beta1, beta2 = pair("torch.NAdam", "betas", betas)
    psi = number(momentum_decay)
    made = variants.nadam_torch(
        lr=rate("torch.NAdam", lr), beta1=beta1, beta2=beta2, eps=number(eps), momentum_decay=psi
    )
    how = dict(foreach=foreach, capturable=capturable)
    return _whole("torch.NAdam", made, weight_decay, decoupled_weight_decay, maximize, differentiable, how)


def RAdam(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``torch.optim.RAdam``: rectified where rho > 5; eps on the root before its correction."""
    beta1, beta2 = pair("torch.RAdam", "betas", betas)
    made = variants.radam_torch(lr=rate("torch.RAdam", lr), beta1=beta1, beta2=beta2, eps=number(eps))
    how = dict(foreach=foreach, capturable=capturable)
    return _whole("torch.RAdam", made, weight_decay, decoupled_weight_decay, maximize, differentiable, how)


def _adam(owner: str, lr: Any, betas: Any, eps: Any, amsgrad: bool) -> Stage:
    beta1, beta2 = pair(owner, "betas", betas)
    return (variants.amsgrad_corrected if amsgrad else rules.adam)(
        lr=rate(owner, lr), beta1=beta1, beta2=beta2, eps=number(eps)
    )


def _whole(
    owner: str,
    made: Stage,
    weight_decay: Any,
    decoupled: bool,
    ascends: bool,
    differentiable: bool,
    how: dict[str, Any],
) -> Stage:
    """The rule with what torch does to gradient and parameter before it."""
    refused(owner, "differentiable", differentiable, _NO_GRAPH)
    ignored(owner, **how)
    before = [stages.maximize()] if ascends else []
    return chained(*before, *given(stages.decay if decoupled else stages.l2, weight_decay=weight_decay), made)
