"""What every contender is: an optimizer over arrays of its library, and what it can be asked."""

from collections.abc import Callable, Sequence
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
        """A set of gradients in the library's own arrays."""
        raise NotImplementedError

    def begin(self) -> None:
        """Before each turn, untimed: settings that the whole process shares."""

    def attach(self, grads: Any) -> None:
        """Before a step, untimed: for a library that keeps gradients with its parameters."""

    def parameters(self) -> list[NDArray[Any]]:
        """The parameters as NumPy arrays."""
        raise NotImplementedError

    def held(self) -> tuple[int, int]:
        """Bytes of the parameters, and of all arrays that are kept beside them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Kind:
    """A contender's name, and how to make one.

    Attributes
    ----------
    name
        On the command line and in tables.
    make
        Takes the work and the first parameters, which it copies.
    arrays
        Whose arrays it takes: contenders with the same share their sets of gradients.
    spare
        Arrays of the size of all parameters that a step needs for a while: an estimate from above.
    """

    name: str
    make: Callable[[Work, Arrays], Contender]
    arrays: str
    spare: float = 0

    @property
    def library(self) -> str:
        """The name before the first hyphen; on the command line it stands for all of them."""
        return self.name.partition("-")[0]


def load(module: str) -> Any:
    """A module that may be missing.

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


def known(table: dict[str, Any], work: Work, library: str) -> Any:
    """What a library has for the work's rule.

    Raises
    ------
    UnavailableError
        When it has nothing.
    """
    if work.rule not in table:
        raise UnavailableError(f"{library} has no {work.rule}")
    return table[work.rule]
