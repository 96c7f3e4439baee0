"""Guests in other libraries: each submodule is loaded, and its library with it, when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstep.interop import flower, keras, optax, scipy, sklearn, torch

__all__ = ["flower", "keras", "optax", "scipy", "sklearn", "torch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gradstep.interop' has no attribute {name!r}; there are {', '.join(__all__)}")
    return import_module(f"gradstep.interop.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
