"""Guests in other libraries: each submodule is loaded, and its library with it, when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstep.interop import flower, keras, optax, scipy, sklearn, torch

__all__ = ["flower", "keras", "optax", "scipy", "sklearn", "torch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gradstep.interop' has no attribute {name!r}; there are {', '.join(__all__)}")
    try:
        return import_module(f"gradstep.interop.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gradstep"):
            raise
        raise ModuleNotFoundError(
            f"gs.interop.{name} is a guest of a library that is not here: no module named {error.name!r}; install it.",
            name=error.name,
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
