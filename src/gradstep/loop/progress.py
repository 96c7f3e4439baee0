"""The state of a run besides its optimizer: counts, the memory of stops, the best point so far."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gradstep.array.namespaces import copied, dtype_name, put, to_numpy
from gradstep.checkpoint.state import BEST
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.naming import is_like

_FORM: Any = {
    "drawn": int,
    "evaluations": int,
    "seconds": float,
    "skipped": int,
    "bad": int,
    "measured": (int, None),
    "settled": int,
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
    stop: dict[str, Any] = field(default_factory=dict[str, Any])

    def copy(self) -> "Counts":
        """Return a copy."""
        other = copy.copy(self)
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
        if not is_like(data, _FORM):
            raise CheckpointError("its run makes no sense")
        return cls(**data)


def copied_memory(memory: dict[str, Any]) -> dict[str, Any]:
    """Copy the memory of stops, for them to change; usually it is empty."""
    return copy.deepcopy(memory) if memory else {}


class Best:
    """The best parameters so far.

    Parameters
    ----------
    by
        ``"value"``, the name of a metric, or None: nothing is kept.
    names, params
        Of the nest.
    """

    def __init__(self, by: str | None, names: Sequence[str], params: Sequence[Any]) -> None:
        self.by, self.names, self.params = by, names, params
        self.value, self.t = math.nan, -1
        self.arrays: list[Any] | None = None

    def offer(self, value: float, metrics: Mapping[str, float], t: int) -> None:
        """Keep the parameters as they are now, if they are better than all before."""
        x = value if self.by == "value" else metrics.get(self.by or "", math.nan)
        if math.isfinite(x) and (self.arrays is None or x < self.value):
            self._keep([to_numpy(x) for x in self.params] if self.arrays else None)
            self.value, self.t = x, t

    def to_save(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Return arrays by their names in a file, and the rest for its manifest."""
        if self.arrays is None:
            return {}, None
        arrays = {f"{BEST}{name}": to_numpy(x) for name, x in zip(self.names, self.arrays, strict=True)}
        return arrays, {"value": self.value, "t": self.t, "by": self.by}

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

    def take(self, data: Any, arrays: Mapping[str, Any]) -> None:
        """Take what has been saved and checked; nothing where another number was followed there."""
        self.value, self.t, self.arrays = math.nan, -1, None
        if self._wants(data):
            self._keep([arrays[f"{BEST}{name}"] for name in self.names])
            self.value, self.t = data["value"], data["t"]

    def _wants(self, data: Any) -> bool:
        return data is not None and self.by is not None and data["by"] == self.by

    def _keep(self, values: Sequence[Any] | None) -> None:
        if self.arrays is None:
            self.arrays = [copied(x) for x in self.params]
        for kept, x in zip(self.arrays, values or (), strict=values is not None):
            put(kept, np.asarray(x))


def best_by(keep: bool | str | None, has_batches: bool, has_metrics: bool) -> str | None:
    """Return the name of the number by which the best point is chosen; None: none is kept.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For a metric that nothing gives, and for anything but a name, True, False or None.
    """
    if isinstance(keep, str):
        if keep != "value" and not has_metrics:
            raise GradstepValueError(f"keep_best is {keep!r}, but there is no evaluate= that gives it.")
        return keep
    if keep is None:
        return "value" if not has_batches else "val/loss" if has_metrics else None
    if not isinstance(keep, bool):
        raise GradstepTypeError(f"keep_best must be True, False or a name, not {keep!r}.")
    return "value" if keep else None
