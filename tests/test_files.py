"""Files that are there whole or not at all: names, links, modes, what is swept, and systems that lack something."""

import ast
import errno
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep import files
from support import SOURCE, clear


def put(path, text="new", **options):
    files.write_whole(path, lambda handle: files.write_all(handle, text.encode()), **options)


def read(folder):
    return {x.name: x.read_text() for x in folder.iterdir()}


def leftover(folder, name="run.x", tag="0123456789ab"):
    path = folder / f".{name}.{tag}.part"
    path.write_text("left")
    return path


class TestPaths:
    @pytest.mark.parametrize(
        "as_given", [str, Path, lambda path: type("P", (), {"__fspath__": lambda self: str(path)})()]
    )
    def test_kinds_of_path(self, tmp_path, as_given):
        put(as_given(tmp_path / "run.x"))
        assert read(tmp_path) == {"run.x": "new"}

    def test_a_relative_path(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        put("run.x", "one")
        put("run.x", "two", keep=2)
        assert read(tmp_path) == {"run.x": "two", "run.1.x": "one"}

    def test_a_link_is_followed(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        (tmp_path / "b/run.x").write_text("old")
        (tmp_path / "a/link.x").symlink_to(tmp_path / "b/run.x")
        put(tmp_path / "a/link.x", keep=2)
        assert (tmp_path / "a/link.x").is_symlink()
        assert read(tmp_path / "b") == {"run.x": "new", "run.1.x": "old"}

    def test_a_link_to_nothing_makes_the_file(self, tmp_path):
        (tmp_path / "link.x").symlink_to(tmp_path / "run.x")
        put(tmp_path / "link.x")
        assert read(tmp_path) == {"run.x": "new", "link.x": "new"}

    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder to write to") as error:
            put(tmp_path / "none/run.x")
        assert error.value.filename == str(tmp_path / "none")

    def test_a_folder(self, tmp_path):
        with pytest.raises(IsADirectoryError, match="this is a folder, not a file"):
            put(tmp_path)

    def test_a_name_with_dots_spaces_and_signs(self, tmp_path):
        name = "my run (1).best+[x].safetensors"
        leftover(tmp_path, name)
        put(tmp_path / name, "one")
        put(tmp_path / name, "two", keep=2)
        assert read(tmp_path) == {name: "two", "my run (1).best+[x].1.safetensors": "one"}

    def test_a_name_without_a_suffix(self, tmp_path):
        for text in ("one", "two", "three"):
            put(tmp_path / "run", text, keep=3)
        assert read(tmp_path) == {"run": "three", "run.1": "two", "run.2": "one"}

    @pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_the_mode_that_the_umask_gives(self, tmp_path, umask):
        before = os.umask(umask)
        try:
            put(tmp_path / "run.x")
            put(tmp_path / "run.x")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "run.x").stat().st_mode) == 0o666 & ~umask

    @pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o444, 0o664, 0o755])
    def test_the_mode_of_what_is_replaced(self, tmp_path, mode):
        put(tmp_path / "run.x", "old")
        (tmp_path / "run.x").chmod(mode)
        seen = []

        def write(handle):
            seen.append(stat.S_IMODE(os.fstat(handle).st_mode))  # nobody reads it while it is written either
            files.write_all(handle, b"new")

        files.write_whole(tmp_path / "run.x", write, keep=2)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("run.x", "run.1.x")]
        assert seen + modes == [mode] * 3

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
    def test_the_owner_of_what_is_replaced(self, tmp_path):
        put(tmp_path / "run.x", "old")
        os.chown(tmp_path / "run.x", 1234, 4321)
        put(tmp_path / "run.x")
        status = (tmp_path / "run.x").stat()
        assert (status.st_uid, status.st_gid) == (1234, 4321)

    def test_text(self, tmp_path):
        files.write_text(tmp_path / "a.txt", "ä\n")
        assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()


@pytest.fixture
def no_waiting():
    """Raise TimeoutError where a test would wait for ever."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def device(path):
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def bound(path):
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)  # names of sockets are short
        made.bind(path.name)


KINDS = {"FIFO": os.mkfifo, "socket": bound, "device": device, "folder": os.mkdir} if os.name == "posix" else {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("no_waiting")
class TestWhatIsNoOrdinaryFile:
    """It is neither replaced nor opened, by none of those who write or read."""

    @pytest.fixture
    def make(self, kind, monkeypatch):
        monkeypatch.chdir(".")

        def make(path):
            KINDS[kind](path)
            return path.lstat()

        return make

    @pytest.mark.parametrize(("keep", "name"), [(1, "run.x"), (3, "run.x"), (2, "run.1.x"), (3, "run.2.x")])
    def test_a_save(self, tmp_path, make, kind, keep, name):
        there = make(tmp_path / name)
        written = []
        with pytest.raises(OSError, match=f"this is a {kind}, not") as error:
            files.write_whole(tmp_path / "run.x", written.append, keep)
        assert error.value.filename == str(tmp_path / name)
        assert written == []
        assert os.path.samestat((tmp_path / name).lstat(), there)
        assert os.listdir(tmp_path) == [name]

    def test_a_link_to_it(self, tmp_path, make, kind):
        make(tmp_path / "it")
        (tmp_path / "run.x").symlink_to("it")
        with pytest.raises(OSError, match=f"this is a {kind}, not"):
            put(tmp_path / "run.x")
        assert (tmp_path / "run.x").is_symlink()

    def test_one_beyond_those_that_are_kept(self, tmp_path, make):
        make(tmp_path / "run.2.x")
        for text in "abc":
            put(tmp_path / "run.x", text, keep=2)
        assert (tmp_path / "run.1.x").read_text() == "b"

    def test_one_under_the_name_of_a_temporary_file(self, tmp_path, make):
        path = tmp_path / f".run.x.{'0' * 12}.part"
        there = make(path)
        put(tmp_path / "run.x")
        assert os.path.samestat(path.lstat(), there)

    def test_reading(self, tmp_path, make, kind):
        make(tmp_path / "run.safetensors")
        with pytest.raises(OSError, match=f"this is a {kind}, not"):
            gs.load(tmp_path / "run.safetensors")

    def test_a_run_is_told_before_it_begins(self, tmp_path, make, kind):
        make(tmp_path / "run.1.safetensors")
        with pytest.raises(gs.GradstepValueError, match=f"no file can be written .* this is a {kind}, not") as error:
            gs.Run(lambda x: (x @ x, 2 * x), np.ones(2), "sgd", save_to=tmp_path / "run.safetensors")
        assert clear(error)

    def test_opened_to_be_changed(self, tmp_path, make, kind):
        make(tmp_path / "history.jsonl")
        with pytest.raises(OSError, match=f"this is a {kind}, not"):
            files.open_ordinary(tmp_path / "history.jsonl", change=True)


def test_an_ordinary_file_is_opened(tmp_path):
    with files.open_ordinary(tmp_path / "a", change=True) as file:
        file.write(b"one")
    with files.open_ordinary(tmp_path / "a", change=True) as file:
        assert file.read() == b"one"
    with files.open_ordinary(tmp_path / "a") as file:
        assert file.read() == b"one"
    with pytest.raises(FileNotFoundError):
        files.open_ordinary(tmp_path / "b")


class TestSaversAtOnce:
    def test_each_waits_for_the_one_before(self, tmp_path, monkeypatch):
        """A second saver comes between all calls that give names in the first one."""
        real, others = os.replace, []

        def replace(source, target):
            if threading.current_thread() is threading.main_thread() and source.exists():
                call = {"target": put, "args": (tmp_path / "run.x", f"other {len(others)}"), "kwargs": {"keep": 9}}
                others.append(threading.Thread(**call))
                others[-1].start()
                others[-1].join(0.1)
            real(source, target)

        for text in "abc":
            put(tmp_path / "run.x", text, keep=9)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            put(tmp_path / "run.x", "mine", keep=9)
        for other in others:
            other.join()
        texts = read(tmp_path)
        in_order = [texts.pop(name) for name in ("run.x", *(f"run.{k}.x" for k in range(1, 9))) if name in texts]
        assert texts == {}
        assert sorted(in_order[: len(others)]) == [f"other {k}" for k in range(len(others))]
        assert in_order[len(others) :] == ["mine", "c", "b", "a"]

    def test_a_save_within_a_save_does_not_wait_for_itself(self, tmp_path, monkeypatch):
        """As from a signal handler, between all calls of the first."""
        real, within = os.replace, []

        def replace(source, target):
            within.append(source)
            if len(within) == 1:
                put(tmp_path / "run.x", "inner", keep=3)
            real(source, target)

        put(tmp_path / "run.x", "old")
        monkeypatch.setattr(files, "PATIENCE", 1000.0)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", replace)
            put(tmp_path / "run.x", "outer", keep=3)
        assert read(tmp_path)["run.x"] == "outer"
        assert not any(name.endswith(".part") for name in os.listdir(tmp_path))

    @pytest.mark.skipif(files.fcntl is None, reason="no locks here")
    def test_one_that_is_stopped_is_not_waited_for_for_ever(self, tmp_path, monkeypatch):
        put(tmp_path / "run.x", "old")
        handle = os.open(tmp_path / "run.x", os.O_RDONLY)
        assert files._lock(handle)
        monkeypatch.setattr(files, "PATIENCE", 0.05)
        put(tmp_path / "run.x", "new", keep=2)
        os.close(handle)
        assert read(tmp_path) == {"run.x": "new", "run.1.x": "old"}


class TestKeep:
    @pytest.mark.parametrize("keep", [0, -1, 1001, 10**6, 1.5, "2", True, None])
    def test_out_of_bounds(self, tmp_path, keep):
        opt = gs.Optimizer(np.zeros(2), "sgd")
        for save in (
            lambda: put(tmp_path / "run.x", keep=keep),
            lambda: opt.save(tmp_path / "run.safetensors", keep=keep),
            lambda: gs.Run(lambda x: (x @ x, 2 * x), np.ones(2), "sgd", save_to=tmp_path / "run.x", keep=keep),
        ):
            with pytest.raises((gs.GradstepTypeError, gs.GradstepValueError), match=r"^keep must be"):
                save()
        assert os.listdir(tmp_path) == []

    def test_the_most(self, tmp_path):
        put(tmp_path / "run.x", "a", keep=1000)
        put(tmp_path / "run.x", "b", keep=np.int64(1000))
        assert read(tmp_path) == {"run.x": "b", "run.1.x": "a"}

    def test_a_chain(self, tmp_path):
        for k in range(6):
            put(tmp_path / "run.x", str(k), keep=3)
        assert read(tmp_path) == {"run.x": "5", "run.1.x": "4", "run.2.x": "3"}

    def test_fewer_than_before_leaves_the_older_alone(self, tmp_path):
        for k in range(4):
            put(tmp_path / "run.x", str(k), keep=4)
        put(tmp_path / "run.x", "4", keep=1)
        assert read(tmp_path) == {"run.x": "4", "run.1.x": "2", "run.2.x": "1", "run.3.x": "0"}

    def test_a_gap_in_the_chain(self, tmp_path):
        for k in range(4):
            put(tmp_path / "run.x", str(k), keep=3)
        (tmp_path / "run.1.x").unlink()
        put(tmp_path / "run.x", "4", keep=3)
        assert read(tmp_path) == {"run.x": "4", "run.1.x": "3", "run.2.x": "1"}

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
    def test_a_file_system_without_second_names(self, tmp_path, monkeypatch, number):
        def link(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "link", link)
        for k in range(3):
            put(tmp_path / "run.x", str(k), keep=3)
        assert read(tmp_path) == {"run.x": "2"}

    def test_another_error_of_a_second_name_is_raised(self, tmp_path, monkeypatch):
        def link(*_):
            raise OSError(errno.ENOSPC, "full")

        put(tmp_path / "run.x", "old")
        monkeypatch.setattr(os, "link", link)
        with pytest.raises(OSError, match="full"):
            put(tmp_path / "run.x", "new", keep=3)
        assert read(tmp_path) == {"run.x": "old"}

    def test_without_second_names_and_a_folder_that_fails_something_whole_is_there(self, tmp_path, monkeypatch):
        put(tmp_path / "run.x", "old")

        def refuse(*_):
            raise OSError(errno.EPERM, "no")

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(files, "sync_folder", refuse)
        with pytest.raises(OSError, match="no"):
            put(tmp_path / "run.x", "new")
        assert read(tmp_path) == {"run.x": "new"}


@pytest.mark.skipif(files.fcntl is None, reason="no locks here")
class TestSweep:
    def test_what_dead_writers_left_is_swept(self, tmp_path):
        leftover(tmp_path)
        read_only = leftover(tmp_path, tag="a" * 12)
        read_only.chmod(0o444)
        put(tmp_path / "run.x")
        assert read(tmp_path) == {"run.x": "new"}

    def test_other_files_are_not(self, tmp_path):
        kept = [leftover(tmp_path, "other.x"), leftover(tmp_path, tag="nothexatall!"), leftover(tmp_path, tag="0" * 11)]
        put(tmp_path / "run.x")
        assert all(x.exists() for x in kept)

    def test_what_a_living_writer_has_is_not(self, tmp_path):
        seen = []

        def write(handle):
            put(tmp_path / "run.x", "inner")  # another writer, from the first to the last of its calls
            seen.extend(x for x in os.listdir(tmp_path) if x.endswith(".part"))
            files.write_all(handle, b"outer")

        files.write_whole(tmp_path / "run.x", write)
        assert len(seen) == 1
        assert read(tmp_path) == {"run.x": "outer"}

    @pytest.mark.process
    def test_a_writer_that_is_killed_and_one_that_lives(self, tmp_path):
        code = """
import os, sys
from gradstep import files
def write(handle):
    os.write(handle, b"half")
    print("in", flush=True)
    sys.stdin.read()
files.write_whole(sys.argv[1], write)
"""
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "run.x")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "in\n"
            put(tmp_path / "run.x", "one")
            assert len(read(tmp_path)) == 2
            process.kill()
        assert len(read(tmp_path)) == 2
        put(tmp_path / "run.x", "two")
        assert read(tmp_path) == {"run.x": "two"}

    def test_a_temporary_file_that_was_swept_at_birth_is_made_anew(self, tmp_path, monkeypatch):
        lock, born = files._lock, []

        def swept(handle):
            if len(born) < 2:
                born.append(handle)
                for x in tmp_path.glob(".*.part"):
                    x.unlink()
                return len(born) == 1 and lock(handle)  # once it is gone, once another has its lock
            return lock(handle)

        monkeypatch.setattr(files, "_lock", swept)
        put(tmp_path / "run.x")
        assert len(born) == 2
        assert read(tmp_path) == {"run.x": "new"}

    def test_no_locks_on_this_file_system(self, tmp_path, monkeypatch):
        def flock(*_):
            raise OSError(errno.ENOLCK, "no locks")

        monkeypatch.setattr(files.fcntl, "flock", flock)
        put(tmp_path / "run.x")
        assert read(tmp_path) == {"run.x": "new"}

    def test_a_folder_that_cannot_be_listed(self, tmp_path, monkeypatch):
        def listdir(*_):
            raise PermissionError

        with monkeypatch.context() as patch:
            patch.setattr(os, "listdir", listdir)
            put(tmp_path / "run.x")
        assert read(tmp_path) == {"run.x": "new"}


class TestWindows:
    """Without fcntl nothing is swept; the file is closed before it is renamed; folders are not forced."""

    @pytest.fixture(autouse=True)
    def windows(self, monkeypatch):
        monkeypatch.setattr(files, "fcntl", None)
        monkeypatch.setattr(files, "sync_folder", lambda folder: None)

    def test_a_save(self, tmp_path, monkeypatch):
        kept = leftover(tmp_path)
        open_now, close, replace = set(), os.close, os.replace
        opened = files._open_temporary

        def spy_open(*args):
            path, handle = opened(*args)
            open_now.add(handle)
            return path, handle

        def spy_replace(*args):
            assert not open_now
            replace(*args)

        monkeypatch.setattr(files, "_open_temporary", spy_open)
        monkeypatch.setattr(os, "close", lambda handle: (open_now.discard(handle), close(handle)))
        monkeypatch.setattr(os, "replace", spy_replace)
        for k in range(3):
            put(tmp_path / "run.x", str(k), keep=2)
        kept.unlink()
        assert read(tmp_path) == {"run.x": "2", "run.1.x": "1"}


def test_folders_are_not_forced_where_that_cannot_be(monkeypatch, tmp_path):
    nowhere = tmp_path / "none"
    with pytest.raises(FileNotFoundError):
        files.sync_folder(nowhere)
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        files.sync_folder(nowhere)


class TestWritableFolder:
    def test_made_with_those_above_it(self, tmp_path):
        assert files.writable_folder(tmp_path / "a/b/c") == tmp_path / "a/b/c"
        assert files.writable_folder(tmp_path / "a/b") == tmp_path / "a/b"
        assert os.listdir(tmp_path / "a/b") == ["c"]

    def test_what_cannot_be(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(gs.GradstepValueError, match="cannot write to the folder") as error:
            files.writable_folder(tmp_path / "file")
        assert clear(error)


WRITING = {"write_bytes", "os.open", "os.replace", "os.rename", "os.link", "os.symlink", "os.truncate", "io.open"}


def writes_by_itself(text):
    """Return the calls in a module's source that make or change a file."""
    found = []
    for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        last = name.rpartition(".")[2]
        modes = [ast.unparse(x) for x in (*call.args[:2], *(x.value for x in call.keywords if x.arg == "mode"))]
        opens = last == "open" and any(re.fullmatch(r"'[rbt]*[wax+][wax+bt]*'", mode) for mode in modes)
        if opens or last == "write_bytes" or name in WRITING or re.fullmatch(r".*\.write_text", name):
            found.append(ast.unparse(call))
    return found


def test_one_place_writes_files():
    allowed = {"files.py", "bench/memory.py"}  # the second: a counter of the kernel's under /proc
    found = {path: writes_by_itself(path.read_text("utf-8")) for path in (SOURCE / "gradstep").rglob("*.py")}
    assert {path.relative_to(SOURCE / "gradstep").as_posix() for path, calls in found.items() if calls} == allowed
    assert writes_by_itself("Path(a).open('w'); open(b, mode='r+b'); c.write_text('')") != []
    assert writes_by_itself("open(a); Path(b).open('rb'); write_text(c, '')") == []


def test_a_file_is_moved_over_another_by_the_rules_of_the_writer(tmp_path):
    old, link, new = tmp_path / "old", tmp_path / "link", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    link.symlink_to(old)
    files.move_over(new, link)
    assert link.is_symlink()
    assert old.read_text() == "new"
    assert not new.exists()
    files.move_over(old, old)
    assert old.read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_nothing_is_moved_over_what_is_no_ordinary_file_nor_from_there(tmp_path):
    fifo, file = tmp_path / "fifo", tmp_path / "file"
    os.mkfifo(fifo)
    file.write_text("whole")
    for pair in ((file, fifo), (fifo, file), (file, tmp_path)):
        with pytest.raises(OSError, match=r"not an ordinary file|a folder"):
            files.move_over(*pair)
    assert file.read_text() == "whole"
    assert stat.S_ISFIFO(fifo.stat().st_mode)
