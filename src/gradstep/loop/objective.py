"""The user's functions, and what they gave at one point."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradstep.arrays import as_reals, to_numpy
from gradstep.errors import GradstepTypeError
from gradstep.objective import number, pair
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


class Functions:
    """Calls the user's functions, and says clearly where they give something else than they should."""

    def __init__(self, value_and_grad: Callable[..., Any], evaluate: Callable[[Any], Any] | None, every: int) -> None:
        for name, f in {"value_and_grad": value_and_grad, "evaluate": evaluate}.items():
            if (not callable(f) and f is not None) or value_and_grad is None:
                raise GradstepTypeError(f"{name} must be a function, not {f!r}.")
        self.value_and_grad, self.evaluate, self.every = value_and_grad, evaluate, every

    def __call__(self, params: Any, batch: tuple[Any, ...], t: int, measure: bool) -> Here:
        """Objective and gradient, and the metrics where they are due."""
        value, grads = pair(self.value_and_grad(params, *batch), "value_and_grad")
        problem = "" if math.isfinite(value) else f"the value at step {t + 1} is {value}; nothing was changed."
        due = measure and self.evaluate is not None and t % self.every == 0
        return Here(t, value, grads, grads, 0.0, problem, self.measure(params) if due else {})

    def measure(self, params: Any) -> dict[str, float]:
        """The metrics by name."""
        if self.evaluate is None:
            return {}
        out = self.evaluate(params)
        named = out if isinstance(out, Mapping) else {"loss": out}
        for name in named:
            if not isinstance(name, str):
                raise GradstepTypeError(f"evaluate must give numbers by name, and a name was {name!r}.")
        return {name if "/" in name else f"val/{name}": number(x, f"evaluate ({name})") for name, x in named.items()}
