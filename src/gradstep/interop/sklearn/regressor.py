"""MLPRegressor: numbers to learn from and to give."""

from typing import Any, Self

from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score

from gradstep.interop.sklearn.fitted import read
from gradstep.interop.sklearn.network import Array
from gradstep.interop.sklearn.training import Trained


class MLPRegressor(MultiOutputMixin, RegressorMixin, Trained):
    """A multilayer perceptron with half the mean of squares, over one or more outputs.

    Attributes
    ----------
    n_iter_, loss_curve_, validation_scores_, optimizer_, ...
        As those of :class:`MLPClassifier`; the score is R^2.
    """

    _ending = ("linear", "mse", 0.5)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """One pass over these examples, going on with weights, moments and t: also after ``fit`` and after a pickle."""
        return self._one_pass(X, y, sample_weight)

    def predict(self, X: Any) -> Array:  # noqa: N803
        """Numbers, (n_samples,), or (n_samples, n_outputs) where there are several."""
        out = self._outputs(X)
        return out[:, 0] if out.shape[1] == 1 else out

    def _examples(self, X: Any, y: Any, first: bool, **more: Any) -> tuple[Array, Array, int]:  # noqa: N803, ARG002
        x, y = read(self, X, y, multi_output=True, y_numeric=True, reset=first)
        return x, y, 1 if y.ndim == 1 else y.shape[1]

    def _score_of(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        return float(r2_score(targets, outputs, sample_weight=weights))
