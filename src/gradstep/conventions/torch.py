"""The optimizers of torch 2.13, ``torch.optim``: its arguments but for ``params``, its defaults, its numbers.

``foreach``, ``fused`` and ``capturable`` say how torch computes and are ignored with a warning; ``differentiable`` is
refused. ``weight_decay`` is L2, added to the gradient, but where it is called decoupled.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library, for_matrices, minus
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
]

constructor = Library(
    "torch",
    becomes={"betas": ("beta1", "beta2"), "alpha": "rho", "initial_accumulator_value": "initial_accumulator"},
    told="momentum dampening",
    ignored="foreach fused capturable",
    refused={
        "differentiable": "a step is not recorded for autograd; gs.apply on torch tensors is made of differentiable "
        "operations"
    },
)


@constructor
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
    if nesterov and (not momentum or dampening):
        raise GradstepValueError("torch.SGD: nesterov=True needs a momentum above 0 and dampening=0, as in torch.")
    moved = variants.unfolded_nesterov if nesterov else variants.unfolded_momentum
    return _after_decay(maximize, moved if momentum else rules.sgd)


@constructor
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
    return _after_decay(maximize, variants.adagrad_decaying)


@constructor
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
    if not momentum and not centered:
        return _after_decay(maximize, rules.rmsprop)
    scaled = variants.scale_by_centered_rms if centered else variants.scale_by_rms
    return _after_decay(maximize, chain(scaled, variants.unfolded_momentum if momentum else rules.sgd))


@constructor
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
    return _after_decay(maximize, rules.adadelta)


@constructor
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
    return _after_decay(
        maximize, variants.amsgrad_corrected if amsgrad else rules.adam, decoupled=decoupled_weight_decay
    )


@constructor
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
    return _after_decay(maximize, variants.amsgrad_corrected if amsgrad else rules.adam, decoupled=True)


@constructor
def SparseAdam(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    maximize: bool = False,
) -> Stage:
    """``torch.optim.SparseAdam``: Adam with eps added to the root before its correction.

    torch moves those rows of a parameter and its state that a sparse gradient has, as the guest in torch does. On
    arrays, whose gradients are dense, these are all rows.
    """
    return chain(*[stages.maximize] * maximize, variants.adam_eps_hat)


@constructor
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
    return _after_decay(maximize, variants.adamax_eps_inside)


@constructor
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
    return _after_decay(maximize, variants.nadam_torch, decoupled=decoupled_weight_decay)


@constructor
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
    return _after_decay(maximize, variants.radam_torch, decoupled=decoupled_weight_decay)


@constructor(becomes={"etas": ("shrink", "grow"), "step_sizes": ("least", "most")})
def Rprop(
    lr: Any = 1e-2,
    etas: Any = (0.5, 1.2),
    step_sizes: Any = (1e-6, 50),
    *,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``torch.optim.Rprop``: iRprop-, which goes nowhere where the sign has changed; lr is the first size alone.

    torch multiplies this gradient by the last, which gives zero, and so no change of the size, where both are tiny.
    """
    return chain(*[stages.maximize] * maximize, rules.rprop)


@constructor(becomes={"alpha": "alpha"})
def ASGD(
    lr: Any = 1e-2,
    lambd: float = 1e-4,
    alpha: float = 0.75,
    t0: float = 1e6,
    weight_decay: float = 0,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
) -> Stage:
    """``torch.optim.ASGD``: averaged, not accelerated; each step has the rate that the one before computed.

    The rate is kept in float64, where torch keeps it in float32. ``opt.averaged()`` reads the average, torch's ``ax``.
    """
    return _after_decay(maximize, variants.asgd_torch)


@constructor(becomes={"beta2_decay": minus("decay_rate"), "eps": ("eps1", "eps2"), "d": "clip"})
def Adafactor(
    lr: Any = 1e-2,
    beta2_decay: float = -0.8,
    eps: Any = (None, 1e-3),
    d: float = 1.0,
    weight_decay: float = 0.0,
    *,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``torch.optim.Adafactor``: the last two axes are factored; eps[0] is no addition, but a floor.

    Where it is None it is the spacing at 1 of the dtype in which a step is computed: of float32 also for parameters of
    16 bits, where torch takes their own. A matrix of one column is taken for a vector, which torch does not factor.
    """
    is_given, _ = eps
    moved = variants.adafactor_torch if is_given else variants.adafactor_torch_dtype
    return chain(*[stages.maximize] * maximize, moved)


_STEPS = "Jordan's five steps with his coefficients are part of the rule"


@constructor(
    choices={"adjust_lr_fn": (None, "original", "match_rms_adamw")},
    refused={"ns_coefficients": _STEPS, "ns_steps": _STEPS},
)
def Muon(
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    nesterov: bool = True,
    ns_coefficients: Any = (3.4445, -4.775, 2.0315),
    eps: float = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> Stage:
    """``torch.optim.Muon``: its Newton-Schulz steps in the dtype of the parameters, where torch takes bfloat16.

    What is no matrix is refused, as there.
    """
    if adjust_lr_fn == "match_rms_adamw":
        return for_matrices(variants.muon_torch_matched if nesterov else variants.muon_torch_plain_matched)
    return for_matrices(variants.muon_torch if nesterov else variants.muon_torch_plain)


def _after_decay(maximize: bool, moved: Rule | Stage, *, decoupled: bool = False) -> Stage:
    """A rule with what torch does to gradient and parameter before it."""
    return chain(*[stages.maximize] * maximize, stages.decay if decoupled else stages.l2, moved)
