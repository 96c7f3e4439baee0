"""Networks on scikit-learn's handwritten digits: 8 x 8 pixels, ten classes."""

from collections.abc import Callable, Mapping

from gradstep.compare.problems.networks import images, train
from gradstep.compare.problems.problem import NOISY, Problem, Task, labelled, size_option
from gradstep.compare.problems.targets import frozen

BATCH, WIDTH = 32, 32
MOST = 1000  # of 1083 images in the training part
USUAL = {"batch": BATCH, "width": WIDTH}


def softmax(batch: float = BATCH) -> Problem:
    """Softmax regression, which is convex."""
    many = size_option("digits-softmax", "batch", batch, MOST)

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        return train(Sequential([Dense(64, 10, "softmax")], seed=seed), images("digits", (64,)), many, seed)

    name = labelled("digits-softmax", {"batch": batch}, USUAL)
    return _problem(name, "softmax regression", many, 650, 500, {"theta/g": 3e-1, "theta": 3e-2}, begin)


def mlp(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """One hidden layer."""
    many, wide = size_option("digits-mlp", "batch", batch, MOST), size_option("digits-mlp", "width", width)

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        layers = [Dense(64, wide, "relu"), Dense(wide, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("digits", (64,)), many, seed)

    name, size = labelled("digits-mlp", {"batch": batch, "width": width}, USUAL), 75 * wide + 10
    return _problem(name, f"one hidden layer of {wide}", many, size, 500, {"theta/g": 3e-1, "theta": 1e-2}, begin)


def conv(batch: float = BATCH) -> Problem:
    """One convolution, pooled."""
    many = size_option("digits-conv", "batch", batch, MOST)

    def begin(seed: int) -> Task:
        from gradstep.nn import Conv2D, Dense, Flatten, MaxPool2D, Sequential

        layers = [Conv2D(1, 16, 3, "relu"), MaxPool2D(2), Flatten(), Dense(144, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("digits", (8, 8, 1)), many, seed)

    name = labelled("digits-conv", {"batch": batch}, USUAL)
    return _problem(name, "16 filters of 3 x 3, pooled", many, 1610, 300, {"theta/g": 3e-1, "theta": 1e-2}, begin)


def _problem(
    name: str,
    model: str,
    batch: int,
    parameters: int,
    steps: int,
    scale: Mapping[str, float],
    begin: Callable[[int], Task],
) -> Problem:
    return Problem(
        name=name,
        summary=f"{model}, batches of {batch}",
        source="scikit-learn load_digits",
        size=f"1797 x 64, {parameters} parameters",
        target=frozen(name.partition(":")[0], "validation", NOISY),
        steps=steps,
        every=10,
        scale=scale,
        begin=begin,
        family="linear models" if name.startswith("digits-softmax") else "images",
        needs="sklearn",
    )
