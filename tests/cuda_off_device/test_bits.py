"""The emitted grids, run on this CPU thread by thread, give the eager engine's bits: rules, dtypes, storage, shapes."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from gradstep.form.chain import program
from laws.cases import CASES
from support import LONG, bits, same, states, wide

pytest.importorskip("llvmlite")
from .stand_in import CHAIN, WAYS, StandIn, optimizer

NAMES = [name for name, case in CASES.items() if not case.rule.whole]
SIZES = (0, 1, 15, 257, 4099, 8201)
DTYPES = ["float64", "float16", "bfloat16"]
SHAPES = {"one thread": (1, 1), "odd": (3, 7), "more than there is": (40, 256)}  # blocks, threads


def dtype_of(name):
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def arrays(dtype, seed, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return {f"w{n}": (rng.normal(size=n) * 10.0 ** rng.integers(-3, 3, n)).astype(dtype) for n in sizes}


def trained(opt, tx, dtype, steps=3, sizes=SIZES):
    made = program(tx)
    for t in range(steps):
        kept = np.float32 if dtype.itemsize == 2 else dtype  # the dtype of the state
        inputs = {name: arrays(kept, 100 + t, sizes) for name in made.inputs}
        inputs |= dict.fromkeys(made.takes, 0.5 + t)
        opt.step(arrays(dtype, 1 + t, sizes), **inputs)
    return opt.params, states(opt), opt.t, opt.parts().memory


def check(tx, dtype, driver=None, steps=3, sizes=SIZES, **options):
    """Hold the grids to the eager engine's bits."""
    mine = optimizer(arrays(dtype, 0, sizes), tx, driver, **options)
    theirs = gs.Optimizer(arrays(dtype, 0, sizes), tx, engine="eager", **options)
    assert mine.engine == "cuda"
    *got, t, memory = trained(mine, tx, dtype, steps, sizes)
    *want, t_, memory_ = trained(theirs, tx, dtype, steps, sizes)
    assert (t, memory) == (t_, memory_)
    for a, b in zip(got, want, strict=True):
        assert same(a, b)
    return mine, theirs


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_and_stage(name):
    check(CASES[name].stage(), np.dtype("float32"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", wide(NAMES))
def test_every_dtype(name, dtype):
    check(CASES[name].stage(), dtype_of(dtype))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_every_storage(way, dtype):
    if dtype == "float32" and not way.startswith(("bfloat16", "8-bit")):
        pytest.skip("float32 parameters need no rounding")
    for tx in (gs.adam(lr=0.1), CHAIN):
        check(tx, dtype_of(dtype), seed=7, **WAYS[way])


@pytest.mark.wide
@pytest.mark.parametrize("state_dtype", ["bfloat16", "8bit"])
@pytest.mark.parametrize("name", [name for name in NAMES if not CASES[name].silent("smaller_state")])
def test_every_rule_with_low_state(name, state_dtype):
    if reason := CASES[name].rule.exceptions.get("smaller_state"):
        pytest.skip(reason)
    check(CASES[name].stage(), np.dtype("float32"), state_dtype=state_dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_any_shape_of_a_grid_and_any_order_of_threads(shape, backwards):
    for tx, options in ((CHAIN, {}), (gs.adam(lr=0.1), {"state_dtype": "8bit"}), (LONG, {"diagnostics": True})):
        mine, theirs = check(tx, np.dtype("float32"), StandIn(SHAPES[shape], backwards=backwards), **options)
        if options.get("diagnostics"):
            assert mine.diagnostics == theirs.diagnostics


@pytest.mark.parametrize("options", [{}, {"state_dtype": "8bit"}, {"state_dtype": "bfloat16"}], ids=str)
def test_norms_of_a_step(options):
    for tx in (gs.sgd(lr=1e-9), CHAIN):
        mine, theirs = check(tx, np.dtype("float32"), diagnostics=True, **options)
        assert mine.diagnostics == theirs.diagnostics


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_of_a_long_array(dtype, full):
    sizes = (3_000_017, 5) if full else (300_017, 5)
    check(CHAIN, np.dtype(dtype), steps=2, sizes=sizes)


def test_arrays_that_are_not_aligned():
    """Vectors cannot be loaded as a whole then; the numbers are the same."""
    seen = []
    for engine in ("cuda", "eager"):
        memory = {k: np.zeros(5003 + k, np.float32) for k in range(4)}
        params = {f"w{k}": memory[k][k:] for k in memory}
        for k, x in params.items():
            x[...] = np.random.default_rng(int(k[1])).normal(size=5003)
        opt = optimizer(params, CHAIN) if engine == "cuda" else gs.Optimizer(params, CHAIN, engine=engine)
        rng = np.random.default_rng(9)
        for _ in range(3):
            opt.step({k: rng.normal(size=5006).astype(np.float32)[k_ : 5003 + k_] for k_, k in enumerate(params)})
        seen.append((params, states(opt)))
    assert all(same(a, b) for a, b in zip(*seen, strict=True))
    assert {x.ctypes.data % 16 for x in seen[0][0].values()} == {0, 4, 8, 12}


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers(dtype):
    seen = []
    for engine in ("cuda", "eager"):
        rng = np.random.default_rng(3)
        w = (rng.normal(size=(70, 61)) + 1j * rng.normal(size=(70, 61))).astype(dtype)
        opt = optimizer(w, CHAIN) if engine == "cuda" else gs.Optimizer(w, CHAIN, engine=engine)
        for _ in range(3):
            opt.step((rng.normal(size=w.shape) + 1j * rng.normal(size=w.shape)).astype(dtype))
        seen.append((w, states(opt)))
    assert all(same(a, b) for a, b in zip(*seen, strict=True))


def test_a_rule_that_reads_special_numbers():
    """Signed zeros, denormals and infinities that no guard keeps away are as on the eager engine; NaN is NaN."""
    special = np.array([0.0, -0.0, 1e-45, -1e-40, 1e38, -3e38, np.inf, -np.inf, np.nan, 1.0] * 7, np.float32)
    seen = []
    for engine in ("cuda", "eager"):
        w = np.linspace(-1, 1, special.size, dtype=np.float32)
        opt_options = {"on_nonfinite": "ignore"}
        opt = (
            optimizer(w, gs.adam, **opt_options)
            if engine == "cuda"
            else gs.Optimizer(w, gs.adam, engine=engine, **opt_options)
        )
        for _ in range(3):
            opt.step(special)
        seen.append((w, *states(opt).values()))
    assert [bits(x) for x in seen[0]] == [bits(x) for x in seen[1]]


def test_the_rules_of_the_page_on_writing_one_need_no_further_line(own_registry, tmp_path, monkeypatch):
    """Signum, and a stage that sums over arrays: as they stand there, in a file of the user's."""
    page = (Path(__file__).parents[2] / "docs/writing-a-rule.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    code = [next(x for x in blocks if f"def {name}(" in x) for name in ("my_signum", "trust_ratio")]
    (tmp_path / "rules_of_the_page.py").write_text("\n".join(code), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("rules_of_the_page")
    check(own.my_signum(lr=0.1), np.dtype("float32"))
    check(gs.chain(own.trust_ratio, own.my_signum(lr=0.1)), np.dtype("float64"))


def test_one_of_the_users_own(own_registry):
    """A rule that was just written needs no further line."""
    from gradstep.rule import rule

    def scalars(lr=0.1, beta=0.9):
        return {"lr": lr, "keep": beta, "take": 1.0 - beta}

    @rule(scalars, state="m")
    def own(theta, g, m, lr, keep, take):
        m = keep * m + take * g
        return theta - lr * m, g, m

    check(own(), np.dtype("float32"))
