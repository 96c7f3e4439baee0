"""Files as this version writes them, and what it makes of them: kept for ever, for later versions to read.

``python tests/golden/write.py`` writes ``tests/golden/VERSION``, once for each release, and changes no folder there is.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

import gradstep as gs
from gradstep import rules
from gradstep.cli import main
from gradstep.compare import Study
from gradstep.distributed import Sharded, in_threads

HERE = Path(__file__).resolve().parent
# Beside every rule in float64: what a file may hold besides.
OTHERS = {
    "float32": ("adam", "f4", {}),
    "complex128": ("adam", "c16", {}),
    "float16-with-a-master": ("adam", "f2", {"master": True}),
    "8-bit-state": ("adamw", "f4", {"state_dtype": "8bit", "seed": 3}),
    "bfloat16-state": ("momentum", "f4", {"state_dtype": "bfloat16", "seed": 3}),
    "chain-schedule-groups": ("chain", "f8", {"groups": {"b": {"lr": gs.times(0.5)}}}),
}
# The problem of the run: read by the one who goes on with it, from where it was begun.
PROBLEM = """import numpy as np

params = {"x": np.array([-1.5, 2.0])}


def value_and_grad(p):
    x, y = p["x"]
    value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
    return float(value), {"x": np.array([2 * (x - 1) - 400 * x * (y - x * x), 200 * (y - x * x)])}


class Valley:
    params = params

    def value_and_grad(self, p):
        return value_and_grad(p)
"""
RUN = ["run", "valley.py:Valley", "--optimizer", "adam", "--lr", "0.05", "--save-every", "5", "--out"]
STUDY = ["compare", "rosenbrock", "quadratic:condition=10", "--optimizers", "sgd,adam", "--trials", "3", "--seeds", "6"]


def cases():
    """By name of the file: how its optimizer is made."""
    for name in rules.__all__:
        yield name, (name, "f8", {})
    yield from OTHERS.items()


def optimizer(name, dtype, options):
    """An optimizer of small parameters, as it begins."""
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=3)}
    chain = [gs.clip_by_global_norm(1.0), gs.adam(lr=gs.schedules.cosine(0.1, 9)), gs.ema(decay=0.5)]
    stage = gs.chain(*chain) if name == "chain" else name
    return gs.Optimizer({key: x.astype(dtype) for key, x in params.items()}, stage, **options)


def go(opt, steps, rng):
    """Make steps with gradients of a generator, and with what else the rule asks for."""
    extras = {name for part in opt.parts().program.parts for name in part.rule.extras}
    for _ in range(steps):

        def drawn(x):
            return (rng.normal(size=x.shape) * (1 + 0.5j if x.dtype.kind == "c" else 1)).astype(x.dtype)

        more = {"loss": 1.0 + float(rng.random())} if "loss" in extras else {}
        grads = {key: drawn(x) for key, x in opt.params.items()}
        more |= {name: {key: abs(drawn(x)) for key, x in opt.params.items()} for name in sorted(extras - {"loss"})}
        opt.step(grads, **more)


def come_to(opt):
    """Parameters as numbers that JSON knows; of complex ones both parts."""
    return {key: np.ascontiguousarray(x).reshape(-1).view(x.real.dtype).tolist() for key, x in opt.params.items()}


def checkpoints(folder):
    """A file for each case after three steps, and where two steps more lead."""
    folder.mkdir()
    led = {}
    for name, made in cases():
        opt, rng = optimizer(*made), np.random.default_rng(1)
        go(opt, 3, rng)
        opt.save(folder / f"{name}.safetensors", extra={"epoch": 3}, rng=rng)
        go(opt, 2, rng)
        led[name] = come_to(opt)
    return led


def sharded(folder):
    """A checkpoint of two processes, a folder, after three steps; it leads where the file of ``float32`` does."""

    def save(comm):
        opt, rng = Sharded(optimizer(*OTHERS["float32"]).params, "adam", comm=comm), np.random.default_rng(1)
        for _ in range(3):
            grads = {key: rng.normal(size=x.shape).astype(x.dtype) for key, x in opt.params.items()}
            opt.step(grads for _ in opt.mine)
        opt.save(folder)

    in_threads(2, save)


def numbers(study):
    """What a study says: of each optimizer on each problem its steps, hits and losses."""
    return {
        row.optimizer: {
            entry.problem: [entry.steps.median, entry.hits, entry.seeds, entry.loss.median, dict(entry.hyper)]
            for entry in row.entries
        }
        for row in study.table()
    }


def write(folder):
    """Write all files of one version: checkpoints, a run after ten of twenty steps, a study; and what they lead to."""
    folder.mkdir()
    led = checkpoints(folder / "checkpoints")
    sharded(folder / "sharded")
    os.chdir(folder)
    Path("valley.py").write_text(PROBLEM, encoding="utf-8")
    assert main([*RUN, "whole", "--max-steps", "20"]) == 0
    whole = json.loads(Path("whole/result.json").read_text(encoding="utf-8"))
    shutil.rmtree("whole")
    assert main([*RUN, "run", "--max-steps", "10"]) == 0
    spec = Path("run/run.json")
    spec.write_text(spec.read_text(encoding="utf-8").replace(str(folder), "/elsewhere"), encoding="utf-8")
    assert main([*STUDY, "--steps", "40", "--jobs", "1", "--out", "study"]) == 0
    for report in ("run/report.html", "study/report.html"):
        Path(report).unlink()  # pages for people, which no version reads
    expected = {"version": gs.__version__, "run": whole["best"], "study": numbers(Study.load("study")), **led}
    lines = (f"{json.dumps(key)}: {json.dumps(x)}" for key, x in expected.items())
    Path("expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    place = HERE / gs.__version__
    if place.exists():
        sys.exit(f"{place} is there, and stays as it is.")
    write(place)
