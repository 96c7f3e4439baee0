"""Trials by successive halving: which are stopped and when, and that nothing else differs from a study without it."""

import json
import math
from dataclasses import replace

import pytest

from compare_support import table_of, timeless
from gradstep.cli import main
from gradstep.compare import Study, compare, make_spec, merge, run_study
from gradstep.compare.conduct import Listener
from gradstep.compare.evidence.spending import share, whole_runs
from gradstep.compare.forecast import forecast
from gradstep.compare.halving import rungs
from gradstep.compare.protocol import make_spec as plan_of
from gradstep.compare.protocol import train
from gradstep.compare.record import Options, PlannedRun
from gradstep.compare.store import Reader
from gradstep.compare.workers import Workers
from gradstep.errors import GradstepValueError

CALL = {
    "optimizers": ["sgd", "adam"],
    "problems": ["diabetes", "quadratic"],
    "seeds": 2,
    "trials": 10,
    "steps": 90,
    "jobs": 1,
}
HALVED = {**CALL, "search": "halving"}


@pytest.mark.parametrize(
    ("eta", "most", "trials", "steps", "every", "expected"),
    [
        (3, 3, 16, 450, 10, [(50, 16), (150, 6), (None, 2)]),
        (3, 3, 16, 500, 10, [(60, 16), (170, 6), (None, 2)]),  # rounded up to an evaluation
        (3, 3, 5, 500, 10, [(170, 5), (None, 2)]),  # two at least go all the way
        (3, 3, 3, 500, 10, [(None, 3)]),
        (3, 2, 27, 90, 10, [(30, 27), (None, 9)]),
        (4, 3, 17, 160, 1, [(10, 17), (40, 5), (None, 2)]),
        (2, 4, 16, 80, 10, [(10, 16), (20, 8), (40, 4), (None, 2)]),
        (3, 3, 16, 20, 10, [(10, 16), (None, 6)]),  # two rungs of one length are one
        (3, 3, 16, 20, 20, [(None, 16)]),
        (3, 3, 16, 20, 50, [(None, 16)]),
    ],
)
def test_rungs_by_hand(eta, most, trials, steps, every, expected):
    assert rungs(Options(search="halving", eta=eta, rungs=most), trials, steps, every) == expected
    assert rungs(Options(eta=eta, rungs=most), trials, steps, every) == [(None, trials)]


@pytest.mark.parametrize("label", ["adam", "sgd", "adamw:lr=warmup_cosine", "momentum"])
@pytest.mark.parametrize("problem", ["quadratic", "digits-softmax"])
def test_a_run_that_is_stopped_is_the_beginning_of_the_whole_one(problem, label):
    """Digit by digit, also where the whole one diverges later, or before."""
    plan = make_spec([problem], label, steps=60)
    every = plan.problems[problem].every
    for rate in (1e-2, 3.0, 1e30):
        whole = PlannedRun(problem, label, "tune", 0, 1000, {"lr": rate}, None, None, 60, "train")
        if "warmup" in label:
            whole = replace(whole, hyper={"lr": rate, "warmup_share": 0.2})
        run, part = train(whole), train(replace(whole, until=2 * every))
        n = 3
        for key in ("steps", "batch_loss", "loss", "accuracy"):
            assert getattr(part, key) == getattr(run, key)[:n], (rate, key)
        came = 2 * every in run.steps
        assert part.stopped == (2 * every if came else None), rate
        assert part.diverged == (None if came else run.diverged), rate
        assert not part.finished
        assert part.final == {}


def worth_at(run, target, stop):
    """What a run is worth at an update: a miss is infinite, then the loss decides; lost by then is worst of all."""
    if stop not in run.steps:
        return math.inf, math.inf
    n = run.steps.index(stop) + 1
    steps = [s for s, x in zip(run.steps[:n], run.loss[:n], strict=True) if target is not None and x <= target.level]
    return (steps[0] if steps else math.inf), run.loss[n - 1]


def goes_on(study, problem, optimizer, stops):
    """The trials that are left after each stop, read off the curves of a study without halving."""
    runs = {run.trial: run for run in study.tuning(problem, optimizer)}
    left, found = sorted(runs), []
    for stop, n in stops:
        left = sorted(left, key=lambda k: (worth_at(runs[k], study.target(problem), stop), k))[:n]
        found.append((stop, set(left)))
    return found


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A study in full, and one by halving, made apart."""
    where = tmp_path_factory.mktemp("both")
    return compare(**CALL, out=where / "full"), compare(**HALVED, out=where / "halved")


def test_the_best_of_each_rung_go_on(both):
    full, halved = both
    assert halved.finished
    stops = {"diabetes": [(10, 4), (30, 2)], "quadratic": [(10, 4), (30, 2)]}
    cut = 0
    for problem in halved.problems:
        assert full.target(problem).patience == 1
        for optimizer in halved.optimizers:
            after = goes_on(full, problem, optimizer, stops[problem])
            for run in halved.tuning(problem, optimizer):
                expected = next((stop for stop, left in after if run.trial not in left), None)
                twin = next(x for x in full.tuning(problem, optimizer) if x.key == run.key)
                if twin.diverged is not None and (expected is None or twin.diverged <= expected):
                    expected = None
                assert run.stopped == expected
                assert run.hyper == twin.hyper
                assert run.loss == twin.loss[: len(run.loss)]
                cut += expected is not None
            best = halved.best_trial(problem, optimizer)
            assert best in after[-1][1]
            assert {run.trial for run in halved.evaluated(problem, optimizer)} == {best}
    assert cut == 25


def test_the_same_folder_goes_from_one_search_to_the_other(both, tmp_path):
    """After all trials were made in full, halving makes none; after halving only those that were stopped."""
    full, halved = both
    for first, second, third in ((CALL, HALVED, CALL), (HALVED, CALL, HALVED)):
        folder = tmp_path / first.get("search", "quasi")
        compare(**first, out=folder)
        before = {run.key: run for run in Reader(folder).read().runs}
        other = compare(**second, out=folder)
        after = {run.key: run for run in Reader(folder).read().runs}
        made = {key for key in after if key not in before or after[key] != before[key]}
        assert all(key[2] != "tune" for key in made) == (second is HALVED)
        assert timeless(other) == timeless(halved if second is HALVED else full)
        assert table_of(other) == table_of(halved if second is HALVED else full)
        back = compare(**third, out=folder)
        assert timeless(back) == timeless(halved if third is HALVED else full)
        assert {run.key: run for run in Reader(folder).read().runs} == after  # nothing was made


CHANGES = {
    "more trials": {"trials": 16},
    "fewer trials": {"trials": 4},
    "more tuning seeds": {"tuning_seeds": 3},
    "more searches and seeds": {"searches": 2, "seeds": 3},
    "another optimizer": {"optimizers": ["momentum", "adam"]},
    "another eta": {"eta": 2},
    "other rungs": {"rungs": 2},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_halved_study_that_asks_for_other_runs_is_the_one_that_was_begun_so(what, tmp_path):
    before = compare(**HALVED, out=tmp_path)
    fresh = compare(**{**HALVED, **CHANGES[what]})
    study = compare(**{**HALVED, **CHANGES[what]}, out=tmp_path)
    assert study.finished
    assert study.spec == fresh.spec
    assert timeless(study) == timeless(fresh)
    assert table_of(study) == table_of(fresh)
    assert timeless(Study.load(tmp_path)) == timeless(fresh)
    kept = Reader(tmp_path).read().runs
    assert len(kept) == len({run.key for run in kept})
    assert timeless(compare(**HALVED, out=tmp_path)) == timeless(before)
    assert {run.key: run for run in kept} == {run.key: run for run in Reader(tmp_path).read().runs}


class Stopped(Exception):
    pass


class Ends:
    def __init__(self, n):
        self.left, self.told = n, []

    def begin(self, study):
        self.found = {run.key for run in study.runs}

    def result(self, run):
        self.told.append(run)
        self.left -= 1
        if self.left < 0:
            raise Stopped


@pytest.mark.parametrize("n", [0, 7, 41, 50, 58, 62])
def test_a_halved_study_that_was_stopped_goes_on(n, both, tmp_path):
    """In its first rung, between two, in the last, and while the best are judged."""
    call = {key: x for key, x in HALVED.items() if key not in ("jobs", "problems", "optimizers")}
    plan = plan_of(HALVED["problems"], ",".join(HALVED["optimizers"]), **call)
    with pytest.raises(Stopped):
        run_study(plan, tmp_path, Workers(1), Ends(n))
    half = Study.load(tmp_path)
    assert not half.finished
    listener = Ends(10**9)
    whole = run_study(plan, tmp_path, Workers(1), listener)
    assert timeless(whole) == timeless(both[1])
    assert listener.found | {run.key for run in listener.told} == {run.key for run in whole.runs}


def test_shards_of_a_halved_study_make_the_whole(both, tmp_path):
    for k in (1, 2, 3):
        compare(**HALVED, shard=f"{k}/3", out=tmp_path / f"{k}")
    study = merge([tmp_path / f"{k}" for k in (1, 2, 3)], tmp_path / "all")
    assert study.finished
    assert study.spec == both[1].spec
    assert timeless(study) == timeless(both[1])


def test_joined_with_a_study_in_full_it_is_one_in_full(both, tmp_path):
    full, halved = both
    for order in ((full, halved), (halved, full)):
        joined = merge([study.folder for study in order], tmp_path / order[0].spec.search)
        assert joined.spec == full.spec
        assert timeless(joined) == timeless(full)
    other = compare(**{**HALVED, "eta": 2}, out=tmp_path / "other")
    joined = merge([halved.folder, other.folder], tmp_path / "two")
    assert joined.spec == full.spec
    assert not joined.finished
    kept = {run.key: run for run in Reader(tmp_path / "two").read().runs}
    for run in (*halved.runs, *other.runs):
        longest = kept[run.key]
        assert longest.stopped is None or (run.stopped is not None and longest.stopped >= run.stopped)


def test_runs_that_are_not_the_same_beginning_are_not_joined(both, tmp_path):
    content = Reader(both[1].folder).read()
    k = next(k for k, run in enumerate(content.runs) if run.stopped is not None)
    run = content.runs[k]
    content.runs[k] = replace(run, loss=[*run.loss[:-1], 0.5])
    whole = Reader(both[0].folder).read()
    [said] = whole.differences(content)
    assert said == f"the numbers of {run.optimizer} on {run.problem} (tune, trial {run.trial}, seed {run.seed})"
    assert content.differences(whole) == [said]


def test_equal_algorithms_have_equal_trials_and_runs():
    """Under two names, with the same trials stopped."""
    study = compare(**{**HALVED, "optimizers": ["sgd", "torch.SGD", "adam", "torch.Adam"], "searches": 2})
    for ours, theirs in (("sgd", "torch.SGD"), ("adam", "torch.Adam")):
        for problem in study.problems:
            pairs = [study.runs_of(problem, label) for label in (ours, theirs)]
            runs = [[replace(run, optimizer="", seconds=0.0) for run in own] for own in pairs]
            assert runs[0] == runs[1]
            assert any(run.stopped is not None for run in runs[0])


@pytest.mark.process
def test_workers_make_the_same_study(both):
    assert timeless(compare(**{**HALVED, "jobs": 2})) == timeless(both[1])


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"eta": 1}, "eta must be 2 to 100, not 1"),
        ({"rungs": 1}, "rungs must be 2 to 10, not 1"),
        ({"search": "halvin"}, "did you mean halving"),
    ],
)
def test_bad_options_are_refused(option, says):
    with pytest.raises(GradstepValueError, match=says):
        compare(**{**HALVED, **option})


def test_at_the_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "compare diabetes --optimizers sgd,adam --seeds 2 --trials 10 --steps 90 --jobs 1 --search halving"
    assert main([*line.split(), "--eta", "0"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*line.split(), "--json"]) == 0
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    [end] = [event for event in events if event["event"] == "verdict"]
    runs = [event for event in events if event["event"] == "run"]
    assert len(runs) == 2 * (10 + 4 + 2 + 2 + 1)
    [spent] = end["trials"].values()
    assert spent["planned"] == 2 * (10 * 10 + 4 * 30 + 2 * 90)
    assert spent["full"] <= 2 * 10 * 90
    assert 0 < spent["spent"] <= spent["planned"]
    assert end["verdict"][-1].count("with more than 10 trials of the learning rate or all of them in full;") == 1
    assert main(line.split()) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "26 of 26 runs are there already" in text
    said = "10 were made to 1/9 of the steps, the best 4 to 1/3 of the steps and the best 2 to the end."
    assert f"{said} That took {spent['spent']} steps in place of {spent['full']}, " in text
    [page] = tmp_path.rglob("report.html")
    html = page.read_text()
    assert html.count(said) == 2  # at the budget, and in the protocol
    assert "loss after 10 steps" in html
    assert "diabetes: trials were stopped, so the best of fewer is not known." in html


def test_the_forecast_knows_of_it():
    plans = [
        make_spec(["quadratic"], "sgd,adam", seeds=2, trials=10, steps=90, search=kind) for kind in ("halving", "quasi")
    ]
    halved, full = map(forecast, plans)
    assert halved.runs == full.runs == {"quadratic": 26}
    assert full.whole == {"quadratic": 26}
    assert halved.whole == {"quadratic": pytest.approx(6 + 2 * (10 * 10 + 4 * 30 + 2 * 90) / 90)}
    assert halved.total == pytest.approx(halved.seconds["quadratic"] * halved.whole["quadratic"])


class Counting(Listener):
    """The whole runs that a study takes, those that it had when it began, and those that were made since."""

    def begin(self, study):
        self.study, self.made, self.results = study, 0.0, 0
        self.there = sum(share(study, run, with_shorter=True) for run in study.runs)

    def result(self, run):
        self.made += share(self.study, run)
        self.results += 1


def test_what_is_left_counts_steps_and_not_rows(tmp_path):
    """A trial that goes on is the same row of the study and more steps: what is left goes down to zero all the same."""
    asked = {key: HALVED[key] for key in ("seeds", "trials", "steps", "search")}
    plan = make_spec(CALL["problems"], "adam,momentum:lr=0.01", **asked)  # no run is lost
    whole = Counting()
    study = run_study(plan, tmp_path / "whole", Workers(1), whole)
    assert whole.results > len(study.runs)
    assert sum(whole_runs(study).values()) == pytest.approx(whole.there + whole.made)
    assert sum(whole_runs(study).values()) < len(study.runs)

    class Broken(Counting):
        def result(self, run):
            super().result(run)
            if self.results == whole.results // 2:
                raise KeyboardInterrupt

    broken, rest = Broken(), Counting()
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, tmp_path / "broken", Workers(1), broken)
    run_study(plan, tmp_path / "broken", Workers(1), rest)
    assert rest.there == pytest.approx(broken.made)
    assert rest.there + rest.made == pytest.approx(whole.made)
