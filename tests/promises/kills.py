"""Runs in a process of its own: children that save all the time are killed at random times. Prints what was found.

``python kills.py COUNT FOLDER product|naive``
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

import gradstep as gs
from gradstep.checkpoint import format as product


def in_place(path, write, keep):
    """A writer as they often are."""
    with open(path, "wb") as file:
        write(file.fileno())


def child(path, first, pipe):
    """Save numbers from ``first`` on, and say of each that it is saved."""
    w = np.zeros(50_000, "f4")
    opt = gs.Optimizer(w, "sgd", lr=1.0)
    for n in range(first, first + 100_000):
        w[:] = n
        opt.save(path, extra=n)
        os.write(pipe, n.to_bytes(4, "little"))


def found(path):
    """The number in a file; None where there is no whole file."""
    try:
        saved = gs.load(path)
    except (gs.CheckpointError, FileNotFoundError):
        return None
    return saved.extra if (saved.arrays["param/params"] == saved.extra).all() else None


def main(count, folder):
    path, rng = folder / "run.safetensors", random.Random(8)
    opt = gs.Optimizer(np.zeros(50_000, "f4"), "sgd")
    opt.save(path, extra=0)
    corrupt = lost = left = stays = acknowledged = 0
    for kill in range(count):
        first = 100_000 * (kill + 1)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            child(path, first, writing)
            os._exit(1)
        os.close(writing)
        seen = os.read(reading, 4)  # it has begun
        time.sleep(rng.random() * 0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while more := os.read(reading, 1 << 16):
            seen += more
        os.close(reading)
        last = int.from_bytes(seen[-4:], "little")
        acknowledged += len(seen) // 4
        now = found(path)
        corrupt += now is None
        lost += now is not None and now not in (last, last + 1)
        left += len(os.listdir(folder)) > 1
        opt.save(path, extra=first)
        stays += os.listdir(folder) != [path.name]
    print(json.dumps({"corrupt": corrupt, "lost": lost, "left": left, "stays": stays, "acknowledged": acknowledged}))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[3] == "naive":
        product.write_whole = in_place
    main(int(sys.argv[1]), Path(sys.argv[2]))
