"""Processes that save to one path at once. Prints the saves that raised, and what was seen and left.

``python savers.py SAVERS SAVES FOLDER``
"""

import json
import os
import re
import sys
from pathlib import Path

import numpy as np

import gradstep as gs

KEEP = 3


def saver(path, number, saves, pipe):
    """Save, and read what is there; send the numbers of errors and of files that are not whole."""
    w = np.full(2000, float(number))
    opt = gs.Optimizer({"w": w}, "sgd", lr=0.0)
    died = bad = 0
    for k in range(saves):
        try:
            opt.save(path, extra=[number, k], keep=KEEP)
        except OSError:
            died += 1
        try:
            found = gs.load(path)
            bad += not (found.arrays["param/w"] == found.extra[0]).all()
        except (OSError, gs.CheckpointError):
            bad += 1
    os.write(pipe, json.dumps([died, bad]).encode() + b"\n")
    os._exit(0)


def main(savers, saves, folder):
    path = folder / "run.safetensors"
    reading, writing = os.pipe()
    children = []
    for number in range(savers):
        if (pid := os.fork()) == 0:
            saver(path, number, saves, writing)
        children.append(pid)
    os.close(writing)
    for pid in children:
        os.waitpid(pid, 0)
    with os.fdopen(reading) as told:
        counts = [json.loads(line) for line in told]
    names = os.listdir(folder)
    kept = [tuple(gs.load(folder / name).extra) for name in names if re.fullmatch(r"run(\.\d)?\.safetensors", name)]
    found = {
        "ended": len(counts),
        "died": sum(died for died, _ in counts),
        "bad": sum(bad for _, bad in counts),
        "kept": len(set(kept)),
        "left": len(names) - len(kept),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
