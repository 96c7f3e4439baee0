"""Layers: Dense, Flatten, Dropout, and what all layers have in common.

A layer has the attributes of the blog post that this package grew from: ``weights``, ``biases``, ``delta_weights``,
``delta_biases`` (minus the gradient, after ``backward``) and ``parameters`` (how many numbers it learns).
"""

import math
from typing import Any

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.naming import as_float, is_real, is_whole
from gradstep.nn.activations import Activation, Array, activation

Shape = tuple[int | None, ...] | None
"""Shape of one example; ``None`` in it, or for all of it: not known before the first batch."""


def positive(owner: str, **numbers: Any) -> None:
    """Refuse anything but integers above 0."""
    for name, x in numbers.items():
        if not is_whole(x) or x < 1:
            raise GradstepValueError(f"{owner}: {name} must be an integer above 0, not {x!r}.")


class Layer:
    """The interface between a layer and :class:`~gradstep.nn.Sequential`. ``name`` and ``rng`` come from the model."""

    name = ""
    parameters = 0
    built = False
    rng: np.random.Generator

    def build(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:  # noqa: ARG002
        """Take the layer's own random generator, and make its parameters in this dtype."""
        self.rng, self.built = rng, True

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one output example for that of one input example, or a :class:`GradstepValueError`."""
        return shape

    def forward(self, x: Array, training: bool) -> Array:
        """Outputs for a batch of inputs, both (examples, ...)."""
        raise NotImplementedError

    def backward(self, d: Array, wanted: bool = True) -> Any:
        """Gradient with respect to the inputs of the last ``forward``, from that of its outputs; ``None``: unwanted."""
        raise NotImplementedError


class Weighted(Layer):
    """A layer that applies an activation to sums weighted by what it learns.

    Parameters
    ----------
    weight_shape
        Inputs of one sum first, outputs last.
    """

    activation: Activation
    gradients: dict[str, Array]
    delta_weights: Array
    delta_biases: Array

    def __init__(self, weight_shape: tuple[int, ...], activation_name: str) -> None:
        self._shape = weight_shape
        self.activation = activation(activation_name)
        self.parameters = math.prod(weight_shape) + weight_shape[-1]

    def build(self, rng: np.random.Generator, dtype: np.dtype[Any]) -> None:
        """Start the weights so that signals keep their size from layer to layer, and the biases at 0.

        For relu, normal with variance 2 / fan_in (He et al. 2015, arXiv:1502.01852, eq. 10); otherwise uniform within
        sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio 2010, PMLR 9:249-256, eq. 16). Drawn in float64, then rounded:
        a seed means the same start in both dtypes.
        """
        super().build(rng, dtype)
        fan_in = math.prod(self._shape[:-1])
        fan_out = math.prod(self._shape[:-2]) * self._shape[-1]
        if self.activation.name == "relu":
            start = rng.standard_normal(self._shape) * math.sqrt(2.0 / fan_in)
        else:
            start = rng.uniform(-1.0, 1.0, self._shape) * math.sqrt(6.0 / (fan_in + fan_out))
        self._weights = start.astype(dtype)
        self._biases = np.zeros(self._shape[-1], dtype)

    @property
    def weights(self) -> Array:
        """The weights; assigning copies into the same array, which an optimizer may hold."""
        return self._weights

    @weights.setter
    def weights(self, value: Any) -> None:
        self._assign("weights", self._weights, value)

    @property
    def biases(self) -> Array:
        """The biases, one for each output; assigning copies into the same array."""
        return self._biases

    @biases.setter
    def biases(self, value: Any) -> None:
        self._assign("biases", self._biases, value)

    def _assign(self, what: str, mine: Array, value: Any) -> None:
        if np.shape(value) != mine.shape:
            raise GradstepValueError(f"{self.name}: {what} have shape {mine.shape}, not {np.shape(value)}.")
        np.copyto(mine, value, casting="same_kind")

    def affine(self, x: Array) -> Array:
        """The weighted sums that enter the activation."""
        raise NotImplementedError

    def adjoint(self, dz: Array, wanted: bool = True) -> Any:
        """Like ``backward``, from the gradient with respect to the weighted sums."""
        raise NotImplementedError

    def forward(self, x: Array, training: bool) -> Array:  # noqa: ARG002
        """Outputs for a batch of inputs, both (examples, ...)."""
        out = self.activation.forward(self.affine(x))
        self._output = out  # for backward; another thread's prediction may replace it, but not the result
        return out

    def backward(self, d: Array, wanted: bool = True) -> Any:
        """Return the inputs' gradient; keep ``gradients``, ``delta_weights`` and ``delta_biases`` (new arrays)."""
        return self.adjoint(self.activation.backward(self._output, d), wanted)

    def keep(self, weights: Array, biases: Array) -> None:
        """Store these gradients, and the post's descent directions."""
        self.gradients = {"weights": weights, "biases": biases}
        self.delta_weights, self.delta_biases = -weights, -biases


class Dense(Weighted):
    """Every output is a weighted sum of all inputs: ``activation(x @ weights + biases)``.

    Parameters
    ----------
    inputs, outputs
        Numbers in one example, before and after; ``weights`` is (inputs, outputs), ``biases`` (outputs,).
    activation
        ``"linear"``, ``"relu"``, ``"tanh"``, ``"sigmoid"`` or ``"softmax"``.

    Raises
    ------
    GradstepValueError
        For a count that is no integer above 0, or an unknown activation.
    """

    def __init__(self, inputs: int, outputs: int, activation: str = "linear") -> None:
        positive("Dense", inputs=inputs, outputs=outputs)
        super().__init__((inputs, outputs), activation)

    def __repr__(self) -> str:
        return f"Dense({self._shape[0]}, {self._shape[1]}, {self.activation.name!r})"

    def output_shape(self, shape: Shape) -> Shape:
        """``(outputs,)`` for ``(inputs,)``."""
        inputs, outputs = self._shape
        if shape is not None and len(shape) != 1:
            raise GradstepValueError(
                f"{self.name} takes examples of {inputs} numbers, but gets shape {shown(shape)}; "
                "put Flatten() in front of it."
            )
        if shape is not None and shape[0] not in (None, inputs):
            raise GradstepValueError(f"{self.name} takes {inputs} inputs, but gets {shape[0]}.")
        return (outputs,)

    def affine(self, x: Array) -> Array:
        """``x @ weights + biases``."""
        self._input = x
        z = x @ self._weights
        z += self._biases
        return z

    def adjoint(self, dz: Array, wanted: bool = True) -> Any:
        """Return the gradient with respect to the inputs."""
        self.keep(self._input.T @ dz, dz.sum(axis=0))
        return dz @ self._weights.T if wanted else None


class Flatten(Layer):
    """Each example as one row of numbers, the last axis running fastest."""

    def __repr__(self) -> str:
        return "Flatten()"

    def output_shape(self, shape: Shape) -> Shape:
        """One number: the product."""
        if shape is None:
            return None
        return (None,) if None in shape else (math.prod(n for n in shape if n is not None),)

    def forward(self, x: Array, training: bool) -> Array:  # noqa: ARG002
        """Outputs (examples, numbers) for inputs (examples, ...)."""
        self._before = x.shape
        return x.reshape(len(x), -1)

    def backward(self, d: Array, wanted: bool = True) -> Any:  # noqa: ARG002
        """The same numbers in the inputs' shape."""
        return d.reshape(self._before)


class Dropout(Layer):
    """While training, sets each input to 0 with probability ``rate`` and scales the rest by 1 / (1 - rate).

    Srivastava et al. 2014, JMLR 15:1929-1958, section 10 (scaled while training, so that nothing changes afterwards).

    Parameters
    ----------
    rate
        A probability, 0 <= rate < 1.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For a rate that is no number, or out of range.
    """

    def __init__(self, rate: Any) -> None:
        if not is_real(rate):
            raise GradstepTypeError(f"Dropout: the rate must be a number, not {rate!r}.")
        self.rate = as_float(rate)
        if not 0.0 <= self.rate < 1.0:
            raise GradstepValueError(f"Dropout: the rate must be at least 0 and below 1, not {self.rate}.")

    def __repr__(self) -> str:
        return f"Dropout({self.rate:g})"

    def forward(self, x: Array, training: bool) -> Array:
        """The inputs, some of them 0 while training."""
        self._factor: Any = 1.0
        if training:
            self._factor = (self.rng.random(x.shape, np.float32) >= self.rate).astype(x.dtype) * (
                1.0 / (1.0 - self.rate)
            )
        return x * self._factor

    def backward(self, d: Array, wanted: bool = True) -> Any:  # noqa: ARG002
        """The gradient where an input was kept."""
        return d * self._factor


def shown(shape: Shape) -> str:
    """A shape for people: ``(?, ?, 3)``."""
    if shape is None:
        return "?"
    inside = ", ".join("?" if n is None else str(n) for n in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"
