"""Runs of every kind, each a function of what is added to it, and all that they come to.

``python -m loop.resumed CASE FILE [UNTIL [LAST [PAUSE]]]`` goes on with one of them, to its end or until an update,
pausing in each function, and prints what it came to.
"""

import sys
import time
from functools import cache

import numpy as np

import gradstep as gs
from gradstep.array.tree import flatten
from gradstep.checkpoint.rng import taken
from loop.cases import DATA, bowl, fit, loss, valley
from support import bits, states

LAST = 10
X0 = np.array([2.0, 2.0, -1.0])
BATCHES = gs.Batches(DATA, size=4, seed=9)
BAD = {"x": np.where(np.arange(20)[:, None] == 7, np.nan, DATA["x"]), "y": DATA["y"]}


def plain():
    return {"value_and_grad": bowl, "rule": "adam", "lr": 0.1}


def batches():
    return {"value_and_grad": fit, "rule": "nadam", "lr": 0.1, "batches": BATCHES}


def metric():
    """Ends by its plateau at the eighth update, by what was measured at the sixth."""
    return batches() | {
        "evaluate": loss,
        "evaluate_every": 2,
        "stop": gs.stop.plateau(1, min_delta=20.0, metric="val/loss") | gs.stop.plateau(50),
    }


def bounds():
    def project(x):
        x[:2] /= np.sqrt((x[:2] * x[:2]).sum()) / 1.1

    return plain() | {"bounds": [(-2, 0.5), (None, 1.0), (-1, 1.25)], "project": project}


def skip():
    return batches() | {"on_nonfinite": "skip", "batches": gs.Batches(BAD, size=4, seed=9), "keep_best": True}


def best():
    """Swings out, so that the best is none of the last."""
    return {"value_and_grad": bowl, "rule": "sgd", "lr": 0.34, "keep_best": True, "stop": gs.stop.plateau(6)}


def schedule():
    tx = gs.chain(gs.clip_by_global_norm(3.0), gs.nadam(lr=gs.schedules.cosine(0.3, steps=LAST)), gs.ema(decay=0.5))
    return {"value_and_grad": bowl, "rule": tx, "groups": None}


def random():
    """Noise in the objective and in what is measured, from two generators."""
    rngs = {"noise": np.random.default_rng(3), "other": np.random.Generator(np.random.MT19937(4))}

    def noisy(x, batch):
        value, g = fit(x, batch)
        return value + rngs["noise"].normal(), g + rngs["other"].normal(size=3)

    def measured(x):
        return {"loss": loss(x) + rngs["noise"].normal()}

    return batches() | {"value_and_grad": noisy, "rng": rngs, "evaluate": measured, "evaluate_every": 3}


def stored():
    """State and parameters in fewer bits, rounded at random."""

    def f(x):
        value, g = bowl(x.astype("f8"))
        return value, g.astype("f2")

    return {
        "value_and_grad": f,
        "x0": X0.astype("f2"),
        "rule": "adam",
        "lr": 0.1,
        "rounding": "stochastic",
        "state_dtype": "8bit",
    }


def lbfgs():
    """A valley, where a step takes up to four evaluations, and more steps than are kept."""
    return {"value_and_grad": valley, "rule": "lbfgs", "memory": 3}


def lowered():
    """Lowered by its metric, measured at every other step, of numbers and of a group's schedule."""
    groups = {"b": {"lr": gs.schedules.linear(0.2, 30)}}

    def f(params, batch):
        value, g = fit(np.append(params["a"], params["b"]), batch)
        return value, {"a": g[:2], "b": g[2:]}

    return {
        "value_and_grad": f,
        "x0": {"a": X0[:2], "b": X0[2:]},
        "rule": "sgd",
        "lr": 0.3,
        "batches": BATCHES,
        "evaluate": lambda params: loss(np.append(params["a"], params["b"])),
        "evaluate_every": 2,
        "groups": groups,
        "on_plateau": gs.reduce_lr(0.5, patience=1, atol=20.0, metric="val/loss", counting="optax"),
    }


CASES = {f.__name__: f for f in (plain, batches, metric, bounds, skip, best, schedule, random, stored, lbfgs, lowered)}


def make(name, wrap=None, **options):
    """The run of a case; ``wrap`` changes its functions."""
    given = {"x0": X0, "max_steps": LAST} | CASES[name]() | options
    for key in ("value_and_grad", "evaluate", "project", "callbacks"):
        if wrap is not None and key in given:
            given[key] = wrap(key, given[key])
    return gs.Run(**given)


def sums(run):
    """All that a run comes to, and all on which its rest depends."""
    now = run._now
    return {
        "params": [bits(x) for x in flatten(run.params)[1]],
        "state": {name: bits(x) for name, x in states(run.opt).items()},
        "memory": repr(run.opt.parts().memory),
        "counts": (run.t, run.evaluations, run.skipped, now.drawn, now.bad, now.measured, now.settled),
        "best": (None if run.best is None else [*map(bits, flatten(run.best)[1])], repr(run.best_value), run.best_t),
        "stop": repr(now.stop),
        "plateau": (run._plateau, repr(run.opt.hyper), repr(run.opt.groups)),
        "rng": repr(taken(run._rng)),
        "reason": run.reason,
    }


@cache
def whole(name, **options):
    """What an uninterrupted run comes to, and the values of its steps."""
    run = make(name, **options)
    values = [step.value for step in run]
    return sums(run), values


def main(name, path, until="", last=LAST, pause="0"):
    def slowed(key, f):
        def slow(*arguments):
            time.sleep(float(pause))
            return f(*arguments)

        return slow

    run = make(name, wrap=slowed, save_to=path, save_every=1, resume=True, keep=3, max_steps=int(last))
    for _ in run:
        if until and run.t == int(until):
            return
    sys.stdout.write(repr(sums(run)))


if __name__ == "__main__":
    main(*sys.argv[1:])
