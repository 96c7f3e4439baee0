"""The state of a run besides its optimizer: counts, the memory of stops, the best point so far."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gradstep.array.namespaces import copied, dtype_name, put, to_numpy
from gradstep.checkpoint.state import BEST
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.loop.direction import VALUE, Directions
from gradstep.naming import is_like

_FORM: Any = {
    "drawn": int,
    "evaluations": int,
    "seconds": float,
    "skipped": int,
    "bad": int,
    "measured": (int, None),
    "settled": int,
    "first": (float, None),
    "stop": {str: object},
}


@dataclass
class Counts:
    """The counts of a run.

    Attributes
    ----------
    drawn
        Batches that have been drawn.
    evaluations
        Calls of the objective.
    seconds
        Time that it took before it was resumed.
    skipped, bad
        Steps that did not happen because something was not finite: all of them, and those of late, in a row.
    measured
        The last t at which ``evaluate`` was called.
    settled
        The last t for which all is done that is due once after each update.
    first
        The value where the run began; None before it is known.
    stop
        The memory of the stops.
    """

    drawn: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    skipped: int = 0
    bad: int = 0
    measured: int | None = None
    settled: int = -1
    first: float | None = None
    stop: dict[str, Any] = field(default_factory=dict[str, Any])

    def copy(self) -> "Counts":
        """Return a copy."""
        other = object.__new__(Counts)  # copy.copy takes ten times as long, and this is done at each step
        other.__dict__.update(self.__dict__)
        other.stop = copied_memory(self.stop)
        return other

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Return the counts for a manifest."""
        return {**asdict(self), "seconds": seconds}

    @classmethod
    def from_json(cls, data: Any) -> "Counts":
        """The inverse of :meth:`as_json`.

        Raises
        ------
        CheckpointError
            When it is none.
        """
        data = {"first": None, **data} if isinstance(data, dict) else data  # files of before have none
        if not is_like(data, _FORM):
            raise CheckpointError("its run makes no sense")
        return cls(**data)


class Before(NamedTuple):
    """A run before the evaluation at hand, to which one that is saved within or after it goes back.

    Attributes
    ----------
    t
        Updates made: the point is this one as long as no other update is made.
    counts
        The counts.
    random
        The states of the generators.
    """

    t: int
    counts: Counts
    random: Mapping[str, Any]


def copied_memory(memory: dict[str, Any]) -> dict[str, Any]:
    """Copy the memory of stops, for them to change; usually it is empty."""
    return copy.deepcopy(memory) if memory else {}


class Best:
    """The best parameters so far; others take their place by one assignment, so that none are half written.

    Parameters
    ----------
    by
        ``"value"``, the name of a metric, or None: nothing is kept.
    names, params
        Of the nest.
    directions
        Whether less or more is better.
    """

    def __init__(self, by: str | None, names: Sequence[str], params: Sequence[Any], directions: Directions) -> None:
        self.by, self.names, self.params = by, names, params
        self.sign = 1.0 if by is None else directions.sign(by)
        self._kept: _Kept | None = None

    @property
    def value(self) -> float:
        """The number of the best parameters; NaN where there are none."""
        return math.nan if self._kept is None else self._kept.value

    @property
    def t(self) -> int:
        """The updates that had been made there; -1 where there are none."""
        return -1 if self._kept is None else self._kept.t

    @property
    def arrays(self) -> list[Any] | None:
        """The best parameters."""
        return None if self._kept is None else self._kept.arrays

    def offer(self, value: float, metrics: Mapping[str, float], t: int) -> None:
        """Keep the parameters as they are now, if they are better than all before."""
        x = value if self.by == VALUE else metrics.get(self.by or "", math.nan)
        if math.isfinite(x) and (self._kept is None or self.sign * x < self.sign * self._kept.value):
            self._kept = _Kept(x, t, [copied(x) for x in self.params])

    def to_save(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return arrays by their names in a file, and the rest for its manifest."""
        kept = self._kept
        if kept is None:
            return {}, None
        arrays = {f"{BEST}{name}": to_numpy(x) for name, x in zip(self.names, kept.arrays, strict=True)}
        return arrays, {"value": kept.value, "t": kept.t, "by": self.by}

    def check(self, data: Any, arrays: Mapping[str, Any]) -> None:
        """Refuse what :meth:`take` could not take.

        Raises
        ------
        CheckpointError
            When arrays are missing, or do not fit.
        """
        if not is_like(data, (None, {"value": float, "t": int, "by": str})):
            raise CheckpointError("its best point makes no sense")
        for name, x in zip(self.names, self.params, strict=True):
            y = arrays.get(f"{BEST}{name}")
            if self._wants(data) and (y is None or (y.shape, dtype_name(y)) != (tuple(x.shape), dtype_name(x))):
                raise CheckpointError(f"the best value of parameter {name!r} is missing, or of another shape or dtype")

    def fits(self, data: Any, arrays: Mapping[str, Any]) -> bool:
        """Return True for what :meth:`take` can take."""
        try:
            self.check(data, arrays)
        except CheckpointError:
            return False
        return True

    def take(self, data: Any, arrays: Mapping[str, Any]) -> None:
        """Take what has been saved and checked; nothing where another number was followed there."""
        if not self._wants(data):
            self._kept = None
            return
        best = [copied(x) for x in self.params]
        for x, name in zip(best, self.names, strict=True):
            put(x, arrays[f"{BEST}{name}"])
        self._kept = _Kept(data["value"], data["t"], best)

    def _wants(self, data: Any) -> bool:
        return data is not None and self.by is not None and data["by"] == self.by


class _Kept(NamedTuple):
    value: float
    t: int
    arrays: list[Any]


def best_by(keep: bool | str | None, is_noisy: bool, has_metrics: bool, directions: Directions) -> str | None:
    """Return the name of the number by which the best point is chosen; None: none is kept.

    Parameters
    ----------
    keep
        What a user asks for.
    is_noisy
        Whether the value is of a batch or a draw: its least one is the luckiest.
    has_metrics
        Whether there is an ``evaluate``.
    directions
        Of its numbers.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For a metric that nothing gives, and for anything but a name, True, False or None.
    """
    if isinstance(keep, str):
        if keep != VALUE and not has_metrics:
            raise GradstepValueError(f"keep_best is {keep!r}, but there is no evaluate= that gives it.")
        return keep
    if keep is None:
        return VALUE if not is_noisy else "val/loss" if has_metrics and directions.knows("val/loss") else None
    if not isinstance(keep, bool):
        raise GradstepTypeError(f"keep_best must be True, False or a name, not {keep!r}.")
    return VALUE if keep else None
