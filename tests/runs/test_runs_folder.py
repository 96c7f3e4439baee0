"""The folder of a run: who has it, what is cut off its history, and rows that a full disk did not take."""

import errno
import os
from pathlib import Path

import pytest

from gradstep.errors import GradstepValueError
from gradstep.loop import Step
from gradstep.runs import Folder
from gradstep.runs.folder import BUFFER


def add(history, *evaluations):
    for k in evaluations:
        history.add(Step(t=k, value=1.0 / k, evaluations=k))


def counts(folder):
    return [row["evaluations"] for row in folder.rows()]


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path):
    folder = Folder(tmp_path)
    with folder.history(0) as history:
        add(history, *range(1, 11))
        history.flush()
    with folder.history(7) as history:
        assert counts(folder) == list(range(1, 8))
        add(history, 8)
        history.flush()
    assert counts(folder) == list(range(1, 9))
    with folder.history_file.open("ab") as file:
        file.write(b'{"evaluations": 9, "t": 9}\n{"evaluations": 10')
    assert counts(folder) == list(range(1, 10))  # whole rows alone
    with folder.history(20) as history:
        add(history, 10)
        history.flush()
    assert counts(folder) == list(range(1, 11))


def test_rows_reach_the_file_before_a_flush_when_there_are_many(tmp_path):
    with Folder(tmp_path).history(0) as history:
        add(history, 1)
        assert history.path.stat().st_size == 0
        add(history, *range(2, 200))
        assert history.path.stat().st_size >= BUFFER


@pytest.mark.parametrize("taken", [0, 100, 12_345])
def test_rows_that_a_full_disk_did_not_take_come_later(tmp_path, monkeypatch, taken):
    """The disk takes so many more bytes and no more; then there is room again."""
    folder, write, left = Folder(tmp_path), os.write, [taken]

    def full(handle, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = write(handle, data[: left[0]])
        left[0] -= n
        return n

    with folder.history(0) as history:
        add(history, *range(1, 11))
        history.flush()
        monkeypatch.setattr("gradstep.files.os.write", full)
        add(history, *range(11, 401))  # far more than the buffer
        with pytest.raises(OSError, match="No space left") as error:
            history.flush()
        assert error.value.errno == errno.ENOSPC
        add(history, 401)
        assert counts(folder) == list(range(1, 1 + len(counts(folder))))
        assert 10 <= len(counts(folder)) < 401
        monkeypatch.undo()
        history.flush()
    assert counts(folder) == list(range(1, 402))


def test_one_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    (tmp_path / "run.json").touch()
    with Folder.existing(tmp_path):
        with pytest.raises(GradstepValueError, match="another process is at work in "):
            Folder.existing(tmp_path)
        with pytest.raises(GradstepValueError, match="another process is at work in "):
            Folder.new(tmp_path, "x")
    with Folder.existing(tmp_path):
        pass


def test_a_folder_that_is_refused_is_not_held(tmp_path):
    (tmp_path / "run.json").touch()
    with pytest.raises(GradstepValueError, match="has a run already"):
        Folder.new(tmp_path, "x")
    with Folder.existing(tmp_path):
        pass


def test_what_is_discarded_is_what_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, left in ((None, []), (Path("a/b/c"), []), (Path("mine"), ["mine", "mine/notes.txt"])):
        if left:
            Path("mine").mkdir()
            Path("mine/notes.txt").touch()
        with Folder.new(path, "fit") as folder:
            assert folder.shown == (path or Path("runs/fit"))
            assert folder.path == tmp_path / folder.shown
            with folder.history(0) as history:
                history.flush()
            folder.spec_file.touch()
            folder.discard()
        assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == left


@pytest.mark.parametrize("name", ["run.json", "history.jsonl", "checkpoint.safetensors", "result.json", "report.html"])
def test_no_file_of_another_run_is_written_over(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(GradstepValueError, match="has a run already"):
        Folder.new(tmp_path, "x")
    assert (tmp_path / name).read_text() == "mine"
