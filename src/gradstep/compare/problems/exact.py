"""Problems that are a formula: no data, so nothing but the optimizer and the start differs between runs."""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from gradstep.compare.naming import short
from gradstep.compare.problems import formulas
from gradstep.compare.problems.problem import Problem, Split, Target, Task, Values
from gradstep.errors import GradstepValueError


def rosenbrock() -> Problem:
    """The curved valley of Rosenbrock 1960, in two dimensions; minimum 0 at (1, 1)."""

    def begin(seed: int) -> Task:
        start = np.array([-1.2, 1.0]) + 0.1 * np.random.default_rng(seed).standard_normal(2)
        return _task(start, formulas.rosenbrock)

    return Problem(
        name="rosenbrock",
        summary="curved valley in two dimensions, starts around (-1.2, 1)",
        source="formula (Rosenbrock 1960)",
        size="2 parameters",
        target=Target("loss", 1e-3, "train"),
        steps=2000,
        every=10,
        scale={"theta/g": 1e-3, "theta": 1e-1},
        begin=begin,
        exact=True,
    )


def quadratic(condition: float = 100.0) -> Problem:
    """A bowl in 20 dimensions with curvatures from 1 down to 1/condition along axes that are rotated at random.

    Raises
    ------
    GradstepValueError
        When ``condition``, the ratio of the largest to the smallest curvature, is not in 1 to 1e12.
    """
    if not 1 <= condition <= 1e12:
        raise GradstepValueError(f"problem quadratic: condition must be in 1 to 1e12, not {condition:g}.")
    size = 20
    # The rotation belongs to the problem, so it has a fixed seed; a diagonal bowl would flatter elementwise rules.
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]
    matrix = (axes * np.geomspace(1.0, 1.0 / condition, size)) @ axes.T

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        grad = matrix @ x
        return float(x @ grad) / 2, grad

    return Problem(
        name="quadratic" if condition == 100 else f"quadratic:condition={short(condition)}",
        summary=f"rotated bowl with condition number {short(condition)}",
        source="formula",
        size=f"{size} parameters",
        target=Target("loss", 1e-3, "train"),
        steps=1000,
        every=10,
        scale={"theta/g": 1.0, "theta": 1e-1},
        begin=lambda seed: _task(np.random.default_rng(seed).standard_normal(size), value_and_grad),
        exact=True,
    )


def _task(x: np.ndarray, function: Callable[[np.ndarray], formulas.ValueAndGrad]) -> Task:
    """Minimise ``function`` from ``x``; its batches are empty, and every split shows the function itself."""

    def value_and_grad(_: None) -> tuple[float, Any]:
        value, grad = function(x)
        return float(value), {"x": grad}

    def evaluate(_: Split) -> Values:
        return {"loss": float(function(x)[0])}

    return Task({"x": x}, repeat(None), value_and_grad, evaluate)
