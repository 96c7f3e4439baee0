"""Linear models of whole tables: with their L2 smooth and strongly convex, so there is one optimum and no other."""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import numpy as np

from gradstep.compare.problems.data import Data, load
from gradstep.compare.problems.problem import (
    NOISY,
    Problem,
    Split,
    Target,
    Task,
    Values,
    labelled,
    minibatches,
    size_option,
)

L2 = 1e-2  # weight of half the squared norm of w, in the training loss alone
# The least training losses, which a test finds anew; targets lie so far above them.
OPTIMA = {"breast-cancer": 0.100669, "fair": 0.549551, "diabetes": 0.237122, "randhie": 2.08934}

# z, y -> mean loss over the examples and its derivative by each prediction z.
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def breast_cancer() -> Problem:
    """Regularised logistic regression of malignant or benign."""
    return Problem(
        name="breast-cancer",
        summary="logistic regression with L2, whole batches",
        source="scikit-learn load_breast_cancer",
        size="569 x 30, 31 parameters",
        target=_above("breast-cancer", 1e-2, 1e-3, 1e-4),
        steps=500,
        every=5,
        scale={"theta/g": 1.0, "theta": 1e-1},
        family="linear models",
        begin=lambda seed: _task(load("breast_cancer"), logistic, seed),
        needs="sklearn",
    )


def fair(batch: float = 128) -> Problem:
    """Regularised logistic regression of affairs or none: Fair 1978."""
    many = size_option("fair", "batch", batch, 3000)
    return Problem(
        name=labelled("fair", {"batch": batch}, {"batch": 128}),
        summary=f"logistic regression with L2, batches of {many}",
        source="statsmodels fair",
        size="6366 x 8, 9 parameters",
        target=_above("fair", 1e-2, 3e-3, 1e-3, NOISY),
        steps=1000,
        every=10,
        scale={"theta/g": 3e-1, "theta": 1e-2},
        family="linear models",
        begin=lambda seed: _task(load("fair"), logistic, seed, batch=many),
        needs="statsmodels",
    )


def diabetes() -> Problem:
    """Ridge regression of the progress of a disease; the unit of the loss is half the variance of the target."""
    return Problem(
        name="diabetes",
        summary="ridge regression, whole batches",
        source="scikit-learn load_diabetes",
        size="442 x 10, 11 parameters",
        target=_above("diabetes", 1e-2, 1e-3, 1e-4),
        steps=500,
        every=5,
        scale={"theta/g": 3e-1, "theta": 3e-2},
        family="linear models",
        begin=lambda seed: _task(load("diabetes"), squared, seed),
        needs="sklearn",
    )


def randhie(batch: float = 256) -> Problem:
    """Regularised Poisson regression of visits to a doctor: the RAND health insurance experiment."""
    many = size_option("randhie", "batch", batch, 10_000)
    return Problem(
        name=labelled("randhie", {"batch": batch}, {"batch": 256}),
        summary=f"Poisson regression with L2, batches of {many}",
        source="statsmodels randhie",
        size="20190 x 9, 10 parameters",
        target=_above("randhie", 1.0, 1e-1, 1e-2, NOISY),
        steps=1000,
        every=10,
        scale={"theta/g": 3e-2, "theta": 1e-2},
        family="linear models",
        begin=lambda seed: _task(load("randhie"), poisson, seed, batch=many),
        needs="statsmodels",
    )


def _above(name: str, easy: float, middle: float, hard: float, patience: int = 1) -> Target:
    """The target of a problem at so much above its optimum."""
    levels = [round(OPTIMA[name] + x, 6) for x in (middle, easy, hard)]
    return Target("loss", levels[0], "train", patience, *levels[1:])


def logistic(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood of classes y in {0, 1} with log-odds z, and its gradient by z."""
    sign = 2.0 * y - 1
    return float(np.logaddexp(0, -sign * z).mean()), -sign * np.exp(-np.logaddexp(0, sign * z)) / len(y)


def squared(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the mean squared error, and its gradient by z."""
    error = z - y
    return float(error @ error) / (2 * len(y)), error / len(y)


def poisson(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the mean deviance of counts y whose means are exp(z), and its gradient by z."""
    mean = np.exp(z)
    saturated = y * np.log(np.maximum(y, 1)) - y  # 0 log 0 = 0
    return float((mean - y * z + saturated).mean()), (mean - y) / len(y)


def _task(data: Data, loss: Loss, seed: int, batch: int | None = None) -> Task:
    """Fit weights and intercept; a batch is all of the training part where no size is given."""
    x, y = data["train"]
    w = 0.5 * np.random.default_rng(seed).standard_normal(x.shape[1])
    b = np.zeros(1)
    batches: Iterator[Any] = repeat(slice(None)) if batch is None else minibatches(len(y), batch, seed)

    @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
    def value_and_grad(batch: Any) -> tuple[float, Any]:
        inputs = x[batch]
        value, by_z = loss(inputs @ w + b, y[batch])
        return value + L2 / 2 * float(w @ w), {"w": inputs.T @ by_z + L2 * w, "b": by_z.sum(keepdims=True)}

    @np.errstate(over="ignore", invalid="ignore")
    def evaluate(split: Split) -> Values:
        x, y = data[split]
        z = x @ w + b
        value = loss(z, y)[0] + (L2 / 2 * float(w @ w) if split == "train" else 0.0)
        return {"loss": value} | ({"accuracy": float(((z > 0) == y).mean())} if loss is logistic else {})

    return Task({"w": w, "b": b}, batches, value_and_grad, evaluate)
