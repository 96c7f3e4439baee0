"""Machine code on disk: whatever is done to the files, a step is right and nothing is left lying about."""

import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.engine import kernel_cache
from support import script

native = pytest.importorskip("gradstep.engine.native")
compiled = pytest.importorskip("gradstep.engine.compiled")
KEY = kernel_cache.key_of("some assembly", "a cpu")
CODE = bytes(range(256)) * 5


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


def step(tx=None):
    """The numbers of a step; that they are right is seen beside the eager engine's."""
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
        for n in (*range(80), *range(80, len(data), 97), len(data) - 1):
            path.write_bytes(data[:n])
            assert kernel_cache.load(KEY) is None, n
        path.write_bytes(data + b"\0")
        assert kernel_cache.load(KEY) is None

    def test_every_flipped_bit_of_the_header_and_some_of_the_rest_are_found(self, cache):
        kernel_cache.save(KEY, CODE)
        path = cache / f"{KEY}.o"
        data = path.read_bytes()
        places = [*range(32 * 8), *range(32 * 8, len(data) * 8, 61)]
        for bit in places:
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
        real = os.fdopen

        def full(handle, mode):
            file = real(handle, mode)

            class Full:
                def __enter__(self):
                    return self

                def __exit__(self, *error):
                    file.close()

                def write(self, data):
                    file.write(data[:10])
                    raise OSError(28, "No space left on device")

            return Full()

        monkeypatch.setattr(kernel_cache.os, "fdopen", full)
        kernel_cache.save(KEY, CODE)
        assert list(cache.iterdir()) == []
        assert kernel_cache.load(KEY) is None

    def test_an_interrupt_while_writing_leaves_nothing(self, cache, monkeypatch):
        def stop(self, target):
            raise KeyboardInterrupt

        monkeypatch.setattr(kernel_cache.Path, "replace", stop)
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
        monkeypatch.setenv("XDG_CACHE_HOME", "")
        monkeypatch.setattr(kernel_cache.sys, "platform", "linux")
        assert kernel_cache.folder() == tmp_path / "home" / ".cache" / "gradstep"
        monkeypatch.setattr(kernel_cache.sys, "platform", "darwin")
        assert kernel_cache.folder() == tmp_path / "home" / "Library" / "Caches" / "gradstep"

    def test_no_home(self, monkeypatch):
        def nowhere():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv("GRADSTEP_CACHE_DIR", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(kernel_cache.Path, "home", nowhere)
        assert kernel_cache.folder() is None
        kernel_cache.save(KEY, CODE)
        assert kernel_cache.load(KEY) is None

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
    def test_a_second_process_finds_the_kernel(self, cache, fresh):
        step()
        (file,) = cache.iterdir()
        before = file.read_bytes(), file.stat().st_mtime_ns
        fresh()
        assembly = []
        real = native.Kernel.__init__

        def watched(self, text):
            real(self, text)
            assembly.append(self.cached)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native.Kernel, "__init__", watched)
            step()
        assert assembly == [True]
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before

    @pytest.mark.parametrize("case", DAMAGE)
    def test_damage_is_compiled_again_and_mended(self, cache, fresh, case):
        step()
        (file,) = cache.iterdir()
        good = file.read_bytes()
        file.write_bytes(DAMAGE[case](good))
        fresh()
        step()
        assert [x.name for x in cache.iterdir()] == [file.name]
        assert kernel_cache.load(file.stem) == good[32:]

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
        assert [x.name for x in cache.iterdir()] == [file.name]

    def test_an_unwritable_folder(self, cache, fresh, monkeypatch):
        cache.mkdir()
        cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
        if os.access(cache, os.W_OK):  # root may write anywhere: refuse in its place

            def refuse(*args, **kwargs):
                raise PermissionError(13, "Permission denied")

            monkeypatch.setattr(kernel_cache.tempfile, "mkstemp", refuse)
        step()
        cache.chmod(stat.S_IRWXU)
        assert list(cache.iterdir()) == []

    def test_a_name_that_no_system_takes(self, monkeypatch, fresh):
        monkeypatch.setenv("GRADSTEP_CACHE_DIR", "/" + "x" * 5000)
        step()

    def test_processes_that_write_at_once(self, tmp_path):
        code = """
import multiprocessing, sys
import numpy as np, gradstep as gs

def work(seed):
    out = []
    for rule in ("adam", "sgd", "rmsprop", "nesterov"):
        w = np.ones(40, "f4")
        gs.Optimizer(w, rule, engine="compiled").step(np.linspace(-1, 1, 40, dtype="f4"))
        out.append(w.tobytes())
    return out

def main():
    with multiprocessing.get_context("fork").Pool(6) as pool:
        found = pool.map(work, range(6), chunksize=1)
    assert all(x == found[0] for x in found)

if __name__ == "__main__":
    main()
"""
        script(code, GRADSTEP_CACHE_DIR=str(tmp_path / "cache"))
        names = [x.name for x in (tmp_path / "cache").iterdir()]
        assert len(names) == 4
        assert all(name.endswith(".o") for name in names)
