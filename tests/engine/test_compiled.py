"""The compiled engine: any chunking gives the same bits, block sums are those of the reference."""

import contextlib
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.reduction import BLOCK, block_sums
from gradstep.array.storage import Layout
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import program
from gradstep.rule import registry, stage
from gradstep.step.host import Host
from support import OF_GRADIENTS, bits, same, states

compiled = pytest.importorskip("gradstep.engine.cpu.compiled")
kernels = pytest.importorskip("gradstep.engine.cpu.kernels")
passes = pytest.importorskip("gradstep.engine.passes")
pytest.importorskip("llvmlite")

pytestmark = pytest.mark.usefixtures("own_registry")

LENGTHS = [*range(68), 4095, 4096, 4097, 2 * BLOCK, 100_003]


def engine_for(tx, arrays, chunk=compiled.CHUNK, row=lambda k: 0):
    slots = [tuple(tuple(np.full_like(x, 0.25) for _ in own) for own in program(tx).slots) for x in arrays]
    tensors = [Tensor(f"w{k}", x, slots[k], row(k)) for k, x in enumerate(arrays)]
    return compiled.Compiled(program(tx), tensors, chunk=chunk)


def measuring(measure):
    """A chain that measures what the gradient is after weight decay."""

    def seen(theta, g, k):
        return theta, k * g

    probe = stage(lambda total: {"k": 1.0}, reduce=measure, over="tensor")(seen)
    return gs.chain(gs.l2(0.5), probe, gs.sgd)


def normal(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) * 10.0 ** rng.integers(-6, 7, n)
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [BLOCK, 3 * BLOCK, compiled.CHUNK, 1 << 20])
def test_block_sums_are_those_of_the_reference(dtype, chunk):
    tx = measuring(
        lambda theta, g: g * g - theta + 0.5
    )  # not zero where both are: what lies behind the end must not count
    params = [normal(n, dtype, n) for n in LENGTHS]
    grads = [normal(n, dtype, n + 1) for n in LENGTHS]
    engine = engine_for(tx, params, chunk, lambda k: k)
    engine.load(grads)
    out, good = engine.measure(1, [[(0.5,)] for _ in params], 1)
    assert good
    for x, g, (total,), (begin, end) in zip(params, grads, out, engine.blocks, strict=True):
        sums = engine.sums[begin:end, 0].tolist()
        assert total.hex() == math.fsum(sums).hex()
        left = (g + x.dtype.type(0.5) * x).astype("f8")
        assert [s.hex() for s in sums] == [s.hex() for s in block_sums(left * left - x.astype("f8") + 0.5)], x.size


def test_sums_of_special_numbers():
    tx = measuring(lambda theta, g: g)
    for values in ([np.nan, 1.0], [np.inf, 1.0], [np.inf, -np.inf], [-0.0], [5e-324] * 40, [1.7e308] * 3):
        g = np.array(values)
        engine = engine_for(tx, [np.zeros_like(g)], row=lambda k: k)
        engine.load([g])
        with np.errstate(all="ignore"):
            engine.measure(1, [[(0.0,)]], 1)
            assert bits(engine.sums[:, 0]) == bits(np.array(block_sums(g)))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
@pytest.mark.parametrize("name", ["adam", "adamax", "radam", "adadelta"])
def test_chunks_do_not_show(name, dtype):
    tx = registry()[name]()
    made = program(tx)
    host = Host(made, [made.values(made.hyper, 0)], [0], (0.0, 3e38))
    table, _ = host.table(1, [made.memory()], lambda *_: [])
    seen = []
    for chunk in (BLOCK, 2 * BLOCK, compiled.CHUNK, 1 << 20):
        arrays = [np.asarray(normal(n, "f8", n), dtype) for n in (0, 1, 17, BLOCK - 1, BLOCK + 1, 70_001)]
        engine = engine_for(tx, arrays, chunk)
        for k in range(2):
            engine.load([np.asarray(normal(x.size, "f8", k), dtype) for x in arrays])
            engine.apply(table, 1 + k)
        seen.append([*arrays, *(y for x in engine.tensors for own in x.slots for y in own)])
    assert all(same(x, seen[0]) for x in seen)


def test_nothing_outside_an_array_is_touched():
    for dtype in ("f4", "f8"):
        for n in (*range(36), 4097):
            around = np.full(n + 64, 7.0, dtype)
            w = around[32 : 32 + n]
            gs.Optimizer(w, "adam", engine="compiled").step(np.ones(n, dtype))
            assert (around[:32] == 7.0).all()
            assert (around[32 + n :] == 7.0).all()
            assert (w != 7.0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_bad_number_is_seen_anywhere(dtype):
    tx = gs.adam()
    arrays = [np.zeros(n, dtype) for n in (3, 0, 70_000, 5)]
    engine = engine_for(tx, arrays, BLOCK)
    limit = np.dtype(dtype).type(program(tx).limit_in(dtype))
    for k, place in ((0, 2), (2, 0), (2, 69_999), (2, 5 * BLOCK), (3, 4)):
        for value in (np.nan, np.inf, -np.inf, -np.nan, np.nextafter(limit, np.inf, dtype=dtype)):
            grads = [np.full_like(x, -limit) for x in arrays]
            engine.load(grads)
            assert engine.look()
            grads[k][place] = value
            engine.load(grads)
            assert not engine.look()


def test_each_dtype_has_its_own_limit():
    arrays = [np.zeros(3, "f8"), np.zeros(3, "f4"), np.zeros(3, "c16"), np.zeros(3, "c8")]
    tx = gs.adam()
    engine = engine_for(tx, arrays)
    for k, dtype in enumerate(["float64", "float32"] * 2):
        limit = program(tx).limit_in(dtype)
        for factor, good in ((1.0, True), (1.01, False)):
            grads = [np.zeros_like(x) for x in arrays]
            grads[k][1] = limit * factor
            engine.load(grads)
            assert engine.look() == good


def test_the_limit_itself_passes():
    for dtype in ("float32", "float64"):
        top = float(np.finfo(dtype).max)
        engine = engine_for(gs.chain(gs.clip_by_value(1.0), gs.sgd()), [np.zeros(2, dtype)])
        engine.load([np.array([top, -top], dtype)])
        assert engine.look()
        engine.load([np.array([0.0, np.inf], dtype)])
        assert not engine.look()


def test_no_tensors_at_all():
    engine = engine_for(gs.chain(gs.clip_by_global_norm(1.0), gs.adam), [])
    engine.load([])
    assert engine.look()
    assert engine.measure(0, [[]], 1) == ([[0.0]], True)
    engine.apply([[(1.0,), (0.0,) * 7]], 1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_extreme_numbers_have_the_bits_of_the_reference(name, dtype):
    """Denormals, signed zeros and numbers of every size in gradient, parameter and state."""
    info = np.finfo(dtype)
    edges = [0.0, -0.0, info.smallest_subnormal, -info.tiny, info.tiny * 3, 1.0, -1.0, 1e-20, -1e20, 1e37, -info.max]
    g, w = (x.reshape(-1).astype(dtype) for x in np.meshgrid(edges, edges))
    seen = []
    for engine in ("compiled", "eager"):
        params = w.copy()
        opt = gs.Optimizer(params, name, on_nonfinite="ignore", engine=engine)
        with np.errstate(all="ignore"):
            for k in range(3):
                with contextlib.suppress(gs.NonFiniteError):  # of a sum: on both engines
                    opt.step(np.roll(g, k))
        seen.append({"w": params, **states(opt)})
    assert same(*seen)


def test_the_tables_are_as_wide_as_the_rules_say():
    rules = program(gs.chain(gs.l2(0.1), gs.adam, gs.ema)).rules
    assert passes.scalar_count(rules) == 1 + len(gs.adam.numbers) + 1
    assert passes.slot_count(rules) == 3  # m, v, average


def test_assembly_says_nothing_fast_and_loose():
    for dtype in ("float32", "float64"):
        for made in registry().values():
            text = kernels.emit((made,), Layout(dtype, (None,) * len(made.state)), 1.0, "x86_64-unknown-linux-gnu")
            words = {"fast", "nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc", "fma", "fmuladd"}
            assert not words & set(text.replace(".", " ").replace("(", " ").split())


def test_equal_rules_write_equal_assembly():
    layout = Layout("float32", (None, None))
    a, b = (kernels.emit(program(tx).rules, layout, 1.0, "t") for tx in (gs.adam(lr=0.1), gs.adam(lr=0.2, name="x")))
    assert a == b  # hyperparameters and labels are data
