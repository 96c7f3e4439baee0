"""The protocol: grids, pairing, runs, divergence, and what a spec refuses."""

import math
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest

from gradstep.compare import protocol
from gradstep.compare.naming import Named
from gradstep.compare.problems import PROBLEMS, Problem, Target, Task, find_problem
from gradstep.compare.protocol import Contender, Spec, Trial, grid, half_decade, make_spec, run
from gradstep.compare.table import make_row
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.rule import registry
from gradstep.tree import flatten


def timeless(result):
    return replace(result, seconds=0.0)


@pytest.fixture
def problem(monkeypatch):
    """Make a problem of one parameter, from a function of the parameter alone."""

    def make(function, target=0.01):
        def begin(seed):
            x = np.full(1, 1.0 + seed)

            def value_and_grad(_):
                loss, grad = function(x[0])
                return loss, {"x": np.array([grad])}

            return Task({"x": x}, repeat(None), value_and_grad, lambda split: {"loss": function(x[0])[0]})

        level = Target("loss", target, "train")
        made = Problem("made", "made up", "formula", "1 parameters", level, 20, 5, {"theta/g": 0.1}, begin, exact=True)
        monkeypatch.setitem(PROBLEMS, "made", lambda: made)
        return made

    return make


def one_run(lr, name="sgd", steps=20, seed=0):
    contender = Contender(Named(name), (lr,))
    return run(Spec("made", (contender,), (seed,), steps), Trial(contender, lr, seed))


def test_a_run_by_hand(problem):
    problem(lambda x: (x * x / 2, x))  # gradient descent with lr 0.5 halves x at each step
    result = one_run(0.5)
    assert result.steps == [0, 5, 10, 15, 20]
    assert result.loss == [0.5 * 0.25**t for t in result.steps]
    expected = [0.5] + [np.mean([0.5 * 0.25**t for t in ts]) for ts in (range(1, 6), range(6, 11), range(11, 16))]
    assert result.batch_loss[:4] == pytest.approx(expected, rel=1e-14)
    assert result.batch_loss[4] == pytest.approx(np.mean([0.5 * 0.25**t for t in range(16, 20)]), rel=1e-14)
    assert (result.to_target, result.diverged, result.accuracy) == (5.0, None, [])
    assert result.final == {"loss": 0.5 * 0.25**20}


def test_one_step_is_a_run(problem):
    problem(lambda x: (x * x / 2, x))
    result = one_run(0.5, steps=1)
    assert (result.steps, result.loss, result.batch_loss) == ([0, 1], [0.5, 0.125], [0.5, 0.5])


@pytest.mark.parametrize(
    ("function", "when"),
    [
        (lambda x: (x * x / 2, math.nan if x < 0.3 else x), 2),  # x is 1, 0.5, 0.25
        (lambda x: (math.nan if x < 0.3 else x * x / 2, x), 2),
        (lambda x: (math.inf, x), 0),
    ],
)
def test_what_is_not_finite_ends_a_run_and_is_recorded(problem, function, when):
    problem(function)
    result = one_run(0.5)
    assert result.diverged == when
    assert result.final == {}
    assert result.to_target == math.inf
    assert all(map(math.isfinite, result.loss))


def test_a_loss_beyond_all_bounds_ends_a_run(problem):
    problem(lambda x: (x * x / 2, x))  # with lr 3, x doubles its size at each step, and 0.5 * 4**11 > 1e6 * (1 + 0.5)
    assert one_run(3.0).diverged == 11


def test_a_target_that_was_touched_before_diverging_is_a_miss(problem):
    problem(lambda x: (x, math.nan if x < 0.3 else 1.0), target=0.6)
    result = one_run(0.1)
    assert min(result.loss) <= 0.6
    assert result.diverged is not None
    assert result.to_target == math.inf


def test_a_diverging_network_is_no_crash():
    spec = make_spec("digits-mlp", "sgd:lr=1e30", seeds=1, steps=50)
    result = run(spec, spec.trials()[0])
    assert result.diverged is not None


@pytest.mark.parametrize("name", ["digits-mlp", "breast-cancer", "rosenbrock"])
def test_runs_of_a_seed_are_paired(name, monkeypatch):
    """Every optimizer and learning rate starts at the same parameters and is shown the same batches."""
    seen = []
    original = protocol.find_problem

    def spying(text):
        made = original(text)

        def begin(seed):
            task = made.begin(seed)
            start = [x.copy() for x in flatten(task.params)[1]]
            batches = []
            seen.append((seed, start, batches))

            def value_and_grad(batch):
                batches.append(batch)
                return task.value_and_grad(batch)

            return replace(task, value_and_grad=value_and_grad)

        return replace(made, begin=begin)

    monkeypatch.setattr(protocol, "find_problem", spying)
    spec = make_spec(name, "sgd,adam", seeds=2, steps=40)
    for trial in spec.trials():
        run(spec, replace(trial, lr=trial.lr / 1000))  # small enough for none to diverge
    for seed in spec.seeds:
        (_, start, batches), *others = [x for x in seen if x[0] == seed]
        assert len(others) == 9
        for _, other_start, other_batches in others:
            for a, b in zip(start, other_start, strict=True):
                np.testing.assert_array_equal(a, b)
            assert len(batches) == len(other_batches) == 40
            for a, b in zip(batches, other_batches, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_run_again_is_the_same_run():
    spec = make_spec("digits-softmax", "adam", seeds=1, steps=30)
    trial = spec.trials()[2]
    assert timeless(run(spec, trial)) == timeless(run(spec, trial))


@pytest.mark.parametrize(("k", "lr"), [(-7, 3e-4), (-6, 1e-3), (-1, 0.3), (0, 1.0), (1, 3.0), (2, 10.0), (3, 30.0)])
def test_half_decades(k, lr):
    assert half_decade(k) == lr


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("rule", sorted(registry()))
def test_every_rule_has_a_grid_of_two_decades(rule, name):
    lrs = grid(registry()[rule], find_problem(name))
    assert list(lrs) == sorted(set(lrs))
    assert len(lrs) == 5
    assert lrs[-1] / lrs[0] == pytest.approx(100)


def test_a_given_learning_rate_takes_the_place_of_the_grid():
    spec = make_spec("quadratic", "sgd:lr=0.25,momentum:momentum=0.5", seeds=2)
    assert spec.contenders[0].lrs == (0.25,)
    assert [c.label for c in spec.contenders] == ["sgd:lr=0.25", "momentum:momentum=0.5"]
    assert len(spec.trials()) == 2 * (1 + 5)
    assert spec.steps == find_problem("quadratic").steps


def test_hyperparameters_reach_the_optimizer():
    [contender] = make_spec("quadratic", "adam:beta1=0.5").contenders
    optimizer = contender.optimizer({"x": np.ones(2)}, lr=0.1)
    assert optimizer.hyper == {"lr": 0.1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}


def test_the_command_makes_the_same_spec():
    spec = make_spec("quadratic:condition=1000", "sgd:lr=0.25,adam:beta1=0.8,eps=1e-6", seeds=2, steps=7)
    words = spec.command.split()
    assert words[:2] == ["gradstep", "compare"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    again = make_spec(words[2], options["--optimizers"], int(options["--seeds"]), int(options["--steps"]))
    assert again == spec


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("digit-mlp",), "did you mean digits-mlp"),
        (("quadratic", "adm"), "unknown optimizer 'adm'; did you mean adam"),
        (("quadratic", "l2"), "unknown optimizer 'l2'"),
        (("quadratic", "adam:beta=0.5"), "unknown hyperparameter 'beta'; did you mean"),
        (("quadratic", "adam:name=1"), "unknown hyperparameter 'name'"),
        (("quadratic", "adam:engine=1"), "unknown hyperparameter 'engine'"),
        (("quadratic", "adam:beta1=1.5"), "beta1 must be"),
        (("quadratic", "adam:lr=nan"), "lr must be finite"),
        (("quadratic", "adam", 0), "must be 1 or more, not 0"),
        (("quadratic", "adam", 1, 0), "must be 1 or more"),
    ],
)
def test_a_wrong_spec_is_refused_before_any_run(arguments, says):
    with pytest.raises((GradstepValueError, GradstepTypeError), match=says):
        make_spec(*arguments)


def test_test_data_give_the_final_figures_alone(monkeypatch):
    """Each split has a loss of its own here, so that one which stands in for another shows."""
    losses = {"train": 1.0, "validation": 2.0, "test": 3.0}

    def begin(seed):
        x = np.ones(1)
        return Task({"x": x}, repeat(None), lambda _: (1.0, {"x": np.zeros(1)}), lambda split: {"loss": losses[split]})

    level = Target("loss", 0.1, "validation")
    made = Problem("made", "made up", "formula", "1 parameters", level, 20, 5, {"theta/g": 0.1}, begin, exact=True)
    monkeypatch.setitem(PROBLEMS, "made", lambda: made)
    contender = Contender(Named("sgd", ()), (0.1,))
    spec = Spec("made", (contender,), (0,), 10)
    result = run(spec, Trial(contender, 0.1, 0))
    assert set(result.loss) == {2.0}
    assert result.final == {"loss": 3.0}
    row = make_row(contender, [result], step_us=0.0)
    assert (row.target_loss, row.loss.median) == (2.0, 3.0)  # a rate is chosen, and a tie broken, by the former
