"""Problems that are a formula: no data, so nothing but the optimizer and the start differs between runs.

Their minimum is 0 and known, so their targets are levels above it that are theirs by definition.
"""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from gradstep.compare.problems import formulas
from gradstep.compare.problems.problem import Problem, Split, Target, Task, Values, labelled, size_option
from gradstep.errors import GradstepValueError
from gradstep.text import short


def rosenbrock() -> Problem:
    """The curved valley of Rosenbrock 1960, in two dimensions; minimum 0 at (1, 1)."""

    def begin(seed: int) -> Task:
        return _task(_around([-1.2, 1.0], seed), formulas.rosenbrock)

    return Problem(
        name="rosenbrock",
        summary="curved valley in two dimensions, starts around (-1.2, 1)",
        source="formula (Rosenbrock 1960)",
        size="2 parameters",
        target=Target("loss", 1e-3, "train", easy=1e-2, hard=1e-4),
        steps=2000,
        every=10,
        scale={"theta/g": 1e-3, "theta": 1e-1},
        family="formulas",
        begin=begin,
        exact=True,
    )


def beale() -> Problem:
    """Beale's function, flat around steep ridges: Moré, Garbow and Hillstrom 1981, problem 5; minimum 0 at (3, 0.5)."""

    def begin(seed: int) -> Task:
        return _task(_around([1.0, 1.0], seed), _beale)

    return Problem(
        name="beale",
        summary="flat valley between steep ridges in two dimensions, starts around (1, 1)",
        source="formula (Beale 1958)",
        size="2 parameters",
        target=Target("loss", 1e-3, "train", easy=1e-2, hard=1e-4),
        steps=1000,
        every=10,
        scale={"theta/g": 1e-2, "theta": 1e-1},
        family="formulas",
        begin=begin,
        exact=True,
    )


def rastrigin(dimension: float = 2.0) -> Problem:
    """A bowl with a dent at every point of integers k, about ``|k|^2`` deep above the minimum: Rastrigin 1974.

    From a start within 2.5 the nearest dents have a k^2 of 2 in each coordinate on average, which is the target: to get
    below it reliably takes steps from dent to dent.

    Raises
    ------
    GradstepValueError
        When ``dimension`` is not an integer in 1 to 1000.
    """
    size = size_option("rastrigin", "dimension", dimension, 1000)

    def begin(seed: int) -> Task:
        return _task(np.random.default_rng(seed).uniform(-2.5, 2.5, size), formulas.rastrigin)

    return Problem(
        name=labelled("rastrigin", {"dimension": size}, {"dimension": 2}),
        summary="a bowl with a local minimum at every point of integers, starts anywhere within 2.5",
        source="formula (Rastrigin 1974)",
        size=f"{size} parameter{'s' if size > 1 else ''}",
        target=Target("loss", 2.0 * size, "train", easy=4.0 * size, hard=1.0 * size),
        steps=500,
        every=5,
        scale={"theta/g": 3e-3, "theta": 3e-1},
        family="formulas",
        begin=begin,
        exact=True,
    )


def quadratic(condition: float = 100.0) -> Problem:
    """A bowl in 20 dimensions with curvatures from 1 down to 1/condition along axes that are rotated at random.

    The start is as far away along each axis. Beyond a condition of 1e4 the flattest ones weigh less than the target,
    which then asks for curvatures down to about 1e-3 alone: the hardest of these is that of 1e4.

    Raises
    ------
    GradstepValueError
        When ``condition``, the ratio of the largest to the smallest curvature, is not in 1 to 1e12.
    """
    if not 1 <= condition <= 1e12:
        raise GradstepValueError(f"problem quadratic: condition must be in 1 to 1e12, not {condition:g}.")
    size = 20
    axes = _rotation(size)
    matrix = (axes * np.geomspace(1.0, 1.0 / condition, size)) @ axes.T

    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        grad = matrix @ x
        return float(x @ grad) / 2, grad

    return Problem(
        name=labelled("quadratic", {"condition": condition}, {"condition": 100}),
        summary=f"rotated bowl with condition number {short(condition)}",
        source="formula",
        size=f"{size} parameters",
        target=Target("loss", 1e-3, "train", easy=1e-2, hard=1e-4),
        steps=1000,
        every=10,
        scale={"theta/g": 1.0, "theta": 1e-1},
        family="formulas",
        begin=lambda seed: _task(np.random.default_rng(seed).standard_normal(size), value_and_grad),
        exact=True,
    )


def logistic() -> Problem:
    """Logistic regression of probabilities that some weights make exactly, so that these are the optimum.

    The loss is the mean Kullback-Leibler divergence from the probabilities given to those predicted: 0 at the optimum.
    """
    size, examples = 20, 200
    rng = np.random.default_rng(0)  # of the problem
    inputs = (rng.standard_normal((examples, size)) * np.geomspace(3.0, 0.3, size)) @ _rotation(size).T
    optimum = rng.standard_normal(size)
    given = inputs @ optimum  # as log-odds
    share = _sigmoid(given)

    @np.errstate(over="ignore", invalid="ignore")
    def value_and_grad(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = inputs @ x
        divergence = np.logaddexp(0, z) - np.logaddexp(0, given) - share * (z - given)
        value = np.maximum(divergence.mean(), 0.0)  # which rounding may have passed; NaN stays NaN
        return float(value), inputs.T @ (_sigmoid(z) - share) / examples

    return Problem(
        name="logistic",
        summary="logistic regression whose optimum is known, on inputs of scales from 0.3 to 3",
        source="formula",
        size=f"{examples} x {size}, {size} parameters",
        target=Target("loss", 1e-4, "train", easy=1e-3, hard=1e-5),
        steps=1000,
        every=10,
        scale={"theta/g": 3.0, "theta": 1e-1},
        family="formulas",
        begin=lambda seed: _task(np.random.default_rng(seed).standard_normal(size), value_and_grad),
        exact=True,
    )


# of degree 8: a run that diverges is soon beyond all numbers
_beale = np.errstate(over="ignore", invalid="ignore")(formulas.beale)


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))


def _rotation(size: int) -> np.ndarray:
    """Return a rotation with a fixed seed, part of the problem; without it, elementwise rules have an advantage."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]


def _around(point: list[float], seed: int) -> np.ndarray:
    return np.array(point) + 0.1 * np.random.default_rng(seed).standard_normal(len(point))


def _task(x: np.ndarray, function: Callable[[np.ndarray], formulas.ValueAndGrad]) -> Task:
    """Minimise ``function`` from ``x``; its batches are empty, and every split shows the function itself."""

    def value_and_grad(_: None) -> tuple[float, Any]:
        value, grad = function(x)
        return float(value), {"x": grad}

    def evaluate(_: Split) -> Values:
        return {"loss": float(function(x)[0])}

    return Task({"x": x}, repeat(None), value_and_grad, evaluate)
