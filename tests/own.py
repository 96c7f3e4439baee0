"""A problem file for the tests of ``gradstep run``, and what they look at in a run's folder."""

import json
import os

from gradstep.cli import main

# WAIT: seconds of an evaluation; it moves no number.
PROBLEM = '''
import os
import time

import numpy as np

import gradstep as gs

WAIT = float(os.environ.get("WAIT", "0"))
x = np.linspace(-1.0, 1.0, 64)[:, None] ** np.arange(1, 4)
y = x @ np.array([1.0, -2.0, 0.5]) + 0.3


def fit(params, chosen=slice(None)):
    time.sleep(WAIT)
    error = x[chosen] @ params["layer"]["w"] + params["b"] - y[chosen]
    return np.mean(error**2), {"layer": {"w": 2 * x[chosen].T @ error / len(error)}, "b": np.array(2 * error.mean())}


fit.params = {"layer": {"w": np.zeros(3)}, "b": np.zeros(())}


class Object:
    params = fit.params

    def value_and_grad(self, params):
        return fit(params)


thing = Object()


class Seeded:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def params(self):
        return {"layer": {"w": self.rng.normal(size=3)}, "b": self.rng.normal(size=())}

    batches = gs.Batches(64, 8, seed=1)

    def value_and_grad(self, params, batch):
        return fit(params, batch)

    def evaluate(self, params):
        return {"loss": fit(params)[0], "w0": params["layer"]["w"][0]}


class Function(Seeded):
    def batches(self, k):
        return (np.arange(8) + 8 * k) % 64

    def evaluate(self, params):
        return fit(params)[0]


class Iterated(Function):
    batches = [np.arange(8), np.arange(8, 16), np.arange(16, 24)]


class Holes(Function):
    """Some batches are not finite."""

    def value_and_grad(self, params, batch):
        value, grads = fit(params, batch)
        return (np.nan if batch[0] % 24 == 0 else value), grads


class Nowhere(Function):
    def value_and_grad(self, params, batch):
        return np.nan, fit(params, batch)[1]


def not_finite(params):
    value, grads = fit(params)
    return (np.inf if params["b"] > 0.05 else value), grads


not_finite.params = fit.params


def late(params, count=[0]):
    count[0] += 1
    if count[0] == 58 and "LATE" in os.environ:
        raise ValueError("no\\nmore")
    return fit(params)


def early(params):
    raise ValueError("not at all")


def no_number(params):
    return "3", fit(params)[1]


def no_gradient(params):
    return fit(params)[0], {"b": np.zeros(())}


def wrong_shape(params, count=[0]):
    count[0] += 1
    value, grads = fit(params)
    return value, grads if count[0] % 9 else {**grads, "b": np.zeros(2)}


def shape_at_once(params):
    return fit(params)[0], {"layer": {"w": np.zeros(4)}, "b": np.zeros(())}


def leaves(params):
    raise SystemExit(0)


def talks(params):
    print("a word from the function")
    return fit(params)


class Numbered(Object):
    def evaluate(self, params):
        return {3: 1.0}


class Torn(Function):
    def batches(self, k):
        if k == 5:
            raise OSError("no disk")
        return Function.batches(self, k)


params = fit.params
'''


def run(capsys, *arguments, code=0):
    """The lines of a command that is to end with ``code``."""
    ended = main(["run", *map(str, arguments)])
    out, err = capsys.readouterr()
    assert (ended, err) == (code, ""), err
    return out.splitlines()


def refused(capsys, *arguments):
    """The one line of a command that is to end with 2."""
    assert main(["run", *map(str, arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gradstep: ")
    assert err.count("\n") == 1, err
    assert err.endswith("\n")
    return err[len("gradstep: ") : -1]


def rows(folder):
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def timeless(row):
    return {key: x for key, x in row.items() if key != "seconds"}


def outcome(folder):
    """All of a run that must not depend on when it was broken off."""
    result = json.loads((folder / "result.json").read_text())
    return timeless(result), [timeless(row) for row in rows(folder)]


def files(folder):
    return sorted(os.path.relpath(path, folder) for path in folder.rglob("*") if path.is_file())
