"""P21: a save replaces ordinary files alone and keeps their mode; of savers at once none fails, and one wins."""

import contextlib
import os
import shutil
import socket
import stat
import threading

import numpy as np
import pytest

import gradstep as gs
from gradstep import files
from promises.conftest import run_program

pytestmark = pytest.mark.skipif(files.fcntl is None, reason="no locks and no FIFOs here")
SAVERS = 6
MODES = (0o600, 0o640, 0o400, 0o444, 0o664)


def bound(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


KINDS = {"FIFO": os.mkfifo, "socket": bound, "folder": os.mkdir} if hasattr(os, "mkfifo") else {}
NAMES = {"run.safetensors": 1, "run.1.safetensors": 2, "run.2.safetensors": 3}


@pytest.fixture
def opt():
    return gs.Optimizer({"w": np.arange(3.0)}, "adam")


def spared(folder, opt):
    """How often what is no ordinary file was refused and is still there."""
    good = 0
    for make in KINDS.values():
        for name, keep in NAMES.items():
            shutil.rmtree(folder / "s", ignore_errors=True)
            (folder / "s").mkdir()
            make(folder / "s" / name)
            there = (folder / "s" / name).lstat()
            try:
                for _ in range(4):
                    opt.save(folder / "s/run.safetensors", keep=keep)
            except OSError:
                good += os.listdir(folder / "s") == [name] and os.path.samestat(there, (folder / "s" / name).lstat())
    return good


def kept_modes(folder, opt):
    """How many modes stay as they were, through two saves."""
    good = 0
    for mode in MODES:
        path = folder / f"{mode:o}.safetensors"
        opt.save(path)
        path.chmod(mode)
        for _ in range(2):
            opt.save(path, keep=2)
        good += stat.S_IMODE(path.stat().st_mode) == mode
    return good


def after_two_at_once(folder, monkeypatch, opt):
    """How many of the last three saves are kept, when the third comes while the second gives its names."""
    real, third = os.replace, []
    other = gs.Optimizer({"w": np.arange(3.0)}, "adam")
    path = folder / "run.safetensors"

    def replace(source, target):
        if not third:
            third.append(threading.Thread(target=other.save, args=(path,), kwargs={"keep": 3, "extra": 3}))
            third[0].start()
            third[0].join(0.5)
        real(source, target)

    opt.save(path, keep=3, extra=1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with contextlib.suppress(OSError):
            opt.save(path, keep=3, extra=2)
    third[0].join()
    return len({gs.load(x).extra for x in folder.glob("run*.safetensors")})


@pytest.mark.process
def test_savers_at_once(tmp_path, figure, full):
    saves = 80 if full else 15
    seen = run_program("savers.py", SAVERS, saves, tmp_path)
    assert seen == {"ended": SAVERS, "died": 0, "bad": 0, "kept": 3, "left": 0}
    figure(
        "P21",
        f"{SAVERS} processes, keep=3: errors 0, files that are not whole 0, different files kept 3 / {{n}} saves",
        n=SAVERS * saves,
    )


def test_a_save_between_the_names_of_another(in_memory, monkeypatch, opt, figure):
    kept = after_two_at_once(in_memory, monkeypatch, opt)
    assert kept == 3
    figure("P21", "a save between the names of another one: kept 3 / 3")


def test_what_is_no_ordinary_file(in_memory, opt, figure):
    count = len(KINDS) * len(NAMES)
    assert spared(in_memory, opt) == count
    figure("P21", f"FIFOs, sockets and folders in the place of a file: refused, and still there {count} / {count}")


def test_modes(in_memory, opt, figure):
    assert kept_modes(in_memory, opt) == len(MODES)
    figure("P21", f"modes kept {len(MODES)} / {len(MODES)}")


def test_control_without_turns(in_memory, monkeypatch, opt, control):
    monkeypatch.setattr(files, "_turn", lambda target: contextlib.nullcontext())
    kept = after_two_at_once(in_memory, monkeypatch, opt)
    assert kept < 3
    control("P21", f"without taking turns: kept {kept} / 3")


def test_control_without_the_look(in_memory, monkeypatch, opt, control):
    monkeypatch.setattr(files, "refuse_extraordinary", lambda path, file=None: None)
    count = len(KINDS) * len(NAMES)
    good = spared(in_memory, opt)
    assert good < count
    control("P21", f"without a look at what stands there: still there {good} / {count}")


def test_control_without_the_mode(in_memory, monkeypatch, opt, control):
    class WithoutModes:
        """The module os, all but what sets them."""

        def __getattr__(self, name):
            if name == "fchmod":
                raise AttributeError(name)
            return getattr(os, name)

        def open(self, path, flags, mode=0o777):
            return os.open(path, flags, 0o666)

    monkeypatch.setattr(files, "os", WithoutModes())
    before = os.umask(0o022)
    try:
        good = kept_modes(in_memory, opt)
    finally:
        os.umask(before)
    assert good < len(MODES)
    control("P21", f"without their modes: kept {good} / {len(MODES)}")
