"""P15: what was saved is what you had: dtype, byte order, shape, values and the bits of every NaN."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.checkpoint import format as product
from promises.layouts import DTYPES, FLOATS, arrays, laid_out, raw, words
from promises.readers import check_with_other_readers

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="."), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def many(full):
    """The number of arrays drawn."""
    return 1500 if full else 500


def so_often(many):
    """Settings under which the same examples come at every run."""
    return settings(
        max_examples=many, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


@pytest.fixture(scope="module")
def mapped():
    with tempfile.TemporaryDirectory() as own:
        yield Path(own)


def frozen(tree):
    """An optimizer with arrays of any dtype, all frozen but one."""
    return gs.Optimizer({"own": np.ones(1), "any": tree}, "sgd", groups={"any*": "freeze"})


def test_what_is_loaded_is_what_was_saved(in_memory, mapped, many, figure):
    seen = set()

    @so_often(many)
    @given(arrays(folder=mapped))
    def check(drawn):
        x, layout = drawn
        seen.add((x.dtype.name, layout))
        path = in_memory / "x.safetensors"
        before = words(x)
        frozen(x).save(path)
        assert words(gs.load(path).params["any"]) == before == words(x)
        assert check_with_other_readers(path) == 2

    check()
    assert {dtype for dtype, _ in seen} == {np.dtype(d).name for d in DTYPES}
    figure("P15", "gs.load gives what was saved, and other readers too: {n} / {n} arrays", n=many)


def test_restored_in_place(in_memory, mapped, many, figure):
    """Into an array of the same dtype and shape, but any other layout and byte order."""
    writable = ("C", "F", "strided", "negative", "transposed", "offset", "big-endian", "inner")

    @so_often(many)
    @given(arrays(folder=mapped), st.sampled_from(writable))
    def check(drawn, layout):
        x, _ = drawn
        path = in_memory / "x.safetensors"
        frozen(x).save(path)
        native = x.astype(x.dtype.newbyteorder("="))
        target = laid_out(np.zeros_like(native, order="C"), layout)
        opt = frozen(target)
        opt.restore(path)
        assert raw(target.astype(target.dtype.newbyteorder("="))) == raw(native)
        assert opt.params["any"] is target

    check()
    figure("P15", "restored in place, whatever the layout: {n} / {n} arrays", n=many)


TREES = st.recursive(
    arrays(dtypes=tuple(FLOATS), layouts=("C", "F", "strided", "negative", "big-endian"), finite=True).map(
        lambda d: d[0]
    ),
    lambda deeper: st.dictionaries(NAMES, deeper, min_size=1, max_size=3) | st.lists(deeper, min_size=1, max_size=3),
    max_leaves=5,
)


def copied(tree):
    if isinstance(tree, dict):
        return {k: copied(x) for k, x in tree.items()}
    return [copied(x) for x in tree] if isinstance(tree, list) else tree.copy("K")


def leaves(tree):
    if isinstance(tree, dict | list):
        for x in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(x)
    else:
        yield tree


def test_nests_of_any_form_are_stepped_saved_and_gone_on_with(in_memory, many, figure):
    """Two steps, a file, and a third; against three steps without one."""

    @so_often(many // 5)
    @given(TREES, st.sampled_from(["momentum", "adam", "adagrad"]), st.sampled_from(["auto", "eager"]))
    def check(tree, rule, engine):
        path = in_memory / "x.safetensors"
        whole, first, second = ({"p": copied(tree)} for _ in range(3))
        gradient = {"p": copied(tree)}
        opt = gs.Optimizer(whole, rule, engine=engine)
        for _ in range(3):
            opt.step(gradient)
        opt = gs.Optimizer(first, rule, engine=engine)
        opt.step(gradient)
        opt.step(gradient)
        opt.save(path)
        for x in leaves(second):
            x[...] = 0
        again = gs.Optimizer(second, rule, engine=engine)
        again.restore(path)
        again.step(gradient)
        assert [words(x) for x in leaves(second)] == [words(x) for x in leaves(whole)]
        assert check_with_other_readers(path) >= len(list(leaves(tree)))

    check()
    figure("P15", "nests, dtypes and layouts, stepped, saved and gone on with: equal {n} / {n}", n=many // 5)


def test_control_a_writer_that_takes_memory_as_it_lies(in_memory, monkeypatch, control):
    """Without a look at strides and byte order."""

    def as_it_lies(x):
        return memoryview(x.ravel("K").view(np.uint8))

    monkeypatch.setattr(product, "_raw", as_it_lies)
    wrong = 0
    shapes = [np.arange(6.0).reshape(2, 3), np.arange(4.0)]
    cases = [laid_out(x, layout) for x in shapes for layout in ("C", "F", "transposed", "negative", "big-endian")]
    for x in cases:
        frozen(x).save(in_memory / "x.safetensors")
        wrong += words(gs.load(in_memory / "x.safetensors").params["any"]) != words(x)
    assert wrong > 0
    control("P15", f"a writer without a look at strides and byte order: wrong {wrong} / {len(cases)}")
