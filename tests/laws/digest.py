"""Prints, for every rule and stage, the engine that ran it and the SHA-256 of its trajectory."""

import hashlib
import json

import numpy as np

import gradstep as gs
from gradstep.rule import registry
from gradstep.testing import Case
from gradstep.testing.trial import gradients, normal, snapshot


def digests():
    out = {}
    for name, rule in registry(None).items():
        rng, sha = np.random.default_rng(9), hashlib.sha256()
        params = [*normal(rng, (33,), (), dtype="float32"), *normal(rng, (5000,), (2, 3))]
        opt = gs.Optimizer(params, Case(rule).stage())
        for g in gradients(rng, params, 8):
            opt.step(g)
            for key, arrays in sorted(snapshot(opt).items()):
                sha.update(key.encode() + b"".join(x.tobytes() for x in arrays))
        out[name] = [opt.engine, sha.hexdigest()]
    return out


if __name__ == "__main__":
    print(json.dumps(digests()))  # noqa: T201 - read by the test
