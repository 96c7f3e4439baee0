"""Rules of whole arrays, one parameter after the other: bits, whole updates, and the memory of a step."""

import tracemalloc

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.plans import Memory
from gradstep.errors import InUseError
from gradstep.rule import rule
from gradstep.vocabulary import abs as size
from gradstep.vocabulary import (
    cbrt,
    columns,
    maximum,
    mean,
    minimum,
    norm,
    shaped_as,
    sign,
    sqrt,
    transpose,
    where,
    wide,
)
from gradstep.vocabulary import max as largest
from support import at_line, fingerprint

SHAPES = [(300, 200), (200, 300), (33, 2), (2, 33), (70, 1), (1, 5)]


def made(tx, shapes, engine="compiled", dtype="f4", **options):
    rng = np.random.default_rng(0)
    return gs.Optimizer([rng.normal(size=x).astype(dtype) for x in shapes], tx, engine=engine, **options)


def gradients(shapes, seed, dtype="f4"):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=x).astype(dtype) for x in shapes]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["adafactor", "came", "sm3"])
def test_the_same_bits_on_any_number_of_threads(name, dtype):
    """The sizes are those of several portions."""
    opts = [made(name, SHAPES, "eager", dtype), *(made(name, SHAPES, "compiled", dtype, threads=n) for n in (1, 2, 3))]
    for opt in opts:
        for seed in (1, 2, 3):
            opt.step(gradients(SHAPES, seed, dtype))
    assert len({fingerprint(opt) for opt in opts}) == 1


CHAINS = {
    "a norm of all, decay": gs.chain(gs.clip_by_global_norm(1.0), gs.decay(weight_decay=0.1), gs.muon(lr=0.02)),
    "a norm of each, an average": gs.chain(gs.clip_by_norm(1.0), gs.adafactor(), gs.swa()),
    "several of whole arrays": gs.chain(gs.agc_columns(), gs.centralize_rows(), gs.shampoo()),
    "bounds, decays behind": gs.chain(
        gs.clip_by_value(0.5), gs.sm3(), gs.l1_decay(l1=0.1), gs.cautious_decay(weight_decay=0.1)
    ),
    "what it was before": gs.chain(gs.l2(weight_decay=0.1), gs.came(), gs.lookahead(k=2)),
    "around all": gs.chain(gs.decay(weight_decay=0.1), gs.muon(), gs.schedule_free()),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", CHAINS)
def test_chains_have_the_same_bits(name, dtype):
    shapes = [(30, 20), (20, 30), (33, 2), (2, 33), (70, 1), (1, 5)]
    opts = [made(CHAINS[name], shapes, engine, dtype) for engine in ("eager", "compiled")]
    for opt in opts:
        for seed in (1, 2, 3):
            opt.step(gradients(shapes, seed, dtype))
    assert fingerprint(opts[0]) == fingerprint(opts[1])


@pytest.mark.parametrize(
    "tx", [gs.chain(gs.muon(), gs.cautious()), gs.chain(gs.gradient_noise(), gs.muon())], ids=["a sum behind", "noise"]
)
def test_chains_that_are_not_for_a_plan_go_the_other_way(tx):
    opts = [made(tx, [(6, 5)], engine) for engine in ("eager", "compiled")]
    for opt in opts:
        opt.step(gradients([(6, 5)], 1))
    assert fingerprint(opts[0]) == fingerprint(opts[1])


@pytest.mark.usefixtures("own_registry")
class TestWords:
    """Each word on operands of each shape and layout, with the reference beside it."""

    @staticmethod
    def everything(theta, g, a, b, lr):
        row, column = mean(g * g, "columns"), largest(g - theta, "rows")
        u = where(g > row, sqrt(size(g)), cbrt(theta)) + minimum(row, column) * sign(theta)
        turned = transpose(u) * 2.0
        back = transpose(turned - transpose(maximum(g, -0.5)))
        a = 0.5 * a + transpose(mean(transpose(u), "rows")) + where(a < row, -a, row)
        b = shaped_as(wide(b), b) + transpose(mean(turned, "columns")) + norm(u) / (1.0 + norm(transpose(g)))
        u = where(row > 0.5, u, where(columns(g) > 3.0, back, 0.5)) + transpose(
            where(transpose(row) < 0.2, turned, 1.0)
        )
        top = transpose(largest(transpose(g), "columns")) + largest(u, "all") * 0.5
        return theta - lr * (back / (1.0 + size(back))) - 1e-3 * top, g, a + column, b

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_all(self, dtype):
        update = lambda theta, g, a, b, lr: self.everything(theta, g, a, b, lr)  # noqa: E731
        update.__name__ = "everything"
        tx = rule(lambda lr=0.1: {"lr": lr}, state="a b", whole=True, power=2)(update)()
        opts = [made(tx, SHAPES, engine, dtype) for engine in ("eager", "compiled")]
        for opt in opts:
            for seed in (1, 2):
                opt.step(gradients(SHAPES, seed, dtype))
        assert fingerprint(opts[0]) == fingerprint(opts[1])

    def test_what_is_not_a_number_goes_through(self):
        def extremes(theta, g, lr):
            return theta * 0.0 + largest(g, "rows") + largest(g, "columns") + lr * mean(g, "all"), g

        tx = rule(lambda lr=0.0: {"lr": lr}, whole=True)(extremes)()
        g = np.array([[1.0, -0.0], [np.nan, -2.0], [np.inf, 0.0]])
        pair = "eager", "compiled"
        opts = [gs.Optimizer(np.ones((3, 2)), tx, engine=x, on_nonfinite="ignore") for x in pair]
        for opt in opts:
            opt.step(g)
        assert np.array_equal(opts[0].params, opts[1].params, equal_nan=True)
        assert np.isnan(opts[0].params).any()

    def test_one_side_only(self):
        """Numbers of rows and columns alone, and results that are arguments."""

        def passing(theta, g, a, lr):
            return theta - lr * (columns(g) * g), g, theta

        tx = rule(lambda lr=0.1: {"lr": lr}, state="a", whole=True)(passing)()
        opt, before = made(tx, [(4, 3)]), gradients([(4, 3)], 0)
        opt.step(gradients([(4, 3)], 1))
        assert np.array_equal(opt.state["0"]["passing.a"], before[0])


SMALL = [(4, 3), (3, 4)]


def test_an_interrupt_at_any_line_leaves_a_whole_update():
    class Late(Exception):
        pass

    opt, twin = made("adafactor", SMALL), made("adafactor", SMALL)
    for x in (opt, twin):  # from the third step on no plan is made, and all have as many lines
        x.step(gradients(SMALL, 1))
        x.step(gradients(SMALL, 2))
    k, seen = 1, set()

    def late():
        try:
            opt.parts()
        except InUseError:
            seen.add("in use")
        raise Late

    while True:
        g, before = gradients(SMALL, k), opt.t
        try:
            if not at_line(k, late, lambda g=g: opt.step(g)):
                break
        except Late:
            pass
        seen.add(opt.t - before)
        if opt.t > before:
            twin.step(g)
        assert fingerprint(opt) == fingerprint(twin), k
        k += 3  # every line would take seconds
    assert seen == {0, 1, "in use"}


@pytest.mark.parametrize("tx", ["muon", CHAINS["a norm of all, decay"]], ids=["alone", "chain"])
def test_without_memory_it_goes_on_when_there_is_some(tx, monkeypatch):
    """Nothing is lost where memory fails between two parameters: the next call ends the update first."""
    shapes = [(40, 30), (50, 30)]
    plain, opt = made(tx, shapes), made(tx, shapes)
    for x in (plain, opt):
        x.step(gradients(shapes, 1))
    take = Memory.take
    left = [6]

    def scarce(self, shape, dtype):
        left[0] -= 1
        if left[0] < 0:
            raise MemoryError
        return take(self, shape, dtype)

    monkeypatch.setattr(Memory, "take", scarce)
    with pytest.raises(MemoryError):
        opt.step(gradients(shapes, 2))
    monkeypatch.undo()
    plain.step(gradients(shapes, 2))
    plain.step(gradients(shapes, 3))
    opt.step(gradients(shapes, 3))
    assert fingerprint(opt) == fingerprint(plain)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("adafactor", 0.7),
        ("came", 0.7),
        ("sm3", 0.5),
        ("muon", 3.1),
        ("shampoo", 9.2),
        ("soap", 19.0),
        ("psgd_kron", 12.8),
        (CHAINS["a norm of each, an average"], 0.7),
        (CHAINS["bounds, decays behind"], 0.5),
        (CHAINS["a norm of all, decay"], 3.1),
    ],
    ids=[
        "adafactor",
        "came",
        "sm3",
        "muon",
        "shampoo",
        "soap",
        "psgd_kron",
        "adafactor in a chain",
        "sm3 in a chain",
        "muon in a chain",
    ],
)
def test_a_step_takes_the_memory_of_one_parameter(name, most):
    """In arrays of the size of the largest; the lanes of sums are 0.64 of one here, and less of larger ones."""
    shapes = [(200, 200)] * 8
    opt, g = made(name, shapes), gradients(shapes, 1)
    for _ in range(10):  # the next step is one at which SOAP turns its bases
        opt.step(g)
    tracemalloc.start()
    try:
        opt.step(g)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most * 4 * 200 * 200
