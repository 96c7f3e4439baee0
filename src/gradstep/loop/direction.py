"""Directions: of the objective, and of each number that is measured, less or more may be better."""

from collections.abc import Mapping
from typing import Any, Literal

from gradstep.errors import GradstepValueError

Mode = Literal["min", "max"]
VALUE = "value"


class Directions:
    """The direction of the value, and of each metric, as they are said once for a run.

    Parameters
    ----------
    mode
        ``"min"`` or ``"max"``, of the value; or a dict of these by name, ``{"val/accuracy": "max"}``, with ``"value"``
        for the value; None: nothing is said.
    ascends
        Whether the optimizer follows the gradient upwards.

    Raises
    ------
    GradstepValueError
        For another word, a name that nothing measured has, and a value that is to be made small by an optimizer that
        ascends.
    """

    def __init__(self, mode: Mode | Mapping[str, Mode] | None = None, ascends: bool = False) -> None:
        said: dict[str, Any] = dict(mode) if isinstance(mode, Mapping) else {} if mode is None else {VALUE: mode}
        for name, one in said.items():
            if one not in ("min", "max"):
                raise GradstepValueError(f'mode: the direction of {name!r} must be "min" or "max", not {one!r}.')
            if name != VALUE and "/" not in str(name):
                raise GradstepValueError(f"mode: nothing is called {name!r}; write 'value' or 'val/{name}'.")
        if ascends and said.get(VALUE) == "min":
            raise GradstepValueError(
                'mode: the chain has gs.maximize(), and the value is said to be made small ("min").'
            )
        self.ascends = ascends or said.get(VALUE) == "max"
        self.signs = {name: -1.0 if one == "max" else 1.0 for name, one in said.items()}
        self.signs[VALUE] = -1.0 if self.ascends else 1.0

    def knows(self, name: str) -> bool:
        """Return True where the direction of a number is known: of a loss it is, where the value is made small too."""
        return name in self.signs or (name.rpartition("/")[2] == "loss" and not self.ascends)

    def sign(self, name: str) -> float:
        """Return 1 where less of a number is better, and -1 where more is.

        Raises
        ------
        GradstepValueError
            When nobody has said it.
        """
        if not self.knows(name):
            raise GradstepValueError(
                f"is less or more of {name!r} better? Say it once: mode={{{name!r}: 'max'}}, or 'min'."
            )
        return self.signs.get(name, 1.0)
