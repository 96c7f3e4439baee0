"""A convolutional network with batch normalisation."""

import numpy as np

from gradstep.compare.problems.networks import images, train_on_tape
from gradstep.compare.problems.problem import NOISY, Problem, Task, labelled, size_option
from gradstep.compare.problems.tape import Array, Params, Var, normalise, patches, relu
from gradstep.compare.problems.targets import frozen

BATCH, WIDTH = 32, 16


def conv(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """Two convolutions, each with batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167), and a mean of places.

    Evaluation normalises by the examples that are evaluated, which are all of a split, so there are no running means.
    """
    many, wide = size_option("digits-batchnorm", "batch", batch, 1000), size_option("digits-batchnorm", "width", width)

    def begin(seed: int) -> Task:
        return train_on_tape(scores, _start(seed, wide), images("digits", (8, 8, 1)), many, seed)

    return Problem(
        name=labelled("digits-batchnorm", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"two convolutions of {wide} filters of 3 x 3 with batch normalisation, batches of {many}",
        source="scikit-learn load_digits",
        size=f"1797 x 64, {9 * wide * (wide + 1) + 14 * wide + 10} parameters",
        target=frozen("digits-batchnorm", "validation", NOISY),
        steps=200,
        every=10,
        scale={"theta/g": 3e-1, "theta": 2e-2},
        family="images",
        begin=begin,
        needs="sklearn",
    )


def scores(p: dict[str, Var], x: Array) -> Var:
    """Scores of each class, (examples, 10)."""
    a = Var(x)
    for k in "12":
        z = normalise(patches(a, 3) @ p[f"filters{k}"], (0, 1, 2))  # a bias would be taken off again
        a = relu(z * p[f"scale{k}"] + p[f"shift{k}"])
    many, down, across, wide = a.value.shape
    places = a.reshape(many, down * across, wide).transpose(0, 2, 1)
    means = (places @ np.full((down * across, 1), 1 / (down * across), x.dtype)).reshape(many, wide)
    return means @ p["classes"] + p["bias"]


def _start(seed: int, wide: int) -> Params:
    rng = np.random.default_rng(seed)
    params: Params = {}
    for k, inputs in (("1", 9), ("2", 9 * wide)):
        params[f"filters{k}"] = rng.standard_normal((inputs, wide)) * np.sqrt(2 / inputs)
        params |= {f"scale{k}": np.ones(wide), f"shift{k}": np.zeros(wide)}
    return params | {"classes": rng.standard_normal((wide, 10)) / np.sqrt(wide), "bias": np.zeros(10)}
