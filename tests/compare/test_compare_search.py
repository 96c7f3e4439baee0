"""What is tried: the stored table, the declared spaces, and TPE as a function of its arguments."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import gradstep as gs
import gradstep.variants
from gradstep import conventions
from gradstep.compare.contender import contender
from gradstep.compare.problems import PROBLEMS, find_problem
from gradstep.compare.problems.problem import Problem
from gradstep.compare.search import SPACES, Range, ask_tpe, at, is_searched, moved, space, table
from gradstep.conventions import LIBRARIES, constructor
from gradstep.errors import GradstepError
from gradstep.rule import registry
from gradstep.text import read_names, short


def one(text):
    [named] = read_names(text, words=True)
    return contender(named)


@pytest.mark.parametrize("m", range(9))
def test_each_part_of_each_axis_has_one_of_the_first_points(m):
    """What makes a Sobol sequence of it: in one dimension the first 2**m points are one in each 2**m-th part."""
    points = np.array(table())[: 2**m]
    for axis in points.T:
        assert sorted((axis * 2**m).astype(int)) == list(range(2**m))


def test_points_of_two_axes_are_spread_as_well():
    points = np.array(table())[:64]
    counts, *_ = np.histogram2d(points[:, 0], points[:, 1], bins=8, range=[[0, 1], [0, 1]])
    assert counts.max() == counts.min() == 1


def test_a_range_is_even_in_the_logarithm():
    assert [Range(1e-4, 1.0).at(u) for u in (0.0, 0.25, 0.5, 1.0)] == [1e-4, 1e-3, 1e-2, 1.0]
    assert [Range(1e-3, 0.1, from_one=True).at(u) for u in (0.0, 0.5, 1.0)] == [0.999, 0.99, 0.9]
    assert Range(1e-4, 1.0).at(0.123456) == float(f"{10 ** (-4 + 4 * 0.123456):.3g}")


def test_every_rule_has_rates_around_what_fits():
    for problem in map(find_problem, PROBLEMS):
        for name, rule in registry().items():
            if rule.inputs:
                continue
            [(key, found)] = space(one(name), problem, "lr").items()
            decades = np.log10(found.high / found.low)
            assert (key, decades) == ("lr", pytest.approx(3 if rule.units.get("lr") or rule.finds_scale else 4)), (
                problem.name,
                name,
            )


def test_a_problem_without_scale_is_searched_widely_around_what_is_usual():
    problem = Problem("p", "", "", "", None, 1, 1, {}, lambda _: None)
    for text, default in (
        ("adam", 1e-3),
        ("torch.NAdam", 1e-3),
        ("optax.sgd", 1e-2),
        ("torch.SGD", 1e-2),
        ("dog", 1.0),
    ):
        [(name, found)] = space(one(text), problem, "lr").items()
        assert name == one(text).rate
        assert np.sqrt(found.low * found.high) == pytest.approx(default)
        assert found.high / found.low == pytest.approx(1e4)


def test_the_space_of_a_constructor_is_that_of_its_rule():
    problem = find_problem("digits-mlp")
    for theirs, ours in (("keras.Adam", "adam"), ("torch.Adamax", "adamax"), ("tf1.AdagradOptimizer", "adagrad")):
        [(_, found)] = space(one(theirs), problem, "lr").items()
        assert found == space(one(ours), problem, "lr")["lr"]
    scaled = space(one("keras.RMSprop"), problem, "lr")["learning_rate"]  # g is a pure number behind its first stage
    assert scaled == space(one("rmsprop"), problem, "lr")["lr"]


def path(stage):
    """Three parameters after each of some steps, all bits of them."""
    theta = np.array([1.0, -2.0, 0.5])
    opt = gs.Optimizer(theta, stage)
    rng = np.random.default_rng(0)
    out = []
    for k in range(30):
        opt.step(rng.normal(size=3), loss=1e-3 * (k + 1))  # so that Polyak's step is now shorter than the rate, now not
        out += theta.tolist()
    return out


def test_what_computes_the_same_is_searched_in_the_same_range():
    """Told by the numbers: every constructor, as it comes, beside every rule and variant, at one rate.

    A difference of 1e-12 is rounding: torch multiplies by the rate behind its momentum, and the paper within.
    """
    bare = Problem("p", "", "", "", None, 1, 1, {}, lambda _: None)
    scaled = replace(bare, scale={"theta": 0.01, "theta/g": 3.0})
    # With a decay, which is 0 by default, the rate of timm's LARS is in another unit than that of momentum.
    names = [name for name, rule in registry().items() if rule.kind == "rule" and not rule.inputs and not rule.whole]
    names += [f"{library}.{name}" for library in LIBRARIES for name in getattr(conventions, library).__all__]
    names = [name for name in names if name not in ("lars_timm", "timm.Lars")]
    paths = {}
    for name in names:
        try:
            found = one(f"{name}:momentum=0.9" if name in HAVE_NO_MOMENTUM else name)
            if found.rate is not None:
                paths[found.label] = path(found.stage({found.rate: 0.003}))
        except GradstepError:
            continue  # what needs more than a gradient, or a matrix
    labels, table = list(paths), np.array(list(paths.values()))
    alike = 0
    for k, label in enumerate(labels):
        same = np.flatnonzero(np.abs(table - table[k]).max(axis=1) < 1e-12)
        alike += len(same) > 1
        for other in (labels[j] for j in same):
            for problem in (bare, scaled):
                ranges = [space(one(x), problem, "lr")[one(x).rate] for x in (label, other)]
                assert ranges[0] == ranges[1], (label, other, dict(problem.scale))
    assert alike > 40


HAVE_NO_MOMENTUM = ("tf1.MomentumOptimizer",)


def test_points_move_with_problem_and_search_and_with_nothing_else():
    point = table()[3][:2]
    seen = {(name, k): tuple(moved(point, name, k)) for name in ("quadratic", "diabetes") for k in range(3)}
    assert len(set(seen.values())) == 6
    assert all(0 <= u < 1 for own in seen.values() for u in own)
    assert moved(point, "quadratic", 1) == list(seen["quadratic", 1])
    # All points of a search move alike, so that they stay one in each part of the space.
    ours = np.array([moved(x[:1], "quadratic", 2)[0] - x[0] for x in table()[:8]]) % 1.0
    np.testing.assert_allclose(ours, ours[0], atol=1e-15)
    first = [moved([0.0], f"p{k}", 0)[0] for k in range(4000)]
    assert stats.kstest(first, "uniform").pvalue > 0.01


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_constructor_has_a_rate_that_it_takes(library):
    for name in getattr(conventions, library).__all__:
        text = f"{library}.{name}"
        if text == "tf1.MomentumOptimizer":
            text += ":momentum=0.9"  # has no default there
        if text == "mlx.Adafactor":
            text += ":relative_step=0"  # with which it takes one
        if text == "optax.contrib.sophia":
            with pytest.raises(GradstepError, match="takes curvature beside the gradient"):
                one(text)
            continue
        found = one(text)
        made = found.stage(at(space(found, find_problem("quadratic"), "lr"), [0.5]))
        assert made.parts
        assert callable(constructor(found.named.name))


def test_tune_all_takes_what_is_declared_and_not_zero():
    problem = find_problem("quadratic")
    assert set(space(one("adamw:lr=warmup_cosine"), problem, "decay")) == {"lr", "warmup_share", "weight_decay"}
    assert set(space(one("torch.AdamW"), problem, "decay")) == {"lr", "weight_decay"}
    assert set(space(one("adam"), problem, "decay")) == {"lr"}
    assert set(space(one("adamw"), problem, "all")) == {"lr", "beta1", "beta2", "weight_decay"}
    assert set(space(one("sgd"), problem, "all")) == {"lr"}
    assert set(space(one("keras.Adam"), problem, "all")) == {"learning_rate", "beta_1", "beta_2"}
    assert set(space(one("torch.SGD"), problem, "all")) == {"lr"}  # its momentum is 0: another optimizer
    assert set(space(one("torch.AdamW"), problem, "all")) == {"lr", "beta1", "beta2", "weight_decay"}  # betas, as two
    assert set(space(one("optax.rmsprop"), problem, "all")) == {"learning_rate", "decay"}  # which is rho
    made = one("torch.AdamW:beta1=0.8").stage({"beta2": 0.95, "lr": 0.1})
    assert repr(made) == repr(constructor("torch.AdamW")(lr=0.1, betas=(0.8, 0.95)))
    assert set(space(one("adam:beta1=0.8"), problem, "all")) == {"lr", "beta2"}
    for key, found in SPACES.items():
        for u in (0.0, 0.999999):
            assert at({key: found}, [u])[key] > 0


def test_what_is_held_is_not_searched():
    assert not is_searched(one("sgd:lr=0.1"), "lr")
    assert is_searched(one("adam:lr=0.1"), "all")
    assert space(one("adam:lr=0.1"), find_problem("quadratic"), "lr") == {}


def test_tpe_is_a_function_of_its_arguments_and_comes_closer():
    pytest.importorskip("optuna")

    def worth(u):
        return (u - 0.3) ** 2

    told, asked = [], []
    for _ in range(20):
        [u] = ask_tpe(["lr"], told, 5, 20)
        asked.append(u)
        told.append(worth(u))
    again = [ask_tpe(["lr"], told[:k], 5, 20)[0] for k in range(20)]
    assert asked == again
    assert ask_tpe(["lr"], [], 6, 20) != ask_tpe(["lr"], [], 5, 20)
    assert np.mean([worth(u) for u in asked[-5:]]) < np.mean([worth(u) for u in asked[:5]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adm", "unknown optimizer 'adm'; did you mean adam"),
        ("lbfgs", "use it with gs.minimize, gs.Run or gradstep run"),
        ("l2", "unknown optimizer 'l2'; gradstep show --list has them all"),
        ("adam:beta=0.5", "unknown hyperparameter 'beta'; did you mean"),
        ("adam:name=1", "unknown hyperparameter 'name'"),
        ("adam:engine=1", "unknown hyperparameter 'engine'"),
        ("adam:beta1=1.5", "beta1 must be"),
        ("adam:lr=nan", "lr must be finite"),
        ("torch.Adm", "unknown optimizer of torch 'Adm'; did you mean Adam"),
        ("tosch.Adam", "unknown library 'tosch'"),
        ("torch.Adam:learning_rate=1", "torch.Adam: unknown argument 'learning_rate'; did you mean lr?"),
        ("torch.Adam:betas=1", "torch.Adam: unknown argument 'betas'; did you mean beta"),
        ("torch.Adam:foreach=1", "torch.Adam: unknown argument 'foreach'"),
        ("tf1.MomentumOptimizer", "missing a required argument: 'momentum'"),
    ],
)
def test_wrong_optimizers_are_told(text, says):
    with pytest.raises(GradstepError, match=says):
        one(text)


def test_a_number_near_one_is_written_as_a_person_writes_it():
    """1 - 0.445 is 0.5549999999999999."""
    found = [Range(0.02, 0.5, from_one=True).at(k / 200) for k in range(200)]
    assert max(len(short(x)) for x in found) <= 7
