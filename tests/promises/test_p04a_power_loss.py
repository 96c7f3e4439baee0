"""P4a: a save is old or new, never between, also after a power loss; one that has returned is new."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep import files
from promises.conftest import PATH
from promises.disk import crashes, recorded

SCENES = {"first save": (1, 0), "overwriting": (1, 1), "keep=3, the third": (3, 2), "keep=3, the fifth": (3, 4)}


def params():
    return {"w": np.arange(1.0, 5.0), "b": np.ones(3, "f4")}


class Scene:
    """A folder in which an optimizer has been saved a few times, and then once more, with a log of that."""

    def __init__(self, monkeypatch, folder, keep, earlier):
        folder.mkdir()
        self.folder, self.keep, self.opt = folder, keep, gs.Optimizer(params(), "momentum")
        self.path = folder / "run.safetensors"
        for _ in range(earlier):
            self.step_and_save()
        self.before = {x.name: x.read_bytes() for x in folder.iterdir()}
        self.old = self.opt.t
        self.log = recorded(monkeypatch, folder, self.step_and_save)
        self.new = self.opt.t

    def step_and_save(self):
        self.opt.step(params())
        self.opt.save(self.path, keep=self.keep)

    def judged(self, folder):
        """How many states a crash may leave, and how many of them are bad."""
        count = bad = 0
        for returned, state in crashes(self.log, self.before):
            count += 1
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name, content in state.items():
                (folder / name).write_bytes(content)
            bad += not self.is_good(folder, returned)
        return count, bad

    def is_good(self, folder, returned):
        path = folder / self.path.name
        allowed = {self.new} if returned else {self.old, self.new}
        try:
            if (gs.load(path).t if path.exists() else 0) not in allowed:
                return False
            kept = [gs.load(x).t for x in sorted(folder.glob("run.[0-9].safetensors"))]
        except gs.CheckpointError:
            return False
        if returned and kept != list(range(self.old, 0, -1))[: self.keep - 1]:
            return False
        if kept != sorted(kept, reverse=True) or not set(kept) <= set(range(1, self.old + 1)):
            return False
        self.opt.save(path)  # life goes on, and cleans up
        clean = all(re.fullmatch(r"run(\.\d)?\.safetensors", name) for name in os.listdir(folder))
        return clean and gs.load(path).t == self.new


@pytest.fixture
def judge(monkeypatch, in_memory):
    def judged(scene):
        return Scene(monkeypatch, in_memory / "folder", *SCENES[scene]).judged(in_memory / "after")

    return judged


@pytest.mark.parametrize("scene", SCENES)
def test_old_or_new_in_every_state(scene, judge, figure):
    count, bad = judge(scene)
    assert bad == 0
    assert count > 10
    figure("P4a", f"{scene}: bad 0 / {count} states of the disk")


class WithoutFsyncOfFiles:
    """The module os, all but that."""

    def __getattr__(self, name):
        return getattr(os, name)

    def fsync(self, handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            os.fsync(handle)


@pytest.mark.parametrize("scene", SCENES)
def test_control_without_the_fsync_of_the_file(scene, judge, monkeypatch, control):
    monkeypatch.setattr(files, "os", WithoutFsyncOfFiles())
    count, bad = judge(scene)
    assert bad > 0
    control("P4a", f"{scene}, without the fsync of the file: bad {bad} / {count}")


@pytest.mark.parametrize("scene", SCENES)
def test_control_without_the_fsync_of_the_folder(scene, judge, monkeypatch, control):
    monkeypatch.setattr(files, "sync_folder", lambda folder: None)
    count, bad = judge(scene)
    assert bad > 0
    control("P4a", f"{scene}, without the fsync of the folder: bad {bad} / {count}")


TRACED = """
import os, sys
import gradstep as gs
from promises.test_p04a_power_loss import params
opt = gs.Optimizer(params(), "momentum")
for _ in range(2):
    opt.step(params())
    os.path.exists(sys.argv[1] + ".mark")
    opt.save(sys.argv[1])
"""
READING = {"newfstatat", "stat", "lstat", "fstat", "statx", "readlink", "ioctl", "flock", "getdents64", "fcntl"}
READING |= {"fchown", "fchmod"}  # neither content nor names
NAMES = {"rename": "replace", "renameat": "replace", "renameat2": "replace", "linkat": "link", "unlinkat": "unlink"}


def may_trace():
    """Whether strace is there, and may do its work."""
    call = ["strace", "-o", os.devnull, sys.executable, "-c", ""]
    return bool(shutil.which("strace")) and subprocess.run(call, capture_output=True, check=False).returncode == 0


@pytest.mark.process
@pytest.mark.skipif(not may_trace(), reason="strace is not there, or may not trace here")
def test_the_log_is_all_that_the_kernel_sees(tmp_path, monkeypatch, figure):
    """strace of the same save: what touches the folder or a file in it, in that order."""
    scene = Scene(monkeypatch, tmp_path / "folder", *SCENES["overwriting"])
    out, folder = tmp_path / "trace", os.path.realpath(tmp_path / "traced")
    Path(folder).mkdir()
    env = {**os.environ, "PYTHONPATH": PATH}
    call = ["strace", "-f", "-y", "-s0", "-e", "trace=%file,%desc", "-o", str(out), sys.executable, "-c", TRACED]
    done = subprocess.run([*call, f"{folder}/run.safetensors"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=1)[1] for line in out.read_text(errors="replace").splitlines() if folder in line]
    lines = [line for line in lines if " = -1 " not in line or ".mark" in line]  # what is gone need not be removed
    lines = lines[max(k for k, line in enumerate(lines) if ".mark" in line) + 1 :]
    assert sum("O_CREAT" in line for line in lines) == 1
    calls = [NAMES.get(call, call) for call in (line.partition("(")[0] for line in lines)]
    opening = {"open", "openat", "close"}  # os.listdir does so too
    seen = [call for call in calls if call not in READING | opening]
    assert seen == [call for call in scene.log.calls if call not in opening]
    figure("P4a", f"strace sees the {len(seen)} calls of the log that change something, in that order")
