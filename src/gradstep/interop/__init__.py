"""Optimizers for other libraries: a submodule, and its library with it, is loaded when it is first asked for."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradstep.interop import flower, keras, mlx, optax, pytorch_optimizer, scipy, sklearn, timm, torch

__all__ = ["flower", "keras", "mlx", "optax", "pytorch_optimizer", "scipy", "sklearn", "timm", "torch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gradstep.interop' has no attribute {name!r}; there are {', '.join(__all__)}")
    try:
        return import_module(f"gradstep.interop.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gradstep"):
            raise
        needed = (error.name or "").partition(".")[0]
        if needed != name and _is_installed(name):
            backend = "set KERAS_BACKEND=torch or jax before Python starts, or " if name == "keras" else ""
            raise ModuleNotFoundError(
                f"gs.interop.{name}: {name} is installed, and needs {needed!r}, which is not; {backend}install it.",
                name=error.name,
            ) from error
        raise ModuleNotFoundError(
            f"gs.interop.{name} needs the module {error.name!r}, which is not installed; install it.",
            name=error.name,
        ) from error


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # of a module that is there without a spec, or is to be taken as absent
        return False


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
