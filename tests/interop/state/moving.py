"""Parameters, gradients and comparisons for the tests of state that moves between libraries."""

import numpy as np

import gradstep as gs

BEFORE, AFTER = 7, 8
SHAPES = {"layer.w": (3, 2), "layer.b": (2,), "scale": ()}
NAMES = list(SHAPES)


def start(dtype="float64", seed=1):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def gradients(count, dtype="float64", seed=2):
    rng = np.random.default_rng(seed)
    return [{name: np.asarray(rng.normal(size=s), dtype) for name, s in SHAPES.items()} for _ in range(count)]


def nested(flat):
    """The same as a nest: ``{"layer": {"w": ..., "b": ...}, "scale": ...}``."""
    return {"layer": {"w": flat["layer.w"], "b": flat["layer.b"]}, "scale": flat["scale"]}


def snapshot(opt):
    """All that a load could change, as bytes."""
    parts = opt.parts()
    places = {name: np.array(x).tobytes() for name, x in parts.places().items()}
    return places, parts.t, parts.skipped, [dict(own) for own in parts.memory], dict(parts.hyper)


def of_vectors(opt, kept):
    """A snapshot without the mean of a vector's factors: nobody else keeps it, and it does nothing."""
    places, *others = kept
    gone = {key for key in places for name in NAMES if opt.params[name].ndim < 2 and f"{name}/adafactor_" in key}
    return {key: x for key, x in places.items() if not (key in gone and key.endswith(".c"))}, *others


def close(ours, theirs, rtol):
    """Within ``rtol`` of the largest number of each array: what cancels has the digits of its terms."""
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        y = np.asarray(theirs[name], np.float64)
        assert np.abs(np.asarray(x, np.float64) - y).max() <= rtol * np.abs(y).max(), name


def optimizer(stage, params, engine="auto", **options):
    return gs.Optimizer({name: np.array(x) for name, x in params.items()}, stage, engine=engine, **options)
