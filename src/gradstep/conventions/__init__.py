"""Other libraries' constructors: their names, arguments and defaults, each giving a stage with that library's numbers.

``gs.conventions.torch.Adam(lr=1e-3, betas=(0.9, 0.95))``, or by name: ``gs.Optimizer(params, "torch.Adam", lr=1e-3)``.
"""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from inspect import signature
from types import FunctionType
from typing import TYPE_CHECKING, Any

from gradstep.errors import GradstepTypeError
from gradstep.naming import find
from gradstep.rule import Rule, Stage, as_stage, lookup, registry

if TYPE_CHECKING:
    from gradstep.conventions import keras, mlx, optax, tf1, torch

__all__ = ["arguments", "constructor", "keras", "mlx", "optax", "stage_of", "tf1", "torch"]

LIBRARIES = ("keras", "mlx", "optax", "tf1", "torch")


def __getattr__(name: str) -> Any:
    if name not in LIBRARIES:
        raise AttributeError(f"module 'gradstep.conventions' has no attribute {name!r}; there are {LIBRARIES}")
    return import_module(f"gradstep.conventions.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def constructor(name: str) -> Callable[..., Stage]:
    """What a name stands for: a rule or stage (``"adam"``), or another library's constructor (``"torch.Adam"``).

    Raises
    ------
    GradstepValueError
        For a name that nobody knows; with close matches.
    """
    library, dot, own = name.partition(".")
    if not dot:
        if name not in registry(None):
            import_module("gradstep.variants")  # which registers more
        return lookup(name)
    module = import_module(f"gradstep.conventions.{find('unknown library', library, {x: x for x in LIBRARIES})}")
    return find(f"unknown optimizer of {library}", own, {x: getattr(module, x) for x in module.__all__})


def stage_of(rule: str | Rule | Stage, hyper: Mapping[str, Any]) -> Stage:
    """The stage that a name or a rule with these hyperparameters is, or a stage that has its own already.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names, hyperparameters that are unknown or beside a stage, and what is no rule.
    """
    if isinstance(rule, str):
        make = constructor(rule)
        return make(**hyper) if isinstance(make, Rule) else make(**_known(rule, make, hyper))
    if isinstance(rule, Rule):
        return rule(**hyper)
    if isinstance(rule, FunctionType) and rule.__module__.startswith("gradstep.conventions."):  # without its call
        return stage_of(f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}", hyper)
    if hyper:
        raise GradstepTypeError(f"{min(hyper)} is given beside a stage; give it inside: gs.adam({min(hyper)}=...).")
    return as_stage(rule)


def arguments(rule: str | Rule | Stage) -> Collection[str]:
    """The names that :func:`stage_of` takes as hyperparameters of this rule: none for a stage, which has its own."""
    made = constructor(rule) if isinstance(rule, str) else rule
    if isinstance(made, Rule):
        return made.defaults
    return () if isinstance(made, Stage) else signature(made).parameters


def _known(name: str, make: Callable[..., Stage], hyper: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        signature(make).bind(**hyper)
    except TypeError as error:
        raise GradstepTypeError(f"{name}: {error}; it takes {', '.join(signature(make).parameters)}.") from None
    return hyper
