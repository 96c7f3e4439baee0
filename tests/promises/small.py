"""The small checkpoint that is damaged in every way, and its optimizer."""

import json

import numpy as np

import gradstep as gs

GRADS = {"w": np.array([[0.5, -1.0], [2.0, 0.25]], "f4"), "b": np.array([1.0, -2.0])}
SHAPES = {"w": (2, 2), "b": (2,), "frozen": (3,)}


def optimizer(seed=0):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(2, 2)).astype("f4"), "b": rng.normal(size=2), "frozen": rng.normal(size=3)}
    stage = gs.chain(gs.clip_by_global_norm(1.0), gs.nadam(lr=gs.schedules.linear(0.1, 10, 0.01)), gs.ema(0.5))
    return gs.Optimizer(params, stage, groups={"b": {"beta1": 0.5, "lr": gs.times(0.5)}, "frozen": "freeze"})


def grads():
    return {**GRADS, "frozen": None}


GENERATORS = {"few": (np.random.Philox, np.random.SFC64, np.random.PCG64), "many": (np.random.MT19937,)}


def generators(kind="few"):
    """Random generators by name; those whose state is few numbers, or the one of 624."""
    return {made.__name__: np.random.Generator(made(k)) for k, made in enumerate(GENERATORS[kind])}


def states(rngs):
    return json.dumps([one.bit_generator.state for one in rngs.values()], default=lambda x: x.tolist())


def saved(path):
    """An optimizer after two steps, saved at ``path``."""
    opt = optimizer()
    opt.step(grads())
    opt.step(grads())
    opt.save(path, extra={"epoch": 3, "names": ["a", None, True]})
    return opt


class Hashes:
    """In place of hashlib: every hash is like every other."""

    class sha256:
        def __init__(self, data=b""):
            pass

        def update(self, data):
            pass

        def digest(self):
            return bytes(32)

        def hexdigest(self):
            return "0" * 64
