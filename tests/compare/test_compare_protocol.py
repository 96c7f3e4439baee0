"""The protocol: pairing, runs, divergence, and what a spec refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gradstep.array.tree import flatten
from gradstep.compare import protocol
from gradstep.compare.evidence.study import Study, to_target
from gradstep.compare.protocol import SETS, judging_seeds, make_spec, total, train, trials_of, tuning_seeds
from gradstep.compare.record import Goal, PlannedRun
from gradstep.errors import GradstepError


def todo(lr, steps=20, seed=0, problem="made", optimizer="sgd", phase="eval"):
    return PlannedRun(problem, optimizer, phase, 0, seed, {"lr": lr}, None, None, steps, "train")


def one_run(lr, **more):
    return train(todo(lr, **more))


def test_a_run_by_hand(problem):
    problem(lambda x: (x * x / 2, x))  # gradient descent with lr 0.5 halves x at each step
    result = one_run(0.5)
    assert result.steps == [0, 5, 10, 15, 20]
    assert result.loss == [0.5 * 0.25**t for t in result.steps]
    expected = [0.5] + [np.mean([0.5 * 0.25**t for t in ts]) for ts in (range(1, 6), range(6, 11), range(11, 16))]
    assert result.batch_loss[:4] == pytest.approx(expected, rel=1e-14)
    assert result.batch_loss[4] == pytest.approx(np.mean([0.5 * 0.25**t for t in range(16, 20)]), rel=1e-14)
    assert (result.diverged, result.error, result.accuracy, result.health) == (None, None, [], {})
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
    assert result.error is None
    assert all(map(math.isfinite, result.loss))


def test_a_loss_beyond_all_bounds_ends_a_run(problem):
    problem(lambda x: (x * x / 2, x))  # with lr 3, x doubles its size at each step, and 0.5 * 4**11 > 1e6 * (1 + 0.5)
    assert one_run(3.0).diverged == 11


def test_a_target_that_was_touched_before_diverging_is_a_miss(problem):
    made = problem(lambda x: (x, math.nan if x < 0.3 else 1.0), target=0.6)
    result = one_run(0.1)
    assert min(result.loss) <= 0.6
    assert result.diverged is not None
    assert to_target(result, made.target) == math.inf
    assert to_target(replace(result, diverged=None), made.target) == 5.0
    assert to_target(replace(result, diverged=None, error="broken off."), made.target) == math.inf


def test_test_data_that_are_not_finite_are_recorded_as_they_are(problem):
    problem(lambda x: (x * x / 2, x), evaluate=lambda split: {"loss": math.nan if split == "test" else 1.0})
    assert math.isnan(one_run(0.5).final["loss"])


def test_a_diverging_network_is_no_crash():
    result = one_run(1e30, problem="digits-mlp", steps=50)
    assert result.diverged is not None


def test_health_is_what_the_steps_were(problem):
    problem(lambda x: (x * x / 2, x))
    result = one_run(0.5, phase="health")
    assert len(result.steps) == 5
    before = [0.5 ** (t - 1) for t in result.steps[1:]]  # of the step before each evaluation
    assert result.health["grad_norm"] == pytest.approx(before, rel=1e-14)
    assert result.health["rate"] == pytest.approx([0.5] * 4, rel=1e-14)
    assert result.health["update_ratio"] == pytest.approx([1.0] * 4, rel=1e-14)  # half of twice itself
    assert replace(result, health={}, phase="eval", seconds=0.0) == replace(one_run(0.5), seconds=0.0)


def test_an_error_of_ours_in_a_run_is_its_result(problem):
    problem(lambda x: (x, np.ones(3)))
    result = one_run(0.1)
    assert "shape" in result.error
    assert (result.final, result.diverged, result.steps) == ({}, None, [0])


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
    for optimizer in ("sgd", "adam"):
        for lr in (1e-4, 1e-3):  # small enough for none to diverge
            for seed in (0, 1):
                train(todo(lr, 40, seed, name, optimizer))
    for seed in (0, 1):
        (_, start, batches), *others = [x for x in seen if x[0] == seed]
        assert len(others) == 3
        for _, other_start, other_batches in others:
            for a, b in zip(start, other_start, strict=True):
                np.testing.assert_array_equal(a, b)
            assert len(batches) == len(other_batches) == 40
            for a, b in zip(batches, other_batches, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_run_again_is_the_same_run():
    again = [replace(train(todo(0.01, 30, problem="digits-softmax", optimizer="adam")), seconds=0.0) for _ in range(2)]
    assert again[0] == again[1]


def test_hyperparameters_reach_the_optimizer(problem):
    problem(lambda x: (x, 1.0))
    found = protocol.find_problem("made")
    made = protocol.started(todo(0.1, optimizer="adam:beta1=0.5"), found, found.begin(0))
    assert made.hyper == {"lr": 0.1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8}


def test_trials_are_equal_but_where_the_label_holds_all():
    asked = make_spec(["quadratic"], "sgd:lr=0.25,momentum:momentum=0.5", seeds=2, trials=4, tuning_seeds=3)
    spec, (held, searched) = asked.spec, asked.contenders.values()
    assert (trials_of(spec, held), trials_of(spec, searched)) == (1, 4)
    assert (total(spec, held), total(spec, searched)) == (2 + 1, 4 * 3 + 2 + 1)
    assert spec.optimizers == ("sgd:lr=0.25", "momentum:momentum=0.5")


def test_choosing_and_judging_share_no_seed():
    most = make_spec(["quadratic"], "sgd", seeds=1000, tuning_seeds=1000, searches=3, trials=2).spec
    used = [seed for k in range(3) for seeds in (tuning_seeds, judging_seeds) for seed in seeds(most, k)]
    assert len(set(used)) == len(used) == 3 * 2000


def test_the_ruleset_of_defaults_has_neither_trials_nor_tuning_seeds():
    asked = make_spec(["quadratic"], "sgd,keras.Adam,adam:lr=1", ruleset="defaults", trials=9, search="tpe", tune="all")
    assert (asked.spec.trials, asked.spec.tuning_seeds, asked.spec.search, asked.spec.tune) == (1, 0, "quasi", "lr")
    problem = asked.problems["quadratic"]
    hyper = [protocol.hyper_of(asked.spec, one, problem, 0, 0) for one in asked.contenders.values()]
    assert hyper == [{"lr": 0.01}, {"learning_rate": 0.001}, {}]
    with pytest.raises(GradstepError, match=r"optax\.adam: missing a required argument: 'learning_rate'"):
        make_spec(["quadratic"], "optax.adam", ruleset="defaults")


def test_a_set_is_its_problems():
    assert make_spec(["quick"], "sgd").spec.problems == SETS["quick"]
    assert make_spec(["full"], "sgd").spec.problems == SETS["full"]


def test_targets_are_frozen_of_the_problem_or_given():
    asked = make_spec(["quadratic", "digits-mlp"], "sgd")
    assert set(asked.spec.goals) == {"quadratic", "digits-mlp"}
    assert {goal.origin for goal in asked.spec.goals.values()} <= {"frozen", "problem"}
    assert asked.spec.goals["digits-mlp"].split == "validation"
    given = make_spec(["digits-mlp"], "sgd", target="loss=0.25").spec.goals
    assert given == {"digits-mlp": Goal("loss", 0.25, "validation", "given", patience=3)}


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("quadratic:condition=1000",), {"seeds": 2, "steps": 7}),
        (("quadratic", "diabetes"), {"search": "tpe", "trials": 7, "tuning_seeds": 2, "tune": "all"}),
        (("quadratic",), {"ruleset": "defaults"}),
        (("quadratic",), {"target": "loss=0.123456789"}),
    ],
)
def test_the_command_makes_the_same_spec(arguments, options):
    spec = make_spec(arguments, "sgd:lr=0.25,adam:beta1=0.8,eps=1e-6", **options).spec
    words = Study(spec, {}, [], [], {}, []).command.split()
    assert words[:2] == ["gradstep", "compare"]
    first = next(k for k, word in enumerate(words) if word.startswith("--"))
    given = {
        name.removeprefix("--").replace("-", "_"): int(x) if x.isdecimal() else x
        for name, x in zip(words[first::2], words[first + 1 :: 2], strict=True)
    }
    assert make_spec(words[2:first], **given).spec == spec


@pytest.mark.parametrize(
    ("problems", "optimizers", "options", "says"),
    [
        (["digit-mlp"], "sgd", {}, "did you mean digits-mlp"),
        ([], "sgd", {}, "give a problem, such as digits-mlp"),
        (["quadratic", "quadratic:condition=100"], "sgd", {}, "quadratic is given twice"),
        (["quick", "diabetes"], "sgd", {}, "diabetes is given twice"),
        (["quadratic"], "adm", {}, "unknown optimizer 'adm'; did you mean adam"),
        (["quadratic"], "adam", {"seeds": 0}, "seeds must be 1 to 1000, not 0"),
        (["quadratic"], "adam", {"seeds": 99999999999}, "seeds must be 1 to 1000, not 99999999999"),
        (["quadratic"], "adam", {"trials": 257}, "trials must be 1 to 256, not 257"),
        (["quadratic"], "adam", {"tuning_seeds": -1}, "tuning-seeds must be 1 to 1000"),
        (["quadratic"], "adam", {"steps": 10**12}, "steps must be 1 to 10000000"),
        (["full"], "sgd,adam,nadam", {"trials": 256, "tuning_seeds": 1000}, "a study has at most 1000000"),
        (["quadratic"], "adam", {"seed": 3}, "unknown option 'seed'; did you mean seeds"),
        (["quadratic"], "adam", {"ruleset": "tune"}, "unknown ruleset 'tune'; did you mean tuned"),
        (["quadratic"], "adam", {"search": "grid"}, "unknown search 'grid'; known: halving, quasi, tpe"),
        (["quadratic"], "adam", {"tune": "beta1"}, "unknown tune 'beta1'"),
        (["quadratic"], "adam", {"target": "accuracy=0.9"}, "quadratic has no accuracy; give a target as loss=0.9"),
        (
            ["quadratic"],
            "adam",
            {"target": "loss=nan"},
            "target must be loss=NUMBER or accuracy=NUMBER, not 'loss=nan'",
        ),
        (["quadratic"], "adam", {"target": "0.1"}, "target must be loss=NUMBER"),
    ],
)
def test_a_wrong_spec_is_refused_before_any_run(problems, optimizers, options, says):
    with pytest.raises(GradstepError, match=says):
        make_spec(problems, optimizers, **options)


def test_test_data_give_the_final_figures_alone(problem):
    """Each split has a loss of its own here, so that one which stands in for another shows."""
    losses = {"train": 1.0, "validation": 2.0, "test": 3.0}
    problem(lambda _: (1.0, 0.0), evaluate=lambda split: {"loss": losses[split]})
    result = train(replace(todo(0.1, 10), split="validation"))
    assert set(result.loss) == {2.0}
    assert result.final == {"loss": 3.0}
