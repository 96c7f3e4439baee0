"""Passes over the examples: as many as needed for ``fit``, one for ``partial_fit``."""

import warnings
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from gradstep.interop.sklearn.fitted import Fitted
from gradstep.interop.sklearn.network import Array
from gradstep.nn.data import batches

MOST = 200  # examples in a batch where batch_size is "auto", as scikit-learn has it


class Trained(Fitted):
    """Base of :class:`MLPClassifier` and :class:`MLPRegressor`, which add how examples are read and scored."""

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Learn from the examples: anew, or with ``warm_start`` from the weights of the last fit.

        Either way the optimizer begins anew, with t = 0 and no moments; ``partial_fit`` goes on with both.

        Parameters
        ----------
        X, y
            Finite numbers, (n_samples, n_features); float32 stays float32, all else becomes float64. Class labels or
            numbers, (n_samples,), for the regressor also (n_samples, n_outputs).

        Raises
        ------
        ValueError
            For parameters out of range and for data that do not fit, as everywhere in scikit-learn.
        NonFiniteError
            When training diverges so far that a gradient is not finite; the weights are those before that step.
        """
        self._validate_params()
        first = not (self.warm_start and hasattr(self, "network_"))
        x, targets, outputs = self._examples(X, y, first)
        held = None
        if self.early_stopping:
            how: dict[str, Any] = {"test_size": self.validation_fraction, "random_state": self.random_state}
            parts: list[Any] = train_test_split(x, targets, stratify=self._strata(targets), **how)
            x, targets, held = parts[0], parts[2], (parts[1], parts[3])
            if len(parts[1]) < 2:
                raise ValueError("one example is too few to hold out; give a larger validation_fraction.")
        self._begin(x.shape[1], outputs, x.dtype, first)
        self._pass_until_enough(x, targets, held)
        return self

    def _one_pass(self, X: Any, y: Any, **more: Any) -> Self:  # noqa: N803
        """Make one pass over the examples, for ``partial_fit``."""
        self._validate_params()
        if self.early_stopping:
            raise ValueError("partial_fit makes one pass, and early_stopping is about many; set it to False.")
        first = not hasattr(self, "network_")
        x, targets, outputs = self._examples(X, y, first, **more)
        if first:
            self._begin(x.shape[1], outputs, x.dtype, first)
        else:
            self._set_rate(self.network_)
        self._pass(x, targets)
        self.n_iter_ = 1
        return self

    def _pass_until_enough(self, x: Array, targets: Array, held: tuple[Array, Array] | None) -> None:
        scores, best, idle, kept = list[float](), -np.inf, 0, list[Array]()
        for n in range(1, self.max_iter + 1):
            self._pass(x, targets)
            self.n_iter_ = n
            scores.append(-self.loss_curve_[-1] if held is None else self._held_score(*held))
            idle = idle + 1 if scores[-1] < best + self.tol else 0
            if scores[-1] > best:
                best = scores[-1]
                kept = [a.copy() for a in self.coefs_ + self.intercepts_] if held else []
            if idle > self.n_iter_no_change:
                break
        else:
            text = f"{type(self).__name__} has not converged in max_iter={self.max_iter} passes; give it more."
            warnings.warn(text, ConvergenceWarning, stacklevel=3)
        for a, values in zip(self.coefs_ + self.intercepts_, kept, strict=False):
            a[...] = values
        self.best_loss_ = -best if held is None else None
        self.validation_scores_, self.best_validation_score_ = (None, None) if held is None else (scores, best)

    def _pass(self, x: Array, targets: Array) -> None:
        size = min(MOST, len(x)) if self.batch_size == "auto" else int(self.batch_size)
        self.loss_ = self.network_.epoch(x, targets, batches(self._rng, len(x), size, self.shuffle), self.alpha)
        self.loss_curve_.append(self.loss_)

    def _examples(self, X: Any, y: Any, first: bool, **more: Any) -> tuple[Array, Array, int]:  # noqa: N803
        """Return checked inputs, targets as :mod:`gradstep.nn` takes them, and the number of outputs."""
        raise NotImplementedError

    def _held_score(self, x: Array, targets: Array) -> float:
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array | None:  # noqa: ARG002
        return None
