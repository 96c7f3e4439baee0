"""Processes of MPI that train one network: ``mpiexec -n 4 python train_mpi.py FOLDER``.

It prints the same hash for any number of processes; started again after a stop, it goes on from the folder.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import gradstep as gs

STEPS, MICRO_BATCHES, SIZE = 30, 8, 16
folder = Path(sys.argv[1])
rng = np.random.default_rng(0)  # the same numbers on every process
x = rng.normal(size=(512, 20)).astype("f4")
y = np.tanh(x @ rng.normal(size=(20, 3)).astype("f4"))
params = {"w1": rng.normal(size=(20, 32)).astype("f4") / 5, "w2": rng.normal(size=(32, 3)).astype("f4") / 5}


def gradient(step, micro_batch):
    """Return the gradient of a micro-batch, which is a function of its numbers."""
    chosen = np.random.default_rng([step, micro_batch]).choice(len(x), SIZE, replace=False)
    hidden = np.tanh(x[chosen] @ params["w1"])
    error = (hidden @ params["w2"] - y[chosen]) / np.float32(SIZE)
    inner = (error @ params["w2"].T) * (1 - hidden**2)
    return {"w1": x[chosen].T @ inner, "w2": hidden.T @ error}


opt = gs.distributed.Sharded(params, "adam", lr=0.01, comm=MPI.COMM_WORLD, micro_batches=MICRO_BATCHES)
if (folder / "manifest.json").exists():
    opt.restore(folder)
while opt.t < STEPS:
    opt.step(gradient(opt.t, i) for i in opt.mine)
    if opt.t % 10 == 0:
        opt.save(folder)
if opt.rank == 0:
    print(f"{opt.t} steps, {hashlib.sha256(params['w1'].tobytes() + params['w2'].tobytes()).hexdigest()}")
