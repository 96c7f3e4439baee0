"""Runs in processes of its own: every rule, stored and set up in many ways, stopped and gone on with.

``python resume.py begin FOLDER``: whole runs, and files of each at every stop. ``python resume.py end FOLDER``: another
process goes on from each file. Both print the SHA-256 of what each run came to, by its name.
``python resume.py sabotage FOLDER``: the same, with one thing of the state set back after it was restored.
All with every rule after a third word ``full``; else with the first of each form, each storage in one way to be set up.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import gradstep as gs
from gradstep import rules
from support import OF_GRADIENTS, form

STEPS = 9
STOPS = (0, 1, 2, 7, STEPS)
STORAGE = {
    "float32": ("f4", {}),
    "float64": ("f8", {}),
    "complex64": ("c8", {}),
    "float16, master": ("f2", {"master": True}),
    "float32, 8-bit state": ("f4", {"state_dtype": "8bit", "seed": 3}),
}
GIVEN = {"asgd": {"t0": 2.0}}  # up to there its average is the parameters, and nothing is kept
GENERATORS = (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64)
ENGINES = ("compiled", "eager") if gs.Optimizer(np.ones(1), "sgd").engine == "compiled" else ("eager",)


def falling(t):
    """A schedule that no file can hold."""
    return 0.01 / (1 + t)


def setups(rule):
    """A stage and groups in each of some ways."""
    cosine = gs.schedules.warmup_cosine(0.02, 9, 3, start=1e-3)  # the rate of FTRL is above zero
    hyper = GIVEN.get(rule.name, {})
    yield "plain", rule(**hyper), None
    yield "schedule", rule(lr=cosine, **hyper), None
    yield "chain", gs.chain(gs.clip_by_global_norm(1.0), rule(lr=falling, **hyper), gs.ema(decay=0.5)), None
    groups = {"b*": {"lr": gs.times(0.5)}, "c": {"lr": gs.schedules.linear(0.1, 5, 0.01)}, "frozen": "freeze"}
    yield "groups", rule(lr=gs.schedules.exponential(0.05, 2, 0.5), **hyper), groups


FULL = "full" in sys.argv


def names():
    """Every rule, or the first of each form."""
    if FULL:
        return OF_GRADIENTS
    return list({form(getattr(rules, name)): name for name in reversed(OF_GRADIENTS)}.values())


def cases():
    for name, rule in ((name, getattr(rules, name)) for name in names()):
        for k, (stored, (dtype, options)) in enumerate(STORAGE.items()):
            if rule.whole and (dtype == "c8" or "state_dtype" in options):
                continue  # for real matrices, and it keeps its state as it is
            if "state_dtype" in options and "smaller_state" in rule.exceptions:
                continue
            for setup, stage, groups in list(setups(rule))[slice(None) if FULL or k == 0 else slice(k - 1, k)]:
                for engine in ENGINES:
                    key = f"{name}; {stored}; {setup}; {engine}"
                    yield (
                        key,
                        lambda seed, dtype=dtype, stage=stage, groups=groups, options=options, engine=engine: Run(
                            seed, dtype, stage, groups, options, engine
                        ),
                    )


class Run:
    """An optimizer, its data and the random generator that its gradients come from."""

    def __init__(self, seed, dtype, stage, groups, options, engine):
        rng = np.random.default_rng(seed)
        shapes = {"a": (3, 5), "b": {"x": (), "y": (300,)}, "c": (0,), "frozen": (4,)}
        if seed:  # another order of the same names
            shapes = dict(reversed(shapes.items()))
        self.params = {k: self.drawn(rng, s, dtype) for k, s in shapes.items()}
        self.dtype, self.shapes = dtype, {"a": (3, 5), "b": {"x": (), "y": (300,)}, "c": (0,), "frozen": (4,)}
        self.opt = gs.Optimizer(self.params, stage, groups=groups, engine=engine, on_nonfinite="skip", **options)
        kind = GENERATORS[len(repr(stage)) % len(GENERATORS)]
        self.rng = np.random.Generator(kind(seed))
        self.done = 0

    def drawn(self, rng, shape, dtype):
        if isinstance(shape, dict):
            return {k: self.drawn(rng, s, dtype) for k, s in shape.items()}
        x = rng.normal(size=shape)
        return np.asarray(x + 1j * rng.normal(size=shape) if dtype == "c8" else x, dtype)

    def go(self, until):
        while self.done < until:
            g = {k: self.drawn(self.rng, s, self.dtype) for k, s in self.shapes.items()}
            if self.done == 4:
                g["a"][-1] = np.nan  # a step that does not happen
            self.opt.step(g)
            self.done += 1

    def save(self, path):
        self.opt.save(path, extra={"done": self.done}, rng=self.rng)

    def restore(self, path):
        self.done = self.opt.restore(path, rng=self.rng).extra["done"]

    def sha(self):
        arrays = {"a": self.params["a"], **{f"b.{k}": x for k, x in self.params["b"].items()},
                  "c": self.params["c"], "frozen": self.params["frozen"]}  # fmt: skip
        for name, own in self.opt.state.items():
            arrays |= {f"{name}/{slot}": x for slot, x in own.items()}
        host = self.opt.t, self.opt.skipped, sorted(sorted(own.items()) for own in self.opt.parts().memory)
        digest = hashlib.sha256(repr((*host, self.rng.random(3).tolist())).encode())
        for name in sorted(arrays):
            digest.update(repr((name, arrays[name].dtype.str, arrays[name].shape)).encode() + arrays[name].tobytes())
        return digest.hexdigest()


def begin(folder):
    out = {}
    for k, (key, make) in enumerate(cases()):
        whole, stopping = make(0), make(0)
        whole.go(STEPS)
        out[key] = whole.sha()
        for stop in STOPS:
            stopping.go(stop)
            stopping.save(folder / f"{k}.{stop}.safetensors")
        if stopping.sha() != out[key]:
            out[key] = "saving has changed it"
    return out


def end(folder):
    out = {}
    for k, (key, make) in enumerate(cases()):
        for stop in STOPS:
            run = make(1)
            run.restore(folder / f"{k}.{stop}.safetensors")
            run.go(STEPS)
            out[f"{key}; {stop}"] = run.sha()
    return out


def sabotage(folder):
    """By what was set back: the hash of each run that has such a thing."""
    out = {}
    for k, (key, make) in enumerate(cases()):
        if not key.endswith(ENGINES[0]):
            continue
        for what in ("slot", "t", "memory", "rng", "hyper"):
            run = make(1)
            run.restore(folder / f"{k}.7.safetensors")
            if not _set_back(run, what):
                continue
            run.go(STEPS)
            out[f"{key}; {what}"] = run.sha()
    return out


def _set_back(run, what):
    if what == "slot":
        state = run.opt.state.get("b.y") or {}
        slots = [x for name, x in sorted(state.items()) if x.any()]
        if slots:
            slots[0][...] = 0
        return bool(slots)
    parts = run.opt.parts()
    if what == "t":
        parts.take(parts.hyper, parts.memory, 0, parts.skipped)
        return True
    if what == "memory":
        first, now = parts.program.memory(), parts.memory
        parts.take(parts.hyper, [first for _ in now], parts.t, parts.skipped)
        return any(own != first for own in now)  # that of PSGD changes after 500 steps
    if what == "rng":
        run.rng = np.random.Generator(type(run.rng.bit_generator)(1))
        return True
    rules_of = [part.rule for part in parts.program.parts]
    if callable(run.opt.hyper["lr"]) and not any("zero_rate_keeps_theta" in rule.exceptions for rule in rules_of):
        run.opt.hyper.replace({**run.opt.hyper.raw, "lr": 0.3})
        return True
    return False


if __name__ == "__main__":
    print(json.dumps({"begin": begin, "end": end, "sabotage": sabotage}[sys.argv[1]](Path(sys.argv[2]))))  # noqa: T201
