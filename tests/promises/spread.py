"""Prints the hash of steps of a rule, for one, two and four threads and both engines, in this process.

Of the first rule of each form; of every rule after the word ``full``.
"""

import hashlib
import json

import numpy as np

import gradstep as gs
from gradstep import rules
from promises.resume import ENGINES, names

SIZE = 300_001  # several threads take part


def sha(name, engine, threads):
    rng = np.random.default_rng(4)
    params = {"f4": rng.uniform(-1, 1, SIZE).astype("f4"), "f8": rng.uniform(-1, 1, 5000)}
    stage = gs.chain(gs.clip_by_global_norm(1.0), getattr(rules, name)(), gs.ema(decay=0.5))
    opt = gs.Optimizer(params, stage, engine=engine, threads=threads)
    for _ in range(3):
        opt.step({k: rng.uniform(-1, 1, x.size).astype(k) for k, x in params.items()})
    digest = hashlib.sha256()
    for x in [*params.values(), *(x for own in opt.state.values() for x in own.values())]:
        digest.update(x.tobytes())
    return digest.hexdigest()


if __name__ == "__main__":
    out = {name: {f"{engine}, {threads}": sha(name, engine, threads) for engine in ENGINES for threads in (1, 2, 4)}
           for name in names()}  # fmt: skip
    print(json.dumps(out))  # noqa: T201 - read by the test
