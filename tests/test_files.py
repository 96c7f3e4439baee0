"""Files that are there whole or not at all: names, links, modes, what is swept, and systems that lack something."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

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

    def test_text(self, tmp_path):
        files.write_text(tmp_path / "a.txt", "ä\n")
        assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()


class TestKeep:
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
