"""Any nest and any layout: compiled, eager and functional steps have the same bits."""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from support import (
    LONG,
    check_engines,
    engines,
    mapped,
    normal,
    numbers,
    same,
    states,
)

Pair = namedtuple("Pair", "w b")  # noqa: PYI024 - as users write it
NESTS = {
    "bare": lambda: numbers((4, 5)),
    "bare 0-d": lambda: numbers(()),
    "dict": lambda: {"w": numbers((4, 5)), "b": numbers(5)},
    "list": lambda: [numbers((4, 5)), numbers(5)],
    "tuples": lambda: (numbers(3), (numbers(2), [numbers(1)])),
    "named tuple": lambda: [Pair(numbers((2, 3)), numbers(3))],
    "empty dict": dict,
    "empty list": list,
    "empty inside": lambda: {"a": {}, "b": [numbers(3), []]},
    "dtypes": lambda: [numbers(7, d) for d in ("f4", "f8", "c8", "c16", "f4")],
    "zero size": lambda: {"a": numbers((0, 3), "f4"), "b": numbers(0), "c": numbers((2, 0), "c8")},
    "zero size among others": lambda: {"a": numbers(0), "b": numbers(5, "f4"), "c": numbers((3, 0), "f4")},
    "large and small": lambda: {"a": numbers(SMALL + 3, "f4"), "b": numbers(5, "f4"), "c": numbers(70_001, "f4")},
    "many": lambda: {f"layer{k}": numbers(k, "f4", k) for k in range(40)},
}


@pytest.mark.parametrize("tx", [gs.adam(lr=0.1), LONG], ids=["adam", "long"])
@pytest.mark.parametrize("nest", NESTS)
def test_any_nest(nest, tx):
    check_engines(NESTS[nest], tx)


def big_endian(tree):
    return mapped(tree, lambda x: x.astype(x.dtype.newbyteorder(">")))


LAYOUTS = {
    "fortran": lambda: np.asfortranarray(numbers((7, 9), "f4")),
    "transposed": lambda: numbers((3, 4, 5)).transpose(2, 0, 1),
    "strided": lambda: numbers((40,), "f4")[::3],
    "negative": lambda: numbers((6, 5))[::-1, ::-2],
    "column": lambda: numbers((9, 9))[:, 4],
    "big-endian": lambda: big_endian(numbers((5, 3), "f4")),
    "big-endian 0-d": lambda: big_endian(numbers(())),
    "big-endian complex": lambda: big_endian(numbers((5, 3), "c8")),
    "strided complex": lambda: numbers((8, 3), "c16")[::2],
    "real part": lambda: numbers((8, 3), "c8").real,
    "interleaved": lambda: (lambda x: [x[::2], x[1::2]])(numbers(31, "f4")),
    "halves of columns": lambda: (lambda x: [x[:, :2], x[:, 2:]])(numbers((5, 5), "f4")),
    "misaligned": lambda: np.frombuffer(bytearray(b"x" + numbers(9).tobytes()), "f8", offset=1),
    "misaligned complex": lambda: np.frombuffer(bytearray(b"x" + numbers(9, "c8").tobytes()), "c8", offset=1),
    "record field": lambda: np.zeros(6, [("a", "i1"), ("w", "f4")])["w"],
    "large strided": lambda: numbers(2 * SMALL + 30, "f4")[::2],
    "large big-endian": lambda: big_endian(numbers(SMALL + 15, "f4")),
    "many axes": lambda: numbers((1, 2, 1, 3, 1, 2, 2)).swapaxes(1, 3),
}


@pytest.mark.parametrize("tx", [gs.adam(lr=0.1), LONG], ids=["adam", "long"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_parameters(layout, tx):
    check_engines(LAYOUTS[layout], tx)


@engines
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_gradients(layout, engine):
    grads = LAYOUTS[layout]()
    params = mapped(grads, lambda x: normal(np.random.default_rng(5), np.asarray(x)))
    plain = mapped(params, np.copy)
    opt, other = gs.Optimizer(params, LONG, engine=engine), gs.Optimizer(plain, LONG, engine=engine)
    for _ in range(2):
        opt.step(grads)
        other.step(mapped(grads, lambda x: np.array(x, x.dtype.newbyteorder("="), order="C")))
    assert same(params, plain)
    assert same(states(opt), states(other))


def test_memory_mapped_files_are_updated_on_disk(tmp_path):
    numbers(100, "f4").tofile(tmp_path / "w")
    w = np.memmap(tmp_path / "w", "f4", "r+")
    plain = np.array(w)
    opt, other = gs.Optimizer(w, "adam"), gs.Optimizer(plain, "adam")
    g = np.memmap(tmp_path / "w", "f4", "r")  # the same bytes, at another address
    for _ in range(3):
        h = np.array(g)
        opt.step(g)
        other.step(h)
    assert same(np.array(w), plain)
    w.flush()
    assert same(np.fromfile(tmp_path / "w", "f4"), plain)


@engines
def test_arrays_outside_are_the_same_objects(engine):
    params = {"w": numbers((4, 6))[:, ::2], "b": numbers(3)}
    before, places = dict(params), [x.__array_interface__["data"] for x in params.values()]
    opt = gs.Optimizer(params, LONG, engine=engine)
    held = [x for own in opt.state.values() for x in own.values()]
    for _ in range(3):
        opt.step(mapped(params, np.ones_like))
    assert opt.params is params
    assert all(params[k] is x for k, x in before.items())
    assert [x.__array_interface__["data"] for x in params.values()] == places
    assert all(a is b for a, b in zip(held, (x for own in opt.state.values() for x in own.values()), strict=True))


# One array of a random nest: dtype, shape and how it lies in memory.
layouts = st.tuples(
    st.sampled_from(["f4", "f8", "c8", ">f4"]),
    st.lists(st.integers(0, 5), max_size=3).map(tuple) | st.integers(0, 300).map(lambda n: (n,)),
    st.sampled_from(["C", "F", "stride", "reverse"]),
)
random_nests = st.recursive(
    layouts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
TXS = [
    gs.adam(lr=0.1), gs.radam(lr=0.1), gs.amsgrad(lr=0.1), gs.adadelta(), gs.momentum(), LONG,
    gs.chain(gs.maximize, gs.clip_by_norm(0.3), gs.clip_by_value(0.2), gs.adamax),
]  # fmt: skip


def placed(row):
    dtype, shape, order = row
    x = numbers(shape, dtype.lstrip(">"), sum(shape)).astype(dtype)
    if order == "F":
        return np.asfortranarray(x)
    if order == "stride" and x.ndim:
        return np.repeat(x, 2, axis=0)[::2]
    return x[..., ::-1] if order == "reverse" and x.ndim else x


def built(tree):
    if isinstance(tree, dict):
        return {k: built(x) for k, x in tree.items()}
    return [built(x) for x in tree] if isinstance(tree, list) else placed(tree)


@settings(max_examples=60, deadline=None)
@given(tree=random_nests, which=st.integers(0, len(TXS) - 1), steps=st.integers(1, 4))
def test_random_nests_and_layouts(tree, which, steps):
    check_engines(lambda: built(tree), TXS[which], steps)
