"""The base of every contender: an optimizer over arrays of its library."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from gradstep.bench.work import Work
from gradstep.errors import GradstepError

Arrays = Sequence[NDArray[Any]]


class UnavailableError(GradstepError):
    """A contender that cannot run here, or does not do this work; the text says why."""


class Contender:
    """One optimizer with its parameters.

    Attributes
    ----------
    step
        One update with a set of gradients as :meth:`gradients` made it: what is timed.
    """

    step: Callable[[Any], object]

    def gradients(self, arrays: Arrays) -> Any:
        """Return a set of gradients in the library's own arrays."""
        raise NotImplementedError

    def begin(self) -> None:
        """Make settings that the whole process shares; called before each turn, untimed."""

    def attach(self, grads: Any) -> None:
        """Attach gradients to the parameters, where the library keeps them there; called before a step, untimed."""

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        raise NotImplementedError

    def held(self) -> tuple[int, int]:
        """Return the bytes of the parameters, and of all arrays that are kept beside them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Kind:
    """A kind of contender: its name, and a function that makes one.

    Attributes
    ----------
    name
        On the command line and in tables.
    make
        Takes the work and the first parameters, which it copies.
    arrays
        The library of its arrays: contenders with the same library share their sets of gradients.
    spare
        Arrays of the size of all parameters that a step needs for a while: an estimate from above.
    rules
        It takes part in the work of these rules alone, and is not missed in others'; None: of all.
    """

    name: str
    make: Callable[[Work, Arrays], Contender]
    arrays: str
    spare: float = 0
    rules: tuple[str, ...] | None = None

    @property
    def library(self) -> str:
        """The name before the first hyphen; on the command line it stands for all of them."""
        return self.name.partition("-")[0]


def load(module: str) -> Any:
    """Return a module that may be missing.

    Raises
    ------
    UnavailableError
        When it is.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise UnavailableError(f"{package} is not installed") from None


def known(table: Mapping[str, Any], work: Work, library: str) -> Any:
    """Return the entry of a library's table for the work's rule.

    Raises
    ------
    UnavailableError
        When it has nothing.
    """
    if work.rule not in table:
        raise UnavailableError(f"{library} has no {work.rule}")
    return table[work.rule]
