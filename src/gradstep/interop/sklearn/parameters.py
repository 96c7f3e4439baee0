"""Parameters of both estimators: scikit-learn's where they mean the same, and the optimizer."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, Options, StrOptions

from gradstep.form.rule import Rule, Stage
from gradstep.interop.sklearn.network import ACTIVATIONS


class Parameters(BaseEstimator):
    """A multilayer perceptron's parameters; :class:`MLPClassifier` and :class:`MLPRegressor` have the same.

    Parameters
    ----------
    hidden_layer_sizes
        Neurons of each hidden layer: an integer, or a list of them; an empty one makes a linear model.
    activation
        Of the hidden layers: ``"relu"``, ``"tanh"``, ``"logistic"`` or ``"identity"``.
    optimizer
        A rule's name (``"adam"``), another library's constructor (``"torch.Adam"``), or a stage (``gs.chain(...)``).
    optimizer_params
        What else :class:`gradstep.Optimizer` is to be given: ``{"beta1": 0.8}``.
    learning_rate_init
        The optimizer's ``lr``; None: its own (Adam's is scikit-learn's, 0.001), also one in ``optimizer_params``.
    alpha
        L2 penalty: ``alpha / 2 * |weights|^2 / n`` is added to the mean loss of a batch of n; biases are left out.
    batch_size
        Examples in a batch; ``"auto"``: ``min(200, n_samples)``.
    max_iter, tol, n_iter_no_change
        ``fit`` ends after ``max_iter`` passes over the examples, with a ``ConvergenceWarning``; or before, when for
        more than ``n_iter_no_change`` passes in a row the loss was not lower than the lowest by ``tol``; with infinity
        never.
    shuffle, random_state
        Whether each pass takes the examples in a new order; the seed of the orders and of the first weights.
    warm_start
        Whether ``fit`` starts from the weights of the last fit. Moments and t begin anew all the same.
    early_stopping, validation_fraction
        Whether that share of the examples is held out, its score watched in place of the loss, and the weights of the
        best score taken; also when the run diverges, which is told by a ``ConvergenceWarning``.
    verbose
        Whether loss and score of each pass are printed.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "optimizer": [str, Rule, Stage],
        "optimizer_params": [dict, None],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither"), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        optimizer: str | Rule | Stage = "adam",
        optimizer_params: dict[str, Any] | None = None,
        learning_rate_init: float | None = None,
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        verbose: bool | int = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.optimizer_params = optimizer_params
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.verbose = verbose
