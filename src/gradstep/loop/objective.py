"""The user's functions, and what they gave at one point."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from gradstep.arrays import as_reals, to_numpy
from gradstep.errors import GradstepTypeError
from gradstep.reduction import block_sums
from gradstep.tree import Nest


@dataclass(frozen=True)
class Here:
    """What is known where a run stands.

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

    def grad_norm(self, nest: Nest) -> float:
        """2-norm of the gradient that the step takes, summed in the library's fixed order."""
        total: list[float] = []
        for g in nest.leaves(self.free, "gradients"):
            if g is not None:  # of a frozen parameter
                wide = np.asarray(to_numpy(as_reals(g)), np.float64)
                total += block_sums(wide * wide)
        return math.sqrt(math.fsum(total))


class Objective:
    """Calls the user's functions, and says clearly where they give something else than they should."""

    def __init__(self, value_and_grad: Callable[..., Any], evaluate: Callable[[Any], Any] | None, every: int) -> None:
        for name, f in {"value_and_grad": value_and_grad, "evaluate": evaluate}.items():
            if (not callable(f) and f is not None) or value_and_grad is None:
                raise GradstepTypeError(f"{name} must be a function, not {f!r}.")
        self.value_and_grad, self.evaluate, self.every = value_and_grad, evaluate, every

    def __call__(self, params: Any, batch: tuple[Any, ...], t: int, measure: bool) -> Here:
        """Objective and gradient, and the metrics where they are due."""
        out = self.value_and_grad(params, *batch)
        if not isinstance(out, tuple | list) or len(out) != 2:
            raise GradstepTypeError(f"value_and_grad must give a pair (value, gradients), not a {type(out).__name__}.")
        value = as_number("value_and_grad: the value", out[0])
        problem = "" if math.isfinite(value) else f"the value at step {t + 1} is {value}; nothing was changed."
        due = measure and self.evaluate is not None and t % self.every == 0
        return Here(t, value, out[1], out[1], 0.0, problem, self.measure(params) if due else {})

    def measure(self, params: Any) -> dict[str, float]:
        """The metrics by name."""
        if self.evaluate is None:
            return {}
        out = self.evaluate(params)
        named = out if isinstance(out, Mapping) else {"loss": out}
        return {name if "/" in name else f"val/{name}": as_number(f"evaluate: {name}", x) for name, x in named.items()}


def as_number(what: str, x: Any) -> float:
    """A real number of any kind (a 0-d array too) as a float.

    Raises
    ------
    GradstepTypeError
        For anything else.
    """
    if isinstance(x, Real) and not isinstance(x, bool):
        return float(x)
    if getattr(x, "shape", None) == () and not np.iscomplexobj(x):
        return float(x)
    raise GradstepTypeError(f"{what} must be a real number, not {x!r:.80} of type {type(x).__name__}.")
