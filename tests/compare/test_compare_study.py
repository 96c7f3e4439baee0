"""Studies: what is chosen and by what, targets that are settled by the runs, times, the table."""

import math
from dataclasses import replace

import numpy as np
import pytest

from compare_support import table_of, timeless
from gradstep.compare import Study, compare, make_spec
from gradstep.compare.evidence.statistics import Spread
from gradstep.compare.evidence.study import after, with_one_gradient
from gradstep.compare.evidence.table import entries, make_entry
from gradstep.compare.problems.targets import in_most, rounded_up
from gradstep.compare.record import ProblemInfo, RunRecord, Timing
from gradstep.errors import GradstepValueError
from gradstep.files import writable_folder, write_text
from gradstep.text import to_json

INF = math.inf
RATES = (0.1, 1.0, 10.0)


def made_up(phase, trial, seed, steps, loss, accuracy=None, diverged=None, optimizer="adam", error=None):
    """A run that meets the target (loss 0.5) at ``steps``, and ends with a loss."""
    met = math.isfinite(steps)
    final = {} if diverged is not None or error else {"loss": loss} | ({"accuracy": accuracy} if accuracy else {})
    return RunRecord(
        problem="quadratic",
        optimizer=optimizer,
        phase=phase,
        trial=trial,
        seed=seed,
        hyper={"lr": RATES[trial]},
        steps=[0, int(steps) if met else 50, 100],
        batch_loss=[1.0] * 3,
        loss=[1.0, 0.5 if met else 0.75, loss],
        accuracy=[accuracy] * 3 if accuracy else [],
        final=final,
        diverged=diverged,
        error=error,
    )


def study_of(*runs, optimizers="adam", target="loss=0.5", timings=(), **options):
    asked = make_spec(["quadratic"], optimizers, target=target, trials=3, **{"seeds": 3, **options})
    spec = asked.spec if target else replace(asked.spec, goals={})
    cards = {"quadratic": ProblemInfo.of(asked.problems["quadratic"], spec.steps)}
    return Study(spec, cards, list(runs), list(timings), {}, [])


def test_the_entry_of_made_up_runs():
    runs = [
        *(made_up("tune", k, 1000, steps, loss) for k, steps, loss in ((0, INF, 0.6), (1, 40, 0.1), (2, 60, 0.0))),
        made_up("eval", 1, 0, 40, 0.1, accuracy=0.95),
        made_up("eval", 1, 1, INF, 0.7, accuracy=0.85),
        made_up("eval", 1, 2, 60, 0.4, accuracy=0.9),
        made_up("health", 1, 0, 40, 0.1, diverged=7),
    ]
    study = study_of(*runs, timings=[Timing("quadratic", "adam", 12.0, 3.0, 16.0)])
    entry = make_entry(study, "quadratic", "adam")
    assert (entry.trial, entry.hyper, entry.at_edge, entry.hits, entry.seeds) == (1, {"lr": 1.0}, False, 2, 3)
    assert entry.steps == Spread(60.0, 40.0, INF)
    assert entry.loss == Spread(0.4, 0.1, 0.7)
    assert entry.accuracy == Spread(0.9, 0.85, 0.95)
    assert (entry.diverged, entry.failed, entry.runs) == (1, 0, 7)
    assert (entry.step_us, entry.optimizer_us, entry.state_bytes) == (12.0, 3.0, 16.0)
    assert study.finished
    np.testing.assert_array_equal(study.times(), [[[40, INF, 60]]])
    np.testing.assert_array_equal(study.times("gradients"), [[[40, INF, 60]]])
    np.testing.assert_allclose(study.times("seconds"), [[[40 * 12e-6, INF, 60 * 12e-6]]], rtol=1e-15)


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ({0: [(60, 0.1)] * 3, 1: [(20, 0.4), (20, 0.4), (90, 0.4)], 2: [(30, 0.0)] * 3}, 1),  # by median, not by mean
        ({0: [(20, 0.1)] * 3, 1: [(20, 0.1)] * 3, 2: [(20, 0.1)] * 3}, 0),  # of equals the first
        ({0: [(20, 0.3)] * 3, 1: [(20, 0.1)] * 3, 2: [(20, 0.2)] * 3}, 1),  # then by loss
        ({0: [(90, 9.0)] * 3, 1: [(10, 1.0), (INF, 0.1), (INF, 0.1)], 2: [(INF, 0.1)] * 3}, 0),  # a miss is infinite
        ({0: [(INF, 0.9)] * 3, 1: [(INF, 0.8)] * 3, 2: [(INF, INF)] * 3}, 1),
    ],
)
def test_the_best_trial(trials, best):
    runs = [
        made_up("tune", k, 1000 + j, steps, loss, diverged=3 if loss == INF else None)
        for k, those in trials.items()
        for j, (steps, loss) in enumerate(those)
    ]
    assert study_of(*runs, tuning_seeds=3).best_trial("quadratic", "adam") == best
    unfinished = study_of(*(run for run in runs if (run.trial, run.seed) != (best, 1002)), tuning_seeds=3)
    assert best not in unfinished.worth("quadratic", "adam")
    at_edge = make_entry(
        study_of(*runs, made_up("eval", best, 0, 10, 0.1), tuning_seeds=3), "quadratic", "adam"
    ).at_edge
    assert at_edge == (best != 1)


def test_runs_that_broke_off_end_with_infinite_loss_and_no_accuracy():
    runs = [
        made_up("eval", 1, 0, 10, 0.1, accuracy=0.9),
        made_up("eval", 1, 1, 10, 0.2, accuracy=0.9, diverged=5),
        made_up("eval", 1, 2, 10, 0.2, accuracy=0.9, error="broken."),
    ]
    entry = make_entry(study_of(*runs), "quadratic", "adam")
    assert entry.loss == Spread(INF, 0.1, INF)
    assert entry.accuracy == Spread(0.0, 0.0, 0.9)
    assert entry.steps == Spread(INF, 10.0, INF)
    assert (entry.diverged, entry.failed) == (1, 1)
    assert not entry.at_edge


def settled(target, *reached, optimizers):
    """A study in which each run has a loss from half of its steps on."""
    runs = [
        replace(made_up("eval", 0, seed, INF, loss, optimizer=name), loss=[1.0, loss, loss])
        for name, losses in zip(optimizers.split(","), reached, strict=True)
        for seed, loss in enumerate(losses)
    ]
    return study_of(*runs, optimizers=optimizers, target=target)


def test_a_target_that_nobody_settled_is_what_the_best_baseline_has_after_half_of_its_steps():
    study = settled(None, [0.4, 0.42, 0.9], [0.1, 0.2, 0.3], [0.5, 0.6, 0.6], optimizers="nesterov,sgd,adamw")
    goal = study.goal("quadratic")
    assert (goal.metric, goal.level, goal.split, goal.origin) == ("loss", 0.6, "train", "study: adamw")
    hits = {entry.optimizer: entry.hits for entry in entries(study, "quadratic")}
    assert hits == {"nesterov": 2, "sgd": 3, "adamw": 3}


def test_without_a_baseline_the_best_of_all_settles_it():
    study = settled(None, [0.1, 0.2, 0.3], [0.05, 0.06, 0.07], optimizers="sgd,adam")
    assert (study.goal("quadratic").level, study.goal("quadratic").origin) == (0.07, "study: adam")


def test_a_settled_level_is_no_peak_of_the_noise():
    """The median of the last five evaluations up to half of the steps: one low value among them moves nothing."""
    steps = list(range(0, 110, 10))
    losses = [9.0, 8.0, 7.0, 0.001, 5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 1.0]
    run = replace(made_up("eval", 0, 0, INF, 0.5), steps=steps, loss=losses)
    assert after(0.5, run) == 5.0
    assert after(0.5, replace(run, diverged=90)) == INF
    assert after(0.5, replace(run, steps=[0, 7], loss=[2.0, 1.0])) == 1.0


@pytest.mark.parametrize("seeds", range(1, 12))
def test_three_of_four_runs_reach_a_settled_level_for_odd_and_even_seeds(seeds):
    levels = [float(k) for k in np.random.default_rng(seeds).permutation(seeds)]
    reached = sum(x <= in_most(levels) for x in levels)
    assert reached - 1 < 0.75 * seeds <= reached


def test_a_settled_level_is_not_below_what_float64_can_reach():
    """On an exact problem the winner ends at 1e-30 of the start, by rounding; nobody else has to."""
    study = settled(None, [1e-30, 1e-31], [1e-9, 1e-9], optimizers="sgd,adam")
    assert study.goal("quadratic").level == pytest.approx(1e-8, rel=2e-3)
    assert [entry.hits for entry in entries(study, "quadratic")] == [2, 2]


def test_a_settled_level_is_below_the_start_or_there_is_none():
    study = settled(None, [1.0, 1.0], optimizers="sgd")
    assert math.isnan(study.goal("quadratic").level)


def test_searches_choose_by_their_own_trials_and_judge_by_their_own_seeds():
    first = [made_up("tune", k, 1000, steps, 0.1) for k, steps in enumerate((40, 50, 60))]
    second = [made_up("tune", k, 11000, steps, 0.1) for k, steps in enumerate((60, 50, 40))]
    judged = [made_up("eval", 0, seed, 10 + seed, 0.1) for seed in range(3)]
    judged += [made_up("eval", 2, 10000 + seed, 70 + seed, 0.1) for seed in range(3)]
    study = study_of(*first, *second, *judged, searches=2)
    assert [study.best_trial("quadratic", "adam", k) for k in (0, 1)] == [0, 2]
    assert [len(study.tuning("quadratic", "adam", k)) for k in (0, 1, None)] == [3, 3, 6]
    assert study.times()[0, 0].tolist() == [10, 11, 12, 70, 71, 72]


def test_seeds_that_change_nothing_are_seen():
    alike = study_of(*(made_up("eval", 0, seed, 40, 0.1) for seed in range(3)))
    assert not alike.varies("quadratic")
    assert study_of(*(made_up("eval", 0, seed, 40 + seed, 0.1) for seed in range(3))).varies("quadratic")
    # Those of two searches have other hyperparameters: that they differ shows no randomness of the problem's.
    two = [made_up("eval", 0, seed, 40, 0.1) for seed in range(3)]
    two += [made_up("eval", 0, 10000 + seed, 50, 0.1) for seed in range(3)]
    assert not study_of(*two, searches=2).varies("quadratic")


def test_a_target_is_not_met_before_it_is_settled():
    study = settled(None, [], optimizers="sgd")
    assert math.isnan(study.target("quadratic").level)
    assert not study.target("quadratic").met(-INF)
    assert np.isnan(study.times()).all()
    given = settled("loss=0.2", [0.1, 0.2, 0.3], optimizers="sgd")
    assert given.goal("quadratic").origin == "given"


@pytest.mark.parametrize("x", [0.123456789, 1234567.8, 5e-300, -0.123456789, 0.0, 0.5, 0.99999])
def test_a_level_is_rounded_so_that_the_run_that_settled_it_meets_it(x):
    assert x <= rounded_up(x) <= x + 1e-3 * abs(x)
    assert float(f"{rounded_up(x):.4g}") == rounded_up(x)


def test_a_table_row_for_each_optimizer_the_fastest_first(small_study):
    rows = small_study.table()
    assert {row.optimizer for row in rows} == {"sgd", "adam:beta1=0.8", "momentum:lr=1e+30"}
    steps = [row.entries[0].steps.median for row in rows]
    assert steps == sorted(steps)
    assert (rows[0].solved, rows[-1].solved) == (1, 0)
    lost = rows[-1].entries[0]
    assert rows[-1].optimizer == "momentum:lr=1e+30"
    assert (lost.diverged, lost.runs, lost.hyper) == (3, 3, {})
    assert all(row.entries[0].step_us > row.entries[0].optimizer_us > 0 for row in rows)
    assert [row.entries[0].state_bytes for row in rows if "adam" in row.optimizer] == [8.0]


def test_more_problems_solved_come_first():
    study = compare("sgd:lr=0.3,adam:lr=1e-9", ["diabetes", "quadratic"], seeds=2, steps=1000, jobs=1)
    assert [(row.optimizer, row.solved, row.hits, row.seeds) for row in study.table()] == [
        ("sgd:lr=0.3", 2, 4, 4),
        ("adam:lr=1e-09", 0, 0, 4),
    ]
    assert study.times().shape == (2, 2, 2)


@pytest.mark.parametrize(
    "options", [{}, {"search": "tpe", "tune": "all"}, {"ruleset": "defaults"}, {"tuning_seeds": 2}]
)
def test_the_same_call_gives_the_same_study(options):
    if options.get("search") == "tpe":
        pytest.importorskip("optuna")
    call = {"optimizers": ["sgd", "adamw"], "problems": "diabetes", "seeds": 2, "trials": 4, "steps": 40, "jobs": 1}
    one, two = (compare(**call, **options) for _ in range(2))
    assert timeless(one) == timeless(two)
    assert table_of(one) == table_of(two)
    assert one.finished


def test_the_quickest_gradient_counts_for_all_optimizers_of_a_problem():
    measured = [
        Timing("a", "sgd", 12.0, 2.0, 0.0),
        Timing("a", "adam", 39.0, 4.0, 8.0),
        Timing("b", "sgd", 102.0, 2.0, 0.0),
        Timing("c", "sgd", math.nan, math.nan, math.nan),
    ]
    assert [t.step_us for t in with_one_gradient(measured)] == [12.0, 14.0, 102.0, pytest.approx(math.nan, nan_ok=True)]


def test_json_has_null_for_what_is_not_finite():
    assert (
        to_json({"a": (INF, -INF, math.nan, 1.5), "b": [{"c": None}]})
        == '{"a": [null, null, null, 1.5], "b": [{"c": null}]}'
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_files_get_the_usual_permissions(tmp_path):
    write_text(tmp_path / "written", "x")
    (tmp_path / "usual").touch()
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_that_takes_no_files_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GradstepValueError, match=r"cannot write to the folder .*file/deeper: Not a directory"):
        writable_folder(tmp_path / "file" / "deeper")
    assert writable_folder(tmp_path / "new" / "deeper").is_dir()
    assert not list((tmp_path / "new" / "deeper").iterdir())


def test_tpe_begins_at_the_same_points_for_all():
    study = compare(["adam", "adamw"], "quadratic", seeds=1, trials=2, steps=20, search="tpe", jobs=1)
    first = [next(run.hyper["lr"] for run in study.tuning("quadratic", name)) for name in study.optimizers]
    assert first[0] == first[1]


def test_a_study_without_a_complete_problem_has_no_profile():
    study = compare(["sgd"], "quadratic", seeds=2, trials=1, steps=20, jobs=1)
    broken_off = replace(study, runs=[run for run in study.runs if run.phase == "tune"])
    with pytest.raises(GradstepValueError, match="no problem of this study is complete yet"):
        broken_off.profile()
