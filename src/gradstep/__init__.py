"""Gradstep: the optimizer step for people who hold arrays and gradients."""

from importlib import import_module
from typing import TYPE_CHECKING

from gradstep.chain import chain
from gradstep.engine.threads import get_threads, set_threads
from gradstep.errors import (
    GradstepError,
    GradstepTypeError,
    GradstepValueError,
    NonFiniteError,
    RuleError,
    ScalarError,
    UserCodeError,
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
from gradstep.stages import clip_by_global_norm, clip_by_norm, clip_by_value, decay, ema, l2, maximize, unscale

if TYPE_CHECKING:
    from gradstep import layers, nn, schedules, testing
    from gradstep.gradient_check import check_gradient

__version__ = "0.1.0"

__all__ = [
    "GradstepError",
    "GradstepTypeError",
    "GradstepValueError",
    "NonFiniteError",
    "Optimizer",
    "RuleError",
    "ScalarError",
    "State",
    "UserCodeError",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "amsgrad",
    "apply",
    "chain",
    "check_gradient",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "decay",
    "ema",
    "get_threads",
    "init",
    "l2",
    "layers",
    "maximize",
    "momentum",
    "nadam",
    "nesterov",
    "nn",
    "radam",
    "rmsprop",
    "scalars",
    "schedules",
    "set_threads",
    "sgd",
    "testing",
    "times",
    "unscale",
    "update",
]

_ON_FIRST_USE = ("layers", "nn", "schedules", "testing")
_FROM_ON_FIRST_USE = {"check_gradient": "gradient_check"}


def __getattr__(name: str) -> object:
    if name in _ON_FIRST_USE:
        return import_module(f"gradstep.{name}")
    if name in _FROM_ON_FIRST_USE:
        return getattr(import_module(f"gradstep.{_FROM_ON_FIRST_USE[name]}"), name)
    raise AttributeError(f"module 'gradstep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
