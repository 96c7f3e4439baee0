"""Chains and arrays that the tests of the pure pair share."""

import numpy as np

import gradstep as gs
from gradstep.rule import registry
from support import OF_GUESTS

CHAINS = {  # rules of whole arrays are in test_whole_arrays.py
    **{name: registry()[name] for name in OF_GUESTS if not registry()[name].whole},
    "long": gs.chain(
        gs.clip_by_global_norm(2.0), gs.l2(0.1), gs.nadam(lr=gs.schedules.cosine(0.1, 9)), gs.decay, gs.ema(decay=0.5)
    ),
    "clip each": gs.chain(gs.maximize, gs.clip_by_norm(0.5), gs.clip_by_value(0.2), gs.adamw(lr=0.05)),
}


def arrays(seed=0, dtypes=("f4", "f8", "c8", "c16")):
    rng = np.random.default_rng(seed)

    def make(shape, dtype):
        x = rng.normal(size=shape)
        return np.asarray(x + 1j * rng.normal(size=shape) if dtype[0] == "c" else x, dtype)

    shapes = [(3, 5), (), (0, 2), (33,)]
    return {f"{dtype}.{k}": make(shape, dtype) for dtype in dtypes for k, shape in enumerate(shapes)}


def run(tx, params, grads, steps=3):
    state = gs.init(tx, params)
    for k in range(steps):
        params, state = gs.update(tx, params, grads(k), state)
    return params, state
