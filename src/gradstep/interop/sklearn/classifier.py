"""MLPClassifier: labels to learn from, probabilities and labels to give."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from gradstep.interop.sklearn.fitted import read
from gradstep.interop.sklearn.network import Array
from gradstep.interop.sklearn.training import Trained


class MLPClassifier(ClassifierMixin, Trained):
    """A multilayer perceptron with softmax and cross-entropy over two or more classes.

    Attributes
    ----------
    classes_
        The labels, sorted.
    n_iter_, loss_curve_, loss_, best_loss_
        Passes of the last call; the mean loss of each pass, the last and the lowest of them.
    validation_scores_, best_validation_score_
        With ``early_stopping``: the score (here the accuracy) on the held-out examples after each pass.
    optimizer_, coefs_, intercepts_, n_features_in_, feature_names_in_, n_outputs_
        The optimizer; what was learned; what was learned from.
    """

    _ending = ("softmax", "cross_entropy", 1.0)
    classes_: Array

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """One pass over these examples, going on with weights, moments and t: also after ``fit`` and after a pickle.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes
            All labels that will ever come; needed in the first call.

        Raises
        ------
        ValueError
            Without ``classes`` in the first call, for labels that are none of them, and as :meth:`fit` does.
        """
        return self._one_pass(X, y, sample_weight, classes=classes)

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Probabilities of the classes, (n_samples, n_classes), in the order of ``classes_``."""
        return self._outputs(X)

    def predict_log_proba(self, X: Any) -> Array:  # noqa: N803
        """Logarithms of :meth:`predict_proba`; minus infinity where that is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> Array:  # noqa: N803
        """The most probable labels, (n_samples,)."""
        best = self._outputs(X).argmax(axis=1)
        return self.classes_[best]

    def _examples(self, X: Any, y: Any, first: bool, **more: Any) -> tuple[Array, Array, int]:  # noqa: N803
        x, y = read(self, X, y, reset=first)
        check_classification_targets(y)
        given = more.get("classes")
        if first and "classes" in more and given is None:
            raise ValueError("the first call of partial_fit needs all labels: partial_fit(X, y, classes=...).")
        known = np.unique(y if given is None else given) if first else self.classes_
        if given is not None and not np.array_equal(known, np.unique(given)):
            raise ValueError(f"classes={list(given)} are not those of the first call, {known.tolist()}.")
        if len(known) < 2:
            raise ValueError(f"{type(self).__name__} needs at least two classes; y holds one class, {known.tolist()}.")
        if odd := set(np.unique(y).tolist()) - set(known.tolist()):
            raise ValueError(f"y holds {sorted(odd)}, which are none of the classes {known.tolist()}.")
        self.classes_ = known
        return x, np.searchsorted(known, y), len(known)

    def _score_of(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        return float(np.average(outputs.argmax(axis=1) == targets, weights=weights))

    def _strata(self, targets: Array) -> Array | None:
        return targets
