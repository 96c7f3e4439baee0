"""The optimizers of timm 1.0.31, ``timm.optim``: its arguments but for ``params``, its defaults, its numbers.

``caution`` keeps what goes with the gradient, its scale the share of what is kept. ``foreach`` and ``capturable`` say
how timm computes and are ignored with a warning. Its other names, such as ``timm.optim.AdamW``, are torch's own.
"""

from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library, refusing
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "MADGRAD",
    "SGDW",
    "AdaBelief",
    "AdamWLegacy",
    "Adan",
    "Adopt",
    "LaProp",
    "Lamb",
    "Lars",
    "Lion",
    "NAdamLegacy",
    "NAdamW",
    "NvNovoGrad",
    "RAdamLegacy",
    "RMSpropTF",
]

_BY_SHAPE = "timm steps small matrices and arrays of one axis by another rule; give them one in groups=, beside "
_TORCHS = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD")
ABSENT = {
    **{name: f'it is torch\'s own, "torch.{name}"' for name in _TORCHS},
    "Adafactor": f"{_BY_SHAPE}gs.adafactor",
    "AdafactorBigVision": f"{_BY_SHAPE}gs.adafactor",
    "Adahessian": "there is no such rule here",
    "AdamP": "there is no such rule here",
    "Lookahead": "it is a stage behind any other, gs.lookahead(k=6), whose slow weights start where the fast ones do",
    "Mars": f"{_BY_SHAPE}gs.chain(gs.mars, gs.adam)",
    "Muon": f"{_BY_SHAPE}gs.muon",
    "SGDP": "there is no such rule here",
}
__getattr__ = refusing(__name__, ABSENT)

constructor = Library(
    "timm",
    becomes={"betas": ("beta1", "beta2"), "alpha": "rho"},
    told="momentum",
    ignored="foreach capturable",
    refused={
        "corrected_weight_decay": "give the decay a schedule, weight_decay * lr / max_lr, which is what it does",
        "differentiable": "a step is not recorded for autograd",
        "clipping_threshold": "gs.stable_adamw is AdamW with that clip, and clips the decay too",
        "fixed_decay": "the decay here is lr * weight_decay; a weight_decay divided by lr takes the lr out",
    },
)


@constructor(
    becomes={"eps": "eps eps_root"},
    refused={
        "amsgrad": "no rule here keeps the largest s",
        "degenerated_to_sgd": "until it is rectified a step goes along the average, as by default",
    },
)
def AdaBelief(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-16,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled_decay: bool = True,
    fixed_decay: bool = False,
    rectify: bool = True,
    degenerated_to_sgd: bool = True,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.AdaBelief``: rectified by default; eps is added to the variance at each step, and to its root."""
    return _after_decay(variants.adabelief_rectified if rectify else rules.adabelief, decoupled=decoupled_decay)


@constructor
def AdamWLegacy(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    caution: bool = False,
    corrected_weight_decay: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    clipping_threshold: float | None = None,
) -> Stage:
    """``timm.optim.AdamWLegacy``: torch's AdamW, and caution."""
    moved = variants.amsgrad_corrected if amsgrad else rules.adam
    return _after_decay(moved, decoupled=True, maximize=maximize, caution=caution)


@constructor(
    becomes={"betas": ("beta1", "beta2", "beta3")},
    refused={"caution": "timm masks the average alone and not its look ahead; gs.cautious around gs.adan masks both"},
)
def Adan(
    lr: Any = 1e-3,
    betas: Any = (0.98, 0.92, 0.99),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    no_prox: bool = False,
    caution: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.Adan``: its decay is a proximal step behind the update, or with ``no_prox`` AdamW's before it."""
    return chain(stages.decay, rules.adan) if no_prox else chain(rules.adan, stages.proximal_decay)


@constructor(becomes={"clip_exp": "clip_exponent"}, optional="clip_exp")
def Adopt(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.9999),
    eps: float = 1e-6,
    clip_exp: float | None = 0.333,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    corrected_weight_decay: bool = False,
    *,
    caution: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    capturable: bool = False,
    differentiable: bool = False,
) -> Stage:
    """``timm.optim.Adopt``: cut at (t - 1)^0.333, its authors at (t - 1)^0.25; no decay at the first update."""
    return chain(
        *[stages.maximize] * maximize,
        variants.decay_from_second if decoupled else stages.l2,
        rules.adopt if clip_exp else variants.adopt_unclipped,
        *[variants.cautious_mean] * caution,
    )


@constructor(
    becomes={"max_grad_norm": "max_norm"},
    optional="max_grad_norm",
    refused={
        "bias_correction": "averages are corrected here",
        "grad_averaging": "the momentum is an average here",
        "trust_clip": "no rule here bounds the ratio",
        "caution": "timm masks before the ratio is taken; gs.cautious around gs.lamb masks the step",
        "decoupled_decay": "the decay is within the ratio here, as by default",
    },
)
def Lamb(
    lr: Any = 1e-3,
    bias_correction: bool = True,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    grad_averaging: bool = True,
    max_grad_norm: float | None = 1.0,
    trust_clip: bool = False,
    always_adapt: bool = False,
    caution: bool = False,
    decoupled_decay: bool = False,
    corrected_weight_decay: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.Lamb``: the norm of all gradients is cut to 1 first; no ratio where weight_decay is 0."""
    return chain(
        *[stages.clip_by_global_norm] * bool(max_grad_norm), rules.lamb if always_adapt else variants.lamb_timm
    )


@constructor
def LaProp(
    lr: Any = 4e-4,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-15,
    weight_decay: float = 0.0,
    caution: bool = False,
    corrected_weight_decay: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.LaProp``: the decay comes behind the update, and is lr * weight_decay, unlike its authors'."""
    return chain(rules.laprop, *[variants.cautious_mean] * caution, stages.decay)


@constructor(
    becomes={"trust_coeff": "trust"},
    refused={
        "dampening": "the momentum is not dampened here",
        "nesterov": "the momentum is not Nesterov's here",
        "trust_clip": "no rule here bounds the ratio",
        "always_adapt": "without a decay there is no ratio here, as by default",
    },
)
def Lars(
    lr: Any = 1.0,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    trust_coeff: float = 0.001,
    eps: float = 1e-8,
    trust_clip: bool = False,
    always_adapt: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.Lars``: lr outside of the momentum; without weight_decay there is no ratio, and it is SGD."""
    return variants.lars_timm()


@constructor
def Lion(
    lr: Any = 1e-4,
    betas: Any = (0.9, 0.99),
    weight_decay: float = 0.0,
    caution: bool = False,
    corrected_weight_decay: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.Lion``: Lion with decoupled weight decay."""
    return _after_decay(rules.lion, decoupled=True, maximize=maximize, caution=caution)


@constructor
def MADGRAD(
    lr: Any = 1e-2,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    eps: float = 1e-6,
    decoupled_decay: bool = False,
) -> Stage:
    """``timm.optim.MADGRAD``: eps is added to the rate too.

    Raises
    ------
    GradstepValueError
        For a decoupled decay without momentum, which timm takes into the start of the dual averaging.
    """
    if decoupled_decay and not momentum:
        raise GradstepValueError(
            "timm.MADGRAD: decoupled_decay=True needs a momentum above 0; without, timm moves x0 by the decay."
        )
    return _after_decay(rules.madgrad, decoupled=decoupled_decay)


@constructor(becomes={"schedule_decay": "momentum_decay"})
def NAdamLegacy(
    lr: Any = 2e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    schedule_decay: float = 4e-3,
) -> Stage:
    """``timm.optim.NAdamLegacy``: torch's NAdam."""
    return _after_decay(variants.nadam_torch)


@constructor
def NAdamW(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    caution: bool = False,
    corrected_weight_decay: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    clipping_threshold: float | None = None,
) -> Stage:
    """``timm.optim.NAdamW``: a constant momentum, both of whose terms are corrected with t; AlgoPerf's baseline."""
    return _after_decay(variants.nadam_timm, decoupled=True, maximize=maximize, caution=caution)


@constructor(
    refused={
        "grad_averaging": "the gradients are summed in the momentum here, as by default",
        "amsgrad": "no rule here keeps the largest v",
        "decoupled_decay": "the decay is in the momentum here, as by default",
    },
)
def NvNovoGrad(
    lr: Any = 1e-3,
    betas: Any = (0.95, 0.98),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    grad_averaging: bool = False,
    amsgrad: bool = False,
    decoupled_decay: bool = False,
    corrected_weight_decay: bool = False,
) -> Stage:
    """``timm.optim.NvNovoGrad``: the second moment, one number for an array, starts at the first gradient not zero."""
    return variants.novograd_timm()


@constructor
def RAdamLegacy(lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0.0) -> Stage:
    """``timm.optim.RAdamLegacy``: decoupled weight decay; rectified from rho = 5 on. timm computes in float32."""
    return _after_decay(variants.radam_torch, decoupled=True)


@constructor
def RMSpropTF(
    lr: Any = 1e-2,
    alpha: float = 0.9,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    decoupled_decay: bool = False,
    corrected_weight_decay: bool = False,
    lr_in_momentum: bool = True,
    caution: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``timm.optim.RMSpropTF``: as TensorFlow 1's, eps inside of the root, and the mean square starts at 1.

    Centered, the variance is clamped at zero before eps is added. Caution needs a momentum, as in timm.
    """
    scaled = variants.scale_by_centered_rms_inside if centered else variants.scale_by_rms_inside
    folded = rules.momentum if lr_in_momentum else variants.unfolded_momentum
    return _after_decay(
        chain(scaled(initial_accumulator=1.0), folded if momentum else rules.sgd),
        decoupled=decoupled_decay,
        caution=caution and momentum,
    )


@constructor(told="dampening")
def SGDW(
    lr: Any = 1e-3,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    *,
    caution: bool = False,
    corrected_weight_decay: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
) -> Stage:
    """``timm.optim.SGDW``: torch's SGD with decoupled weight decay. Caution needs a momentum, as in timm.

    Raises
    ------
    GradstepValueError
        As timm: nesterov needs a momentum and no dampening.
    """
    if nesterov and (not momentum or dampening):
        raise GradstepValueError("timm.SGDW: nesterov=True needs a momentum above 0 and dampening=0, as in timm.")
    moved = variants.unfolded_nesterov if nesterov else variants.unfolded_momentum
    return _after_decay(
        moved if momentum else rules.sgd, decoupled=True, maximize=maximize, caution=caution and momentum
    )


def _after_decay(
    moved: Rule | Stage, *, decoupled: bool = False, maximize: bool = False, caution: Any = False
) -> Stage:
    """A rule with what timm does to gradient and parameter before it, and to the step behind it."""
    return chain(
        *[stages.maximize] * maximize,
        stages.decay if decoupled else stages.l2,
        moved,
        *[variants.cautious_mean] * bool(caution),
    )
