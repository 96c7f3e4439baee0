"""The scikit-learn estimators: scikit-learn's own checks, its own perceptron beside ours, and state that goes on."""

import copy
import io
import pickle
import re
import warnings
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.neural_network import MLPRegressor as TheirRegressor
from sklearn.neural_network import _multilayer_perceptron
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import parametrize_with_checks

import gradstep as gs
from gradstep.interop.sklearn import MLPClassifier, MLPRegressor
from gradstep.interop.sklearn.network import Network
from gradstep.nn import Dense
from support import bits, clear, fingerprint, same, script

LONG = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.01, weight_decay=0.01), gs.ema(decay=0.9))
OPTIMIZERS = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamax", "adadelta", "nadam", "amsgrad", LONG]
PAGE = Path(__file__).parents[2] / "docs/migrating/sklearn.md"
BOTH = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])

X, LABELS = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NUMBERS = X @ np.array([1.0, -2.0, 0.5, 0.25]) + np.sin(X[:, 0])
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]


def targets(kind):
    return NAMES if kind is MLPClassifier else NUMBERS


def quick(kind, **more):
    """A small estimator that has made a few passes."""
    made = kind(8, random_state=0, **{"max_iter": 3, "batch_size": 40, **more})
    return fit(made, X, targets(kind))


def fit(estimator, x, y):
    """Fit where it is known that it ends early."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(x, y)


def unpickled(x):
    return pickle.loads(pickle.dumps(x))  # noqa: S301 - our own


def learned(estimator):
    return estimator.coefs_ + estimator.intercepts_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # which the checks provoke
@parametrize_with_checks(
    [MLPClassifier(), MLPRegressor(), MLPClassifier(optimizer=LONG), MLPRegressor(optimizer="sgd")]
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


# scikit-learn's own perceptron, from the same weights: what has the same name means the same.


ADAM = {"ours": {"optimizer_params": {"eps": 1e-300}}, "theirs": {"solver": "adam", "epsilon": 1e-300}}
SGD = {"ours": {"optimizer": "sgd"}, "theirs": {"solver": "sgd", "momentum": 0.0}}
MOMENTUM = {
    "ours": {"optimizer": "momentum", "optimizer_params": {"momentum": 0.8}},
    "theirs": {"solver": "sgd", "momentum": 0.8, "nesterovs_momentum": False},
}
NESTEROV = {
    "ours": {"optimizer": "nesterov", "optimizer_params": {"momentum": 0.8}},
    "theirs": {"solver": "sgd", "momentum": 0.8},
}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("how", [ADAM, SGD, MOMENTUM, NESTEROV], ids=["adam", "sgd", "momentum", "nesterov"])
@pytest.mark.parametrize("pair", [(MLPClassifier, TheirClassifier), (MLPRegressor, TheirRegressor)])
def test_their_numbers(pair, how, activation):
    shared = {
        "hidden_layer_sizes": (7, 5),
        "activation": activation,
        "learning_rate_init": 0.01,
        "alpha": 0.1,
        "batch_size": 40,  # 150 examples: the last batch is smaller
        "shuffle": False,
        "random_state": 0,
        "warm_start": True,
        "tol": 0.0,
        "n_iter_no_change": 1000,
    }
    ours, theirs = (cls(max_iter=1, **shared, **more) for cls, more in zip(pair, how.values(), strict=True))
    for each in (ours, theirs):
        fit(each, X, targets(pair[0]))
    for mine, other in zip(learned(ours), theirs.coefs_ + theirs.intercepts_, strict=True):
        mine[...] = other
    for each in (ours, theirs):
        fit(each.set_params(max_iter=20), X, targets(pair[0]))  # warm_start: from these weights, with no moments
    for mine, other in zip(learned(ours), theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.loss_curve_[-20:], theirs.loss_curve_[-20:], rtol=1e-11)
    assert ours.n_iter_ == theirs.n_iter_ == 20
    assert ours.loss_ == ours.loss_curve_[-1]


def test_the_table_of_the_page():
    """Every parameter of theirs is a line, once; what is said to be the same has one name and one default."""
    table = re.findall(r"^\| `(.*?)` \| (.*?) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(table) == len(dict(table))
    assert dict(table).keys() == TheirRegressor().get_params().keys() >= TheirClassifier().get_params().keys()
    same_here = {name for name, here in table if here.split(";")[0] == "the same"}
    for kind, their in ((MLPClassifier, TheirClassifier()), (MLPRegressor, TheirRegressor())):
        own, their = kind().get_params(), their.get_params()
        assert own.keys() == same_here | {"optimizer", "optimizer_params"}
        assert {name for name in same_here if own[name] != their[name]} == {"learning_rate_init"}
        assert quick(kind).optimizer_.lr == their["learning_rate_init"]
    for text in re.findall(r"optimizer_params=(\{.*?\})", " ".join(here for _, here in table)):
        quick(MLPRegressor, optimizer="momentum" if "momentum" in text else "adam", optimizer_params=eval(text))  # noqa: S307


@pytest.mark.process
def test_the_code_of_the_page_runs():
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    script("\n".join(code))


def beside(eps, epsilon, **more):
    """Ours and theirs after one step of Adam from the same weights."""
    shared = {"hidden_layer_sizes": (), "alpha": 0.0, "max_iter": 1, "random_state": 0, "warm_start": True}
    ours = MLPRegressor(**shared, **{"optimizer_params": {"eps": eps}, **more})
    theirs = TheirRegressor(**shared, epsilon=epsilon)
    for each in (ours, theirs):
        fit(each, X, NUMBERS)
    ours.coefs_[0][...], ours.intercepts_[0][...] = theirs.coefs_[0], theirs.intercepts_[0]
    for each in (ours, theirs):
        fit(each, X, NUMBERS)
    return ours.coefs_[0], theirs.coefs_[0]


def test_where_epsilon_stands():
    root = np.sqrt(1 - 0.999)
    np.testing.assert_allclose(*beside(0.1, 0.1 * root), rtol=1e-12)
    ours, theirs = beside(0.1, 0.1)
    assert np.abs(ours - theirs).max() > 1e-4


def test_epsilon_where_they_have_it():
    pytest.importorskip("gradstep.conventions")
    np.testing.assert_allclose(*beside(0.1, 0.1, optimizer="keras.Adam", optimizer_params={"epsilon": 0.1}), rtol=1e-12)


def test_the_first_weights():
    made = fit(MLPRegressor((400, 300), random_state=0, max_iter=1, learning_rate_init=1e-300), X, NUMBERS)
    assert made.coefs_[1].std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)  # He et al. 2015, for relu
    assert np.abs(made.coefs_[2]).max() <= np.sqrt(6 / 301) * 1.0000001  # Glorot & Bengio 2010
    assert max(np.abs(b).max() for b in made.intercepts_) < 1e-290  # 0, but for one tiny step


def test_each_pass_has_an_order_of_its_own(monkeypatch):
    ours, theirs = [], []
    monkeypatch.setattr(
        Network, "epoch", lambda self, x, y, batches, *more: ours.append(np.concatenate(batches)) or 0.0
    )
    shuffle = _multilayer_perceptron.shuffle
    monkeypatch.setattr(
        _multilayer_perceptron, "shuffle", lambda x, **how: theirs.append(shuffle(x, **how)) or theirs[-1]
    )
    for estimator in (MLPRegressor(random_state=0), TheirRegressor(random_state=0)):
        for _ in range(3):  # from the second on, theirs draws no weights
            estimator.partial_fit(X, NUMBERS)
    assert np.array_equal(theirs[1], theirs[2])
    assert not np.array_equal(ours[1], ours[2])
    assert all(np.array_equal(np.sort(order), np.arange(150)) for order in ours)


def test_what_is_absent():
    made = quick(MLPClassifier)
    assert not hasattr(made, "t_")


def test_two_outputs_learn_from_the_mean_over_both():
    """scikit-learn's gradient is that of their sum, its loss that of their mean: a known difference."""
    y = np.stack([NUMBERS, 1.0 - NUMBERS], axis=1)
    made = fit(MLPRegressor((), optimizer="sgd", alpha=0.0, max_iter=1, random_state=0, shuffle=False), X, y)
    start = fit(
        MLPRegressor((), optimizer="sgd", alpha=0.0, max_iter=1, random_state=0, learning_rate_init=1e-300), X, y
    )
    (w,), (b,) = start.coefs_, start.intercepts_
    step = X.T @ (X @ w + b - y) / y.size
    np.testing.assert_allclose(made.coefs_[0], w - 0.01 * step, rtol=1e-12)
    assert start.loss_ == pytest.approx(0.5 * np.mean((X @ w + b - y) ** 2), rel=1e-12)
    assert made.predict(X).shape == (150, 2)


def test_two_classes_have_two_outputs():
    made = fit(MLPClassifier(random_state=0, max_iter=20, learning_rate_init=0.05), X[:100], NAMES[:100])
    assert made.n_outputs_ == 2
    assert made.coefs_[-1].shape == (100, 2)
    np.testing.assert_allclose(made.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    assert made.score(X[:100], NAMES[:100]) == 1.0


@BOTH
def test_the_penalty_leaves_biases_alone(kind):
    """With weights at 0 and a penalty of any size, the step is the same."""
    made = [
        kind((), optimizer="sgd", alpha=alpha, warm_start=True, random_state=0, max_iter=1) for alpha in (0.0, 100.0)
    ]
    for each in made:
        fit(each, X, targets(kind))
        each.coefs_[0][...] = 0.0
        each.intercepts_[0][...] = 1.0
        fit(each, X, targets(kind))
    assert same(learned(made[0]), learned(made[1]))


# Going on.


def through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


WAYS = (unpickled, copy.deepcopy, through_joblib)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@BOTH
def test_a_copy_goes_on_with_the_same_bits(kind, optimizer):
    made = quick(kind, optimizer=optimizer)
    parted = [(way, way(made)) for way in WAYS]
    for _ in range(2):
        made.partial_fit(X, targets(kind))
    for way, other in parted:
        assert other.optimizer_.t == 12, way
        for _ in range(2):
            other.partial_fit(X, targets(kind))
        assert fingerprint(other.optimizer_) == fingerprint(made.optimizer_), way
        assert bits(other.predict(X).view("u1")) == bits(made.predict(X).view("u1")), way
        assert other.loss_curve_ == made.loss_curve_, way


@pytest.mark.parametrize("way", [*WAYS, copy.copy])
@BOTH
def test_a_copy_has_arrays_of_its_own(kind, way):
    made = quick(kind)
    before = fingerprint(made.optimizer_)
    other = way(made).partial_fit(X, targets(kind))
    assert fingerprint(made.optimizer_) == before != fingerprint(other.optimizer_)


def test_a_file_that_is_mapped_read_only_goes_on(tmp_path):
    made = quick(MLPRegressor)
    joblib.dump(made, tmp_path / "model.joblib")
    other = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    for each in (made, other):
        each.partial_fit(X, NUMBERS)
    assert same(learned(made), learned(other))


@BOTH
def test_partial_fit_goes_on_after_fit_and_warm_start_begins_anew(kind):
    made = quick(kind)
    assert made.optimizer_.t == 12  # three passes of four batches
    made.partial_fit(X, targets(kind))
    assert (made.optimizer_.t, made.n_iter_, len(made.loss_curve_)) == (16, 1, 4)
    weights = [a.copy() for a in learned(made)]
    again = made.set_params(warm_start=True, max_iter=1, learning_rate_init=1e-300)
    fit(again, X, targets(kind))  # no more than a look at where it starts
    assert again.optimizer_.t == 4
    assert same(learned(again), weights)
    assert len(again.loss_curve_) == 5
    fit(made.set_params(warm_start=False), X, targets(kind))
    assert not same(learned(made), weights)
    assert len(made.loss_curve_) == 1


@BOTH
def test_fit_is_as_many_calls_of_partial_fit(kind):
    first = {"classes": np.unique(NAMES)} if kind is MLPClassifier else {}
    parts = kind(8, random_state=0, batch_size=40)
    for _ in range(3):
        parts.partial_fit(X, targets(kind), **first)
    assert same(learned(parts), learned(quick(kind)))
    assert parts.optimizer_.t == 12


@BOTH
def test_a_new_rate_holds_from_the_next_pass_on(kind):
    made = quick(kind, optimizer="sgd", learning_rate_init=0.02)
    assert made.optimizer_.lr == 0.02
    made.set_params(learning_rate_init=0.01).partial_fit(X, targets(kind))
    assert (made.optimizer_.lr, made.optimizer_.t) == (0.01, 16)


# Defects of optimizers in other estimators: the check, and a small one in NumPy that fails it.


class NumpyRegressor:
    """Linear regression with a momentum optimizer that holds arrays, as it is often written."""

    def __init__(self, lost=()):
        self.w, self.lost, self.v = np.zeros(4), lost, None
        self.held = [self.w]

    def __getstate__(self):
        """Attributes one by one, so that what was one array becomes two; some are not stored at all."""
        return {name: copy.deepcopy(x) for name, x in self.__dict__.items() if name not in self.lost}

    def __setstate__(self, state):
        self.__dict__.update(state)
        if "v" in self.lost:
            self.v = None
        if "held" in self.lost:
            self.held = [self.w]

    def predict(self, x):
        return x @ self.w

    def partial_fit(self, x, y):
        g = x.T @ (x @ self.w - y) / len(y)
        self.v = 0.9 * (np.zeros(4) if self.v is None else self.v) - 0.1 * g
        for held in self.held:
            held += self.v
        return self


def moves_when_unpickled(made):
    """scikit-learn issue 19626: the optimizer moved arrays that the estimator no longer used."""
    made.partial_fit(X, NUMBERS)
    other = unpickled(made)
    before = other.predict(X)
    return not np.array_equal(before, other.partial_fit(X, NUMBERS).predict(X))


def keeps_its_moments_when_unpickled(made):
    made.partial_fit(X, NUMBERS)
    other = unpickled(made)
    return np.array_equal(made.partial_fit(X, NUMBERS).predict(X), other.partial_fit(X, NUMBERS).predict(X))


@pytest.mark.parametrize(
    ("law", "lost"), [(moves_when_unpickled, ()), (keeps_its_moments_when_unpickled, ("v", "held"))]
)
def test_no_state_is_lost_by_a_pickle(law, lost):
    assert law(MLPRegressor((), optimizer="momentum", random_state=0))
    assert not law(NumpyRegressor(lost))
    assert law(NumpyRegressor(("held",)))  # without the defect the small one passes


def step_is_float32(rate):
    """The pattern of a rate that is a NumPy scalar: under NumPy 2 it makes float32 weights float64."""
    return (np.ones(3, np.float32) - rate * np.ones(3, np.float32)).dtype == np.float32


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@BOTH
def test_float32_stays_float32(kind, optimizer):
    assert not step_is_float32(np.float64(0.1) * np.sqrt(0.5))
    made = kind(8, random_state=0, max_iter=2, optimizer=optimizer, learning_rate_init=np.float64(0.01))
    fit(made, X.astype(np.float32), targets(kind))
    arrays = [*learned(made), *[x for own in made.optimizer_.state.values() for x in own.values()]]
    assert {x.dtype for x in arrays} == {np.dtype(np.float32)}
    out = made.predict_proba(X) if kind is MLPClassifier else made.predict(X)
    assert out.dtype == np.float32
    assert {x.dtype for x in learned(quick(kind))} == {np.dtype(np.float64)}
    assert {x.dtype for x in learned(fit(clone(made), np.rint(X).astype(int), targets(kind)))} == {np.dtype(np.float64)}


# How it ends.


@BOTH
def test_it_says_so_when_max_iter_ends_it(kind):
    made = kind(8, random_state=0, max_iter=2)
    with pytest.warns(ConvergenceWarning, match="max_iter=2") as seen:
        made.fit(X, targets(kind))
    assert seen[0].filename == __file__
    assert (made.n_iter_, len(made.loss_curve_)) == (2, 2)


@BOTH
def test_it_ends_where_the_loss_no_longer_falls(kind):
    made = kind(8, random_state=0, max_iter=500, tol=1.0, n_iter_no_change=4).fit(X, targets(kind))  # no warning
    assert made.n_iter_ == 6  # the first is an improvement; then more than four are none
    assert made.best_loss_ == min(made.loss_curve_)
    assert (made.validation_scores_, made.best_validation_score_) == (None, None)


@BOTH
def test_early_stopping_takes_the_best_weights(kind):
    made = kind(8, "tanh", random_state=0, max_iter=500, early_stopping=True, optimizer="adam", learning_rate_init=0.1)
    made.fit(X, targets(kind))
    assert len(made.validation_scores_) == made.n_iter_ < 500
    assert made.best_validation_score_ == max(made.validation_scores_)
    assert made.best_loss_ is None
    strata = targets(kind) if kind is MLPClassifier else None
    _, x, _, y = train_test_split(X, targets(kind), test_size=0.1, random_state=0, stratify=strata)
    assert made.score(x, y) == pytest.approx(made.best_validation_score_, rel=1e-12)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        made.partial_fit(X, targets(kind))


def test_one_example_is_too_few_to_hold_out():
    with pytest.raises(ValueError, match="The validation set is too small: one example"):
        MLPRegressor(early_stopping=True, validation_fraction=0.25).fit(X[:4], NUMBERS[:4])


# Among scikit-learn's other tools.


def test_cross_validation_in_a_pipeline():
    raw, labels = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(16, learning_rate_init=0.05, random_state=0, tol=1e-3))
    scores = cross_val_score(pipeline, raw, labels, cv=5)
    assert scores.mean() > 0.93
    raw, numbers = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), MLPRegressor((), optimizer="momentum", random_state=0, tol=1.0))
    assert cross_val_score(pipeline, raw, numbers, cv=5).mean() > 0.45


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_grid_over_optimizers_and_rates(n_jobs):
    grid = {"optimizer": ["sgd", "adam", LONG], "learning_rate_init": [1e-4, 1e-1]}
    search = GridSearchCV(MLPClassifier(8, max_iter=300, tol=1e-2, random_state=0), grid, cv=3, n_jobs=n_jobs)
    search.fit(X, NAMES)
    assert search.best_params_["learning_rate_init"] == 0.1
    assert search.best_score_ > 0.9
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_clone_and_set_params():
    made = quick(MLPClassifier, optimizer=LONG, optimizer_params={"on_nonfinite": "skip"})
    other = clone(made)
    assert not hasattr(other, "network_")
    assert repr(other.optimizer) == repr(LONG)
    assert other.set_params(optimizer="adam").optimizer == "adam"
    assert fit(other, X, NAMES).optimizer_.on_nonfinite == "skip"
    assert unpickled(made).optimizer_.on_nonfinite == "skip"


def test_rules_and_stages_can_be_copied():
    for way in (copy.copy, copy.deepcopy, unpickled):
        assert way(gs.adam) is gs.adam
        assert repr(way(LONG)) == repr(LONG)
        scheduled = gs.adam(lr=gs.schedules.cosine(0.1, 10))
        assert repr(way(scheduled)) == repr(scheduled)


def test_optimizers_of_every_kind():
    named = quick(MLPRegressor, optimizer="adam", optimizer_params={"beta1": 0.8}, learning_rate_init=0.02)
    for optimizer in (gs.adam(beta1=0.8, lr=0.02), gs.chain(gs.adam(beta1=0.8, lr=0.02))):
        assert same(learned(quick(MLPRegressor, optimizer=optimizer)), learned(named))
    rule = quick(MLPRegressor, optimizer=gs.adam)
    assert same(learned(rule), learned(quick(MLPRegressor)))
    scheduled = quick(MLPRegressor, optimizer_params={"lr": gs.schedules.cosine(0.1, 100)})
    assert scheduled.optimizer_.lr == gs.schedules.cosine(0.1, 100)(12)
    by_groups = quick(MLPRegressor, optimizer_params={"groups": {"dense_0.*": "freeze"}})
    other = unpickled(by_groups).partial_fit(X, NUMBERS)
    assert bits(other.coefs_[0]) == bits(by_groups.coefs_[0])


def test_another_librarys_constructor():
    pytest.importorskip("gradstep.conventions")
    made = quick(
        MLPRegressor, optimizer="torch.Adam", optimizer_params={"betas": (0.8, 0.999)}, learning_rate_init=0.02
    )
    ours = quick(MLPRegressor, optimizer="adam", optimizer_params={"beta1": 0.8}, learning_rate_init=0.02)
    assert same(learned(made), learned(ours))
    clone(made)
    assert fingerprint(unpickled(made).optimizer_) == fingerprint(made.optimizer_)


@pytest.mark.parametrize("rule", ["optax.adam", "keras.Adam", "mlx.Adam"])
def test_a_constructor_that_calls_the_learning_rate_otherwise(rule):
    made = quick(MLPRegressor, optimizer=rule, learning_rate_init=0.02)
    given = quick(MLPRegressor, optimizer=rule, optimizer_params={"learning_rate": 0.02})
    assert made.optimizer_.lr == 0.02
    assert same(learned(made), learned(given))
    assert fingerprint(unpickled(made).optimizer_) == fingerprint(made.optimizer_)
    both = quick(MLPRegressor, optimizer=rule, optimizer_params={"learning_rate": 0.5}, learning_rate_init=0.02)
    assert same(learned(made), learned(both))  # as with "lr" for a rule of our own
    clone(made)


def test_predictions_of_another_thread_do_not_come_back(monkeypatch):
    """What a layer keeps for a step is not what it gives: as if another thread had always been faster."""
    made = quick(MLPRegressor)
    expected = made.predict(X)
    monkeypatch.setattr(Dense, "_output", property(lambda self: np.zeros(1), lambda self, out: None), raising=False)
    assert np.array_equal(made.predict(X), expected)


def test_random_state_is_all_that_is_random():
    assert same(learned(quick(MLPClassifier)), learned(quick(MLPClassifier)))
    rng = np.random.RandomState(0)
    a, b = (fit(MLPRegressor(8, max_iter=1, random_state=rng), X, NUMBERS) for _ in range(2))
    assert not same(learned(a), learned(b))


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    made = fit(MLPClassifier(max_iter=1), frame, NAMES)
    assert list(made.feature_names_in_) == list("abcd")


# What is refused.


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("hidden_layer_sizes", 0),
        ("hidden_layer_sizes", (8, 0)),
        ("hidden_layer_sizes", (8.0,)),
        ("hidden_layer_sizes", [[8]]),
        ("hidden_layer_sizes", "8"),
        ("activation", "gelu"),
        ("optimizer", 3),
        ("optimizer", "adm"),
        ("optimizer_params", []),
        ("learning_rate_init", 0),
        ("alpha", -1.0),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("max_iter", 0),
        ("shuffle", "yes"),
        ("random_state", "seed"),
        ("tol", -1.0),
        ("warm_start", 2),
        ("early_stopping", "yes"),
        ("validation_fraction", 1.0),
        ("n_iter_no_change", 0),
        ("n_iter_no_change", 2.5),
        ("verbose", "loud"),
    ],
)
@BOTH
def test_parameters_out_of_range(kind, parameter, value):
    made = kind().set_params(**{parameter: value})
    for method in (made.fit, partial(made.partial_fit, **({"classes": NAMES} if kind is MLPClassifier else {}))):
        with pytest.raises(InvalidParameterError, match=f"The '{parameter}' parameter of {kind.__name__}"):
            method(X, targets(kind))
    with pytest.raises(NotFittedError):
        made.predict(X)


@BOTH
def test_what_an_optimizer_refuses(kind):
    for optimizer, more, said in (
        ("adm", {}, "did you mean adam"),
        ("adam", {"optimizer_params": {"beta3": 0.5}}, "unknown hyperparameter 'beta3'"),
        (LONG, {"optimizer_params": {"beta1": 0.5}}, "beside a stage"),
    ):
        with pytest.raises(InvalidParameterError, match=said) as error:
            kind(optimizer=optimizer, **more).fit(X, targets(kind))
        assert clear(error)
    two = gs.chain(gs.adam(lr=0.1, name="a"), gs.sgd(lr=0.1, name="b"))
    with pytest.raises(InvalidParameterError, match="The 'learning_rate_init' parameter"):
        kind(optimizer=two, learning_rate_init=0.1).fit(X, targets(kind))


@BOTH
def test_data_that_do_not_fit(kind):
    made, y = kind(max_iter=1), targets(kind)
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        made.fit(sparse.csr_array(X), y)
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        made.fit(bad, y)
    fit(made, X, y)
    with pytest.raises(ValueError, match="features"):
        made.predict(X[:, :2])
    with pytest.raises(ValueError, match="warm_start goes on with the same layers"):
        made.set_params(warm_start=True, hidden_layer_sizes=3).fit(X, y)


def test_labels_that_do_not_fit():
    made = MLPClassifier(max_iter=1)
    with pytest.raises(ValueError, match="the first call of partial_fit needs all labels"):
        made.partial_fit(X, NAMES)
    with pytest.raises(ValueError, match="needs at least two classes; y holds one class"):
        made.fit(X[:50], NAMES[:50])
    with pytest.raises(ValueError, match="1d array"):
        made.fit(X, np.eye(3)[LABELS])  # no multilabel
    made.partial_fit(X, NAMES, classes=[*NAMES, "other"])
    with pytest.raises(ValueError, match="are not those of the first call"):
        made.partial_fit(X, NAMES, classes=["a", "b"])
    with pytest.raises(ValueError, match=r"y holds \['none'\], which are none of the classes"):
        made.partial_fit(X[:2], ["none", "other"])
    assert made.predict_proba(X).shape == (150, 4)


def test_a_run_that_diverges_is_refused():
    with np.errstate(all="ignore"), pytest.raises(gs.NonFiniteError):
        fit(MLPRegressor(8, optimizer="sgd", learning_rate_init=1e200, random_state=0), X, NUMBERS)


@pytest.mark.process
def test_without_scikit_learn():
    code = """
import sys
sys.modules["sklearn"] = None
import gradstep as gs
try:
    gs.interop.sklearn
except gs.GradstepError as error:
    print(error)
"""
    said = script(code).strip()
    assert "scikit-learn is not installed" in said
    assert "\n" not in said
