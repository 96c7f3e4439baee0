"""Passes over the examples: as many as needed for ``fit``, one for ``partial_fit``."""

import sys
import warnings
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_sample_weight  # pyright: ignore[reportPrivateUsage]

from gradstep.errors import NonFiniteError
from gradstep.interop.sklearn.fitted import Fitted
from gradstep.interop.sklearn.network import Array
from gradstep.nn.data import batches

_Examples = tuple[Array, Array, Array | None]  # inputs, targets, weights

MOST = 200  # examples in a batch where batch_size is "auto", as scikit-learn has it


class Trained(Fitted):
    """Base of :class:`MLPClassifier` and :class:`MLPRegressor`, which add how examples are read and scored."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803 - scikit-learn's name
        """Learn from the examples: anew, or with ``warm_start`` from the weights of the last fit.

        Either way the optimizer begins anew, with t = 0 and no moments; ``partial_fit`` goes on with both.

        Parameters
        ----------
        X, y
            Finite numbers, (n_samples, n_features); float32 stays float32, all else becomes float64. Class labels or
            numbers, (n_samples,), for the regressor also (n_samples, n_outputs).
        sample_weight
            Of each example in the loss and in the score, (n_samples,), none below zero; None: all alike. A batch whose
            weights are all zero makes no step.

        Raises
        ------
        ValueError
            For parameters out of range and for data that do not fit, as everywhere in scikit-learn.
        NonFiniteError
            When training diverges so far that a gradient is not finite; the weights are those before that step. With
            ``early_stopping`` it ends there instead, with the weights of the best score and a warning.
        """
        self._validate_params()
        first = not (self.warm_start and hasattr(self, "network_"))
        x, targets, outputs = self._examples(X, y, first)
        weights, held = self._weights(sample_weight, x), None
        if self.early_stopping:
            how: dict[str, Any] = {"test_size": self.validation_fraction, "random_state": self.random_state}
            every: list[Any] = [x, targets] if weights is None else [x, targets, weights]
            parts: list[Any] = train_test_split(*every, stratify=self._strata(targets), **how)
            x, targets, weights = parts[0], parts[2], None if weights is None else parts[4]
            held = parts[1], parts[3], None if weights is None else parts[5]
            if len(parts[1]) < 2:
                raise ValueError("The validation set is too small: one example; give a larger validation_fraction.")
        self._begin(x.shape[1], outputs, x.dtype, first)
        self._pass_until_enough((x, targets, weights), held)
        return self

    def _one_pass(self, X: Any, y: Any, sample_weight: Any, **more: Any) -> Self:  # noqa: N803
        """Make one pass over the examples, for ``partial_fit``."""
        self._validate_params()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True: it makes one pass; set it to False.")
        first = not hasattr(self, "network_")
        x, targets, outputs = self._examples(X, y, first, **more)
        weights = self._weights(sample_weight, x)
        if first:
            self._begin(x.shape[1], outputs, x.dtype, first)
        else:
            self._set_rate(self.network_)
        self.n_iter_ = 1
        self._pass(x, targets, weights)
        return self

    def _weights(self, given: Any, x: Array) -> Array | None:
        """Return the weights of the examples, checked."""
        if given is None:
            return None
        weights: Array = _check_sample_weight(given, x, ensure_non_negative=True)
        if not weights.sum() > 0:
            raise ValueError("sample_weight: all weights are zero, and there is nothing to learn from.")
        return weights

    def _pass_until_enough(self, train: _Examples, held: _Examples | None) -> None:
        scores, best, idle, kept, end = list[float](), -np.inf, 0, list[Array](), ""
        for n in range(1, self.max_iter + 1):
            self.n_iter_ = n
            try:
                self._pass(*train)
            except NonFiniteError as error:
                if not kept:
                    raise
                end = f"diverged in pass {n}, and has the weights of its best score: {error}"
                scores.append(np.nan)
                break
            scores.append(-self.loss_curve_[-1] if held is None else self._held_score(*held))
            if self.verbose and held is not None:
                sys.stdout.write(f"Validation score: {scores[-1]:f}\n")
            idle = 0 if scores[-1] >= best + self.tol else idle + 1
            if scores[-1] > best:
                best = scores[-1]
                kept = [a.copy() for a in self.coefs_ + self.intercepts_] if held else []
            if idle > self.n_iter_no_change:
                break
        else:
            end = f"has not converged in max_iter={self.max_iter} passes; give it more."
        if end:
            warnings.warn(f"{type(self).__name__} {end}", ConvergenceWarning, stacklevel=3)
        for a, values in zip(self.coefs_ + self.intercepts_, kept, strict=False):
            a[...] = values
        self.best_loss_ = -best if held is None else None
        self.validation_scores_, self.best_validation_score_ = (None, None) if held is None else (scores, best)

    def _pass(self, x: Array, targets: Array, weights: Array | None) -> None:
        size = min(MOST, len(x)) if self.batch_size == "auto" else int(self.batch_size)
        order = batches(self._rng, len(x), size, self.shuffle)
        self.loss_ = self.network_.epoch(x, targets, order, self.alpha, weights)
        self.loss_curve_.append(self.loss_)
        if self.verbose:
            sys.stdout.write(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}\n")

    def _held_score(self, x: Array, targets: Array, weights: Array | None) -> float:
        """Return the score of held-out examples; NaN where the model has diverged so far that it has none."""
        with np.errstate(all="ignore"):
            outputs = self.network_.model.predict(x)
        if not np.isfinite(outputs).all():
            return np.nan
        return self._score_of(outputs, targets, None if weights is None or not weights.any() else weights)

    def _examples(self, X: Any, y: Any, first: bool, **more: Any) -> tuple[Array, Array, int]:  # noqa: N803
        """Return checked inputs, targets as :mod:`gradstep.nn` takes them, and the number of outputs."""
        raise NotImplementedError

    def _score_of(self, outputs: Array, targets: Array, weights: Array | None) -> float:
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array | None:  # noqa: ARG002
        return None
