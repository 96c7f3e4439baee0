"""Seconds to save and to load an optimizer, beside safetensors' own writer and NumPy's, in one process by turns.

``python benchmarks/checkpoints.py [elements]``; the others neither check what they read nor wait for the disk.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

import gradstep as gs

ROUNDS = 7


def main(elements):
    params = {"w": np.random.default_rng(0).standard_normal(elements).astype(np.float32)}
    opt = gs.Optimizer(params, "adam")
    opt.step({"w": np.ones(elements, np.float32)})
    arrays = {"w": params["w"], **opt.state["w"]}
    megabytes = sum(x.nbytes for x in arrays.values()) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, npz = (str(Path(folder) / name) for name in ("a.safetensors", "b.safetensors", "c.npz"))
        works = {
            "gradstep save (hashes, fsync)": lambda: opt.save(ours),
            "safetensors save": lambda: save_file(arrays, theirs),
            "safetensors save, and fsync": lambda: (save_file(arrays, theirs), synced(theirs)),
            "numpy.savez": lambda: np.savez(npz, **arrays),
            "gradstep restore (hashes)": lambda: opt.restore(ours),
            "safetensors load": lambda: load_file(theirs),
        }
        times = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                start = time.perf_counter()
                work()
                times[name].append(time.perf_counter() - start)
    print(f"{megabytes:.0f} MB, medians of {ROUNDS}")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:30} {middle:8.3f} s {megabytes / 1e3 / middle:6.2f} GB/s")


def synced(path):
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


if __name__ == "__main__":
    main(int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000)
