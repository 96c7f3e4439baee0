"""Gradstep: optimizers for plain arrays. You bring parameters and gradients; it makes the update."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstep import rules as rules
from gradstep import stages as stages
from gradstep.array.rows import rows
from gradstep.engine.cpu.threads import get_threads, set_threads
from gradstep.engine.meters import Diagnostics
from gradstep.errors import (
    CheckpointError,
    GradstepAttributeError,
    GradstepError,
    GradstepTypeError,
    GradstepValueError,
    InUseError,
    NonFiniteError,
    RuleError,
    ScalarError,
    UserCodeError,
)
from gradstep.form.chain import chain
from gradstep.form.hyper import times
from gradstep.functional import State, apply, init, scalars, update
from gradstep.optimizer import Optimizer
from gradstep.rules import *  # noqa: F403 - a rule is listed in one place, rules/__init__.py
from gradstep.stages import *  # noqa: F403 - and so is a stage
from gradstep.step.layerwise import layerwise
from gradstep.version import __version__ as __version__

if TYPE_CHECKING:
    from gradstep import conventions, distributed, interop, layers, nn, schedules, testing
    from gradstep.checkpoint import Checkpoint, load
    from gradstep.gradient_check import check_gradient
    from gradstep.loop import Batches, Run, asam, lbfgs, loggers, minimize, reduce_lr, sam, stop

__all__ = [
    "Batches",
    "Checkpoint",
    "CheckpointError",
    "Diagnostics",
    "GradstepAttributeError",
    "GradstepError",
    "GradstepTypeError",
    "GradstepValueError",
    "InUseError",
    "NonFiniteError",
    "Optimizer",
    "RuleError",
    "Run",
    "ScalarError",
    "State",
    "UserCodeError",
    "apply",
    "asam",
    "chain",
    "check_gradient",
    "conventions",
    "distributed",
    "get_threads",
    "init",
    "interop",
    "layers",
    "layerwise",
    "lbfgs",
    "load",
    "loggers",
    "minimize",
    "nn",
    "reduce_lr",
    "rows",
    "sam",
    "scalars",
    "schedules",
    "set_threads",
    "stop",
    "testing",
    "times",
    "update",
]
__all__ += rules.__all__
__all__ += stages.__all__

# What is imported on first use, and the module that has it: modules under their own names.
_ON_FIRST_USE = {
    **{name: name for name in ("conventions", "distributed", "interop", "layers", "nn", "schedules", "testing")},
    **dict.fromkeys(("Checkpoint", "load"), "checkpoint"),
    **dict.fromkeys(("Batches", "Run", "asam", "lbfgs", "minimize", "reduce_lr", "sam"), "loop"),
    "check_gradient": "gradient_check",
    **{name: f"loop.{name}" for name in ("loggers", "stop")},
}


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        is_schedule = name[0] != "_" and name in import_module("gradstep.schedules").__all__
        hint = f"; it is gs.schedules.{name}" if is_schedule else ""
        raise AttributeError(f"module 'gradstep' has no attribute {name!r}{hint}")
    module = import_module(f"gradstep.{_ON_FIRST_USE[name]}")
    found = module if module.__name__.endswith(f".{name}") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
