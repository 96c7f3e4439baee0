"""P4c: where the system refuses something during a save, the old file is as it was and nothing else is left."""

import contextlib
import errno
import os

import numpy as np
import pytest

import gradstep as gs
from gradstep import files

CALLS = ("open", "write", "lseek", "fsync", "link", "replace")  # one that fails is an error of the save
QUIET = ("unlink", "close", "listdir")  # nothing depends on these
SCENES = {"first": (1, 0), "keep=1": (1, 2), "keep=3": (3, 4)}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """A lock whose file a fault left open is not waited for long."""
    monkeypatch.setattr(files, "PATIENCE", 0.1)


class Faulty:
    """The module os, whose ``at``-th call of some functions does something else; ``calls`` are those made."""

    def __init__(self, names, at=-1, fault=None):
        self.names, self.at, self.fault, self.calls = names, at, fault, []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in self.names:
            return real

        def call(*args, **options):
            self.calls.append(name)
            if len(self.calls) - 1 == self.at:
                return self.fault(real, *args, **options)
            return real(*args, **options)

        return call


def error(number):
    def fault(real, *args, **options):
        raise OSError(number, os.strerror(number))

    return fault


def interrupt_before(real, *args, **options):
    raise KeyboardInterrupt


def interrupt_after(real, *args, **options):
    real(*args, **options)
    raise KeyboardInterrupt


def half(real, handle, data):
    return real(handle, data[: max(1, len(data) // 2)])


def part_then_full(real, handle, data):
    real(handle, data[:1])
    raise OSError(errno.ENOSPC, "full")


class Scene:
    def __init__(self, folder, keep, earlier):
        folder.mkdir(parents=True)
        self.folder, self.keep, self.w = folder, keep, np.arange(6.0)
        self.path = folder / "run.safetensors"
        self.opt = gs.Optimizer({"w": self.w, "b": np.ones(2, "f4")}, "adam")
        for _ in range(earlier):
            self.step_and_save()
        self.before = self.contents()

    def step_and_save(self):
        self.opt.step({"w": np.ones(6), "b": np.ones(2, "f4")})
        self.opt.save(self.path, keep=self.keep)

    def contents(self):
        return {x.name: x.read_bytes() for x in self.folder.iterdir()}

    def save_with(self, monkeypatch, faulty):
        with monkeypatch.context() as patch:
            patch.setattr(files, "os", faulty)
            patch.setattr("gradstep.checkpoint.format.os", faulty)
            self.step_and_save()

    def is_as_before(self):
        """The file itself is; and of those before it, each is whole and one that was saved."""
        now, name = self.contents(), self.path.name
        known = set(self.before.values())
        return (
            now.get(name) == self.before.get(name) and now.keys() <= self.before.keys() and set(now.values()) <= known
        )

    def is_new(self):
        return gs.load(self.path).t == self.opt.t and not any(".part" in name for name in self.contents())


def scenes(tmp_path, monkeypatch, names):
    """A scene for each call of a save that can go wrong, with its place among the calls."""
    for scene, (keep, earlier) in SCENES.items():
        counted = Faulty(names)
        Scene(tmp_path / scene / "counted", keep, earlier).save_with(monkeypatch, counted)
        for at, name in enumerate(counted.calls):
            yield lambda tag, at=at, scene=scene, keep=keep, earlier=earlier: (
                Scene(tmp_path / scene / f"{at} {tag}", keep, earlier)
            ), at, name  # fmt: skip


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
def test_an_error_at_each_call(number, in_memory, monkeypatch, figure):
    done = 0
    for make, at, name in scenes(in_memory, monkeypatch, CALLS):
        scene = make(number)
        with pytest.raises(OSError, match=os.strerror(number)) as raised:
            scene.save_with(monkeypatch, Faulty(CALLS, at, error(number)))
        assert raised.value.errno == number
        assert scene.is_as_before(), (at, name)
        scene.step_and_save()  # and the next is as ever
        assert scene.is_new(), (at, name)
        done += 1
    figure(
        "P4c", f"{errno.errorcode[number]}: error raised, old file as it was, no temporary file: {done} / {done} calls"
    )


def test_a_disk_that_becomes_full_within_a_write(in_memory, monkeypatch, figure):
    done = 0
    for make, at, _ in scenes(in_memory, monkeypatch, ("write",)):
        scene = make("full")
        with pytest.raises(OSError, match="full"):
            scene.save_with(monkeypatch, Faulty(("write",), at, part_then_full))
        assert scene.is_as_before()
        done += 1
    figure("P4c", f"a short write, then ENOSPC: old file as it was: {done} / {done} writes")


def test_short_writes_are_gone_on_with(in_memory, monkeypatch, figure):
    done = 0
    for make, at, _ in scenes(in_memory, monkeypatch, ("write",)):
        scene = make("short")
        scene.save_with(monkeypatch, Faulty(("write",), at, half))
        assert scene.is_new()
        done += 1
    figure("P4c", f"short writes: saved whole: {done} / {done} writes")


@pytest.mark.parametrize("fault", [interrupt_before, interrupt_after])
def test_an_interrupt_at_each_call(fault, in_memory, monkeypatch, figure):
    done = 0
    for make, at, name in scenes(in_memory, monkeypatch, (*CALLS, *QUIET)):
        scene = make(fault.__name__)
        with pytest.raises(KeyboardInterrupt):
            scene.save_with(monkeypatch, Faulty((*CALLS, *QUIET), at, fault))
        assert scene.is_as_before() or gs.load(scene.path).t == scene.opt.t, (at, name)
        scene.step_and_save()
        assert scene.is_new(), (at, name)
        done += 1
    figure("P4c", f"{fault.__name__.replace('_', ' ')} a call: old or new, and the next save whole: {done} / {done}")


def test_errors_of_tidying_up_are_none_of_the_save(in_memory, monkeypatch):
    for make, at, _ in scenes(in_memory, monkeypatch, QUIET):
        scene = make("quiet")
        scene.save_with(monkeypatch, Faulty(QUIET, at, error(errno.EIO)))
        assert gs.load(scene.path).t == scene.opt.t
        scene.step_and_save()
        assert scene.is_new()


def outcomes(in_memory, monkeypatch, tag):
    """How many errors leave all as it was."""
    good = done = 0
    for make, at, _ in scenes(in_memory, monkeypatch, CALLS):
        scene = make(tag)
        with contextlib.suppress(OSError):
            scene.save_with(monkeypatch, Faulty(CALLS, at, error(errno.ENOSPC)))
        good += scene.is_as_before()
        done += 1
    return good, done


def test_control_without_the_clean_up(in_memory, monkeypatch, control):
    monkeypatch.setattr(files, "_remove", lambda *paths: None)
    good, done = outcomes(in_memory, monkeypatch, "left")
    assert good < done
    control("P4c", f"without the clean-up: as it was {good} / {done}")


def test_control_a_writer_in_place(in_memory, monkeypatch, control):
    def in_place(path, write, keep):
        handle = files.os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            write(handle)
            files.os.fsync(handle)
        finally:
            os.close(handle)

    monkeypatch.setattr("gradstep.checkpoint.format.write_whole", in_place)
    good, done = outcomes(in_memory, monkeypatch, "in place")
    assert good < done
    control("P4c", f"a writer in place: as it was {good} / {done}")


def test_control_without_taking_back(in_memory, monkeypatch, control):
    monkeypatch.setattr(files, "_sync_or_undo", lambda folder, undo: files.sync_folder(folder))
    good, done = outcomes(in_memory, monkeypatch, "kept")
    assert good < done
    control("P4c", f"without taking back a name that may not last: as it was {good} / {done}")
