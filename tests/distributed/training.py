"""A training that several processes share, said once: for threads in a test, and for real processes as a program.

``python training.py mpi`` or ``python training.py gloo FILE RANK SIZE``, then the names of settings; a process tells
the hash of its parameters for each.
"""

import hashlib
import sys

import comm_cases
import numpy as np
import processes

import gradstep as gs
from gradstep.distributed import Sharded

MICRO_BATCHES = 6
STEPS = 4
BLOCK = 4096


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"embed": (5 * BLOCK + 77,), "w": (64, 33), "v": (33, 64), "b": (33,), "scale": ()}
    return {name: np.asarray(rng.normal(size=shape), "float32") for name, shape in shapes.items()}


def gradient(t, i, like):
    """Return the gradient of micro-batch ``i`` in step ``t``, whoever asks: sizes over six decades, so order shows."""
    rng = np.random.default_rng([t, i])
    return {
        name: np.asarray(rng.normal(size=x.shape) * 10.0 ** rng.uniform(-6, 0, x.shape), x.dtype)
        for name, x in like.items()
    }


SETTINGS = {
    "adam": lambda: {"rule": gs.adam(lr=0.01)},
    "adamw_clip_ema": lambda: {"rule": gs.chain(gs.clip_by_global_norm(0.05), gs.adamw(lr=0.01), gs.ema(decay=0.9))},
    "momentum": lambda: {"rule": gs.momentum(lr=gs.schedules.cosine(0.01, 10))},
    "muon": lambda: {"rule": gs.muon(lr=0.01), "groups": {"embed": gs.adam(), "scale": gs.sgd(lr=0.1)}},
    "prodigy": lambda: {"rule": gs.prodigy()},
    "lamb_noise": lambda: {"rule": gs.chain(gs.gradient_noise(), gs.lamb()), "seed": 3, "groups": {"b": "freeze"}},
}


def digest(arrays):
    sha = hashlib.sha256()
    for name in sorted(arrays):
        sha.update(np.ascontiguousarray(arrays[name]).tobytes())
    return sha.hexdigest()


def train(comm, setting, steps=STEPS, micro_batches=MICRO_BATCHES, **options):
    """Return the hash of the parameters after some steps, that of the average behind it where there is one."""
    params = parameters()
    opt = Sharded(params, comm=comm, micro_batches=micro_batches, **SETTINGS[setting](), **options)
    for t in range(steps):
        opt.step(gradient(t, i, params) for i in opt.mine)
    averaged = [digest(opt.averaged())] if "ema" in setting else []
    return " ".join([digest(params), *averaged])


def naive(comm, setting, **options):
    """Do what people write: every process steps all, with the library's own sum of all gradients in float32."""
    params = parameters()
    opt = gs.Optimizer(params, **SETTINGS[setting](), **options)
    mine = range(comm.rank * MICRO_BATCHES // comm.size, (comm.rank + 1) * MICRO_BATCHES // comm.size)
    for t in range(STEPS):
        total = {name: np.zeros_like(x) for name, x in params.items()}
        for i in mine:
            total = {name: x + y for (name, x), y in zip(total.items(), gradient(t, i, params).values(), strict=True)}
        mean = {}
        for name, x in total.items():
            counts = [x.size if rank == 0 else 0 for rank in range(comm.size)]
            whole = np.empty(counts[comm.rank], x.dtype)
            comm.reduce_scatter(x.reshape(-1), whole, counts)
            found = np.empty(x.size, x.dtype)
            comm.allgatherv(whole, found, counts)
            mean[name] = np.asarray(found.reshape(x.shape) / np.float32(MICRO_BATCHES))
        opt.step(mean)
    return digest(params)


if __name__ == "__main__":
    more = 4 if sys.argv[1] == "gloo" else 1
    own = comm_cases.over(*sys.argv[1 : 1 + more])
    processes.tell(own.rank, {name: train(own, name) for name in sys.argv[1 + more :]})
