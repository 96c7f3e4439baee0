"""What scikit-learn's own perceptrons take and give: the same of ours, with theirs as the oracle."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor

import gradstep as gs
from gradstep.interop.sklearn import MLPClassifier, MLPRegressor
from gradstep.nn import Dense, Sequential

rng = np.random.default_rng(0)
X = rng.normal(size=(150, 4))
NUMBERS = X @ np.array([1.0, -2.0, 0.5, 0.25]) + np.sin(X[:, 0])
NAMES = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-1.0, 1.0])]
WEIGHTS = rng.uniform(size=150) * (rng.uniform(size=150) > 0.2)
PAIRS = pytest.mark.parametrize("pair", [(MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)])
BOTH = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])


def targets(kind):
    return NAMES if issubclass(kind, MLPClassifier | TheirClassifier) else NUMBERS


def quiet(act, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return act(*args, **options)


def learned(estimator):
    return estimator.coefs_ + estimator.intercepts_


class TestWeights:
    @PAIRS
    @pytest.mark.parametrize("alpha", [0.0, 0.1])
    def test_their_numbers(self, pair, alpha):
        options = {
            "hidden_layer_sizes": (7, 5),
            "learning_rate_init": 0.01,
            "batch_size": 40,
            "shuffle": False,
            "alpha": alpha,
        }
        options |= {"random_state": 0, "warm_start": True, "max_iter": 1, "tol": 0.0, "n_iter_no_change": 1000}
        ours = pair[0](optimizer="sgd", **options)
        theirs = pair[1](solver="sgd", momentum=0.0, **options)
        for each in (ours, theirs):
            quiet(each.fit, X, targets(pair[0]))
        ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
        for each in (ours, theirs):
            quiet(each.set_params(max_iter=20).fit, X, targets(pair[0]), WEIGHTS)
        for mine, other in zip(learned(ours), learned(theirs), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(ours.loss_curve_[-20:], theirs.loss_curve_[-20:], rtol=1e-11)

    @BOTH
    def test_their_size_plays_no_part_where_there_is_no_penalty(self, kind):
        ends = [
            quiet(kind(8, alpha=0.0, random_state=0, max_iter=3).fit, X, targets(kind), 8.0 * weights)
            for weights in (WEIGHTS, WEIGHTS / 8)
        ]
        for a, b in zip(*map(learned, ends), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)

    @BOTH
    def test_of_one_they_change_nothing(self, kind):
        made = [
            quiet(kind(8, random_state=0, max_iter=3, batch_size=40).fit, X, targets(kind), weights)
            for weights in (None, np.ones(150))
        ]
        for a, b in zip(*map(learned, made), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)

    @BOTH
    def test_examples_without_weight_are_not_learned_from(self, kind):
        """In one batch, without shuffling: as if they were not there."""
        options = {"hidden_layer_sizes": 8, "random_state": 0, "max_iter": 5, "shuffle": False, "batch_size": 150}
        rest = np.arange(150) < 100
        y = targets(kind)
        part = quiet(kind(**options).fit, X[rest], y[rest])
        whole = quiet(kind(**options).fit, X, y, rest.astype(float))
        for a, b in zip(learned(part), learned(whole), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)

    @BOTH
    def test_a_batch_of_zeros_makes_no_step(self, kind):
        made = kind(8, random_state=0, max_iter=2, shuffle=False, batch_size=50)
        quiet(made.fit, X, targets(kind), (np.arange(150) < 100).astype(float))
        assert made.optimizer_.t == 4
        assert np.isfinite(made.loss_curve_).all()

    @BOTH
    def test_in_partial_fit_and_the_held_out_score(self, kind):
        first = {"classes": ["a", "b", "c"]} if kind is MLPClassifier else {}
        made = [kind(8, random_state=0).partial_fit(X, targets(kind), w, **first) for w in (None, WEIGHTS)]
        assert not np.array_equal(made[0].coefs_[0], made[1].coefs_[0])
        held = [
            quiet(kind(8, random_state=0, max_iter=3, early_stopping=True).fit, X, targets(kind), w)
            for w in (np.ones(150), WEIGHTS)
        ]
        assert held[0].validation_scores_ != held[1].validation_scores_

    @BOTH
    def test_what_does_not_fit(self, kind):
        for weights, said in ((np.ones(3), "sample_weight"), (-WEIGHTS, "[Nn]egative"), (0 * WEIGHTS, "zero")):
            with pytest.raises(ValueError, match=said):
                kind().fit(X, targets(kind), weights)

    def test_in_a_network_of_our_own(self):
        """The gradient of a weighted mean, by doubling an example."""
        model = Sequential([Dense(4, 3, "softmax")], seed=0)
        y = rng.integers(0, 3, size=5)
        twice = [0, 1, 1, 2, 3, 4]
        value, grads = model.value_and_grad(X[:5], y, "cross_entropy", weights=[1, 2, 1, 1, 1])
        wanted, others = model.value_and_grad(X[twice], y[twice], "cross_entropy")
        assert value == pytest.approx(wanted, rel=1e-6)
        np.testing.assert_allclose(grads["dense_0"]["weights"], others["dense_0"]["weights"], rtol=1e-5, atol=1e-7)
        for weights, said in (([1, 2], "have shape"), ([0] * 5, "not all be zero"), ([-1, 1, 1, 1, 1], "below zero")):
            with pytest.raises(gs.GradstepValueError, match=said):
                model.value_and_grad(X[:5], y, "cross_entropy", weights=weights)


class TestDivergence:
    @pytest.mark.parametrize("optimizer", ["sgd", "nesterov"])
    def test_early_stopping_ends_with_the_best_weights(self, optimizer):
        made = MLPRegressor(8, "identity", optimizer=optimizer, learning_rate_init=2.0, early_stopping=True)
        made.set_params(random_state=0, max_iter=500, n_iter_no_change=np.inf)
        with np.errstate(all="ignore"), pytest.warns(ConvergenceWarning, match="MLPRegressor diverged in pass"):
            made.fit(X, NUMBERS)
        assert str(made.validation_scores_[-1]) == "nan"
        assert len(made.validation_scores_) == made.n_iter_ < 500
        assert made.best_validation_score_ == np.nanmax(made.validation_scores_)
        assert all(np.isfinite(x).all() for x in learned(made))
        assert np.isfinite(made.predict(X)).all()

    def test_from_the_first_pass_on_it_is_refused(self):
        made = MLPRegressor(8, optimizer="sgd", learning_rate_init=1e200, random_state=0, early_stopping=True)
        with np.errstate(all="ignore"), pytest.raises(gs.NonFiniteError):
            made.set_params(batch_size=10).fit(X, NUMBERS)

    def test_a_score_that_is_nan_is_no_improvement(self, monkeypatch):
        monkeypatch.setattr(MLPRegressor, "_score_of", lambda *_: np.nan)
        made = MLPRegressor(8, random_state=0, early_stopping=True, n_iter_no_change=3).fit(X, NUMBERS)
        assert made.n_iter_ == 4


class TestMore:
    def test_predict_log_proba(self):
        made = quiet(MLPClassifier(8, random_state=0, max_iter=3).fit, X, NAMES)
        np.testing.assert_array_equal(made.predict_log_proba(X), np.log(made.predict_proba(X)))
        made.coefs_ = [1e4 * x for x in made.coefs_]
        assert made.predict_log_proba(X).min() == -np.inf
        with pytest.raises(NotFittedError):
            MLPClassifier().predict_log_proba(X)

    @BOTH
    def test_no_end_before_max_iter(self, kind):
        made = kind(2, random_state=0, max_iter=30, tol=1e9, n_iter_no_change=np.inf)
        assert quiet(made.fit, X, targets(kind)).n_iter_ == 30

    @PAIRS
    @pytest.mark.parametrize("early", [False, True])
    def test_verbose_prints_what_theirs_prints(self, pair, early, capsys):
        forms = []
        for kind in pair:
            quiet(
                kind(hidden_layer_sizes=4, random_state=0, max_iter=2, early_stopping=early, verbose=True).fit,
                X,
                targets(kind),
            )
            forms.append("".join(c for c in capsys.readouterr().out if not (c.isdigit() or c in ".-")))
        assert forms[0] == forms[1] != ""
        quiet(pair[0](4, max_iter=1).fit, X, targets(pair[0]))
        assert capsys.readouterr().out == ""

    @BOTH
    def test_coefs_are_set(self, kind):
        made = quiet(kind(3, random_state=0, max_iter=1).fit, X, targets(kind))
        before = made.coefs_[1].copy()
        made.coefs_[0] = np.zeros((4, 3))
        made.intercepts_ = [x + 1 for x in made.intercepts_]
        assert not made.coefs_[0].any()
        np.testing.assert_array_equal(made.coefs_[1], before)
        again = pickle.loads(pickle.dumps(made))  # noqa: S301 - our own
        for own in (made, again):
            np.testing.assert_array_equal(own.coefs_[0], 0.0)
        assert made.predict(X)[0] == again.predict(X)[0]
        with pytest.raises(NotFittedError):
            kind().coefs_ = made.coefs_
        kept = [x.copy() for x in learned(made)]
        for wrong in ([np.zeros((4, 3))], [np.zeros((3, 4)), before], [np.full((4, 3), np.nan), before]):
            with pytest.raises(ValueError, match="coefs_: "):
                made.coefs_ = wrong
        with pytest.raises(ValueError, match="coefs_: "):
            made.coefs_[0] = "x"
        for a, b in zip(kept, learned(made), strict=True):
            np.testing.assert_array_equal(a, b)
