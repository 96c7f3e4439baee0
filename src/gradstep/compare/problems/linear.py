"""Linear models on whole tables: smooth, strongly convex, so the optimum is known and the target is near to it."""

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np

from gradstep.compare.problems.data import Data, load
from gradstep.compare.problems.problem import Problem, Split, Target, Task, Values

L2 = 1e-2  # weight of half the squared norm of w, in the training loss alone

# z, y -> mean loss over the examples and its derivative by each prediction z.
Loss = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]


def breast_cancer() -> Problem:
    """Regularised logistic regression of malignant or benign."""
    return Problem(
        name="breast-cancer",
        summary="logistic regression with L2, whole batches",
        source="scikit-learn load_breast_cancer",
        size="569 x 30, 31 parameters",
        target=Target("loss", 0.1017, "train"),  # 1 % above the optimum, by test
        steps=500,
        every=5,
        scale={"theta/g": 1.0, "theta": 1e-1},
        begin=lambda seed: _task(load("breast_cancer"), logistic, seed),
    )


def diabetes() -> Problem:
    """Ridge regression of the progress of a disease; the unit of the loss is half the variance of the target."""
    return Problem(
        name="diabetes",
        summary="ridge regression, whole batches",
        source="scikit-learn load_diabetes",
        size="442 x 10, 11 parameters",
        target=Target("loss", 0.2395, "train"),
        steps=500,
        every=5,
        scale={"theta/g": 3e-1, "theta": 3e-2},
        begin=lambda seed: _task(load("diabetes"), squared, seed),
    )


def logistic(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean negative log-likelihood of classes y in {0, 1} with log-odds z, and its gradient by z."""
    sign = 2.0 * y - 1
    return float(np.logaddexp(0, -sign * z).mean()), -sign * np.exp(-np.logaddexp(0, sign * z)) / len(y)


def squared(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Half the mean squared error, and its gradient by z."""
    error = z - y
    return float(error @ error) / (2 * len(y)), error / len(y)


def _task(data: Data, loss: Loss, seed: int) -> Task:
    x, y = data["train"]
    w = 0.5 * np.random.default_rng(seed).standard_normal(x.shape[1])
    b = np.zeros(1)

    def value_and_grad(_: None) -> tuple[float, Any]:
        value, by_z = loss(x @ w + b, y)
        return value + L2 / 2 * float(w @ w), {"w": x.T @ by_z + L2 * w, "b": by_z.sum(keepdims=True)}

    def evaluate(split: Split) -> Values:
        x, y = data[split]
        z = x @ w + b
        value = value_and_grad(None)[0] if split == "train" else loss(z, y)[0]
        return {"loss": value} | ({"accuracy": float(((z > 0) == y).mean())} if loss is logistic else {})

    return Task({"w": w, "b": b}, repeat(None), value_and_grad, evaluate)
