"""Prints, for every rule and stage and some ways to store them, the engine and the SHA-256 of the trajectory."""

import hashlib
import json

import numpy as np

import gradstep as gs
import gradstep.variants
from gradstep.rule import registry
from gradstep.testing import Case
from gradstep.testing.trial import normal


def digest(stage, thetas, **options):
    """The engine that ran it, and the hash of all arrays after each step."""
    rng, sha = np.random.default_rng(10), hashlib.sha256()
    opt = gs.Optimizer(thetas, stage, **options)
    for _ in range(8):
        # cubes: sizes far apart, by multiplication alone, which every CPU does alike
        opt.step([(x * x * x).astype(like.dtype) for like in thetas for x in normal(rng, like.shape)])
        arrays = [*thetas, *(x for own in opt.state.values() for x in own.values())]
        sha.update(b"".join(x.tobytes() for x in arrays))
    return [opt.engine, sha.hexdigest()]


def thetas(*dtypes):
    rng = np.random.default_rng(9)
    return [x for dtype in dtypes for x in normal(rng, (33,), (), (5000,), (2, 3), dtype=dtype)]


def digests():
    out = {
        name: digest(Case(rule).stage(), thetas("float32", "float64"))
        for name, rule in registry(None).items()
        if not rule.extras
    }
    out["adam of float16"] = digest(gs.adam(), thetas("float16"))
    out["adam with 8-bit state"] = digest(gs.adam(), thetas("float32"), state_dtype="8bit")
    return out


if __name__ == "__main__":
    print(json.dumps(digests()))  # noqa: T201 - read by the test
