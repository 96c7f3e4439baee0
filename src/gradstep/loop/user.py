"""Calls of a user's functions: an error becomes one sentence with file and line, and results are checked."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import duplicate, is_complex, to_numpy
from gradstep.array.tree import Nest, is_array
from gradstep.errors import GradstepTypeError, GradstepValueError, UserCodeError
from gradstep.naming import as_float

OURS = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Handed:
    """Parameters as a user's functions are handed them, which must not change them; and gradients as they come back.

    NumPy's arrays are handed out as views that cannot be written to, which costs no copy; others are copies. The nest
    is a new one each time.

    Attributes
    ----------
    nest, leaves
        The parameters.
    """

    nest: Nest
    leaves: Sequence[Any]

    def __call__(self) -> Any:
        """Return the nest."""
        return self.nest.build([x.view() if isinstance(x, np.ndarray) else duplicate(x) for x in self._still])

    @cached_property
    def _still(self) -> list[Any]:
        """The leaves, those of NumPy as read-only views: a view of one is read-only too, and takes less time."""
        return [_read_only(x) if isinstance(x, np.ndarray) else x for x in self.leaves]

    def gradients(self, grads: Any) -> Any:
        """Return gradients with NumPy's arrays for NumPy's parameters, whatever library has computed them."""
        if isinstance(grads, np.ndarray):
            return grads
        found = self.nest.leaves(grads, "gradients")
        if set(map(type, found)) == {np.ndarray} or not any(map(is_foreign, found, self.leaves)):
            return grads
        pairs = zip(found, self.leaves, strict=True)
        return self.nest.build([to_numpy(g) if is_foreign(g, x) else g for g, x in pairs])


def _read_only(x: NDArray[Any]) -> NDArray[Any]:
    view = x.view()
    view.setflags(write=False)
    return view


def is_foreign(grad: Any, param: Any) -> bool:
    """Return True for another library's gradient of a NumPy parameter, as JAX gives it."""
    numpy = np.ndarray | np.generic
    return isinstance(param, numpy) and not isinstance(grad, numpy) and is_array(grad)


def changes_in_place(error: BaseException) -> bool:
    """Return True for the error of writing to an array that is read-only, as parameters are handed out."""
    return isinstance(error, ValueError) and "read-only" in str(error)


@dataclass(frozen=True)
class Objective:
    """A function of parameters, and of a batch where there are some; a call gives ``(value, gradients)``.

    A call checks that there is such a pair and that the value is one real number, no more: whether the gradients fit
    is for those to see who use them.

    Attributes
    ----------
    function
        The user's own.
    name
        What errors call it.
    path
        The file that errors point into; ``None``: wherever the function leads first.
    """

    function: Callable[..., Any]
    name: str = "value_and_grad"
    path: Path | None = None

    def __call__(self, params: Any, *batch: Any) -> tuple[float, Any]:
        """Return value and gradients.

        Raises
        ------
        UserCodeError
            When the function raises something.
        GradstepTypeError, GradstepValueError
            When it gives something else than a number and gradients.
        """
        try:
            given = self.function(params, *batch)
        except (Exception, GeneratorExit) as error:
            raise raised(self.name, error, self.path) from error
        return pair(given, self.name)


@dataclass(frozen=True)
class UserFunction:
    """Any other function of a user's; an error in it becomes one sentence."""

    function: Callable[..., Any]
    name: str
    path: Path | None = None

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the function.

        Raises
        ------
        UserCodeError
            When it raises something.
        """
        try:
            return self.function(*arguments, **keywords)
        except (Exception, GeneratorExit) as error:
            raise raised(self.name, error, self.path) from error


def pair(given: Any, name: str) -> tuple[float, Any]:
    """Check that what the function ``name`` gave is a value and gradients, and return them.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        When it is something else.
    """
    if not isinstance(given, tuple | list) or len(given) != 2:
        hint = "; a function that gives the gradients alone is jac=" if name == "value_and_grad" else ""
        raise GradstepTypeError(f"{name} must give (value, gradients), not {kind(given)}{hint}.")
    value, grads = given
    if grads is None:
        raise GradstepTypeError(f"{name} must give (value, gradients), and gave None for the gradients.")
    return (value if type(value) is float else number(value, name)), grads


def number(value: Any, name: str) -> float:
    """Return a value as a float: a real number, of Python or as an array of any namespace without axes.

    Raises
    ------
    GradstepTypeError
        For what is no real number.
    GradstepValueError
        For an array that has axes.
    """
    if is_array(value):
        if tuple(value.shape):
            raise GradstepValueError(
                f"the value that {name} gives must be one number, and has shape {tuple(value.shape)}; "
                f"take its sum or mean."
            )
        if not is_complex(value):
            return float(to_numpy(value)[()])
    elif not isinstance(value, complex | str | bytes | bytearray):
        try:
            return as_float(value)
        except (TypeError, ValueError):
            pass
    swapped = "; are the two the wrong way round?" if isinstance(value, dict | list | tuple) else "."
    raise GradstepTypeError(f"the value that {name} gives must be one real number, not {kind(value)}{swapped}")


def kind(x: Any) -> str:
    """Describe an object in a few words."""
    if isinstance(x, tuple | list):
        return f"a {type(x).__name__} of {len(x)}"
    if x is None:
        return "None"
    if is_array(x):
        return f"an array of {str(x.dtype).rpartition('.')[2]} and shape {tuple(x.shape)}"
    return f"an object of type {type(x).__name__}"


def raised(name: str, error: BaseException, path: Path | None = None) -> UserCodeError:
    """Return the error for a user's code, called ``name``, that raised ``error``."""
    if changes_in_place(error):
        return UserCodeError(
            f"{name} changes its parameters in place, which it is handed read-only{place(error, path)}; let it work on "
            f"a copy (x = x.copy())."
        )
    message = " ".join(str(error).split()).rstrip(".")
    if len(message) > 200:
        message = f"{message[:200].rstrip()} ..."
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return UserCodeError(f"{name} raised {said}{place(error, path)}.")


def place(error: BaseException, path: Path | None = None) -> str:
    """`` (FILE, line N)``: the last line in that file that led to the error; nothing where none did.

    Without a path it is the first file that is not ours.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if path is None:
        path = next((Path(f.filename) for f in frames if not f.filename.startswith(OURS)), None)
    lines = [f.lineno for f in frames if path is not None and Path(f.filename) == path]
    return f" ({path.name}, line {lines[-1]})" if path is not None and lines else ""
