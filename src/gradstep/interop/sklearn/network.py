"""A network and its optimizer: made, taken through the examples once, and turned into arrays and back."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gradstep.checkpoint.state import PARAM
from gradstep.form.rule import Rule, Stage
from gradstep.nn import Dense, Sequential
from gradstep.optimizer import Optimizer

Array = np.ndarray[Any, np.dtype[Any]]

ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
"""scikit-learn's names, and those of :mod:`gradstep.nn`."""

_OF_OPTIMIZER = {key for key, x in inspect.signature(Optimizer).parameters.items() if x.kind is x.KEYWORD_ONLY}


@dataclass(frozen=True)
class Form:
    """The form of a network, without its numbers.

    Attributes
    ----------
    sizes
        Features, neurons of each hidden layer, outputs.
    activation
        Of the hidden layers, by scikit-learn's name.
    last, loss
        Activation of the last layer and loss, by the names of :mod:`gradstep.nn`.
    scale
        What the loss is multiplied by to be scikit-learn's.
    """

    sizes: tuple[int, ...]
    activation: str
    last: str
    loss: str
    scale: float

    def model(self, seed: int, dtype: Any) -> Sequential:
        """A network of this form with fresh weights."""
        *hidden, last = pairwise(self.sizes)
        layers = [Dense(*pair, ACTIVATIONS[self.activation]) for pair in hidden]
        return Sequential([*layers, Dense(*last, self.last)], seed=seed, dtype=dtype)


class Network:
    """A model of some form, with an optimizer over its parameters; ``options`` as for :class:`gradstep.Optimizer`."""

    def __init__(self, form: Form, model: Sequential, rule: str | Rule | Stage, options: Mapping[str, Any]) -> None:
        self.form, self.model = form, model
        self.optimizer = Optimizer(model.params, rule, **options)
        self._options = {key: x for key, x in options.items() if key in _OF_OPTIMIZER}  # the rest is in the stage

    def set_rate(self, lr: Any) -> None:
        """Set the learning rate, where ``lr`` is one."""
        if lr is not None:
            self.optimizer.hyper["lr"] = lr

    def epoch(
        self, x: Array, y: Array, batches: Sequence[Array], alpha: float, of_examples: Array | None = None
    ) -> float:
        """Make a step for each batch of indices; return the mean of the loss, with the penalty on the weights.

        ``of_examples`` has the weight of each example. A batch whose weights are all zero makes no step.
        """
        total = 0.0
        for part in batches:
            own = None if of_examples is None else of_examples[part]
            mass = len(part) if own is None else float(own.sum())
            if not mass > 0:
                continue
            value, grads = self.model.value_and_grad(x[part], y[part], self.form.loss, weights=own)
            value, decay = self.form.scale * value, alpha / mass
            for name, g in grads.items():
                weights = self.model.params[name]["weights"]
                value += 0.5 * decay * float(np.vdot(weights, weights))
                g["weights"] = self.form.scale * g["weights"] + decay * weights
                g["biases"] = self.form.scale * g["biases"]
            self.optimizer.step(grads)
            total += value * len(part)
        return total / len(x)

    def as_arrays(self) -> dict[str, Any]:
        """Return everything that the next steps depend on, as arrays and plain data."""
        parts = self.optimizer.parts()
        kept = {"form": self.form, "stage": self.optimizer.stage, "options": self._options}
        progress = dict(parts.hyper), list(parts.memory), parts.t, parts.skipped
        return {**kept, "arrays": parts.places(), "progress": progress, "own": dict(parts.own)}

    @classmethod
    def from_arrays(cls, saved: Mapping[str, Any]) -> "Network":
        """Make a new model, and an optimizer over its arrays, from what :meth:`as_arrays` gave."""
        arrays = saved["arrays"]
        dtype = next(x.dtype for name, x in arrays.items() if name.startswith(PARAM))
        made = cls(saved["form"], saved["form"].model(0, dtype), saved["stage"], saved["options"])
        parts = made.optimizer.parts()
        pairs = [(x, arrays[name]) for name, x in parts.places().items()]
        parts.take(*saved["progress"], pairs, saved.get("own", {}))
        return made
