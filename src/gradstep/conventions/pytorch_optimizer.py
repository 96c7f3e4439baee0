"""The optimizers of pytorch_optimizer 4.1.0: their arguments but for ``params``, their defaults, their numbers.

Where one differs from its paper, it does so here too, and its line says how. ``foreach`` says how the library computes
and is ignored with a warning. What it takes by ``**kwargs`` alone, such as ``cautious``, is unknown here.
"""

import math
from collections.abc import Mapping
from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import Library, refusing
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage

__all__ = [
    "ADOPT",
    "CAME",
    "FTRL",
    "MADGRAD",
    "SGDW",
    "SM3",
    "AdEMAMix",
    "AdaBelief",
    "AdaDelta",
    "AdaMax",
    "Adan",
    "DAdaptAdam",
    "DAdaptSGD",
    "LaProp",
    "Lamb",
    "Lion",
    "NovoGrad",
    "Prodigy",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "SignSGD",
    "StableAdamW",
    "Tiger",
    "Yogi",
]

_BY_SHAPE = "pytorch_optimizer steps arrays of one axis by another rule; give them one in groups=, beside "
_TORCHS = ("Adam", "AdamW", "NAdam", "RMSprop", "SGD")
ABSENT = {
    **{name: f'it is torch\'s own, "torch.{name}"' for name in _TORCHS},
    "AdaFactor": "it keeps its momentum in bfloat16, and with relative_step, its default, it forgets lr; gs.adafactor",
    "LARS": f"{_BY_SHAPE}gs.lars",
    "Lookahead": "it is a stage behind any other: gs.chain(..., gs.lookahead(k=5))",
    "MARS": f"{_BY_SHAPE}gs.chain(gs.mars, gs.adam)",
    "Muon": f"{_BY_SHAPE}gs.muon",
    "RAdam": 'it stands still until it is rectified; "torch.RAdam" goes along the average meanwhile',
    "SimplifiedAdEMAMix": "in 4.1.0 it averages what is a sum, and corrects upside down, unlike gs.simplified_ademamix",
    "SophiaH": "it asks autograd for the diagonal; gs.sophia takes it with the step",
}
__getattr__ = refusing(__name__, ABSENT)

_DROPPED = "pytorch_optimizer adds the decay to a gradient that it has used already, so that it does nothing"

constructor = Library(
    "pytorch_optimizer",
    becomes={"betas": ("beta1", "beta2")},
    told="momentum",
    ignored="foreach",
    labels="kahan_sum",
    refused={
        "fixed_decay": "the decay here is lr * weight_decay; a weight_decay divided by lr takes the lr out",
        "ams_bound": "no rule here keeps the largest second moment in this form",
        "growth_rate": "gs.prodigy, gs.dadapt_adam and gs.dadapt_sgd have growth=",
    },
)


@constructor(
    becomes={"eps": "eps eps_root"},
    refused={
        "n_sma_threshold": "rectified from 5 on, as by default",
        "degenerated_to_sgd": "until it is rectified a step goes along the average, as by default",
    },
)
def AdaBelief(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    rectify: bool = False,
    n_sma_threshold: int = 5,
    degenerated_to_sgd: bool = True,
    ams_bound: bool = False,
    foreach: bool | None = None,
    eps: float = 1e-16,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.AdaBelief``: eps is added to the variance at each step, and to its root."""
    return _after_decay(maximize, weight_decouple, variants.adabelief_rectified if rectify else rules.adabelief)


@constructor
def AdaDelta(
    lr: Any = 1.0,
    rho: float = 0.9,
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    eps: float = 1e-6,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.AdaDelta``."""
    return _after_decay(maximize, weight_decouple, rules.adadelta)


@constructor
def AdaMax(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.AdaMax``: eps is added to the gradient within the maximum."""
    return _after_decay(maximize, weight_decouple, variants.adamax_eps_inside)


@constructor(
    becomes={"betas": ("beta1", "beta2", "beta3")},
    refused={
        "max_grad_norm": "gs.clip_by_global_norm cuts the norm before any rule",
        "maximize": "pytorch_optimizer takes the first gradient with the wrong sign then; gs.chain(gs.maximize, ...)",
    },
)
def Adan(
    lr: Any = 1e-3,
    betas: Any = (0.98, 0.92, 0.99),
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    max_grad_norm: float = 0.0,
    foreach: bool | None = None,
    eps: float = 1e-8,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.Adan``: its decay is a proximal step behind the update; decoupled it is AdamW's before it."""
    return chain(stages.decay, rules.adan) if weight_decouple else chain(rules.adan, stages.proximal_decay)


def _falls(given: Mapping[str, Any]) -> str:
    beta1, _, beta3 = given["betas"]
    if given["t_alpha_beta3"] is None or callable(beta1) or callable(beta3) or beta3 >= beta1:
        return ""
    return (
        f"betas[2] = {beta3:g} is below betas[0] = {beta1:g} and has a t_alpha_beta3: pytorch_optimizer follows its "
        f"formula beyond those steps, and forgets the slow average there; leave t_alpha_beta3 out"
    )


@constructor(becomes={"betas": ("beta1", "beta2", "beta3"), "t_alpha_beta3": "alpha_steps beta3_steps"}, differs=_falls)
def AdEMAMix(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999, 0.9999),
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    alpha: float = 5.0,
    t_alpha_beta3: float | None = None,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.AdEMAMix``: beta3 grows as the paper has it, by half-lives without the code's 1e-8."""
    return _after_decay(maximize, weight_decouple, variants.ademamix_paper)


@constructor(refused={"clip_lambda": "the bound is t to the power 1/4; gs.adopt has clip_exponent="})
def ADOPT(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.9999),
    clip_lambda: Any = None,
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    foreach: bool | None = None,
    eps: float = 1e-6,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.ADOPT``: the bound is t^(1/4), where its authors have (t - 1)^(1/4)."""
    return _after_decay(maximize, weight_decouple, variants.adopt_ahead)


@constructor(
    becomes={"betas": ("beta1", "beta2", "beta3"), "clip_threshold": "clip"},
    refused={"weight_decouple": "the decay is decoupled here, as by default"},
)
def CAME(
    lr: Any = 2e-4,
    betas: Any = (0.9, 0.999, 0.9999),
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    clip_threshold: float = 1.0,
    ams_bound: bool = False,
    eps1: float = 1e-30,
    eps2: float = 1e-16,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.CAME``."""
    return _uphill(maximize, rules.came)


@constructor(told="weight_decay")
def DAdaptAdam(
    lr: Any = 1.0,
    betas: Any = (0.9, 0.999),
    d0: float = 1e-6,
    growth_rate: float = math.inf,
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    bias_correction: bool = False,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.DAdaptAdam``.

    Raises
    ------
    GradstepValueError
        For a weight decay that is not decoupled, for a rule that sums over gradients has its own.
    """
    if weight_decay and not weight_decouple:
        raise GradstepValueError(
            "pytorch_optimizer.DAdaptAdam: a weight_decay needs weight_decouple=True here; gs.chain(gs.l2(...), "
            "gs.dadapt_adam) adds it to the gradient."
        )
    return _uphill(maximize, rules.dadapt_adam(correction=1.0) if bias_correction else rules.dadapt_adam)


_FORGOTTEN = (
    "pytorch_optimizer leaves the decay out of the first norm; gs.chain(gs.l2(...), gs.dadapt_sgd) has it there"
)


@constructor(refused={"weight_decay": _FORGOTTEN, "weight_decouple": _FORGOTTEN})
def DAdaptSGD(
    lr: Any = 1.0,
    momentum: float = 0.9,
    d0: float = 1e-6,
    growth_rate: float = math.inf,
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.DAdaptSGD``."""
    return _uphill(maximize, rules.dadapt_sgd)


@constructor(
    becomes={"lambda_1": "l1", "lambda_2": "l2"},
    refused={"lr_power": "pytorch_optimizer takes the square root in the quadratic part whatever it is"},
)
def FTRL(
    lr: Any = 1e-3,
    lr_power: float = -0.5,
    beta: float = 0.0,
    lambda_1: float = 0.0,
    lambda_2: float = 0.0,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.FTRL``: McMahan's; sums start at 0."""
    return _uphill(maximize, rules.ftrl)


@constructor(
    refused={
        "weight_decouple": "the decay is decoupled here, as by default",
        "rectify": "nothing is rectified here, as by default",
        "degenerated_to_sgd": "nothing is rectified here, as by default",
        "n_sma_threshold": "nothing is rectified here, as by default",
        "grad_averaging": "the momentum is an average here",
        "max_grad_norm": "it needs pre_norm; gs.clip_by_global_norm cuts the norm before any rule",
        "adam": "gs.adam has no ratio",
        "pre_norm": "gs.clip_by_global_norm cuts the norm before any rule",
    }
)
def Lamb(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.999),
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    rectify: bool = False,
    degenerated_to_sgd: bool = False,
    n_sma_threshold: int = 5,
    grad_averaging: bool = True,
    max_grad_norm: float = 1.0,
    adam: bool = False,
    pre_norm: bool = False,
    eps: float = 1e-6,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.Lamb``: v is not corrected, norms count as 10 at most, the decay is not in the ratio."""
    return _after_decay(maximize, True, variants.lamb_bounded)


@constructor(
    refused={
        "centered": "the mean square is not centered here, as by default",
        "steps_before_using_centered": "the mean square is not centered here, as by default",
        "weight_decouple": _DROPPED,
    }
)
def LaProp(
    lr: Any = 4e-4,
    betas: Any = (0.9, 0.999),
    centered: bool = False,
    steps_before_using_centered: int = 10,
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    ams_bound: bool = False,
    eps: float = 1e-15,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.LaProp``: eps before the correction, 1e-15 in the root; the decay behind the update."""
    return chain(*[stages.maximize] * maximize, variants.laprop_eps_hat, stages.decay)


@constructor
def Lion(
    lr: Any = 1e-4,
    betas: Any = (0.9, 0.99),
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.Lion``."""
    return _after_decay(maximize, weight_decouple, rules.lion)


@constructor(
    refused={"weight_decouple": "pytorch_optimizer takes the decay of the parameters before the update behind it"}
)
def MADGRAD(
    lr: Any = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    eps: float = 1e-6,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.MADGRAD``: eps is added to the rate too."""
    return _after_decay(maximize, False, rules.madgrad)


@constructor(
    refused={
        "weight_decouple": "the decay is in the momentum here, as by default",
        "grad_averaging": "the gradients are summed in the momentum here, as by default",
    }
)
def NovoGrad(
    lr: Any = 1e-3,
    betas: Any = (0.95, 0.98),
    weight_decay: float = 0.0,
    weight_decouple: bool = False,
    fixed_decay: bool = False,
    grad_averaging: bool = False,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.NovoGrad``: the second moment is one number for an array."""
    return _uphill(maximize, rules.novograd)


@constructor(
    refused={
        "beta3": "it is the root of beta2 here, as by default",
        "weight_decouple": _DROPPED,
        "safeguard_warmup": "steps are weighed by d * lr here, as by default",
    }
)
def Prodigy(
    lr: Any = 1.0,
    betas: Any = (0.9, 0.999),
    beta3: float | None = None,
    d0: float = 1e-6,
    d_coef: float = 1.0,
    growth_rate: float = math.inf,
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    bias_correction: bool = False,
    safeguard_warmup: bool = False,
    eps: float | None = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.Prodigy``."""
    return _uphill(maximize, rules.prodigy(correction=1.0) if bias_correction else rules.prodigy)


_EQUALLY = "steps are weighed by the square of the largest rate here, as by default"


@constructor(
    becomes={"warmup_steps": "warmup"},
    refused={
        "r": _EQUALLY,
        "weight_lr_power": _EQUALLY,
        "decoupling_c": "the weights are not decoupled here, as by default",
    },
)
def ScheduleFreeAdamW(
    lr: Any = 2.5e-3,
    betas: Any = (0.9, 0.999),
    weight_decay: float = 0.0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
    warmup_steps: int = 0,
    decoupling_c: int = 0,
    ams_bound: bool = False,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.ScheduleFreeAdamW``: 1e-15 in the root beside eps. ``opt.averaged()`` is eval()."""
    return _uphill(maximize, variants.schedule_free_adamw_rooted)


@constructor(
    becomes={"momentum": "beta1", "warmup_steps": "warmup"},
    refused={"r": _EQUALLY, "weight_lr_power": _EQUALLY, "eps": "nothing is divided in it"},
)
def ScheduleFreeSGD(
    lr: Any = 1.0,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    r: float = 0.0,
    weight_lr_power: float = 2.0,
    warmup_steps: int = 0,
    eps: float = 1e-8,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.ScheduleFreeSGD``: ``opt.averaged()`` is eval()."""
    return _after_decay(maximize, False, rules.schedule_free_sgd)


@constructor(told="dampening")
def SGDW(
    lr: Any = 1e-4,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    dampening: float = 0.0,
    nesterov: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.SGDW``: torch's SGD with decoupled weight decay; without momentum nesterov is nothing.

    Raises
    ------
    GradstepValueError
        For nesterov with a dampening, which torch refuses.
    """
    if nesterov and dampening:
        raise GradstepValueError("pytorch_optimizer.SGDW: nesterov=True needs dampening=0, as torch has it.")
    moved = variants.unfolded_nesterov if nesterov else variants.unfolded_momentum
    return _after_decay(maximize, weight_decouple, moved if momentum else rules.sgd)


@constructor(becomes={"momentum": "beta1"})
def SignSGD(
    lr: Any = 1e-3,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.SignSGD``: Signum, the sign of the averaged gradient."""
    return _after_decay(maximize, weight_decouple, rules.signum)


@constructor(refused={"beta": "what rows and columns remember does not fade here, as by default"})
def SM3(
    lr: Any = 0.1,
    momentum: float = 0.0,
    beta: float = 0.0,
    eps: float = 1e-30,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.SM3``: arrays of one axis or two; of more, theirs has numbers for each axis."""
    return _uphill(maximize, variants.sm3_optax)


@constructor(refused={"weight_decouple": "the decay is decoupled here, as by default"})
def StableAdamW(
    lr: Any = 1e-3,
    betas: Any = (0.9, 0.99),
    kahan_sum: bool = True,
    weight_decay: float = 1e-2,
    weight_decouple: bool = True,
    eps: float = 1e-8,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.StableAdamW``: the decay is cut with the rate. kahan_sum is of parameters in 16 bits."""
    return _uphill(maximize, rules.stable_adamw)


@constructor(becomes={"beta": "beta1"})
def Tiger(
    lr: Any = 1e-3,
    beta: float = 0.965,
    weight_decay: float = 0.01,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
) -> Stage:
    """``pytorch_optimizer.Tiger``: Signum with decay."""
    return _after_decay(maximize, weight_decouple, rules.signum)


@constructor
def Yogi(
    lr: Any = 1e-2,
    betas: Any = (0.9, 0.999),
    initial_accumulator: float = 1e-6,
    weight_decay: float = 0.0,
    weight_decouple: bool = True,
    fixed_decay: bool = False,
    eps: float = 1e-3,
    maximize: bool = False,
    foreach: bool | None = None,
) -> Stage:
    """``pytorch_optimizer.Yogi``: corrected averages, which both start at initial_accumulator."""
    return _after_decay(maximize, weight_decouple, variants.yogi_corrected)


def _uphill(maximize: bool, moved: Rule | Stage) -> Stage:
    """A rule with a decay of its own, or none."""
    return chain(*[stages.maximize] * maximize, moved)


def _after_decay(maximize: bool, decoupled: bool, moved: Rule | Stage) -> Stage:
    """A rule with what the library does to gradient and parameter before it."""
    return _uphill(maximize, chain(stages.decay if decoupled else stages.l2, moved))
