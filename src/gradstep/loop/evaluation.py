"""Calls of the user's functions, and their results at one point."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradstep.array.namespaces import as_reals, to_numpy
from gradstep.array.reduction import block_sums, joined
from gradstep.array.rows import Rows
from gradstep.engine.eager import within
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.loop.user import changes_in_place, number, pair, raised


@dataclass(frozen=True)
class Evaluated:
    """Objective, gradient and metrics at the parameters of one update.

    Attributes
    ----------
    t
        Updates made.
    value, grads
        What the objective gave.
    free
        The gradients that the step takes: without what a bound holds.
    blocked
        The share of bounded elements that it holds.
    problem
        What is not finite; empty where all is, as far as has been looked.
    metrics
        What ``evaluate`` gave; empty where it was not called.
    """

    t: int
    value: float
    grads: Any
    free: Any
    blocked: float = 0.0
    problem: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


def norm(arrays: Sequence[Any], limit: float = math.inf) -> float:
    """Return the 2-norm of all numbers of some arrays, summed in the library's fixed order.

    Where one number alone is beyond ``limit``, so is the norm: it is infinite then, and nothing is summed.
    """
    if limit < math.inf and not all(within(g, limit) for g in arrays):
        return math.inf
    total: list[float] = []
    for g in arrays:
        g = g.summed()[1] if type(g) is Rows else g
        wide = np.asarray(to_numpy(as_reals(g)), np.float64)
        with np.errstate(over="ignore"):  # an overflow makes the norm infinite
            total += block_sums(wide * wide)
    return math.sqrt(joined(total))


class Functions:
    """The user's functions, with a check of each result.

    Parameters
    ----------
    value_and_grad, evaluate, every
        As :class:`gradstep.Run` takes them.

    Attributes
    ----------
    wanted
        Metrics that ``evaluate`` has to give, because they are looked at.
    """

    def __init__(
        self,
        value_and_grad: Callable[..., Any],
        evaluate: Callable[[Any], Any] | None,
        every: int,
    ) -> None:
        if not callable(value_and_grad):
            raise GradstepTypeError(f"value_and_grad must be a function, not {value_and_grad!r}.")
        if evaluate is not None and not callable(evaluate):
            raise GradstepTypeError(f"evaluate must be a function, not {evaluate!r}.")
        self.value_and_grad, self.evaluate, self.every = value_and_grad, evaluate, every
        self.wanted: Collection[str] = ()

    def want(self, metrics: Collection[str]) -> None:
        """Ask for these metrics from now on.

        Raises
        ------
        GradstepValueError
            When there is nothing that gives them.
        """
        if self.evaluate is None and metrics:
            raise GradstepValueError(f"there is no evaluate= that gives {min(metrics)!r}.")
        self.wanted = metrics

    def __call__(
        self, params: Any, batch: tuple[Any, ...], t: int, measure: bool, known: tuple[float, Any] | None = None
    ) -> Evaluated:
        """Evaluate objective and gradient, where they are not known, and the metrics where they are due."""
        due = measure and self.evaluate is not None and t % self.every == 0
        metrics = self.measure(params) if due else {}  # before the objective: it may use the gradients' arrays
        value, grads = self.objective(params, *batch) if known is None else known
        problem = "" if math.isfinite(value) else f"the value at step {t + 1} is {value}; nothing was changed."
        return Evaluated(t, value, grads, grads, 0.0, problem, metrics)

    def objective(self, params: Any, *batch: Any) -> tuple[float, Any]:
        """Evaluate objective and gradient alone."""
        return pair(_called("value_and_grad", self.value_and_grad, params, *batch), "value_and_grad")

    def measure(self, params: Any) -> dict[str, float]:
        """Return the metrics by name."""
        if self.evaluate is None:
            return {}
        metrics = as_metrics(_called("evaluate", self.evaluate, params))
        for name in self.wanted:
            if name not in metrics:
                raise GradstepValueError(
                    f"evaluate gave no {name!r}, which is looked at; it gave {', '.join(metrics)}."
                )
        return metrics


def as_metrics(out: Any) -> dict[str, float]:
    """Return what ``evaluate`` gave as numbers by name: ``val/loss`` for a number alone.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For anything but one number, or several by name.
    """
    named = out if isinstance(out, Mapping) else {"loss": out}
    for name in named:
        if not isinstance(name, str):
            raise GradstepTypeError(f"evaluate must give numbers by name, and a name was {name!r}.")
    return {name if "/" in name else f"val/{name}": number(x, f"evaluate ({name})") for name, x in named.items()}


def _called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a user's function; its errors pass as they are, but for that of changing the parameters in place.

    Raises
    ------
    UserCodeError
        When it does so.
    """
    try:
        return function(*arguments)
    except ValueError as error:
        if changes_in_place(error):
            raise raised(name, error) from error
        raise
