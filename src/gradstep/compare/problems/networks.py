"""The common part of problems with a network: training on minibatches, and evaluation."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep.compare.problems.data import SPLITS, Arrays, Name, load
from gradstep.compare.problems.problem import Split, Task, Values, minibatches

if TYPE_CHECKING:
    from gradstep.nn import Sequential

LOSS = "cross_entropy"


@cache
def images(name: Name, shape: tuple[int, ...]) -> Mapping[Split, Arrays]:
    """Each split's images in float32, an example of this shape, and their classes."""
    return {split: (x.reshape(-1, *shape).astype(np.float32), y) for split in SPLITS for x, y in [load(name)[split]]}


def train(
    model: "Sequential",
    splits: Mapping[Split, Arrays],
    batch: int,
    seed: int,
    given: Callable[[np.ndarray], Any] = lambda x: x,
    thinned: int = 1,
) -> Task:
    """A task that minimises the cross entropy.

    Parameters
    ----------
    model
        Its last layer is softmax.
    splits
        Examples and classes.
    batch, seed
        Examples in a minibatch, and what they are drawn by.
    given
        What the model is given of some examples.
    thinned
        To evaluate, every how manieth example is looked at.
    """
    inputs, labels = splits["train"]

    def value_and_grad(batch: np.ndarray) -> tuple[float, Any]:
        return model.value_and_grad(given(inputs[batch]), labels[batch], LOSS)

    def evaluate(split: Split) -> Values:
        x, y = (array[::thinned] for array in splits[split])
        result = model.evaluate(given(x), y, LOSS)
        return {"loss": result.loss, "accuracy": result.accuracy or 0.0}

    return Task(model.params, minibatches(len(labels), batch, seed), value_and_grad, evaluate)
