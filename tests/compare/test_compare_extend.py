"""A study that asks for more, or for fewer, makes only what is missing; studies joined; shards."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from compare_support import table_of, timeless
from gradstep.cli import main
from gradstep.cli.compare import free_folder
from gradstep.compare import Study, compare, conduct, make_spec, merge, run_study
from gradstep.compare.content import Content, name_of, same
from gradstep.compare.protocol import parts
from gradstep.compare.record import ProblemInfo
from gradstep.compare.store import NAME, Reader, Store
from gradstep.compare.workers import Workers
from gradstep.errors import GradstepValueError

CALL = {
    "optimizers": ["sgd", "adam"],
    "problems": ["diabetes", "quadratic"],
    "seeds": 2,
    "trials": 3,
    "steps": 20,
    "jobs": 1,
}
LINE = """
import numpy as np

def loss(x):
    return float(x @ x) / 2, x.copy()

params = np.ones(3)
"""


class Stopped(Exception):
    pass


class Watched:
    """Counts what a study is said to have when it begins, and what it is told of; ends it after ``n`` runs."""

    def __init__(self, n=10**9):
        self.told, self.left = [], n

    def begin(self, study):
        self.found = len(study.runs)

    def result(self, run):
        self.told.append(run.key)
        self.left -= 1
        if self.left < 0:
            raise Stopped


def plan_of(**changes):
    call = {**CALL, **changes}
    del call["jobs"]
    return make_spec(call.pop("problems"), ",".join(call.pop("optimizers")), **call)


def go_on(folder, listener=None, **changes):
    return run_study(plan_of(**changes), folder, Workers(1), listener)


def keys(folder):
    return [run.key for run in Reader(folder).read().runs]


@pytest.fixture
def folder(tmp_path):
    compare(**CALL, out=tmp_path / "study")
    return tmp_path / "study"


CHANGES = {
    "more seeds": {"seeds": 4},
    "more trials": {"trials": 9},
    "more tuning seeds": {"tuning_seeds": 3},
    "more searches": {"searches": 3},
    "one more optimizer": {"optimizers": ["sgd", "adam", "momentum:lr=1e30"]},
    "one more problem": {"problems": ["rosenbrock", "diabetes", "quadratic"]},
    "more of all": {"seeds": 3, "trials": 5, "searches": 2, "optimizers": ["nadam", "adam", "sgd"]},
    "fewer seeds": {"seeds": 1},
    "fewer trials": {"trials": 2},
    "one trial, without a choice": {"trials": 1},
    "an optimizer fewer": {"optimizers": ["adam"]},
    "a problem fewer": {"problems": ["quadratic"]},
    "another order": {"problems": ["quadratic", "diabetes"], "optimizers": ["adam", "sgd"]},
    "others": {"problems": ["rosenbrock"], "optimizers": ["momentum"]},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_study_that_asks_for_other_runs_is_the_one_that_was_begun_so(what, folder):
    """It makes what is missing and nothing else; what is no longer asked for stays; and all the way back."""
    before, kept = Study.load(folder), set(keys(folder))
    fresh = compare(**{**CALL, **CHANGES[what]})
    listener = Watched()
    study = go_on(folder, listener, **CHANGES[what])
    assert study.finished
    assert study.spec == fresh.spec
    assert timeless(study) == timeless(fresh)
    assert table_of(study) == table_of(fresh)
    assert Study.load(folder).spec == fresh.spec
    made = [key for key in keys(folder) if key not in kept]
    assert set(keys(folder)) == kept | {run.key for run in fresh.runs}
    assert len(keys(folder)) == len(set(keys(folder)))
    assert set(made) == {run.key for run in fresh.runs} - kept
    assert listener.found + len(listener.told) == len(fresh.runs)  # each is counted once
    assert set(made) <= set(listener.told)
    again = compare(**CALL, out=folder)
    assert (again.runs, again.timings) == (before.runs, before.timings)
    assert again.table() == before.table()


def test_judging_runs_of_an_old_best_trial_do_not_count(tmp_path):
    """With 3 trials another one is best than with 16: its runs stay in the database, and are back when it is."""
    few, many = (compare(**{**CALL, "trials": n}, out=tmp_path / "study") for n in (3, 16))
    best = [[s.best_trial(p, o) for p, o in itertools.product(s.problems, s.optimizers)] for s in (few, many)]
    assert best[0] != best[1]
    assert {run.trial for run in many.evaluated("diabetes", "sgd")} == {many.best_trial("diabetes", "sgd")}
    stale = {run.key for run in few.runs} - {run.key for run in many.runs}
    assert stale
    assert stale <= set(keys(tmp_path / "study"))
    assert {key[2] for key in stale} == {"eval", "health"}
    assert timeless(many) == timeless(compare(**{**CALL, "trials": 16}))


@pytest.mark.parametrize("n", [0, 3, 11])
def test_an_extension_that_was_stopped_has_its_old_study_still_and_goes_on(n, folder):
    before = Study.load(folder)
    changes = {"trials": 8, "seeds": 3}
    with pytest.raises(Stopped):
        go_on(folder, Watched(n), **changes)
    half = Study.load(folder)
    assert half.spec == plan_of(**changes).spec
    assert not half.finished
    for problem, optimizer in itertools.product(half.problems, half.optimizers):
        trials = {run.trial for run in half.tuning(problem, optimizer)}
        assert len(trials) == 8 or not half.evaluated(problem, optimizer)  # no choice before all trials are made
    back = compare(**CALL, out=folder)
    assert table_of(back) == table_of(before)
    assert back.table() == before.table()
    whole = go_on(folder, **changes)
    assert timeless(whole) == timeless(compare(**{**CALL, **changes}))


def test_tpe_goes_on_with_more_seeds_and_no_other_trials(tmp_path):
    pytest.importorskip("optuna")
    call = {**CALL, "problems": ["diabetes"], "search": "tpe"}
    compare(**call, out=tmp_path)
    more = compare(**{**call, "seeds": 3, "searches": 2}, out=tmp_path)
    assert timeless(more) == timeless(compare(**{**call, "seeds": 3, "searches": 2}))
    for change, says in (({"trials": 4}, r"trials \(3, not 4\)"), ({"tuning_seeds": 2}, r"tuning_seeds \(1, not 2\)")):
        with pytest.raises(GradstepValueError, match=rf"another study: {says}; take another folder"):
            compare(**{**call, **change}, out=tmp_path)
    assert Study.load(tmp_path).spec == more.spec


def test_what_was_narrowed_away_cannot_come_back_as_something_else(tmp_path):
    """A problem file that is not asked for is known still: its content and its scale."""
    file = tmp_path / "own.py"
    file.write_text(LINE)
    call = {**CALL, "problems": ["quadratic", f"{file}:loss"], "out": tmp_path / "study"}
    before = compare(**call)
    compare(**{**call, "problems": ["quadratic"]})
    assert compare(**call).runs == before.runs
    compare(**{**call, "problems": ["quadratic"]})
    file.write_text(LINE.replace("/ 2", "/ 3"))
    with pytest.raises(GradstepValueError, match=r"another study: file of own.py:loss \(\w+, not \w+\); take"):
        compare(**call)
    assert Study.load(tmp_path / "study").problems == ("quadratic",)


def test_a_scale_is_what_it_was_when_the_study_began(tmp_path, monkeypatch):
    file = tmp_path / "own.py"
    file.write_text(LINE)
    call = {**CALL, "problems": [f"{file}:loss"], "out": tmp_path / "study"}
    before = compare(**call)
    look = make_spec.__globals__["_seen"]
    monkeypatch.setitem(make_spec.__globals__, "_seen", lambda text: replace(look(text), scale={"theta": 7.0}))
    more = compare(**{**call, "seeds": 3})
    assert more.spec.sources == before.spec.sources
    assert {run.hyper["lr"] for run in more.runs} == {run.hyper["lr"] for run in before.runs}


def with_numpy(monkeypatch, version):
    now = conduct.environment()
    monkeypatch.setattr(conduct, "environment", lambda: {**now, "NumPy": version})


def test_a_study_names_all_that_made_its_runs(folder, monkeypatch, capsys):
    before = Study.load(folder)
    [session] = before.sessions
    assert session.runs == len(before.runs) == 24
    assert before.mixture is None
    with_numpy(monkeypatch, "9.9")
    same_numbers = compare(**CALL, out=folder)
    assert same_numbers.sessions == before.sessions  # nothing was made with it
    more = compare(**{**CALL, "seeds": 5}, out=folder)
    assert more.made_with["NumPy"] == f"{session.environment['NumPy']} (24 runs) and 9.9 (12 runs)"
    assert more.made_with["Python"] == session.environment["Python"]
    said = f"the runs were made with NumPy {more.made_with['NumPy']}: the last digits may differ by that."
    assert more.mixture == said
    more.report(folder / "report.html")
    page = (folder / "report.html").read_text()
    assert page.count(more.made_with["NumPy"]) == 2  # in the remarks, and in the appendix
    narrow = ["compare", *CALL["problems"], "--optimizers", "sgd,adam", "--trials", "3", "--steps", "20", "--jobs", "1"]
    assert main([*narrow, "--seeds", "5", "--out", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    end = json.loads(out.splitlines()[-1])
    assert [session["runs"] for session in end["made_with"]] == [24, 12]
    assert end["notes"] == [said]
    assert err == f"gradstep: {said}\n"
    assert compare(**CALL, out=folder).mixture is None  # the others are not shown


def forgetful(folder):
    """Write a database as it was before sessions and wider specs were kept."""
    with sqlite3.connect(folder / NAME) as db:
        db.execute("DELETE FROM facts WHERE name IN ('whole', 'environments')")
        for key, text in db.execute("SELECT id, content FROM runs").fetchall():
            content = json.loads(text)
            del content["made_with"]
            text = json.dumps(content)
            db.execute("UPDATE runs SET content = ?, crc = ? WHERE id = ?", (text, zlib.crc32(text.encode()), key))
    db.close()


def test_a_study_from_before_that_was_kept_goes_on(folder, monkeypatch):
    before = Study.load(folder)
    forgetful(folder)
    assert Study.load(folder) == before
    with_numpy(monkeypatch, "9.9")
    assert [session.runs for session in compare(**{**CALL, "seeds": 3}, out=folder).sessions] == [24, 4]


def test_the_default_folder_is_that_of_a_study_that_can_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = free_folder(["quadratic"], plan_of(problems=["quadratic"]).spec)
    compare(**{**CALL, "problems": ["quadratic"]}, out=first)
    for changes, goes_on in (({"seeds": 9}, True), ({"optimizers": ["nadam"]}, True), ({"steps": 21}, False)):
        found = free_folder(["quadratic"], plan_of(problems=["quadratic"], **changes).spec)
        assert (found == first) == goes_on
    part = free_folder(["quadratic"], plan_of(problems=["quadratic"], shard="2/2").spec)
    assert part.name == "quadratic-2-of-2"


# Joined.


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Two studies that have a problem, an optimizer and runs in common."""
    where = tmp_path_factory.mktemp("halves")
    compare(**{**CALL, "optimizers": ["sgd", "adam"], "trials": 5}, out=where / "a")
    compare(**{**CALL, "optimizers": ["adam", "momentum"], "problems": ["quadratic"], "seeds": 3}, out=where / "b")
    return where


def test_joined_studies_ask_for_the_runs_of_all(halves, tmp_path):
    before = {name: (halves / name / NAME).read_bytes() for name in "ab"}
    study = merge([halves / "a", halves / "b"], tmp_path / "c")
    everything = {"optimizers": ["sgd", "adam", "momentum"], "trials": 5, "seeds": 3}
    assert study.spec == plan_of(**everything).spec
    assert set(keys(tmp_path / "c")) == set(keys(halves / "a")) | set(keys(halves / "b"))
    assert not study.finished
    assert {path.name for path in (tmp_path / "c").iterdir()} == {NAME}
    assert before == {name: (halves / name / NAME).read_bytes() for name in "ab"}
    fresh = compare(**{**CALL, **everything})
    whole = go_on(tmp_path / "c", **everything)
    assert timeless(whole) == timeless(fresh)
    assert table_of(whole) == table_of(fresh)


def test_a_study_may_be_joined_into_one_of_those_given(halves, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_bytes((halves / name / NAME).read_bytes())
    one = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "a")
    other = merge([halves / "a", halves / "b"], tmp_path / "c")
    assert (one.spec, one.runs, one.timings) == (other.spec, other.runs, other.timings)
    assert merge([tmp_path / "a", tmp_path / "b", tmp_path / "a"], tmp_path / "a").runs == one.runs


def test_joining_never_writes_over_another_study(halves, folder, tmp_path):
    content = (folder / NAME).read_bytes()
    with pytest.raises(GradstepValueError, match=r"study holds a study that is not one of those to be joined"):
        merge([halves / "a", halves / "b"], folder)
    assert (folder / NAME).read_bytes() == content
    with pytest.raises(GradstepValueError, match="there is no study in"):
        merge([halves / "a", tmp_path / "nothing"], tmp_path / "c")
    with pytest.raises(GradstepValueError, match="give the folders of the studies"):
        merge([], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with Store(tmp_path / "busy", Content(plan_of().spec, cards(), {}, [])) as store:
        store.path.unlink()
        with pytest.raises(GradstepValueError, match="another process is at work in"):
            merge([halves / "a"], tmp_path / "busy")


WRITERS = "joining.py", "store.py", "files.py"


def at_places(call, see):
    """Call ``call``, and ``see`` with file and line before each line of what writes a study."""

    def trace(frame, event, _):
        if event == "line" and "gradstep" in frame.f_code.co_filename:
            place = Path(frame.f_code.co_filename).name, frame.f_lineno
            if place[0] in WRITERS:
                see(place)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process is killed at a line of it on POSIX alone")
@pytest.mark.parametrize("into", ["a new folder", "one of them"])
def test_a_merge_that_is_killed_at_any_line_loses_nothing(into, halves, tmp_path):
    """SIGKILL before every fourth line of what writes, when it comes there last: the study is as it was, or whole."""
    contents = {name: (halves / name / NAME).read_bytes() for name in "ab"}

    def fresh(where):
        for name in "ab":
            (where / name).mkdir(parents=True)
            (where / name / NAME).write_bytes(contents[name])
        return [where / "a", where / "b"], where / ("c" if into == "a new folder" else "a")

    places = Counter()
    at_places(lambda: merge(*fresh(tmp_path / "whole")), lambda place: places.update([place]))
    out = tmp_path / "whole" / ("c" if into == "a new folder" else "a")
    whole = Study.load(out)
    assert len(places) > 100
    killed = 0
    for place, times in list(places.items())[::4]:
        left = Counter({place: times})
        folders, out = fresh(tmp_path / f"{place[0]}-{place[1]}")
        before = None if into == "a new folder" else Study.load(out)
        if (pid := os.fork()) == 0:
            with contextlib.suppress(BaseException):
                at_places(
                    lambda: merge(folders, out),  # noqa: B023 - called here
                    lambda seen: left.subtract([seen]) or left[place] or os.kill(os.getpid(), signal.SIGKILL),  # noqa: B023
                )
            os._exit(0)
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        if before is not None:
            study = Study.load(out)
            assert (study.spec, study.runs) in ((before.spec, before.runs), (whole.spec, whole.runs)), place
        elif (out / NAME).exists():
            assert Study.load(out).runs == whole.runs, place
        assert (folders[1] / NAME).read_bytes() == contents["b"]
        if before is not None or not (out / NAME).exists():
            merge(folders, out)
        study = Study.load(out)
        assert (study.spec, study.runs, study.timings) == (whole.spec, whole.runs, whole.timings), place
        assert {path.name for path in out.iterdir()} == {NAME}, place
    assert killed > 25


def cards():
    return {label: ProblemInfo.of(problem, 20) for label, problem in plan_of().problems.items()}


def written(folder, runs=(), **changes):
    """A study without training: some runs, made up, in a database."""
    plan = plan_of(**changes)
    info = {label: ProblemInfo.of(problem, plan.spec.steps) for label, problem in plan.problems.items()}
    with Store(folder, Content(plan.spec, info, {"NumPy": folder.name}, [])) as store:
        for run in runs:
            store.add(run)
    return folder


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 30}, r"steps \(20, not 30\)\."),
        ({"ruleset": "defaults"}, r"ruleset \(tuned, not defaults\)\."),
        ({"tune": "all", "seeds": 5}, r"tune \(lr, not all\)\."),
        ({"target": "loss=1"}, r"target of diabetes \(.*\); target of quadratic \(.*\)\."),
    ],
)
def test_studies_that_cannot_be_compared_are_not_joined(changes, says, tmp_path):
    a, b, c = written(tmp_path / "a"), written(tmp_path / "b", seeds=9), written(tmp_path / "c", **changes)
    with pytest.raises(GradstepValueError, match=rf"^\S+/a and \S+/c cannot be joined: {says}$"):
        merge([a, b, c], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_equal_runs_must_be_equal_but_for_their_seconds(folder, tmp_path):
    run, other = Study.load(folder).runs[:2]
    a, b = written(tmp_path / "a", [run]), written(tmp_path / "b", [other, replace(run, seconds=9e9)])
    c = written(tmp_path / "c", [replace(run, loss=[*run.loss[:-1], 0.5]), replace(other, diverged=3)])
    study = merge([a, b], tmp_path / "d")
    assert study.runs == [run, other]
    assert [session.environment for session in study.sessions] == [{"NumPy": "a"}, {"NumPy": "b"}]
    said = r"the numbers of sgd on diabetes \(tune, trial 0, seed 1000\)"
    with pytest.raises(GradstepValueError, match=rf"^\S+/a and \S+/c cannot be joined: {said}\.$"):
        merge([a, c], tmp_path / "e")
    with pytest.raises(GradstepValueError, match=rf"^\S+/b and \S+/c cannot be joined: {said}, and 1 run more\.$"):
        merge([b, c], tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_a_run_is_the_same_where_a_nan_stands_for_a_nan(folder):
    run = Study.load(folder).runs[0]
    a, b = (replace(run, loss=[float("nan")], seconds=s) for s in (1.0, 2.0))
    assert same(a, b)
    assert not same(a, replace(b, loss=[0.0]))


def test_the_data_of_a_problem_must_be_the_same(folder, tmp_path):
    """Text of Python's own documentation is another one in another Python."""
    content = Reader(folder).read()
    card = replace(content.problem_info["diabetes"], source="elsewhere")
    written_elsewhere = replace(content, problem_info={**content.problem_info, "diabetes": card})
    with Store(tmp_path / "b", written_elsewhere):
        pass
    with pytest.raises(GradstepValueError, match=r"joined: diabetes \(scikit-learn load_diabetes, .*; not elsewhere, "):
        merge([folder, tmp_path / "b"], tmp_path / "c")


# Shards.


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_shards_have_each_part_once(n):
    asked = {"searches": 2, "optimizers": ["sgd", "adam", "nadam"]}
    whole = parts(plan_of(**asked).spec)
    shards = [parts(plan_of(**asked, shard=f"{k}/{n}").spec) for k in range(1, n + 1)]
    assert sorted(itertools.chain(*shards)) == sorted(whole)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1/0", "-1/2", "1", "a/b", "1/2/3", "", "1/9999999"])
def test_a_shard_out_of_range_is_refused(shard):
    with pytest.raises(GradstepValueError, match="shard must be K/N with K from 1 to N, such as 2/5, not"):
        plan_of(shard=shard)


def test_more_shards_than_parts_are_refused():
    with pytest.raises(GradstepValueError, match="shard 1/5 would be one of more parts than the study has: 4, "):
        plan_of(shard="1/5")


@pytest.mark.parametrize("n", [2, 3])
def test_all_shards_joined_are_the_study_of_one_machine(n, tmp_path):
    """With a target that the runs settle: no shard does that by itself."""
    (tmp_path / "own.py").write_text(LINE)
    call = {**CALL, "problems": ["quadratic", f"{tmp_path}/own.py:loss"], "searches": 2}
    alone = compare(**call)
    folders = [tmp_path / str(k) for k in range(1, n + 1)]
    made = [compare(**call, shard=f"{k}/{n}", out=folder) for k, folder in enumerate(folders, 1)]
    assert all(study.finished for study in made)
    assert all(study.goal("own.py:loss").level != study.goal("own.py:loss").level for study in made)
    assert sum(len(study.runs) for study in made) == len(alone.runs)
    some = merge(folders[:-1], tmp_path / "some")
    assert not some.finished
    study = merge(folders, tmp_path / "all")
    assert study.finished
    assert study.spec == alone.spec
    assert timeless(study) == timeless(alone)
    assert table_of(study) == table_of(alone)
    assert study.goal("own.py:loss") == alone.goal("own.py:loss")
    assert study.command == alone.command
    went_on = compare(**call, out=tmp_path / "some")  # without a shard: what is missing is made here
    assert timeless(went_on) == timeless(alone)


def test_a_shard_is_told_as_one(tmp_path, capsys):
    arguments = ["compare", *CALL["problems"], "--optimizers", "sgd,adam", "--seeds", "2", "--trials", "3"]
    arguments += ["--steps", "20", "--jobs", "1", "--shard", "1/2", "--out", str(tmp_path / "a")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "12 runs, shard 1/2" in out
    assert "shard 1/2 of a study, and gradstep merge joins them: 12 of 12" in (tmp_path / "a/report.html").read_text()
    assert main(["watch", str(tmp_path / "a")]) == 0
    assert "12 of 12 runs are there already" in capsys.readouterr().out
    assert Study.load(tmp_path / "a").command.endswith("--steps 20 --shard 1/2")
    assert main(["merge", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("12 of 24 runs are there; this makes what is missing: gradstep compare diabetes quadratic ")
    assert out.endswith(f"--out {tmp_path}/b\nwrote {tmp_path}/b/study.db\n")
    assert main(["merge", str(tmp_path / "a"), str(tmp_path / "c"), "--out", str(tmp_path / "d")]) == 2
    assert capsys.readouterr().err == f"gradstep: there is no study in {tmp_path}/c: it has no study.db.\n"
    assert main([*arguments[:-2], "--shard", "3/2"]) == 2
    assert capsys.readouterr().err == "gradstep: shard must be K/N with K from 1 to N, such as 2/5, not '3/2'.\n"


def test_environments_have_names_by_what_they_are():
    assert name_of({"a": "1", "b": "2"}) == name_of({"b": "2", "a": "1"}) != name_of({"a": "1", "b": "3"})
