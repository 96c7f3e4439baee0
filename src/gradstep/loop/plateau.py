"""A learning rate that is lowered when a number stops becoming better."""

import math
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError
from gradstep.form.hyper import times
from gradstep.loop.direction import VALUE
from gradstep.naming import is_like, real, whole
from gradstep.optimizer import Optimizer
from gradstep.schedules import Schedule, scaled

Counting = Literal["torch", "optax"]
Memory = Mapping[str, Any]  # of a plateau, as it is saved
START: Memory = {"t": -1, "best": None, "bad": 0, "cooldown": 0, "sum": 0.0, "n": 0}
_FORM: Any = {"t": int, "best": (float, None), "bad": int, "cooldown": int, "sum": (float, None), "n": int}


@dataclass(frozen=True)
class reduce_lr:  # noqa: N801 - reads as what is done: gs.Run(..., on_plateau=gs.reduce_lr(0.1, patience=5))
    """A lower learning rate where a run's value, or a metric, has stopped becoming better: ``gs.Run(on_plateau=...)``.

    A number x is better than the best b where ``x < b (1 - rtol) - atol``; where more is better,
    ``x > b (1 + rtol) + atol``. With ``rtol=0`` it is PyTorch's ``threshold_mode="abs"``. What is not finite is not
    better. Every learning rate is lowered, those of groups too; a schedule is multiplied by the factor.

    Source: PyTorch's ``ReduceLROnPlateau`` and optax's ``contrib.reduce_on_plateau``. PyTorch leaves a rate as it is
    where it would fall by less than its ``eps``, 1e-8, which is not done here.

    Parameters
    ----------
    factor
        What the rate is multiplied by; more than 0, less than 1.
    patience
        How many numbers in a row may be no better; at least 0, for optax's counting 1.
    rtol, atol
        By how much a number must be better, relative to the best and in its own unit; at least 0.
    cooldown
        How many numbers after a lowering do not count as bad.
    min_lr
        The rate is not lowered below it; at least 0. Only for rates that are numbers.
    metric
        What is looked at: a number of ``evaluate``, such as ``"val/loss"``, where it was called; None: the value.
    average
        How many numbers make one, their mean; optax's ``accumulation_size``.
    counting
        ``"torch"``: lowered at the number after ``patience`` bad ones; ``"optax"``: at the last of them.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what is out of range.
    """

    factor: float = 0.1
    patience: int = 10
    rtol: float = 1e-4
    atol: float = 0.0
    cooldown: int = 0
    min_lr: float = 0.0
    metric: str | None = None
    average: int = 1
    counting: Counting = "torch"

    def __post_init__(self) -> None:
        for name, least in (("cooldown", 0), ("average", 1)):
            whole(f"reduce_lr: {name}", getattr(self, name), least=least)
        if self.counting not in get_args(Counting):
            raise GradstepValueError(f'reduce_lr: counting must be "torch" or "optax", not {self.counting!r}.')
        whole("reduce_lr: patience", self.patience, least=1 if self.counting == "optax" else 0)
        if not 0 < real("reduce_lr: factor", self.factor) < 1:
            raise GradstepValueError(f"reduce_lr: factor must be > 0 and < 1, not {self.factor}.")
        for name in ("rtol", "atol", "min_lr"):
            if not 0 <= real(f"reduce_lr: {name}", getattr(self, name)) < math.inf:
                raise GradstepValueError(f"reduce_lr: {name} must be finite and >= 0, not {getattr(self, name)}.")
        if self.metric is not None and not isinstance(self.metric, str):
            raise GradstepTypeError(f"reduce_lr: metric must be a name such as 'val/loss', not {self.metric!r}.")

    def number(self, value: float, metrics: Mapping[str, float]) -> float | None:
        """Return what is looked at of an evaluation; None where it was not measured."""
        return value if self.metric in (None, VALUE) else metrics.get(self.metric or VALUE)

    def after(self, memory: Memory, x: float, sign: float, t: int) -> tuple[Memory, bool]:
        """Return the memory after one more number, measured at t, and whether the rate is to be lowered."""
        total, n = memory["sum"], memory["n"] + 1
        total = total + x if total is not None and math.isfinite(total + x) else None
        if n < self.average:
            return {**memory, "t": t, "sum": total, "n": n}, False
        best, bad, cooldown = memory["best"], memory["bad"] + 1, memory["cooldown"]
        mean = None if total is None else total / n
        if mean is not None and (best is None or sign * mean < sign * best * (1 - sign * self.rtol) - self.atol):
            best, bad = mean, 0
        if cooldown:
            bad, cooldown = 0, cooldown - 1
        is_due = bad > self.patience if self.counting == "torch" else bad >= self.patience
        if is_due:
            bad, cooldown = 0, self.cooldown
        return {"t": t, "best": best, "bad": bad, "cooldown": cooldown, "sum": 0.0, "n": 0}, is_due

    def lowered(self, opt: Optimizer) -> list[tuple[MutableMapping[str, Any], str, Any]]:
        """Return the learning rates of an optimizer: each as the mapping and the name that hold it, and the lower one.

        Raises
        ------
        GradstepValueError
            Where there is none, or one follows a schedule that cannot be lowered.
        """
        places = [opt.hyper, *opt.groups.values()]
        rates = [(place, key) for place in places for key in place if key.rpartition(".")[2] == "lr"]
        if not rates:
            raise GradstepValueError("on_plateau: the rule has no lr that could be lowered.")
        return [(place, key, self._lower(key, x)) for place, key in rates if not isinstance(x := place[key], times)]

    def _lower(self, key: str, x: Any) -> Any:
        if not callable(x):
            return min(x, max(x * self.factor, self.min_lr))
        if self.min_lr or not isinstance(x, Schedule):
            what = "leave out min_lr=, which is for a number" if self.min_lr else "take one of gs.schedules"
            raise GradstepValueError(f"on_plateau: {key} follows {x!r}; {what}, so that a multiple can be saved.")
        return scaled(self.factor * x.factor, x.then) if isinstance(x, scaled) else scaled(self.factor, x)


def checked_plateau(given: Any) -> reduce_lr:
    """Return what a run is to do on a plateau.

    Raises
    ------
    GradstepTypeError
        For anything else.
    """
    if not isinstance(given, reduce_lr):
        raise GradstepTypeError(f"on_plateau must be gs.reduce_lr(factor, patience), not {given!r}.")
    return given


def read(data: Any) -> Memory:
    """Return the memory of a plateau that a file has; the start where it has none.

    Raises
    ------
    CheckpointError
        When it is something else.
    """
    if data is not None and not is_like(data, _FORM):
        raise CheckpointError("the memory of its plateau makes no sense")
    return START if data is None else data
