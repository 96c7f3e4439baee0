"""Targets: their three levels, who set them, and that nobody who competes did."""

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from problem_cases import problem
from scipy.optimize import minimize

import gradstep as gs
from gradstep.compare import Study, compare, make_spec
from gradstep.compare.content import Content
from gradstep.compare.evidence.statistics import held_level
from gradstep.compare.problems import FULL, PROBLEMS, find_problem, linear
from gradstep.compare.problems.data import load
from gradstep.compare.problems.problem import TIERS, Target
from gradstep.compare.problems.targets import BASELINES, SHARES, frozen, records, settled
from gradstep.compare.protocol import DEFAULT_OPTIMIZERS, MOST_SEARCHES, read_contenders, train
from gradstep.compare.record import SEARCH_SEEDS, Goal, PlannedRun, ProblemInfo, Spec
from gradstep.compare.show.wording import levels, origins
from gradstep.conventions import described
from gradstep.errors import GradstepValueError

FROZEN = [name for name in PROBLEMS if name in records()]
NETWORK = "digits-softmax"


def by_hand(name, without=()):
    """The levels by the definition in words: which loss do half of the baselines reach in three of four runs?"""
    out = {}
    for tier in TIERS:
        runs = {rule: own[tier] for rule, own in records()[name]["baselines"].items() if rule not in without}
        candidates = sorted(x for own in runs.values() for x in own)

        def is_reached(level, runs=runs):
            have = [sum(x <= level for x in own) >= 0.75 * len(own) for own in runs.values()]
            return sum(have) >= len(have) / 2

        out[tier] = next(level for level in candidates if is_reached(level))
    return out


@pytest.mark.parametrize("name", [name for name, make in PROBLEMS.items() if make().goal])
def test_every_target_has_three_levels_of_a_loss(name):
    """An accuracy on 357 examples is in units of 0.28 %: whose noise reaches it first was who won."""
    made = PROBLEMS[name]()
    target = made.target
    assert target.metric == "loss"
    assert target.easy > target.level > target.hard
    assert (target.at("easy").level, target.at("middle"), target.at("hard").level) == (target.easy, target, target.hard)


@pytest.mark.parametrize("name", [name for name in FULL if name not in ("breast-cancer", "diabetes")])
def test_what_is_trained_on_batches_must_hold_its_target(name):
    assert PROBLEMS[name]().target.patience >= (2 if name == "cartpole" else 3)


@pytest.mark.parametrize("name", FROZEN)
def test_a_record_fits_its_problem_and_its_levels_are_what_half_of_the_baselines_reach(name):
    made, record = PROBLEMS[name](), records()[name]
    own = made.target
    assert (own.split, own.patience) == (record["split"], record["patience"])
    assert (record["steps"], record["every"]) == (made.steps, made.every)
    assert record["source"].partition(" of Python")[0] == made.source.partition(" of Python")[0]
    assert f"--problems {name}" in record["command"]
    assert tuple(record["baselines"]) == BASELINES
    assert record["seconds"] > 0
    assert {"gradstep", "Python", "NumPy"} < set(record["versions"])
    for tier, level in by_hand(name).items():
        assert level <= own.at(tier).level <= level * 1.001
        assert float(f"{own.at(tier).level:.4g}") == own.at(tier).level
    for baseline in record["baselines"].values():
        assert len({len(baseline[tier]) for tier in TIERS}) == 1
        assert len(baseline["hard"]) >= 4


def test_no_study_has_a_run_that_set_a_target():
    """Searches are 0 to 99, and each has its own ten thousand seeds."""
    for record in records().values():
        assert record["first_seed"] == SEARCH_SEEDS * MOST_SEARCHES
        assert record["tuning_seed"] == record["first_seed"] + 1000


def test_the_rules_that_set_targets_are_in_no_set_that_is_taken_by_itself():
    assert not set(BASELINES) & {*DEFAULT_OPTIMIZERS.split(","), "nadam", "nadamw", "lion", "muon"}
    goals = make_spec(["digits-mlp"]).spec.goals
    assert (goals["digits-mlp"].by, goals["digits-mlp"].left_out) == (BASELINES, ())


@pytest.mark.parametrize("without", [("lamb",), ("yogi", "adan"), BASELINES[:-1]])
def test_baselines_that_compete_are_left_out_for_the_whole_study(without):
    goal = make_spec([NETWORK], ",".join(("sgd", *without))).spec.goals[NETWORK]
    assert goal.left_out == without
    assert set(goal.by) == set(BASELINES) - set(without)
    assert not goal.compete
    for tier, level in by_hand(NETWORK, without).items():
        assert level <= goal.target.at(tier).level <= level * 1.001


def unmade(optimizers, *problems):
    """A study of which nothing is made yet."""
    plan = make_spec(problems, optimizers)
    cards = {label: ProblemInfo.of(problem, None) for label, problem in plan.problems.items()}
    return Study.of(Content(plan.spec, cards, {}, []))


def test_where_all_of_them_compete_all_set_the_target_and_that_is_said():
    study = unmade(",".join(BASELINES), NETWORK)
    goal = study.goal(NETWORK)
    assert goal.compete
    assert (goal.by, goal.left_out) == (BASELINES, ())
    assert goal.level == frozen(NETWORK, "validation").level
    [told] = origins(study)
    assert told.startswith("All rules that set targets compete here (lars, madgrad,")


def test_one_that_competes_is_told():
    told = origins(unmade("sgd,lamb:lr=0.01", NETWORK, "quadratic", "digits-mlp"))
    assert told == [f"lamb competes here, and no part in the target of {NETWORK}, digits-mlp is its."]
    assert origins(unmade("sgd", NETWORK)) == []


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("yogi:beta1=0.8", "yogi"),
        ("lamb:lr=cosine", "lamb"),
        ("optax.yogi", "yogi"),
        ("optax.lamb", "lamb"),
        ("keras.Lamb", "lamb"),
        ("optax.lars", "lars"),
        ("optax.adan", "adan"),
        ("optax.novograd", "novograd"),
        ("optax.contrib.madgrad", "madgrad"),
        ("sgd", None),
        ("adamw:lr=warmup_cosine", None),
    ],
)
def test_a_baseline_is_known_whatever_its_numbers_and_its_name(label, rule):
    goal = make_spec([NETWORK], f"sgd,{label}" if label != "sgd" else label).spec.goals[NETWORK]
    assert goal.left_out == (() if rule is None else (rule,))


def test_a_constructor_that_steps_as_a_baseline_does_is_known_as_one():
    """By numbers, which know nothing of names."""
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal((4, 3)) for _ in range(5)]

    def path(stage):
        x = np.linspace(-1, 1, 12).reshape(4, 3).copy()
        optimizer = gs.Optimizer({"x": x}, stage, engine="eager")
        for g in grads:
            optimizer.step({"x": g})
        return x

    own = {rule: path(read_contenders(f"{rule}:lr=0.01")[f"{rule}:lr=0.01"].stage({})) for rule in BASELINES}
    seen = 0
    for name in ("optax.yogi", "optax.lamb", "optax.lars", "optax.adan", "optax.novograd", "optax.sgd", "optax.signum"):
        made = described(name)
        [one] = read_contenders(f"{name}:{made.rate}=0.01").values()
        end = path(one.stage({}))
        alike = [rule for rule, other in own.items() if np.allclose(end, other, rtol=1e-9, atol=0)]
        goal = make_spec([NETWORK], one.label).spec.goals[NETWORK]
        assert set(alike) <= set(goal.left_out), name
        seen += len(alike)
    assert seen


def test_all_contenders_have_one_target_and_a_baseline_that_joins_makes_another_study(tmp_path):
    options = {"seeds": 1, "trials": 1, "steps": 20, "jobs": 1, "out": tmp_path}
    compare("sgd", NETWORK, **options)
    with pytest.raises(GradstepValueError, match=r"another study: target of digits-softmax .* without lamb"):
        compare("sgd,lamb", NETWORK, **options)
    compare("sgd,adam", NETWORK, **options)


def test_baselines_reach_their_levels_in_three_of_four_runs_by_their_shares_of_the_steps():
    """One baseline of a quick problem, made again from its record."""
    name, rule = NETWORK, "yogi"
    found, record = problem(name), records()[name]
    own, target = record["baselines"][rule], find_problem(name).target
    runs = [
        train(PlannedRun(name, rule, "tune", 0, seed, {"lr": own["lr"]}, None, None, None, target.split))
        for seed in range(record["first_seed"], record["first_seed"] + 8)
    ]
    for tier in TIERS:
        again = [held_level(run.steps, run.loss, target.patience, SHARES[tier]) for run in runs]
        assert again == pytest.approx(own[tier], rel=1e-3)
        level = sorted(again)[5]
        met = 0
        for run in runs:
            within = [x for s, x in zip(run.steps, run.loss, strict=True) if 0 < s <= SHARES[tier] * found.steps]
            spans = [within[k : k + target.patience] for k in range(len(within) - target.patience + 1)]
            met += any(max(span) <= level for span in spans)
        assert met == 6


def test_a_hit_is_no_touch_of_noise():
    """Of accuracies a fifth was there at the next look. Now most looks from the hit to the end meet the target."""
    study = compare(["sgd", "momentum", "adam"], NETWORK, seeds=3, trials=3, jobs=1)
    target = study.target(NETWORK)
    later, hits = [], 0
    for label in study.optimizers:
        for run in study.evaluated(NETWORK, label):
            first = first_held(run, target)
            if math.isfinite(first):
                hits += 1
                later += [x <= target.level for s, x in zip(run.steps, run.loss, strict=True) if s >= first]
    assert hits >= 5
    assert statistics.mean(later) > 0.9


def first_held(run, target):
    """By hand: the first of so many looks in a row that all meet the level."""
    met = [x <= target.level for x in run.loss]
    return next((s for k, s in enumerate(run.steps) if all(met[k : k + target.patience])), math.inf)


@pytest.mark.parametrize(
    ("name", "data", "loss"),
    [
        ("breast-cancer", "breast_cancer", linear.logistic),
        ("fair", "fair", linear.logistic),
        ("diabetes", "diabetes", linear.squared),
        ("randhie", "randhie", linear.poisson),
    ],
)
def test_a_convex_target_lies_above_the_optimum_which_no_rule_sets(name, data, loss):
    target = problem(name).target
    assert name not in records()
    x, y = load(data)["train"]

    def function(v):
        value, by_z = loss(x @ v[:-1] + v[-1], y)
        value += linear.L2 / 2 * v[:-1] @ v[:-1]
        return value, np.append(x.T @ by_z + linear.L2 * v[:-1], by_z.sum())

    optimum = minimize(function, np.zeros(x.shape[1] + 1), jac=True, method="BFGS", options={"gtol": 1e-8}).fun
    assert linear.OPTIMA[name] == pytest.approx(optimum, abs=1e-5)
    assert target.hard - optimum > 5e-5
    times = 3 if name == "fair" else 10
    assert target.level - optimum == pytest.approx(times * (target.hard - optimum), rel=0.1)


def test_a_problem_without_a_frozen_target_is_never_solved():
    target = frozen("no-such-problem", "train")
    assert not target.met(-math.inf)
    assert not target.met(math.nan)
    assert settled("no-such-problem") is None
    assert settled(NETWORK, BASELINES) is None


def test_a_study_of_before_the_levels_is_read_as_it_was():
    """Its goals have neither levels nor baselines: one level, in words as then."""
    spec = make_spec(["quadratic"], "sgd", seeds=1, trials=1, steps=20).spec
    data = spec.as_json()
    old = {"metric": "accuracy", "level": 0.969, "split": "validation", "origin": "frozen"}
    data["goals"] = {"quadratic": old}
    read = Spec.from_json(json.loads(json.dumps(data)))
    assert read.goals == {"quadratic": Goal(**old)}
    assert read.goals["quadratic"].target == Target("accuracy", 0.969, "validation")
    assert read.goals["quadratic"].target.at("easy") is None


def test_the_words_of_a_target_have_all_of_its_levels():
    study = unmade("sgd", "quadratic")
    assert levels(study, "quadratic") == "loss ≤ 0.001, the middle of three levels (easy 0.01, hard 0.0001)"


@pytest.mark.process
def test_the_levels_are_made_again_and_go_on_where_they_were_broken_off(tmp_path):
    script = Path(__file__).parents[2] / "benchmarks/targets.py"
    words = ["--problems", NETWORK, "--trials", "2", "--seeds", "2"]
    runs, file = tmp_path / f"{NETWORK}.jsonl", tmp_path / f"{NETWORK}.json"

    def make():
        command = [sys.executable, script, *words, "--kept", tmp_path, "--out", tmp_path]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert told.count("of 2)") == len(BASELINES)
        return json.loads(file.read_text())

    made = make()
    assert made["command"] == " ".join(["python benchmarks/targets.py", *words])
    kept = runs.read_text().splitlines()
    assert len(kept) == len(BASELINES) * 4
    runs.write_text("\n".join(kept[:-3]) + "\n" + kept[-3][:20])  # killed while it wrote
    assert make()["baselines"] == made["baselines"]
    assert len(runs.read_text().splitlines()) == len(kept)


def test_a_network_generalises():
    found = find_problem("digits-conv")
    task = found.begin(0)
    optimizer = gs.Optimizer(task.params, "sgd", lr=0.3)
    for _ in range(found.steps):
        optimizer.step(task.value_and_grad(next(task.batches))[1])
    assert task.evaluate("test")["accuracy"] >= 0.97
