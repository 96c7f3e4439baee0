"""Gradstep: the optimizer step for people who hold arrays and gradients."""

from gradstep import schedules
from gradstep.chain import chain
from gradstep.errors import (
    GradstepError,
    GradstepTypeError,
    GradstepValueError,
    NonFiniteError,
    RuleError,
)
from gradstep.functional import State, apply, init, scalars, update
from gradstep.hyper import times
from gradstep.optimizer import Optimizer
from gradstep.rules import (
    adadelta,
    adagrad,
    adam,
    adamax,
    adamw,
    amsgrad,
    momentum,
    nadam,
    nesterov,
    radam,
    rmsprop,
    sgd,
)
from gradstep.stages import clip_by_global_norm, clip_by_norm, clip_by_value, decay, ema, l2, maximize

__version__ = "0.1.0"

__all__ = [
    "GradstepError",
    "GradstepTypeError",
    "GradstepValueError",
    "NonFiniteError",
    "Optimizer",
    "RuleError",
    "State",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "apply",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "decay",
    "ema",
    "init",
    "l2",
    "maximize",
    "momentum",
    "nadam",
    "nesterov",
    "radam",
    "rmsprop",
    "scalars",
    "schedules",
    "sgd",
    "times",
    "update",
]
