"""Machine code on disk: whatever is done to the files, a step is right and nothing is left lying about."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep import files
from gradstep.engine.cpu import kernel_cache
from support import SOURCE, script

native = pytest.importorskip("gradstep.engine.cpu.native")
compiled = pytest.importorskip("gradstep.engine.cpu.compiled")
KEY = kernel_cache.key_of("some assembly", "a cpu")
CODE = bytes(range(256))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fresh():
    """Kernels are made anew, as in a new process."""

    def forget():
        compiled._kernel.cache_clear()
        native._kernel.cache_clear()

    forget()
    yield forget
    forget()


@pytest.fixture
def found(monkeypatch):
    """For each kernel that is made, whether its code was found on disk."""
    seen = []
    real = native.Kernel.__init__

    def watched(self, text):
        real(self, text)
        seen.append(self.cached)

    monkeypatch.setattr(native.Kernel, "__init__", watched)
    return seen


def step(tx=None):
    """A step; that its numbers are right is seen beside the eager engine's."""
    out = []
    for engine in ("compiled", "eager"):
        w = np.arange(37.0, dtype="f4")
        gs.Optimizer(w, tx or gs.adam(lr=0.1), engine=engine).step(np.ones(37, "f4"))
        out.append(w.tobytes())
    assert out[0] == out[1]


class TestFiles:
    def test_round_trip(self, cache):
        assert kernel_cache.load(KEY) is None
        kernel_cache.save(KEY, CODE)
        assert kernel_cache.load(KEY) == CODE
        assert [x.name for x in cache.iterdir()] == [f"{KEY}.o"]

    def test_every_truncation_is_found(self, cache):
        kernel_cache.save(KEY, CODE)
        path = cache / f"{KEY}.o"
        data = path.read_bytes()
        for n in range(len(data)):
            path.write_bytes(data[:n])
            assert kernel_cache.load(KEY) is None, n
        path.write_bytes(data + b"\0")
        assert kernel_cache.load(KEY) is None

    def test_every_flipped_bit_is_found(self, cache):
        kernel_cache.save(KEY, CODE)
        path = cache / f"{KEY}.o"
        data = path.read_bytes()
        for bit in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            assert kernel_cache.load(KEY) is None, bit

    def test_a_file_under_another_name_is_foreign(self, cache):
        other = kernel_cache.key_of("other assembly", "a cpu")
        kernel_cache.save(KEY, CODE)
        (cache / f"{KEY}.o").rename(cache / f"{other}.o")
        assert kernel_cache.load(other) is None
        kernel_cache.save(other, b"other")
        assert kernel_cache.load(other) == b"other"

    @settings(max_examples=50)
    @given(junk=st.binary(max_size=200))
    def test_junk(self, junk, tmp_path_factory):
        folder = tmp_path_factory.mktemp("junk")
        (folder / f"{KEY}.o").write_bytes(junk)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRADSTEP_CACHE_DIR", str(folder))
            assert kernel_cache.load(KEY) is None

    def test_keys_part_what_they_are_made_of(self):
        keys = {
            kernel_cache.key_of(*parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""), ("", "a", "b"), ("b", "a"))
        }
        assert len(keys) == 5

    def test_a_write_that_fails_half_way_leaves_nothing(self, cache, monkeypatch):
        def full(handle, data):
            os.write(handle, data[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(kernel_cache, "write_all", full)
        kernel_cache.save(KEY, CODE)
        assert list(cache.iterdir()) == []
        assert kernel_cache.load(KEY) is None

    def test_each_writer_has_a_file_of_its_own(self, cache, monkeypatch):
        """Else one could rename what the other has half written."""
        real, written = files._open_temporary, []

        def watched(target, made):
            path, handle = real(target, made)
            written.append(path)
            return path, handle

        monkeypatch.setattr(files, "_open_temporary", watched)
        kernel_cache.save(KEY, CODE)
        kernel_cache.save(KEY, CODE)
        assert len(set(written)) == 2
        assert {(x.parent, x.suffix) for x in written} == {(cache, ".part")}

    def test_a_folder_that_vanishes_while_it_is_written(self, cache, monkeypatch):
        def gone(handle, data):
            os.write(handle, data)
            shutil.rmtree(cache)

        with monkeypatch.context() as patch:
            patch.setattr(kernel_cache, "write_all", gone)
            kernel_cache.save(KEY, CODE)
        assert not cache.exists()
        assert kernel_cache.load(KEY) is None
        kernel_cache.save(KEY, CODE)
        assert kernel_cache.load(KEY) == CODE

    @pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
    def test_others_may_read_what_the_umask_lets_them(self, cache):
        """A folder that was filled for all users of a machine is of use to them."""
        old = os.umask(0o022)
        try:
            kernel_cache.save(KEY, CODE)
        finally:
            os.umask(old)
        assert (cache / f"{KEY}.o").stat().st_mode & 0o777 == 0o644

    def test_an_interrupt_while_writing_leaves_nothing(self, cache, monkeypatch):
        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            kernel_cache.save(KEY, CODE)
        assert list(cache.iterdir()) == []


class TestFolder:
    def test_order_of_places(self, monkeypatch, tmp_path):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(tmp_path / "own"))
        assert kernel_cache.folder() == tmp_path / "own"
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", "")
        assert kernel_cache.folder() is None
        monkeypatch.delenv("GRADSTEP_CACHE_DIR")
        assert kernel_cache.folder() == tmp_path / "xdg" / "gradstep"
        monkeypatch.setattr(kernel_cache.sys, "platform", "linux")
        for unset in ("", "relative", "./here"):
            monkeypatch.setenv("XDG_CACHE_HOME", unset)
            assert kernel_cache.folder() == tmp_path / "home" / ".cache" / "gradstep"
        monkeypatch.setattr(kernel_cache.sys, "platform", "darwin")
        assert kernel_cache.folder() == tmp_path / "home" / "Library" / "Caches" / "gradstep"

    @pytest.mark.skipif(os.name != "posix", reason="homes are POSIX's")
    def test_no_home(self, monkeypatch, fresh, found):
        import pwd

        def nobody(uid):
            raise KeyError(f"getpwuid(): uid not found: {uid}")

        for name in ("GRADSTEP_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(pwd, "getpwuid", nobody)
        assert kernel_cache.folder() is None
        kernel_cache.save(KEY, CODE)
        assert kernel_cache.load(KEY) is None
        step()
        assert found == [False]

    def test_switched_off(self, monkeypatch, tmp_path, fresh):
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        step()
        assert list(tmp_path.iterdir()) == []


DAMAGE = {
    "empty": lambda data: b"",
    "a byte short": lambda data: data[:-1],
    "the header alone": lambda data: data[:32],
    "cut": lambda data: data[:40],
    "something in front": lambda data: b"\x7fELF" + data,
    "another instruction": lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
    "foreign": lambda data: b"not machine code",
}


class TestSteps:
    def test_a_kernel_made_anew_is_found(self, cache, fresh, found):
        step()
        (file,) = cache.iterdir()
        before = file.read_bytes(), file.stat().st_mtime_ns
        fresh()
        step()
        assert found == [False, True]
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before

    @pytest.mark.parametrize("other", ["name", "features"])
    def test_a_kernel_of_another_cpu_is_not_used(self, cache, fresh, found, monkeypatch, other):
        """As where machines share a home."""
        name, features = native._target()
        assert (name, features) != ("generic", "")
        with monkeypatch.context() as patch:
            patch.setattr(native, "_target", lambda: ("generic", features) if other == "name" else (name, ""))
            step()
        theirs = set(cache.iterdir())
        fresh()
        step()
        assert found == [False, False]
        (mine,) = set(cache.iterdir()) - theirs
        shutil.copy(*theirs, mine)  # even under this machine's key
        fresh()
        step()
        assert found == [False, False, False]
        fresh()
        step()
        assert found[3:] == [True]

    @pytest.mark.parametrize("case", DAMAGE)
    def test_damage_is_compiled_again_and_mended(self, cache, fresh, found, case):
        step()
        (file,) = cache.iterdir()
        good = file.read_bytes()
        file.write_bytes(DAMAGE[case](good))
        fresh()
        step()
        assert found == [False, False]
        assert [x.name for x in cache.iterdir()] == [file.name]
        assert file.read_bytes() == good

    def test_a_folder_in_its_place(self, cache, fresh):
        step()
        (file,) = cache.iterdir()
        file.unlink()
        (file / "inside").mkdir(parents=True)
        fresh()
        step()
        assert [x.name for x in cache.iterdir()] == [file.name]
        assert file.is_dir()

    def test_a_file_where_the_folder_should_be(self, cache, fresh):
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("in the way")
        step()
        assert cache.read_text() == "in the way"

    def test_a_dangling_link(self, cache, fresh):
        step()
        (file,) = cache.iterdir()
        file.unlink()
        file.symlink_to(cache / "nowhere")
        fresh()
        step()
        assert kernel_cache.load(file.stem) is not None
        assert {x.name for x in cache.iterdir()} == {file.name, "nowhere"}

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
    def test_a_fifo_in_its_place(self, cache, fresh):
        step()
        (file,) = cache.iterdir()
        file.unlink()
        os.mkfifo(file)
        fresh()
        step()
        assert file.is_fifo()

    def test_an_unwritable_folder(self, cache, fresh, monkeypatch):
        def refuse(handle, data):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(kernel_cache, "write_all", refuse)
        step()
        assert list(cache.iterdir()) == []

    def test_a_name_that_no_system_takes(self, monkeypatch, fresh):
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", "/" + "x" * 5000)
        step()


STEP = """
import hashlib
import numpy as np
import gradstep as gs
from gradstep.engine.cpu import kernel_cache, native

def step(rule="adam"):
    w = np.linspace(-1, 1, 40, dtype="f4")
    opt = gs.Optimizer(w, rule, engine="compiled")
    for _ in range(3):
        opt.step(w * w)
    return hashlib.sha256(w).hexdigest()

found = []
made = native.Kernel.__init__

def watched(self, text):
    made(self, text)
    found.append(self.cached)

native.Kernel.__init__ = watched
"""

AT_ONCE = """
import sys

def together(call):
    def wait(*arguments):
        print("here", flush=True)
        sys.stdin.readline()  # until all have come as far as this
        return call(*arguments)
    return wait

kernel_cache.load, kernel_cache.save = together(kernel_cache.load), together(kernel_cache.save)
print(step(), any(found), flush=True)
"""

STOPPED = """
import os

def stop(handle, data):
    if isinstance(data, bytes):
        os.write(handle, data[:200])
    os._exit(7)  # as when it is killed: nothing is tidied up

setattr(*WHERE, stop)
step()
"""

FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # the system refuses the 101st byte
print(step(), found == [False, False])
"""

READ_ONLY = """
import os
import sys
folder = kernel_cache.folder()
os.environ["GRADSTEP_CACHE_DIR"] = ""
step("sgd")  # all modules are loaded, and one of the two kernels is made
os.environ["GRADSTEP_CACHE_DIR"] = str(folder)
if os.geteuid() == 0:  # root may write anywhere
    os.setuid(65534)
assert not os.access(folder, os.W_OK)
print(step(), found[2:] == [False], step("rmsprop"), found[3:] == [True])
"""

BUSY = """
for _ in range(200):
    kernel_cache.save("k", b"code" * 500)
    assert kernel_cache.load("k") in (None, b"code" * 500)
"""


@pytest.fixture(scope="module")
def right():
    """What the step of those scripts gives without a cache."""
    return script(f"{STEP}print(step())", GRADSTEP_CACHE_DIR="").strip()


def again(cache):
    """The same step in one more process, and whether it found each kernel on disk."""
    return script(f"{STEP}print(step(), *found)", GRADSTEP_CACHE_DIR=str(cache)).split()


@pytest.mark.process
class TestProcesses:
    def test_the_second_finds_what_the_first_made(self, cache, right):
        assert again(cache) == [right, "False", "False"]
        assert again(cache) == [right, "True", "True"]

    def test_eight_that_write_the_same_kernels_at_once(self, cache, right):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "GRADSTEP_CACHE_DIR": str(cache)}
        command = [sys.executable, "-W", "error", "-c", STEP + AT_ONCE]
        with contextlib.ExitStack() as stack:
            processes = [
                stack.enter_context(
                    subprocess.Popen(
                        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
                    )
                )
                for _ in range(8)
            ]
            rounds = 0
            while (lines := {x.stdout.readline().strip() for x in processes}) == {"here"}:
                rounds += 1
                for x in processes:
                    x.stdin.write("\n")
        assert lines == {f"{right} False"}
        assert rounds == 4  # two kernels: all look for them, all write them
        assert [x.returncode for x in processes] == [0] * 8
        assert [x.suffix for x in cache.iterdir()] == [".o", ".o"]
        assert all(kernel_cache.load(x.stem) for x in cache.iterdir())
        assert again(cache) == [right, "True", "True"]

    @pytest.mark.parametrize("where", ["kernel_cache, 'write_all'", "os, 'replace'"])
    def test_a_writer_that_is_killed_breaks_nothing(self, cache, right, where):
        killed = subprocess.run(
            [sys.executable, "-c", STEP + STOPPED.replace("*WHERE", where)],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "GRADSTEP_CACHE_DIR": str(cache)},
            check=False,
        )
        assert killed.returncode == 7
        assert [x.suffix for x in cache.iterdir()] == [".part"]
        assert again(cache) == [right, "False", "False"]
        assert again(cache) == [right, "True", "True"]

    def test_a_full_disk(self, cache, right):
        pytest.importorskip("resource")
        assert script(STEP + FULL, GRADSTEP_CACHE_DIR=str(cache)).split() == [right, "True"]
        assert list(cache.iterdir()) == []

    @pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
    def test_a_read_only_folder_is_read(self, right):
        with tempfile.TemporaryDirectory() as top:  # pytest's own is for its user alone
            cache = Path(top) / "cache"
            script(f"{STEP}step('rmsprop')", GRADSTEP_CACHE_DIR=str(cache))
            before = set(cache.iterdir())
            for x in before:
                x.chmod(0o444)
            cache.chmod(0o555)
            Path(top).chmod(0o755)
            out = script(STEP + READ_ONLY, GRADSTEP_CACHE_DIR=str(cache)).split()
            assert set(cache.iterdir()) == before
            cache.chmod(0o755)
        assert (out[0], out[1], out[3]) == (right, "True", "True")

    def test_a_folder_that_is_removed_all_the_time(self, cache):
        busy = subprocess.Popen(
            [sys.executable, "-c", STEP + BUSY],
            env={**os.environ, "PYTHONPATH": str(SOURCE), "GRADSTEP_CACHE_DIR": str(cache)},
        )
        while busy.poll() is None:
            shutil.rmtree(cache, ignore_errors=True)
        assert busy.returncode == 0
