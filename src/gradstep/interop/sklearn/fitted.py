"""The fitted part of an estimator: a network, made when a fit begins, read, and stored as arrays."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted, validate_data

from gradstep.conventions import rate_name
from gradstep.errors import GradstepError
from gradstep.interop.sklearn.network import Array, Form, Network
from gradstep.interop.sklearn.parameters import Parameters
from gradstep.optimizer import Optimizer

FLOATS = (np.float64, np.float32)
read: Any = partial(validate_data, dtype=FLOATS)  # the type of scikit-learn's result depends on its arguments


class Layers(list[Array]):
    """The arrays of all layers: what is set in their place is written into them, when all of it fits."""

    def __init__(self, name: str, arrays: Iterable[Array]) -> None:
        super().__init__(arrays)
        self._name = name

    def __setitem__(self, place: Any, values: Any) -> None:
        """Write ``values``: an array for an index, several of them for a slice.

        Raises
        ------
        ValueError
            For other numbers, shapes or counts than there are.
        """
        own = self[place] if isinstance(place, slice) else [self[place]]
        given = [np.asarray(x) for x in (values if isinstance(place, slice) else [values])]
        if [x.shape for x in given] != [x.shape for x in own] or any(x.dtype.kind not in "fiu" for x in given):
            there, here = (", ".join(str(x.shape) for x in arrays) or "none" for arrays in (given, own))
            raise ValueError(f"{self._name}: the layers have real numbers of shapes {here}, and what is set {there}.")
        if not all(np.isfinite(x).all() for x in given):
            raise ValueError(f"{self._name}: what is set holds NaN or infinity.")
        for x, new in zip(own, given, strict=True):
            x[...] = new


class Fitted(Parameters):
    """Parameters and a network.

    A pickle holds the network as arrays. What is read from it is a new model, with an optimizer over the arrays of that
    model: the next step moves what ``predict`` uses.
    """

    network_: Network
    _ending: tuple[str, str, float]  # activation of the last layer, loss, scale of the loss: see Form

    @property
    def optimizer_(self) -> Optimizer:
        """The :class:`gradstep.Optimizer`: ``optimizer_.t``, ``optimizer_.state``."""
        return self.network_.optimizer

    @property
    def coefs_(self) -> list[Array]:
        """The weights of each layer, (inputs, outputs): the arrays themselves; setting them writes into these."""
        return Layers("coefs_", [own["weights"] for own in self.network_.model.params.values()])

    @coefs_.setter
    def coefs_(self, arrays: Iterable[Any]) -> None:
        check_is_fitted(self, "network_")
        self.coefs_[:] = arrays

    @property
    def intercepts_(self) -> list[Array]:
        """The biases of each layer: the arrays themselves; setting them writes into these."""
        return Layers("intercepts_", [own["biases"] for own in self.network_.model.params.values()])

    @intercepts_.setter
    def intercepts_(self, arrays: Iterable[Any]) -> None:
        check_is_fitted(self, "network_")
        self.intercepts_[:] = arrays

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {**super().__getstate__()}  # pyright: ignore[reportGeneralTypeIssues]
        if "network_" in state:
            state["network_"] = self.network_.as_arrays()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "network_" in state:
            state = state | {"network_": Network.from_arrays(state["network_"])}
        super().__setstate__(state)

    def _outputs(self, X: Any) -> Array:  # noqa: N803 - scikit-learn's name
        check_is_fitted(self, "network_")
        return self.network_.model.predict(read(self, X, reset=False))

    def _begin(self, inputs: int, outputs: int, dtype: Any, first: bool) -> None:
        """The network that a fit begins with: a new one, or the one that is there with a new optimizer."""
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim > 1 or (sizes.size and (sizes.dtype.kind not in "iu" or sizes.min() < 1)):
            name, what = type(self).__name__, self.hidden_layer_sizes
            raise InvalidParameterError(
                f"The 'hidden_layer_sizes' parameter of {name} must hold integers above 0, not {what!r}."
            )
        form = Form((inputs, *map(int, sizes), outputs), self.activation, *self._ending)
        if not first and form != self.network_.form:
            raise ValueError("warm_start goes on with the same layers; set warm_start=False to fit others.")
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        model = form.model(int(rng.integers(2**31)), dtype) if first else self.network_.model
        with self._blaming("optimizer"):
            network = Network(form, model, self.optimizer, self._optimizer_options())
        self._set_rate(network)
        self.network_, self._rng, self.n_outputs_ = network, rng, outputs
        if first:
            self.loss_curve_: list[float] = []

    def _optimizer_options(self) -> dict[str, Any]:
        """``optimizer_params``, and the learning rate where a constructor asks for it by a name of its own."""
        given = self.optimizer_params or {}
        name = rate_name(self.optimizer)
        if name in (None, "lr") or self.learning_rate_init is None:
            return given
        return {name: self.learning_rate_init, **given}

    def _set_rate(self, network: Network) -> None:
        if self.learning_rate_init is not None:
            with self._blaming("learning_rate_init"):
                network.optimizer.hyper["lr"] = self.learning_rate_init

    @contextmanager
    def _blaming(self, parameter: str) -> Generator[None]:
        """Raise the optimizer's refusal as scikit-learn's error for a parameter."""
        try:
            yield
        except GradstepError as error:
            raise InvalidParameterError(f"The {parameter!r} parameter of {type(self).__name__}: {error}") from error
