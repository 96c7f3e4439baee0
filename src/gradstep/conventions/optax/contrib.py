"""The optimizers that optax has as ``optax.contrib.NAME``."""

from dataclasses import replace
from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.library import refusing
from gradstep.conventions.optax import shared
from gradstep.conventions.optax.shared import ROOT
from gradstep.form.chain import chain
from gradstep.form.rule import Stage

__all__ = [
    "ademamix",
    "adopt",
    "dadapt_adamw",
    "dog",
    "dowg",
    "madgrad",
    "prodigy",
    "simplified_ademamix",
]

_NO_RULE = "there is no such rule here"
ABSENT = {
    "acprop": _NO_RULE,
    "cocob": _NO_RULE,
    "dpsgd": "it clips the gradient of each example, and gradients come here as their mean",
    "galore": _NO_RULE,
    "mechanize": _NO_RULE,
    **dict.fromkeys(("momo", "muon", "schedule_free_adamw", "schedule_free_sgd", "sophia"), "it is not here yet"),
    "momo_adam": "gs.momo is here, without Adam's scaling",
    "reduce_on_plateau": "gs.Run(..., on_plateau=gs.reduce_lr(...)) lowers the rate",
    "sam": "gs.sam(objective) takes the gradient where the loss near by is largest",
    "schedule_free": "schedule_free_sgd and schedule_free_adamw are here, and no wrapper of any rule",
}
__getattr__ = refusing(__name__, ABSENT)
constructor = replace(shared.constructor, name="optax.contrib")


@constructor(refused={"eps_root": ROOT})
def ademamix(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.999,
    b3: Any = 0.9999,
    alpha: Any = 5.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    mu_dtype: Any = None,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Stage:
    """``optax.contrib.ademamix``: b3 and alpha are as given, without a warm-up of their own."""
    return chain(stages.decay, rules.ademamix)


@constructor(refused={"eps_root": ROOT})
def simplified_ademamix(
    learning_rate: Any,
    b1: Any = 0.99,
    b2: Any = 0.95,
    alpha: Any = 0.0,
    eps: Any = 1e-8,
    eps_root: Any = 0.0,
    weight_decay: Any = 0.0,
    mask: Any = None,
) -> Stage:
    """``optax.contrib.simplified_ademamix``: m is a sum of gradients and no average."""
    return chain(stages.decay, rules.simplified_ademamix)


@constructor(
    refused={
        "nesterov": "ADOPT here has no Nesterov momentum",
        "clip_value_fn": "the bound is t to the power 0.25; gs.adopt(clip_exponent=...) has others",
    }
)
def adopt(
    learning_rate: Any,
    b1: Any = 0.9,
    b2: Any = 0.9999,
    eps: Any = 1e-6,
    mu_dtype: Any = None,
    *,
    nesterov: bool = False,
    use_clipping: bool = True,
    clip_value_fn: Any = None,
) -> Stage:
    """``optax.contrib.adopt``: the first gradient only makes v; ``use_clipping=False`` is as the paper prints it."""
    return chain(rules.adopt if use_clipping else variants.adopt_unclipped)


@constructor(becomes={"estim_lr0": "d0"})
def dadapt_adamw(
    learning_rate: Any = 1.0,
    betas: Any = (0.9, 0.999),
    eps: Any = 1e-8,
    estim_lr0: Any = 1e-6,
    weight_decay: Any = 0.0,
) -> Stage:
    """``optax.contrib.dadapt_adamw``: averages are always corrected; a first gradient of zero is no NaN here."""
    return rules.dadapt_adam(correction=1.0)


@constructor(
    becomes={"estim_lr0": "d0", "estim_lr_coef": "d_coef"},
    refused={
        "beta3": "it is the root of the second of betas",
        "safeguard_warmup": "the sum of gradients is weighed by the rate of its update",
    },
)
def prodigy(
    learning_rate: Any = 1.0,
    betas: Any = (0.9, 0.999),
    beta3: Any = None,
    eps: Any = 1e-8,
    estim_lr0: Any = 1e-6,
    estim_lr_coef: Any = 1.0,
    weight_decay: Any = 0.0,
    safeguard_warmup: bool = False,
) -> Stage:
    """``optax.contrib.prodigy``: averages are always corrected; a first gradient of zero is no NaN here."""
    return rules.prodigy(correction=1.0)


@constructor(refused={"init_step": 'gs.dog(reps_rel=...) has other factors for "heuristic", and no other kind is here'})
def dog(
    learning_rate: Any = 1.0,
    init_step: Any = ("heuristic", 1e-6),
    eps: Any = 1e-8,
    weight_decay: Any = None,
    mask: Any = None,
) -> Stage:
    """``optax.contrib.dog``: the decay is added to the gradient, and is in its norm."""
    return chain(stages.l2, rules.dog) if weight_decay else chain(rules.dog)


@constructor(becomes={"init_estim_sq_dist": "start", "eps": "eps start"})
def dowg(
    learning_rate: Any = 1.0,
    init_estim_sq_dist: Any = None,
    eps: Any = 1e-4,
    weight_decay: Any = None,
    mask: Any = None,
) -> Stage:
    """``optax.contrib.dowg``: the first squared distance is eps, if it is not given."""
    return chain(stages.l2, rules.dowg) if weight_decay else chain(rules.dowg)


@constructor
def madgrad(learning_rate: Any, momentum: Any = 0.9, weight_decay: Any = 0.0, eps: Any = 1e-6) -> Stage:
    """``optax.contrib.madgrad``: the decay is added to the gradient; eps is added to the rate too."""
    return chain(stages.l2, rules.madgrad)
