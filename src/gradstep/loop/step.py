"""The record of one step of a run."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One step of a run.

    Attributes
    ----------
    t
        Updates made, this one among them. A step that was skipped leaves it as it was.
    value
        The objective where the step began: that of the parameters after update ``t - 1``, on this step's batch.
    grad_norm
        2-norm of the gradient there, before any clipping.
    update_ratio
        2-norm of the update over that of the parameters after it.
    lr
        The learning rate of this step; NaN where the rule has none, or several.
    seconds
        Since the run began, over all its resumptions.
    evaluations
        Calls of the objective so far.
    skipped
        Steps so far that did not happen because something was not finite.
    clipped
        Whether a clipping stage made the gradient smaller.
    blocked
        The share of bounded elements that stood at a bound with a gradient that pointed out of it.
    unmoved
        The share of numbers that stand as they stood though their gradient is not zero, in most cases because the
        update rounds to nothing in their dtype; NaN where it was not counted.
    metrics
        What ``evaluate`` gave where the step began, by names such as ``val/loss``; empty where it was not called.
    """

    t: int
    value: float
    grad_norm: float = math.nan
    update_ratio: float = math.nan
    lr: float = math.nan
    seconds: float = 0.0
    evaluations: int = 0
    skipped: int = 0
    clipped: bool = False
    blocked: float = 0.0
    unmoved: float = math.nan
    metrics: Mapping[str, float] = {}

    def as_json(self) -> dict[str, Any]:
        """Return a row of ``history.jsonl``: numbers that are not finite are None, and metrics are among the rest."""
        row: dict[str, Any] = {**self._asdict(), **self.metrics}
        del row["metrics"]
        return {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in row.items()}


class History(list[Step]):
    """A list of steps; its ``repr`` gives their number."""

    def __repr__(self) -> str:
        return f"<History of {len(self)} steps>"
