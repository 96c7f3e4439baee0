"""Sequential: layers in a row, a loss, and an optimizer of this package over all of their parameters."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradstep.errors import GradstepValueError
from gradstep.form.rule import Rule, Stage
from gradstep.naming import Closed, is_whole
from gradstep.nn.activations import Array
from gradstep.nn.data import Evaluation, History, as_shares, batches, chunks, pair, reals
from gradstep.nn.layers import Layer, Shape, Weighted, positive
from gradstep.nn.losses import Loss, loss_named
from gradstep.nn.progress import reporter
from gradstep.nn.stack import named, shapes_after, table
from gradstep.optimizer import Optimizer


class Sequential(Closed):
    """A network of layers in a row.

    Parameters
    ----------
    layers
        At least one; each layer belongs to one model. They get names such as ``dense_0``, ``conv2d_0``, ``dense_1``.
    seed
        Start of all that is random: first weights, Dropout, the order of examples. The same seed and calls give the
        same bits on one machine.
    dtype
        ``"float32"`` or ``"float64"``: of parameters and of all arithmetic; inputs are converted.

    Attributes
    ----------
    layers
        The layers, with ``weights``, ``biases``, ``delta_weights``, ``delta_biases`` and ``parameters``.
    params
        ``{"dense_0": {"weights": array, "biases": array}, ...}``: the arrays themselves, only ever changed in place.
    optimizer
        The :class:`gradstep.Optimizer` that ``compile`` made; ``None`` before.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        When the layers do not fit together, or an argument is wrong.
    """

    layers: list[Layer]
    params: dict[str, dict[str, Array]]
    optimizer: Optimizer | None
    dtype: np.dtype[Any]

    def __init__(self, layers: Sequence[Layer], seed: Any = 0, dtype: Any = "float32") -> None:
        self.layers = named(layers)
        if str(dtype) not in ("float32", "float64") and dtype not in (np.float32, np.float64):
            raise GradstepValueError(f"Sequential: dtype must be float32 or float64, not {dtype!r}.")
        if not is_whole(seed) or seed < 0:
            raise GradstepValueError(f"Sequential: seed must be an integer of at least 0, not {seed!r}.")
        self.dtype = np.dtype(dtype)
        self.optimizer = None
        self._loss: Loss | None = None
        self._input: Shape = None
        self._shapes = shapes_after(self.layers, None)
        self._rng = np.random.default_rng(seed)
        for layer, rng in zip(self.layers, self._rng.spawn(len(self.layers)), strict=True):
            layer.build(rng, self.dtype)
        self._first = next((i for i, layer in enumerate(self.layers) if isinstance(layer, Weighted)), 0)
        self._trained = [layer for layer in self.layers if isinstance(layer, Weighted)]
        self.params = {layer.name: {"weights": layer.weights, "biases": layer.biases} for layer in self._trained}

    def __repr__(self) -> str:
        return f"Sequential({self.layers!r})"

    def _instead(self, name: str) -> str | None:
        known = self.optimizer is not None and (name in self.optimizer.hyper or hasattr(self.optimizer, name))
        return f"model.optimizer.{name} = ..." if known else None

    def compile(self, optimizer: str | Rule | Stage = "adam", *, loss: str, **hyper: Any) -> "Sequential":
        """Choose how to train.

        Parameters
        ----------
        optimizer, **hyper
            As for :class:`gradstep.Optimizer`: a name and its hyperparameters (``"adam", lr=1e-3``), or a stage.
        loss
            ``"mse"``, or ``"cross_entropy"``, which needs softmax in the last layer.

        Returns
        -------
        Sequential
            The model itself.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For an unknown loss, one that does not suit the last layer, and what the optimizer refuses.
        """
        chosen = self._suited(loss)
        if not self._trained:
            raise GradstepValueError("Sequential: no layer has parameters; there is nothing to train.")
        self.optimizer = Optimizer(self.params, optimizer, **hyper)
        self._loss = chosen
        return self

    def fit(
        self,
        x: Any,
        y: Any,
        epochs: int,
        batch_size: int = 32,
        validation_data: tuple[Any, Any] | None = None,
        shuffle: bool = True,
        progress: bool | str = True,
    ) -> History:
        """Train; a second call goes on where the first ended.

        Parameters
        ----------
        x
            Examples, (n, inputs) or (n, height, width, channels); finite real numbers.
        y
            For mse, targets of the outputs' shape (also (n,) for one output); for cross_entropy, integer labels (n,) or
            one-hot rows (n, classes).
        epochs, batch_size
            Integers above 0; the last batch of an epoch is smaller where ``batch_size`` does not divide n.
        validation_data
            ``(x, y)`` to evaluate after each epoch.
        shuffle
            Whether each epoch takes the examples in a new order.
        progress
            ``True``: a bar at a terminal where rich is installed, else a line an epoch; ``"auto"``: only at a terminal;
            ``False``: nothing.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            Before ``compile``, and for data that do not fit; nothing has been changed then.
        NonFiniteError
            When training diverges so far that a gradient is not finite; the parameters are those before that step.
        """
        loss, optimizer = self._loss, self.optimizer
        if loss is None or optimizer is None:
            raise GradstepValueError("fit comes after compile: call model.compile('adam', loss=...) first.")
        positive("fit", epochs=epochs, batch_size=batch_size)
        inputs, targets = self._checked(x, y, loss)
        validation = None if validation_data is None else self._checked(*pair(validation_data), loss)
        count = len(inputs)
        history = History()
        with reporter(progress, epochs * -(-count // batch_size)) as report:
            for epoch in range(epochs):
                total, correct = 0.0, 0
                for part in batches(self._rng, count, batch_size, shuffle):
                    outputs, value, grads = self._learn(inputs[part], targets[part], loss)
                    optimizer.step(grads, loss=value)
                    total += value * len(part)
                    correct += loss.correct(outputs, targets[part]) if loss.correct else 0
                    report.batch()
                history.add("", Evaluation(total / count, correct / count if loss.correct else None))
                if validation is not None:
                    history.add("val_", self._evaluate(*validation, loss))
                report.epoch(f"epoch {epoch + 1}/{epochs}  {history.last()}")
        return history

    def value_and_grad(
        self, x: Any, y: Any, loss: str | None = None, *, weights: Any = None
    ) -> tuple[float, dict[str, dict[str, Array]]]:
        """Loss of one batch and its gradient, for a loop of one's own: no parameter changes.

        Dropout is on and takes its next random numbers; the layers keep ``delta_weights`` and ``delta_biases``.

        Parameters
        ----------
        x, y
            One batch, as for :meth:`fit`.
        loss
            The loss's name; ``None``: the one given to ``compile``.
        weights
            Of the examples in the mean, (n,): none below zero, and not all zero; ``None``: all alike.

        Returns
        -------
        loss
            Mean over the batch.
        grads
            New arrays in a nest like ``params``, of the same shapes and dtype.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For data, weights or a loss that do not fit.
        """
        chosen = self._chosen(loss)
        inputs, targets = self._checked(x, y, chosen)
        shares = None if weights is None else as_shares(weights, len(inputs), self.dtype)
        _, value, grads = self._learn(inputs, targets, chosen, shares)
        return value, grads

    def evaluate(self, x: Any, y: Any, loss: str | None = None) -> Evaluation:
        """Mean loss over all examples, and accuracy for cross_entropy; Dropout is off.

        Arguments and errors as for :meth:`value_and_grad`.
        """
        chosen = self._chosen(loss)
        return self._evaluate(*self._checked(x, y, chosen), chosen)

    def predict(self, x: Any) -> Array:
        """Outputs (n, ...) for examples ``x``, as for :meth:`fit`; Dropout is off."""
        inputs = self._inputs(x)
        return np.concatenate([self._forward(part, training=False, logits=False) for (part,) in chunks(inputs)])

    def summary(self) -> None:
        """Print the layers, the shapes after them (``?`` before the first batch) and how many numbers each learns."""
        sys.stdout.write(table(self.layers, self._shapes, str(self.dtype)) + "\n")

    def _suited(self, name: str) -> Loss:
        loss, last = loss_named(name), self.layers[-1]
        if loss.on_logits and not (isinstance(last, Weighted) and last.activation.name == "softmax"):
            raise GradstepValueError(
                f"the loss {name} needs the activation 'softmax' in the last layer, {last.name}: {last!r}."
            )
        if loss.on_logits and len(self._shapes[-1] or ()) != 1:
            raise GradstepValueError(f"the loss {name} needs Dense as the last layer, not {last.name}: {last!r}.")
        if loss.on_logits and self._shapes[-1] == (1,):
            raise GradstepValueError(
                f"softmax over the one output of {last.name} is always 1; give it 2 outputs for 2 classes."
            )
        return loss

    def _chosen(self, name: str | None) -> Loss:
        if name is not None:
            return self._suited(name)
        if self._loss is None:
            raise GradstepValueError("there is no loss yet: call model.compile(..., loss=...) first, or give loss=.")
        return self._loss

    def _inputs(self, x: Any) -> Array:
        x = reals("inputs", x, self.dtype)
        if x.ndim < 2 or len(x) == 0:
            raise GradstepValueError(
                f"the inputs must be a batch (examples, ...) of at least one, not of shape {x.shape}."
            )
        if x.shape[1:] != self._input:
            self._shapes = shapes_after(self.layers, x.shape[1:])
            self._input = x.shape[1:]
        return x

    def _checked(self, x: Any, y: Any, loss: Loss) -> tuple[Array, Array]:
        inputs = self._inputs(x)
        if np.shape(y)[:1] != (len(inputs),):
            raise GradstepValueError(f"there are {len(inputs)} examples, but the targets have shape {np.shape(y)}.")
        outputs = tuple(n for n in self._shapes[-1] or () if n is not None)
        return inputs, loss.targets(y, (len(inputs), *outputs), self.dtype)

    def _forward(self, x: Array, *, training: bool, logits: bool) -> Array:
        *before, last = self.layers
        for layer in before:
            x = layer.forward(x, training)
        return last.affine(x) if logits and isinstance(last, Weighted) else last.forward(x, training)

    @np.errstate(over="ignore", invalid="ignore")  # a diverging run shows in its loss; the optimizer refuses the step
    def _learn(
        self, x: Array, y: Array, loss: Loss, weights: Array | None = None
    ) -> tuple[Array, float, dict[str, dict[str, Array]]]:
        """Outputs (or logits), loss and gradients of one checked batch."""
        outputs = self._forward(x, training=True, logits=loss.on_logits)
        value, d = loss.value_and_gradient(outputs, y, weights)
        *learning, last = self.layers[self._first :]  # layers before it have no parameters and need no gradient
        pull = last.adjoint if loss.on_logits and isinstance(last, Weighted) else last.backward
        d = pull(d, bool(learning))
        for i, layer in reversed(list(enumerate(learning))):
            d = layer.backward(d, i > 0)
        return outputs, value, {layer.name: layer.gradients for layer in self._trained}

    @np.errstate(over="ignore", invalid="ignore")
    def _evaluate(self, x: Array, y: Array, loss: Loss) -> Evaluation:
        total, correct = 0.0, 0
        for inputs, targets in chunks(x, y):
            outputs = self._forward(inputs, training=False, logits=loss.on_logits)
            total += loss.value_and_gradient(outputs, targets)[0] * len(inputs)
            correct += loss.correct(outputs, targets) if loss.correct else 0
        return Evaluation(total / len(x), correct / len(x) if loss.correct else None)
