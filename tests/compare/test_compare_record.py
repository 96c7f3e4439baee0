"""Records go to JSON and back; a spec is named by what settles the numbers, and by nothing else."""

import json
import math
from dataclasses import replace

import msgspec
import pytest

from gradstep.compare import Spec, make_spec
from gradstep.compare.record import Goal, ProblemInfo, RunRecord, Source, Timing

RUN = RunRecord(
    problem="quadratic",
    optimizer="adam",
    phase="health",
    trial=3,
    seed=7,
    hyper={"lr": 0.1},
    steps=[0, 10],
    batch_loss=[1.0, 0.1 + 0.2],
    loss=[2.0, 5e-324],
    accuracy=[],
    final={"loss": 1e300},
    diverged=None,
    error="it said no.",
    health={"rate": [math.inf]},
    seconds=1.5,
)
SPEC = make_spec(["quadratic", "diabetes"], "adam,sgd:lr=0.25", seeds=2, steps=7).spec


# Written before the first release by the version that had no library for this: studies on disk stay readable.
KEPT_SPEC = """{"format": 1, "problems": ["quadratic", "digits-softmax"], "optimizers": ["sgd", "adam:beta1=0.8",
"momentum:lr=1e+30"], "ruleset": "tuned", "trials": 3, "tuning_seeds": 1, "seeds": 2, "search": "quasi", "tune": "lr",
"steps": 40, "goals": {"quadratic": {"metric": "loss", "level": 0.001, "split": "train", "origin": "problem"},
"digits-softmax": {"metric": "accuracy", "level": 0.955, "split": "validation", "origin": "frozen"}}, "sources": {},
"version": "0.1.0"}"""
KEPT_RUN = """{"problem": "digits-softmax", "optimizer": "momentum:lr=1e+30", "phase": "health", "trial": 0, "seed": 0,
"hyper": {}, "steps": [0], "batch_loss": [2.3996012806892395], "loss": [Infinity], "accuracy": [0.13725490196078433],
"final": {}, "diverged": 1, "error": null, "health": {}, "seconds": 0.1993963210002221}"""


def test_kept_records_are_read_and_written_as_they_were():
    spec = Spec.from_json(json.loads(KEPT_SPEC))
    assert spec.goals["digits-softmax"] == Goal("accuracy", 0.955, "validation", "frozen")
    new = {"format": 2, "searches": 1, "shard": None, "stages": {}, "eta": 3, "rungs": 3}
    assert json.loads(json.dumps(spec.as_json())) == json.loads(KEPT_SPEC) | new
    run = RunRecord.from_json(json.loads(KEPT_RUN))
    assert run.key == ("digits-softmax", "momentum:lr=1e+30", "health", 0, 0)
    new = KEPT_RUN.replace("\n", " ").replace('"error": null', '"error": null, "stopped": null')
    assert json.dumps(run.as_json()) == new


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"phase": "look"}, "phase"),
        ({"trial": "0"}, "trial"),
        ({"hyper": {"lr": None}}, "hyper"),
        ({"loss": None}, "loss"),
    ],
)
def test_a_field_of_another_type_is_refused_by_name(change, says):
    with pytest.raises(msgspec.ValidationError, match=says):
        RunRecord.from_json({**RUN.as_json(), **change})


def through(made):
    return type(made).from_json(json.loads(json.dumps(made.as_json())))


def test_records_come_back_equal():
    card = ProblemInfo("a", "b", "c", "d", 10, 5, exact=True)
    for made in (RUN, Timing("a", "b", 1.0, 0.5, 8.0), card, Source("/a.py", "00"), SPEC):
        assert through(made) == made
    assert math.isnan(through(Timing("a", "b", math.nan, 0.5, 8.0)).step_us)


def test_a_run_that_diverged_or_failed_did_not_finish():
    assert not RUN.finished
    assert replace(RUN, error=None).finished
    assert not replace(RUN, error=None, diverged=0).finished
    assert not replace(RUN, error=None, stopped=10).finished
    assert [run.lost for run in (RUN, replace(RUN, error=None), replace(RUN, error=None, stopped=10))] == [1, 0, 0]


def test_the_name_of_a_study_is_the_hash_of_what_settles_it():
    assert SPEC.sha256 == make_spec(["quadratic", "diabetes"], "adam,sgd:lr=0.25", seeds=2, steps=7).spec.sha256
    changes = {
        "problems": ("quadratic",),
        "optimizers": ("adam",),
        "ruleset": "defaults",
        "trials": 9,
        "tuning_seeds": 2,
        "searches": 2,
        "seeds": 3,
        "search": "tpe",
        "eta": 4,
        "rungs": 2,
        "tune": "all",
        "steps": None,
        "goals": {**SPEC.goals, "quadratic": Goal("loss", 0.5, "train", "given")},
        "sources": {"quadratic": Source("/x.py", "11")},
        "stages": {"adam": Source("/x.py", "11")},
        "shard": "2/5",
        "version": "0",
    }
    assert set(changes) == {*SPEC.as_json()} - {"format"}
    told = {"goals": "target of quadratic (", "sources": "file of quadratic (", "stages": "file of adam ("}
    free = {"problems", "optimizers", "seeds", "trials", "tuning_seeds", "searches", "eta", "rungs", "shard"}
    for name, value in changes.items():
        other = replace(SPEC, **{name: value})
        assert other.sha256 != SPEC.sha256
        for first, second in ((SPEC, other), (other, SPEC)):
            found = first.differences(second)
            assert [x.startswith(told.get(name, f"{name} (")) for x in found] == [True] * (name not in free)
    assert SPEC.differences(SPEC) == []
    assert SPEC.differences(replace(SPEC, steps=5, seeds=3)) == ["steps (7, not 5)"]


def test_what_makes_runs_incomparable_is_told_in_a_few_words():
    assert SPEC.differences(replace(SPEC, search="halving", eta=4, trials=9)) == []
    tpe = replace(SPEC, search="tpe")
    assert tpe.differences(replace(SPEC, search="halving")) == ["search (tpe, not halving)"]
    assert tpe.differences(replace(tpe, trials=9, tuning_seeds=2)) == ["trials (5, not 9)", "tuning_seeds (1, not 2)"]
    given = replace(SPEC, goals={**SPEC.goals, "quadratic": Goal("loss", 0.5, "train", "given")})
    [said] = SPEC.differences(given)
    own = "loss ≤ 0.001 on train data (easy 0.01, hard 0.0001), problem"
    assert said == f"target of quadratic ({own}, not loss ≤ 0.5 on train data, given)"
    [said] = given.differences(replace(SPEC, goals={}))[:1]
    assert said == "target of quadratic (loss ≤ 0.5 on train data, given, not settled by the study)"
    one, other = (
        replace(SPEC, problems=("a.py:f",), sources={"a.py:f": Source("/a.py", sha, scale)})
        for sha, scale in (("0123456789", (("theta", 0.1),)), ("9876543210", ()))
    )
    assert one.differences(other) == ["file of a.py:f (01234567, not 98765432)"]
    measured = replace(one, sources={"a.py:f": Source("/b.py", "0123456789")})
    assert one.differences(measured) == ["file of a.py:f (scale 0.1 theta, not none)"]
    assert one.differences(measured.begun_as(one)) == []


def test_two_specs_joined_ask_for_the_runs_of_both():
    other = make_spec(
        ["diabetes", "rosenbrock"], "nadam,adam", seeds=1, trials=9, searches=2, steps=7, shard="1/2"
    ).spec
    both = SPEC.joined(other)
    assert both.problems == ("quadratic", "diabetes", "rosenbrock")
    assert both.optimizers == ("adam", "sgd:lr=0.25", "nadam")
    assert (both.seeds, both.trials, both.searches, both.steps, both.shard) == (2, 9, 2, 7, None)
    assert both.goals == {**SPEC.goals, **other.goals}
    assert both.joined(SPEC) == both.joined(other) == both


def test_where_a_file_lies_does_not_make_another_study():
    here, there, changed = (
        replace(SPEC, sources={"a.py:f": Source(*x)}) for x in (("/a", "0"), ("/b", "0"), ("/a", "1"))
    )
    assert here.sha256 == there.sha256 != changed.sha256
    assert isinstance(here, Spec)
