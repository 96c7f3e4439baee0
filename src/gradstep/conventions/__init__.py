"""Other libraries' constructors: their names, arguments and defaults, each giving a stage with that library's numbers.

``gs.conventions.torch.Adam(lr=1e-3, betas=(0.9, 0.95))``, or by name: ``gs.Optimizer(params, "torch.Adam", lr=1e-3)``.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstep.conventions.constructor import Argument, Constructor
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.rule import Rule, Stage, as_stage, lookup, registry
from gradstep.naming import find, unknown

if TYPE_CHECKING:
    from gradstep.conventions import keras, mlx, optax, pytorch_optimizer, tf1, timm, torch

__all__ = [
    "arguments",
    "constructor",
    "constructors",
    "described",
    "keras",
    "mlx",
    "optax",
    "pytorch_optimizer",
    "rate_name",
    "stage_of",
    "tf1",
    "timm",
    "torch",
]

LIBRARIES = ("keras", "mlx", "optax", "optax.contrib", "pytorch_optimizer", "tf1", "timm", "torch")


def __getattr__(name: str) -> Any:
    if name not in LIBRARIES:
        raise AttributeError(f"module 'gradstep.conventions' has no attribute {name!r}; there are {LIBRARIES}")
    return import_module(f"gradstep.conventions.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def constructors() -> dict[str, list[str]]:
    """Return the names of all constructors, by library."""
    modules = {library: import_module(f"gradstep.conventions.{library}") for library in LIBRARIES}
    return {library: [f"{library}.{name}" for name in module.__all__] for library, module in modules.items()}


def constructor(name: str) -> "Rule | Constructor[...]":
    """Return what a name stands for: a rule or stage (``"adam"``), or another library's constructor (``"torch.Adam"``).

    Raises
    ------
    GradstepValueError
        For an unknown name, with close matches; for a name of the library that cannot be had, with the reason.
    """
    library, dot, own = name.rpartition(".")
    if not dot:
        if name not in registry(None):
            import_module("gradstep.variants")  # which registers more
        return lookup(name)
    module = import_module(f"gradstep.conventions.{find('unknown library', library, {x: x for x in LIBRARIES})}")
    if own in module.__all__:
        return getattr(module, own)
    if own in getattr(module, "ABSENT", ()):
        raise GradstepValueError(f"{name} cannot be had here: {module.ABSENT[own]}.")
    inside = [x for names in constructors().values() for x in names if x.startswith(f"{library}.")]
    inner = [x for x in inside if x.endswith(f".{own}")]  # optax.contrib.prodigy of optax.prodigy
    raise unknown(f"unknown optimizer of {library}", own, inner or module.__all__)


def described(rule: "str | Rule | Constructor[...]") -> "Constructor[...]":
    """Return the constructor of a name; a rule as a constructor whose arguments are its hyperparameters.

    Raises
    ------
    GradstepValueError
        For an unknown name; with close matches.
    """
    made = constructor(rule) if isinstance(rule, str) else rule
    return _of_rule(made) if isinstance(made, Rule) else made


_of_rule = lru_cache(maxsize=256)(Constructor.of_rule)


def stage_of(rule: "str | Rule | Constructor[...] | Stage", hyper: Mapping[str, Any]) -> Stage:
    """Return the stage that a name or a rule with these hyperparameters is, or a stage that has its own already.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names, hyperparameters that are unknown or beside a stage, and what is no rule.
    """
    made = constructor(rule) if isinstance(rule, str) else rule
    if isinstance(made, Rule | Constructor):
        return made(**hyper)
    if hyper:
        raise GradstepTypeError(f"{min(hyper)} is given beside a stage; give it inside: gs.adam({min(hyper)}=...).")
    return as_stage(made)


def arguments(rule: "str | Rule | Constructor[...] | Stage") -> Mapping[str, Argument]:
    """Return the arguments that :func:`stage_of` takes of this rule, by name; a stage takes none."""
    return {} if isinstance(rule, Stage) else described(rule).takes


def rate_name(rule: "str | Rule | Constructor[...] | Stage") -> str | None:
    """Return the name under which :func:`stage_of` takes the learning rate; None where it takes none."""
    return None if isinstance(rule, Stage) else described(rule).rate
