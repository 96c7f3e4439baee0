"""A study on disk: it goes on where it stood, other studies and damage are told, readers change nothing."""

import json
import sqlite3
import zlib
from dataclasses import replace

import pytest

from compare_support import table_of, timeless
from gradstep.cli.compare import free_folder
from gradstep.compare import Study, compare, make_spec, run_study
from gradstep.compare.record import ProblemInfo
from gradstep.compare.store import NAME, Content, Reader, Store
from gradstep.compare.workers import Workers
from gradstep.errors import CheckpointError, GradstepError, GradstepValueError

CALL = {
    "optimizers": "sgd,adam",
    "problems": ["diabetes", "quadratic"],
    "seeds": 2,
    "trials": 3,
    "steps": 20,
    "jobs": 1,
}
RUNS = 2 * 2 * (3 + 2 + 1)


@pytest.fixture(scope="module")
def whole():
    return compare(**CALL)


@pytest.fixture
def folder(tmp_path):
    compare(**CALL, out=tmp_path / "study")
    return tmp_path / "study"


class Stopped(Exception):
    pass


class StopAfter:
    def __init__(self, n):
        self.left = n

    def begin(self, study):
        self.found = len(study.runs)

    def result(self, run):
        self.left -= 1
        if self.left < 0:
            raise Stopped


def asked(**changes):
    call = {**CALL, **changes}
    return make_spec(
        call["problems"], call["optimizers"], seeds=call["seeds"], trials=call["trials"], steps=call["steps"]
    )


@pytest.mark.parametrize("n", [0, 1, 7, 12, 13, RUNS - 1])
def test_a_study_that_was_stopped_goes_on_to_the_same_table(n, tmp_path, whole):
    with pytest.raises(Stopped):
        run_study(asked(), tmp_path, Workers(1), StopAfter(n))
    kept = Study.load(tmp_path)
    assert len(kept.runs) == n + 1  # it is kept before anybody is told
    assert not kept.finished
    listener = StopAfter(RUNS)
    study = run_study(asked(), tmp_path, Workers(1), listener)
    assert listener.found == n + 1
    assert study.finished
    assert timeless(study) == timeless(whole)
    assert table_of(study) == table_of(whole)
    assert {run.seconds for run in kept.runs} <= {run.seconds for run in study.runs}  # not made again


def test_what_is_finished_is_not_made_again(folder):
    before = Study.load(folder)
    again = compare(**CALL, out=folder)
    assert (again.runs, again.timings) == (before.runs, before.timings)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"steps": 30}, r"another study: steps \(20, not 30\); take another folder"),
        ({"trials": 2, "tune": "all"}, r"another study: tune \(lr, not all\); take"),
        ({"ruleset": "defaults"}, r"another study: ruleset \(tuned, not defaults\); take"),
        ({"target": "loss=0.1"}, r"target of diabetes \(.*, not loss ≤ 0.1 on \w+ data, given\); target of quad"),
    ],
)
def test_another_study_is_refused_by_what_differs(changes, says, folder):
    before = Study.load(folder)
    with pytest.raises(GradstepValueError, match=says):
        compare(**{**CALL, **changes}, out=folder)
    assert Study.load(folder).runs == before.runs


def test_two_writers_are_refused(tmp_path):
    plan = asked()
    info = {label: ProblemInfo.of(problem, 20) for label, problem in plan.problems.items()}
    content = Content(plan.spec, info, {}, [])
    with Store(tmp_path, content):
        with pytest.raises(GradstepValueError, match="another process is at work"):
            Store(tmp_path, content)
        assert Reader(tmp_path).read().spec == plan.spec
    Store(tmp_path, content).close()


def test_a_reader_sees_what_is_kept_and_changes_nothing(folder):
    names = {path.name for path in folder.iterdir()}
    reader = Reader(folder)
    assert reader.has_changed()
    content = reader.read()
    assert not reader.has_changed()
    assert len(content.runs) == RUNS
    study = Study.load(folder)
    with Store(folder, content) as store:
        store.add(replace(content.runs[0], seconds=9.0))
        assert reader.has_changed()
        assert len(reader.read().runs) == RUNS
    assert {path.name for path in folder.iterdir()} == names == {NAME}
    assert study.finished


def test_a_study_that_cannot_be_written_can_be_read(folder):
    folder.chmod(0o500)
    (folder / NAME).chmod(0o400)
    try:
        assert Study.load(folder).finished
    finally:
        folder.chmod(0o700)


def test_no_study_is_told(tmp_path):
    with pytest.raises(GradstepValueError, match=r"there is no study in .*: it has no study\.db"):
        Study.load(tmp_path)


def test_an_empty_file_is_a_study_that_was_killed_before_it_began(tmp_path, whole):
    (tmp_path / NAME).touch()
    assert timeless(compare(**CALL, out=tmp_path)) == timeless(whole)


def scribbled(path, statement, *values):
    with sqlite3.connect(path) as db:
        db.execute(statement, values)
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"x" * 5000),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:100] + b"\0" * 4000 + path.read_bytes()[4100:]),
        lambda path: scribbled(path, "UPDATE runs SET content = replace(content, '1', '2') WHERE id = 3"),
        lambda path: scribbled(path, "UPDATE facts SET content = '{}' WHERE name = 'spec'"),
        lambda path: scribbled(path, "DELETE FROM facts WHERE name = 'spec'"),
        lambda path: scribbled(path, "DROP TABLE timings"),
        lambda path: scribbled(path, "PRAGMA application_id = 7"),
    ],
)
def test_damage_is_one_sentence_and_nothing_is_lost(damage, folder):
    path = folder / NAME
    damage(path)
    content = path.read_bytes()
    for look in (lambda: Study.load(folder), lambda: compare(**CALL, out=folder)):
        with pytest.raises(CheckpointError) as error:
            look()
        text = str(error.value)
        assert text.startswith(f"{path}")
        assert "\n" not in text
        assert text.endswith(".")
    assert path.read_bytes() == content


def test_every_flipped_bit_of_a_run_is_found(folder):
    """Of its text: a row is JSON, in which a flipped bit is often JSON again."""
    with sqlite3.connect(folder / NAME) as db:
        [(text,)] = db.execute("SELECT content FROM runs WHERE id = 1")
        for k in range(0, len(text), 17):
            flipped = text[:k] + chr(ord(text[k]) ^ 1) + text[k + 1 :]
            db.execute("UPDATE runs SET content = ? WHERE id = 1", (flipped,))
            db.commit()
            with pytest.raises(CheckpointError):
                Study.load(folder)
    db.close()
    assert json.loads(text)["problem"] == "diabetes"


def test_a_format_of_another_version_is_told(folder, monkeypatch):
    monkeypatch.setattr("gradstep.compare.store.READABLE", (0, 1))
    with pytest.raises(CheckpointError, match="its format is 2, and this version reads up to 1"):
        Study.load(folder)


def test_a_study_of_the_first_format_is_read_and_does_not_go_on(folder):
    """It has no searches in its spec, and its trials are where the stored table has them."""
    before = Study.load(folder)
    with sqlite3.connect(folder / "study.db") as db:
        spec = json.loads(db.execute("SELECT content FROM facts WHERE name = 'spec'").fetchone()[0])
        spec = {key: x for key, x in spec.items() if key != "searches"} | {"format": 1}
        text = json.dumps(spec)
        db.execute("UPDATE facts SET content = ?, crc = ? WHERE name = 'spec'", (text, zlib.crc32(text.encode())))
    db.close()
    assert table_of(Study.load(folder)) == table_of(before)
    with pytest.raises(GradstepError, match="a study of an earlier version"):
        compare(list(before.optimizers), list(before.problems), out=folder)
    assert free_folder(before.problems, before.spec) != folder


def with_changes(table, change):
    """Return what changes the first row of a table, its checksum made to fit."""

    def damage(db):
        key, text = db.execute(f"SELECT rowid, content FROM {table} ORDER BY rowid").fetchone()  # noqa: S608
        content = json.loads(text)
        change(content)
        text = json.dumps(content)
        new = text, zlib.crc32(text.encode()), key
        db.execute(f"UPDATE {table} SET content = ?, crc = ? WHERE rowid = ?", new)  # noqa: S608

    return damage


MISFITS = {
    "a run of another problem": (
        with_changes("runs", lambda x: x.update(problem="nobody")),
        "'sgd' on 'nobody', which",
    ),
    "a run of another optimizer": (with_changes("runs", lambda x: x.update(optimizer="x:y=1")), "a run of 'x:y=1' on"),
    "a timing of nobody": (
        with_changes("timings", lambda x: x.update(problem="nobody")),
        "a timing of 'sgd' on 'nobody'",
    ),
    "a timing without a number": (with_changes("timings", lambda x: x.update(step_us=float("nan"))), "is no number"),
    "a seed that nobody asked for": (with_changes("runs", lambda x: x.update(seed=-3)), "a run of seed -3 and trial 0"),
    "a trial beyond all": (with_changes("runs", lambda x: x.update(trial=9)), "of seed 1000 and trial 9"),
    "no steps beside the losses": (with_changes("runs", lambda x: x.update(steps=[])), "other counts of steps than of"),
    "a loss too few": (with_changes("runs", lambda x: x["loss"].pop()), "has other counts of steps than of values"),
    "no seeds": (with_changes("facts", lambda x: x.update(seeds=-3)), "its spec is of no study"),
    "seeds without end": (with_changes("facts", lambda x: x.update(tuning_seeds=10**30)), "its spec is of no study"),
    "no problems": (with_changes("facts", lambda x: x.update(problems=[])), "its spec is of no study"),
    "more seeds than ever": (with_changes("facts", lambda x: x.update(seeds=3)), "is no part of all that was asked"),
    "a shard of none": (with_changes("facts", lambda x: x.update(shard="3/2")), "its spec is of no study"),
    "other steps": (with_changes("facts", lambda x: x.update(steps=21)), "is no part of all that was asked"),
    "made by nobody": (with_changes("runs", lambda x: x.update(made_with="me")), "does not say what made a run of"),
    "another problem": (
        with_changes("facts", lambda x: x.update(problems=["digits-mlp"])),
        "its spec names 'digits-mlp', and all that was asked for has 'diabetes', 'quadratic'",
    ),
    "an optimizer that is not known": (
        with_changes("facts", lambda x: x.update(optimizers=["a"])),
        "its spec names 'a', and all that was asked for has 'sgd', 'adam'",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_rows_that_do_not_belong_together_are_one_sentence(what, folder, capsys):
    from gradstep.cli import main

    damage, said = MISFITS[what]
    with sqlite3.connect(folder / NAME) as db:
        damage(db)
    db.close()
    before = (folder / NAME).read_bytes()
    again = f"--optimizers {CALL['optimizers']} --trials 3 --seeds 2 --steps 20 --jobs 1 --out".split()
    for arguments in (["watch", folder], ["report", folder], ["compare", *CALL["problems"], *again, folder]):
        assert main([*map(str, arguments)]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
        assert str(folder / NAME) in err
    assert (folder / NAME).read_bytes() == before
    assert not (folder / "report.html").exists()
