"""An autoencoder: a network that gives its own input again through a few numbers."""

from typing import Any

import numpy as np

from gradstep.compare.problems.networks import images
from gradstep.compare.problems.problem import NOISY, Problem, Split, Task, Values, labelled, minibatches, size_option
from gradstep.compare.problems.targets import frozen

CODE = 8  # numbers in the middle
BATCH, WIDTH = 32, 32


def digits(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """The deep autoencoder of Hinton and Salakhutdinov 2006 (Science 313), on which Martens 2010 tried optimizers.

    The loss is the mean squared error, in units of the variance of all pixels.
    """
    many, wide = (
        size_option("digits-autoencoder", "batch", batch, 1000),
        size_option("digits-autoencoder", "width", width),
    )

    def begin(seed: int) -> Task:
        from gradstep.nn import Dense, Sequential

        layers = [Dense(64, wide, "tanh"), Dense(wide, CODE), Dense(CODE, wide, "tanh"), Dense(wide, 64)]
        model, splits = Sequential(layers, seed=seed), images("digits", (64,))
        inputs, _ = splits["train"]

        def value_and_grad(batch: np.ndarray) -> tuple[float, Any]:
            return model.value_and_grad(inputs[batch], inputs[batch], "mse")

        def evaluate(split: Split) -> Values:
            x, _ = splits[split]
            return {"loss": model.evaluate(x, x, "mse").loss}

        return Task(model.params, minibatches(len(inputs), many, seed), value_and_grad, evaluate)

    return Problem(
        name=labelled("digits-autoencoder", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"autoencoder 64-{wide}-{CODE}-{wide}-64, batches of {many}",
        source="scikit-learn load_digits",
        size=f"1797 x 64, {146 * wide + CODE + 64} parameters",
        target=frozen("digits-autoencoder", "validation", NOISY),
        steps=500,
        every=10,
        scale={"theta/g": 3e-1, "theta": 1e-2},
        family="reconstruction",
        begin=begin,
        needs="sklearn",
    )
