"""The common part of problems with a network: training on minibatches, and evaluation."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep.compare.problems.data import SPLITS, Arrays, Name, load
from gradstep.compare.problems.problem import Split, Task, Values, minibatches
from gradstep.compare.problems.tape import Array, Params, Var, cross_entropy, gradients

if TYPE_CHECKING:
    from gradstep.nn import Sequential

LOSS = "cross_entropy"
DTYPE = "float32"  # of what is trained on the tape


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


def train_on_tape(
    scores: Callable[[dict[str, Var], Array], Var],
    params: Params,
    splits: Mapping[Split, Arrays],
    batch: int,
    seed: int,
    thinned: int = 1,
) -> Task:
    """A task that minimises the cross entropy of ``scores(params, inputs)``, whose last axis is the classes."""
    own = {name: x.astype(DTYPE) for name, x in params.items()}
    inputs, labels = splits["train"]

    @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
    def value_and_grad(batch: np.ndarray) -> tuple[float, Any]:
        return gradients(lambda p: cross_entropy(scores(p, inputs[batch]), labels[batch]), own)

    @np.errstate(over="ignore", invalid="ignore")
    def evaluate(split: Split) -> Values:
        x, y = (array[::thinned] for array in splits[split])
        z = scores({name: Var(x) for name, x in own.items()}, x)
        return {"loss": float(cross_entropy(z, y).value), "accuracy": float((z.value.argmax(axis=-1) == y).mean())}

    return Task(own, minibatches(len(labels), batch, seed), value_and_grad, evaluate)
