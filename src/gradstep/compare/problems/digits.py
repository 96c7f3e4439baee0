"""Networks on scikit-learn's handwritten digits: 8 x 8 pixels, ten classes."""

from collections.abc import Callable, Mapping

from gradstep.compare.problems.networks import images, train
from gradstep.compare.problems.problem import Problem, Task
from gradstep.compare.problems.targets import frozen

BATCH = 32


def softmax() -> Problem:
    """Softmax regression, which is convex."""

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        return train(Sequential([Dense(64, 10, "softmax")], seed=seed), images("digits", (64,)), BATCH, seed)

    return _problem("digits-softmax", "softmax regression", 650, 500, {"theta/g": 3e-1, "theta": 3e-2}, begin)


def mlp() -> Problem:
    """One hidden layer of 32."""

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        layers = [Dense(64, 32, "relu"), Dense(32, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("digits", (64,)), BATCH, seed)

    return _problem("digits-mlp", "one hidden layer of 32", 2410, 500, {"theta/g": 3e-1, "theta": 1e-2}, begin)


def conv() -> Problem:
    """One convolution, pooled."""

    def begin(seed: int) -> Task:
        from gradstep.nn import Conv2D, Dense, Flatten, MaxPool2D, Sequential

        layers = [Conv2D(1, 16, 3, "relu"), MaxPool2D(2), Flatten(), Dense(144, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("digits", (8, 8, 1)), BATCH, seed)

    return _problem("digits-conv", "16 filters of 3 x 3, pooled", 1610, 300, {"theta/g": 3e-1, "theta": 1e-2}, begin)


def _problem(
    name: str, model: str, parameters: int, steps: int, scale: Mapping[str, float], begin: Callable[[int], Task]
) -> Problem:
    return Problem(
        name=name,
        summary=f"{model}, batches of {BATCH}",
        source="scikit-learn load_digits",
        size=f"1797 x 64, {parameters} parameters",
        target=frozen(name, "accuracy", "validation"),
        steps=steps,
        every=10,
        scale=scale,
        begin=begin,
        needs="sklearn",
    )
