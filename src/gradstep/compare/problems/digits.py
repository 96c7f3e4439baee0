"""Networks on scikit-learn's handwritten digits: 8 x 8 pixels, ten classes, all from the installed package."""

from collections.abc import Callable, Mapping

import numpy as np

from gradstep.compare.problems.data import load
from gradstep.compare.problems.problem import Problem, Split, Target, Task, Values, minibatches
from gradstep.nn import Conv2D, Dense, Flatten, MaxPool2D, Sequential

BATCH = 32
LOSS = "cross_entropy"
SOURCE = "scikit-learn load_digits"


def softmax() -> Problem:
    """Softmax regression, which is convex."""

    def begin(seed: int) -> Task:
        return _task(Sequential([Dense(64, 10, "softmax")], seed=seed), seed, (64,))

    return _problem("digits-softmax", "softmax regression", 650, 0.95, 500, {"theta/g": 3e-1, "theta": 3e-2}, begin)


def mlp() -> Problem:
    """One hidden layer of 32."""

    def begin(seed: int) -> Task:
        return _task(Sequential([Dense(64, 32, "relu"), Dense(32, 10, "softmax")], seed=seed), seed, (64,))

    return _problem("digits-mlp", "one hidden layer of 32", 2410, 0.95, 500, {"theta/g": 3e-1, "theta": 1e-2}, begin)


def conv() -> Problem:
    """One convolution, pooled."""

    def begin(seed: int) -> Task:
        layers = [Conv2D(1, 16, 3, "relu"), MaxPool2D(2), Flatten(), Dense(144, 10, "softmax")]
        return _task(Sequential(layers, seed=seed), seed, (8, 8, 1))

    return _problem(
        "digits-conv", "16 filters of 3 x 3, pooled", 1610, 0.97, 300, {"theta/g": 3e-1, "theta": 1e-2}, begin
    )


def _problem(
    name: str,
    model: str,
    parameters: int,
    accuracy: float,
    steps: int,
    scale: Mapping[str, float],
    begin: Callable[[int], Task],
) -> Problem:
    return Problem(
        name=name,
        summary=f"{model}, batches of {BATCH}",
        source=SOURCE,
        size=f"1797 x 64, {parameters} parameters",
        target=Target("accuracy", accuracy, "validation"),
        steps=steps,
        every=10,
        scale=scale,
        begin=begin,
    )


def _task(model: Sequential, seed: int, shape: tuple[int, ...]) -> Task:
    """Train ``model`` on minibatches; an example has this shape."""
    splits: dict[Split, tuple[np.ndarray, np.ndarray]] = {}
    for split in ("train", "validation", "test"):
        x, y = load("digits")[split]
        splits[split] = x.reshape(-1, *shape).astype(np.float32), y
    inputs, labels = splits["train"]

    def value_and_grad(batch: np.ndarray) -> tuple[float, object]:
        return model.value_and_grad(inputs[batch], labels[batch], LOSS)

    def evaluate(split: Split) -> Values:
        result = model.evaluate(*splits[split], LOSS)
        return {"loss": result.loss, "accuracy": result.accuracy or 0.0}

    return Task(model.params, minibatches(len(labels), BATCH, seed), value_and_grad, evaluate)
