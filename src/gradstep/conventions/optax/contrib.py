"""The optimizers that optax has as ``optax.contrib.NAME``."""

from dataclasses import replace
from typing import Any

from gradstep import rules, stages, variants
from gradstep.conventions.constructor import Change
from gradstep.conventions.library import Changed, refusing
from gradstep.conventions.optax import shared
from gradstep.conventions.optax.shared import ROOT
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Stage

__all__ = [
    "ademamix",
    "adopt",
    "dadapt_adamw",
    "dog",
    "dowg",
    "madgrad",
    "momo",
    "prodigy",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "simplified_ademamix",
    "sophia",
]

_NO_RULE = "there is no such rule here"
ABSENT = {
    "acprop": _NO_RULE,
    "cocob": _NO_RULE,
    "dpsgd": "it clips the gradient of each example, and gradients come here as their mean",
    "galore": _NO_RULE,
    "mechanize": _NO_RULE,
    "muon": (
        'it is two rules: gs.Optimizer(params, "muon_optax", lr=0.02, groups={"*.bias": '
        "gs.conventions.optax.nadamw(0.02, weight_decay=0.0)}) gives what is no matrix to AdamW by name"
    ),
    "momo_adam": "gs.momo is here, without Adam's scaling",
    "reduce_on_plateau": "gs.Run(..., on_plateau=gs.reduce_lr(...)) lowers the rate",
    "sam": "gs.sam(objective) takes the gradient where the loss near by is largest",
    "schedule_free": "a transformation is no stage; gs.chain(rule, gs.schedule_free()) is one",
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


@constructor(
    becomes={"lower_bound": "f_min"},
    refused={"adapt_lower_bound": "the least of the loss is a number"},
)
def momo(
    learning_rate: Any = 1.0,
    beta: Any = 0.9,
    lower_bound: Any = 0.0,
    weight_decay: Any = 0.0,
    adapt_lower_bound: bool = False,
) -> Stage:
    """``optax.contrib.momo``: takes the loss, ``opt.step(grads, loss=f)``, optax's ``value``."""
    return chain(variants.momo_optax)


_POWER = "updates are weighed by the square of the largest rate so far"


def _rising(steps: Any) -> Any:
    if steps == 0:
        raise GradstepValueError("warmup_steps=0 keeps the rate at 0 for ever in optax; leave it out for no warm-up.")
    return steps


_WARMUP = Changed("warmup", Change(_rising, lambda x: x))
_RATE = "optax asks it at t for the step and at t + 1 for the weight of the update; warmup_steps is here"


@constructor(becomes={"warmup_steps": _WARMUP}, refused={"weight_lr_power": _POWER}, constant={"learning_rate": _RATE})
def schedule_free_sgd(
    learning_rate: Any = 1.0,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    weight_decay: Any = None,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Stage:
    """``optax.contrib.schedule_free_sgd``: ``opt.averaged()`` is optax's ``schedule_free_eval_params``."""
    moved = variants.schedule_free_sgd_optax
    return chain(stages.l2, moved) if weight_decay else chain(moved)


@constructor(becomes={"warmup_steps": _WARMUP}, refused={"weight_lr_power": _POWER}, constant={"learning_rate": _RATE})
def schedule_free_adamw(
    learning_rate: Any = 0.0025,
    warmup_steps: Any = None,
    b1: Any = 0.9,
    b2: Any = 0.999,
    eps: Any = 1e-8,
    weight_decay: Any = 0.0,
    weight_lr_power: Any = 2.0,
    state_dtype: Any = None,
) -> Stage:
    """``optax.contrib.schedule_free_adamw``: ``opt.averaged()`` is optax's ``schedule_free_eval_params``."""
    return chain(variants.schedule_free_adamw_optax)


_WIN_RATE = "nothing is printed"


@constructor(
    becomes={"clip_threshold": "clip", "update_interval": "k"},
    refused={
        "hessian_diagonal_fn": "the diagonal comes with the step: opt.step(grads, curvature=h)",
        "verbose": _WIN_RATE,
        "print_win_rate_every_n_steps": _WIN_RATE,
    },
)
def sophia(
    learning_rate: Any,
    b1: Any = 0.965,
    b2: Any = 0.99,
    eps: Any = 1e-8,
    weight_decay: Any = 1e-4,
    weight_decay_mask: Any = None,
    gamma: Any = 0.01,
    clip_threshold: Any = 1.0,
    update_interval: Any = 10,
    hessian_diagonal_fn: Any = None,
    mu_dtype: Any = None,
    verbose: bool = False,
    print_win_rate_every_n_steps: Any = 0,
) -> Stage:
    """``optax.contrib.sophia``: takes the diagonal of the Hessian, ``opt.step(grads, curvature=h)``.

    As there, a step divides by the estimate of the update before, and the first by eps: it is the sign.
    """
    return chain(stages.decay, variants.sophia_optax)
