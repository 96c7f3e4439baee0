"""The optimizer that holds its arrays: any nest and layout, aliases, refusals that change nothing, threads, a fork."""

import copy
import threading
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.engine.gather import SMALL
from gradstep.errors import ScalarError
from gradstep.rule import registry
from gradstep.tree import flatten
from support import bits, clear, fingerprint, same, script, states

ENGINES = ["compiled", "eager"] if gs.Optimizer(np.ones(1), "sgd").engine == "compiled" else ["eager"]
engines = pytest.mark.parametrize("engine", ENGINES)
LONG = gs.chain(
    gs.clip_by_global_norm(3.0),
    gs.l2(0.1),
    gs.clip_by_norm(2.0, name="each"),
    gs.nadam(lr=0.05),
    gs.decay,
    gs.ema(decay=0.5),
)
Pair = namedtuple("Pair", "w b")  # noqa: PYI024 - as users write it


def mapped(tree, f):
    """``f`` of each leaf, in a nest of the same form."""
    nest, leaves = flatten(tree)
    return nest.build([f(x) for x in leaves])


def normal(rng, like):
    """A gradient for ``like``, contiguous."""
    x = rng.normal(size=like.shape)
    if like.dtype.kind == "c":
        x = x + 1j * rng.normal(size=like.shape)
    return np.asarray(x, like.dtype.newbyteorder("="))


def check_engines(build, tx, steps=3, grads=None):
    """Compiled, eager and functional steps over nests that ``build()`` makes have the same bits."""
    seen = []
    for engine in ENGINES:
        rng = np.random.default_rng(1)
        params = build()
        opt = gs.Optimizer(params, tx, engine=engine)
        for _ in range(steps):
            opt.step(grads(params, rng) if grads else mapped(params, lambda x: normal(rng, np.asarray(x))))  # noqa: B023
        seen.append((params, states(opt)))
    rng = np.random.default_rng(1)
    params = mapped(build(), lambda x: np.array(x, x.dtype.newbyteorder("="), order="C"))
    state = gs.init(tx, params)
    for _ in range(steps):
        g = grads(params, rng) if grads else mapped(params, lambda x: normal(rng, x))
        params, state = gs.update(tx, params, g, state)
    flat = {f"{name}/{slot}": x for name, own in state.slots.items() for slot, x in own.items()}
    for mine, slots in seen:
        assert same(mine, params)
        assert same(slots, flat)


def numbers(shape, dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return np.asarray(x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x, dtype)


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


SHAPE = (SMALL // 2 + 1, 4)  # its first columns are above the limit of the gather, single ones below


def aliases():
    """Gradients that lie in what a step writes: the optimizer -> its next gradients."""
    yield "a parameter itself", lambda opt: opt.params
    yield "another parameter", lambda opt: {"a": opt.params["b"], "b": opt.params["a"]}
    yield "a slot", lambda opt: {k: opt.state[k]["adam.m"] for k in "ab"}
    yield "a slot of another", lambda opt: {"a": opt.state["b"]["adam.v"], "b": opt.state["a"]["adam.m"]}
    yield "one array for all", lambda opt: dict.fromkeys("ab", opt.state["a"]["adam.m"])
    yield "turned round", lambda opt: {k: x[::-1] for k, x in opt.params.items()}
    yield "transposed", lambda opt: {k: x.T.reshape(x.shape) for k, x in opt.params.items()}


@engines
@pytest.mark.parametrize("kind", ["small", "large", "strided", "other dtype"])
@pytest.mark.parametrize("case", [name for name, _ in aliases()])
def test_gradients_that_alias(case, kind, engine):
    def build():
        if kind == "strided":
            x = numbers((SMALL + 9, 3), "f4")
            return {"a": x[:, 0], "b": x[:, 2]}
        size = 50 if kind == "small" else SMALL + 5
        return {"a": numbers(size, "f4"), "b": numbers(size, "f4", 1)}

    pick = dict(aliases())[case]
    seen = []
    for copied in (False, True):
        params = build()
        opt = gs.Optimizer(params, gs.adam(lr=0.1), engine=engine)
        opt.step(mapped(params, lambda x: np.ones(x.shape, x.dtype)))
        for _ in range(3):
            g = pick(opt)
            opt.step(copy.deepcopy(g) if copied else g)
        seen.append({**params, **states(opt)})
    assert same(*seen)


@engines
def test_a_gradient_across_dtypes_and_strides(engine):
    """Written by one kernel, read by another; and between the elements of a strided parameter."""

    def run(copied):
        n = 2 * SMALL + 4
        memory = numbers(4 * n, "f4")
        a, b, c = memory[:n], memory[n : 2 * n].view("f8"), memory[2 * n :].view("f8")[::2]
        opt = gs.Optimizer({"a": a, "b": b, "c": c}, "momentum", lr=0.1, engine=engine)
        for _ in range(3):
            g = {"a": np.ones_like(a), "b": a.view("f8"), "c": memory[2 * n :].view("f8")[: c.size]}
            opt.step(copy.deepcopy(g) if copied else g)
        return memory

    assert same(run(False), run(True))


class TestGradients:
    params = staticmethod(lambda: {"layer": {"w": numbers((3, 2)), "b": numbers(2)}, "head": [numbers(4, "f4")]})

    @engines
    def test_forms(self, engine):
        grads = mapped(self.params(), lambda x: np.full_like(x, 0.5))
        flat = {"head.0": grads["head"][0], "layer.b": grads["layer"]["b"], "layer.w": grads["layer"]["w"]}
        order = {"head": tuple(grads["head"]), "layer": dict(reversed(grads["layer"].items()))}
        seen = []
        for form in (grads, flat, order):
            params = self.params()
            opt = gs.Optimizer(params, "adam", engine=engine)
            opt.step(form)
            opt.step(form)
            seen.append(params)
        assert same(seen[0], seen[1])
        assert same(seen[0], seen[2])

    @engines
    def test_a_bare_array_by_its_name(self, engine):
        a, b = numbers(3), numbers(3)
        gs.Optimizer(a, "sgd", engine=engine).step({"params": np.ones(3)})
        gs.Optimizer(b, "sgd", engine=engine).step(np.ones(3))
        assert same(a, b)

    @engines
    def test_scalars_of_numpy_for_zero_dimensions(self, engine):
        a, b = np.array(2.0, "f4"), np.array(2.0, "f4")
        gs.Optimizer(a, "adam", engine=engine).step(np.float32(0.5))
        gs.Optimizer(b, "adam", engine=engine).step(np.array(0.5, "f4"))
        assert same(a, b)
        with pytest.raises(gs.GradstepTypeError, match="gradient 'params' has dtype float64, its parameter float32"):
            gs.Optimizer(a, "adam", engine=engine).step(np.float64(0.5))

    @engines
    def test_gradients_are_left_as_they_are(self, engine):
        params = self.params()
        opt = gs.Optimizer(params, LONG, engine=engine)
        grads = mapped(params, np.ones_like)
        before = copy.deepcopy(grads)
        for x in flatten(grads)[1]:
            x.flags.writeable = False
        opt.step(grads)
        assert same(grads, before)

    @engines
    def test_frozen_parameters_need_none(self, engine):
        groups = {"layer.*": "freeze"}
        head = [np.ones(4, "f4")]
        forms = [
            {"layer": {"w": None, "b": None}, "head": head},
            {"layer": None, "head": head},
            {"head": head},
            {"head.0": head[0]},
            {"layer": {"w": np.full((3, 2), np.nan), "b": "nothing"}, "head": head},
            {"layer": {"w": np.ones(9, "i1")}, "head": head},
        ]
        seen = []
        for form in forms:
            params = self.params()
            opt = gs.Optimizer(params, LONG, groups=groups, engine=engine)
            opt.step(form)
            assert same(params["layer"], self.params()["layer"])
            assert opt.state.keys() == {"head.0"}
            seen.append(params)
        assert all(same(x, seen[0]) for x in seen)

    @engines
    def test_frozen_parameters_may_be_anything_that_is_an_array(self, engine):
        x = np.ones(3)
        x.flags.writeable = False
        params = {"w": np.ones(2), "ids": np.arange(3), "nan": np.array([np.nan]), "view": x, "mask": np.ma.ones(2)}
        opt = gs.Optimizer(params, "sgd", groups={k: "freeze" for k in params if k != "w"}, engine=engine)
        opt.step({"w": np.ones(2)})
        assert params["w"].tolist() == [0.99, 0.99]


def bad_gradients():
    """What is handed to ``step`` -> the class of the error and a part of its text."""
    good = {"w": np.ones((3, 2)), "b": np.ones(2, "f4"), "s": np.array(1.0)}
    yield "missing", {k: good[k] for k in "wb"}, ValueError, "gradients: 's' is missing; there must be one for every"
    yield "None", {**good, "b": None}, ValueError, "gradients: 'b' is missing"
    yield "nothing", None, ValueError, "gradients: 'w' is missing"
    yield "extra", {**good, "z": np.ones(1)}, ValueError, "gradients: 'z' belongs to no parameter"
    yield "typo", {"W": good["w"], "b": good["b"], "s": good["s"]}, ValueError, "gradients: 'W' belongs to no parameter"
    yield "a list", list(good.values()), TypeError, "gradients: expected a dict, not list"
    yield "an array", good["w"], TypeError, "gradients: expected a dict, not ndarray"
    yield "a nest for a leaf", {**good, "w": {"x": good["w"]}}, TypeError, "gradient 'w' is of type dict, not an array"
    yield "a list for a leaf", {**good, "b": [1.0, 2.0]}, TypeError, "gradient 'b' is of type list, not an array"
    yield "a float", {**good, "s": 1.0}, TypeError, "gradient 's' is of type float, not an array"
    yield (
        "another shape",
        {**good, "w": np.ones((2, 3))},
        ValueError,
        "gradient 'w' has shape (2, 3), its parameter (3, 2)",
    )
    yield "one that would broadcast", {**good, "w": np.ones((1, 2))}, ValueError, "gradient 'w' has shape (1, 2)"
    yield "0-d for 1-d", {**good, "b": np.array(1.0, "f4")}, ValueError, "gradient 'b' has shape (), its parameter (2,)"
    yield "1-d for 0-d", {**good, "s": np.ones(1)}, ValueError, "gradient 's' has shape (1,), its parameter ()"
    yield (
        "wider",
        {**good, "b": np.ones(2)},
        TypeError,
        "gradient 'b' has dtype float64, its parameter float32; convert",
    )
    yield "narrower", {**good, "w": np.ones((3, 2), "f4")}, TypeError, "gradient 'w' has dtype float32, its parameter"
    yield "half", {**good, "b": np.ones(2, "f2")}, TypeError, "gradient 'b' has dtype float16"
    yield "integers", {**good, "b": np.ones(2, "i4")}, TypeError, "gradient 'b' has dtype int32"
    yield "bools", {**good, "b": np.ones(2, "?")}, TypeError, "gradient 'b' has dtype bool"
    yield "complex", {**good, "b": np.ones(2, "c8")}, TypeError, "gradient 'b' has dtype complex64"
    yield "objects", {**good, "b": np.ones(2, "O")}, TypeError, "gradient 'b' has dtype object"
    yield "masked", {**good, "b": np.ma.ones(2, "f4")}, TypeError, "gradient 'b' is a masked array; fill it first"
    yield (
        "nan",
        {**good, "w": np.array([[0, 1], [2, np.nan], [4, 5]])},
        FloatingPointError,
        "gradient 'w' is not finite: [1, 1] = nan",
    )
    yield "inf", {**good, "b": np.array([0, np.inf], "f4")}, FloatingPointError, "gradient 'b' is not finite: [1] = inf"
    yield "-inf", {**good, "s": np.array(-np.inf)}, FloatingPointError, "gradient 's' is not finite: -inf; nothing"
    yield (
        "too large",
        {**good, "b": np.array([0, -1e17], "f4")},
        FloatingPointError,
        ("gradient 'b' is too large for this rule in float32 (limit 1.8e+16): [1] = -9.99"),
    )
    yield (
        "two of them",
        {"s": np.array(np.nan), "b": np.array([np.nan, 1], "f4"), "w": good["w"]},
        FloatingPointError,
        ("gradient 'b' is not finite"),
    )


@engines
@pytest.mark.parametrize("tx", [gs.nadam(lr=0.1), gs.chain(gs.l2(0.1), gs.adam, gs.ema)], ids=["nadam", "chain"])
@pytest.mark.parametrize("case", [row[0] for row in bad_gradients()])
def test_a_refused_step_changes_nothing(case, tx, engine):
    _, grads, kind, text = next(row for row in bad_gradients() if row[0] == case)
    good = {"w": np.ones((3, 2)), "b": np.ones(2, "f4"), "s": np.array(1.0)}
    opt = gs.Optimizer(mapped(good, np.copy), tx, engine=engine)
    twin = gs.Optimizer(mapped(good, np.copy), tx, engine=engine)
    opt.step(good)
    twin.step(good)
    before = fingerprint(opt)
    for _ in range(2):
        with pytest.raises(kind) as error:
            opt.step(grads)
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert clear(error)
        assert fingerprint(opt) == before
    opt.step(good)
    twin.step(good)
    assert fingerprint(opt) == fingerprint(twin)


@engines
@pytest.mark.parametrize("size", [10, SMALL + 1])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
def test_one_bad_number_anywhere(value, size, dtype, engine):
    params = {"a": np.ones(3, dtype), "b": np.ones((size, 1), dtype)}
    opt = gs.Optimizer(params, "adam", engine=engine)
    before = fingerprint(opt)
    for place in (0, size // 2, size - 1):
        grads = mapped(params, np.ones_like)
        grads["b"][place, 0] = value if dtype != "c8" else complex(1.0, value)
        with pytest.raises(gs.NonFiniteError, match=rf"gradient 'b' is not finite: \[{place}, 0\] = "):
            opt.step(grads)
        assert fingerprint(opt) == before


@engines
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", registry())
def test_the_largest_gradient_that_is_taken_leaves_all_finite(name, dtype, engine):
    limit = gs.Optimizer(np.ones(1, dtype), name)._limits[dtype]
    w = np.ones(2, dtype)
    opt = gs.Optimizer(w, name, engine=engine)
    g = np.array([limit, -limit], dtype)
    with pytest.raises(gs.NonFiniteError, match="is too large for this rule"):
        opt.step(np.nextafter(g, g * np.inf))
    for _ in range(20):
        opt.step(g)
    assert all(np.isfinite(x).all() for x in (w, *states(opt).values()))


def bad_parameters():
    read_only = np.ones(3)
    read_only.flags.writeable = False
    x = np.ones(6)
    yield "a number", 1.0, TypeError, "parameter 'params' is of type float"
    yield "nothing", None, TypeError, "parameter 'params' is of type NoneType"
    yield "numbers", {"w": [1.0, 2.0]}, TypeError, "parameter 'w.0' is of type float"
    for dtype in ("i8", "u1", "?", "f2", "O", "S3", "M8[s]", "g", [("a", "f4")]):
        yield f"dtype {dtype}", {"w": np.zeros(2, dtype)}, TypeError, "parameter 'w' has dtype "
    yield "read-only", {"w": read_only}, ValueError, "parameter 'w' is read-only"
    yield "broadcast", {"w": np.broadcast_to(x, (2, 6))}, ValueError, "parameter 'w' is read-only"
    yield "masked", {"w": np.ma.ones(3)}, TypeError, "parameter 'w' is a masked array"
    yield "a matrix", {"w": np.ones((2, 2)).view(np.matrix)}, TypeError, "parameter 'w' is of type matrix"
    yield "a scalar", {"w": np.float64(1.0)}, TypeError, "parameter 'w' is a float64, which cannot be changed in place"
    yield "twice", {"a": x, "b": x}, ValueError, "parameters 'a' and 'b' share memory"
    yield "overlapping", [x[:4], x[3:]], ValueError, "parameters '0' and '1' share memory"
    yield "itself", {"w": np.lib.stride_tricks.as_strided(x, (3, 3), (8, 8))}, ValueError, "elements that share memory"
    yield "nan", {"a": np.ones(2), "w": np.array([1.0, np.nan])}, FloatingPointError, "parameter 'w' has an element"
    yield "inf", {"w": np.array([1.0, -np.inf], "f4")}, FloatingPointError, "parameter 'w' has an element"
    yield "one name twice", {"a": {"b": x}, "a.b": np.ones(1)}, ValueError, "two parameters have the name 'a.b'"


@engines
@pytest.mark.parametrize("case", [row[0] for row in bad_parameters()])
def test_parameters_that_are_refused(case, engine):
    _, params, kind, text = next(row for row in bad_parameters() if row[0] == case)
    with pytest.raises(kind) as error:
        gs.Optimizer(params, "adam", engine=engine)
    assert isinstance(error.value, gs.GradstepError)
    assert text in str(error.value)
    assert clear(error)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda w: gs.Optimizer(w, "adma"), ValueError, "unknown rule 'adma'; did you mean adam"),
        (lambda w: gs.Optimizer(w, "adam", beta=0.9), ValueError, "adam: unknown hyperparameter 'beta'; did you mean"),
        (lambda w: gs.Optimizer(w, "adam", lr=-1), ValueError, "adam: lr must be finite and >= 0, not -1.0"),
        (lambda w: gs.Optimizer(w, "adam", lr="1"), TypeError, "adam: lr must be a number or a schedule"),
        (lambda w: gs.Optimizer(w, gs.adam(), lr=0.1), TypeError, "lr is given beside a stage; give it inside"),
        (lambda w: gs.Optimizer(w, 3), TypeError, "expected a stage such as gs.adam(lr=1e-3), not 3"),
        (lambda w: gs.Optimizer(w, None), TypeError, "expected a stage such as gs.adam(lr=1e-3), not None"),
        (lambda w: gs.Optimizer(w, "adam", engine="cuda"), ValueError, "engine must be one of auto, compiled, eager"),
        (lambda w: gs.Optimizer(w, "adam", on_nonfinite="no"), ValueError, 'on_nonfinite must be "raise", "skip" or'),
        (lambda w: gs.Optimizer(w, "adam", groups={"x": {}}), ValueError, "groups: 'x' matches no parameter"),
        (lambda w: gs.Optimizer(w, gs.decay()), ValueError, "decay: lr has no value"),
        (lambda w: gs.Optimizer(w, "adam", lr=lambda t: -1.0), ValueError, "schedule at t = 0: lr must be finite"),
    ],
)
def test_arguments_that_are_refused(make, kind, text):
    w = np.ones(2)
    with pytest.raises(kind) as error:
        make(w)
    assert isinstance(error.value, gs.GradstepError)
    assert text in str(error.value)
    assert clear(error)
    assert w.tolist() == [1.0, 1.0]


@engines
def test_an_array_that_became_read_only_is_not_written(engine):
    params = {"a": np.ones(2), "b": np.ones(2)}
    opt = gs.Optimizer(params, "adam", engine=engine)
    params["b"].flags.writeable = False
    before = fingerprint(opt)
    with pytest.raises(gs.GradstepValueError, match="parameter 'b' is read-only"):
        opt.step(mapped(params, np.ones_like))
    assert fingerprint(opt) == before


class TestPolicies:
    bad = staticmethod(lambda: {"a": np.ones(2), "b": np.array([np.nan, 1.0])})
    good = staticmethod(lambda: {"a": np.full(2, 0.5), "b": np.full(2, -2.0)})

    @engines
    @pytest.mark.parametrize("tx", [gs.nadam(), LONG], ids=["nadam", "long"])
    def test_skip(self, tx, engine):
        """As if the bad steps had not been: state, memory and t."""
        opt = gs.Optimizer(self.good(), tx, on_nonfinite="skip", engine=engine)
        twin = gs.Optimizer(self.good(), tx, engine=engine)
        for k in range(5):
            opt.step(self.good() if k % 2 else self.bad())
            if k % 2:
                twin.step(self.good())
        assert (opt.t, opt.skipped) == (2, 3)
        assert same(opt.params, twin.params)
        assert same(states(opt), states(twin))
        assert opt._memory == twin._memory

    @engines
    def test_reset_forgets_what_was_skipped(self, engine):
        opt = gs.Optimizer(self.good(), "adam", on_nonfinite="skip", engine=engine)
        opt.step(self.bad())
        opt.reset()
        assert opt.skipped == 0

    @engines
    def test_skip_of_a_sum_that_overflows(self, engine):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd)
        opt = gs.Optimizer(np.ones(4), tx, on_nonfinite="skip", engine=engine)
        opt.step(np.full(4, 1e200))
        assert (opt.t, opt.skipped) == (0, 1)

    @engines
    def test_skip_does_not_hide_what_no_gradient_can_mend(self, engine):
        opt = gs.Optimizer(np.ones(2, "f4"), "adam", lr=1e38, on_nonfinite="skip", engine=engine)
        with pytest.raises(ScalarError, match="adam: the scalar rate is"):
            opt.step(np.ones(2, "f4"))
        assert (opt.t, opt.skipped) == (0, 0)

    @engines
    def test_skip_still_raises_for_what_does_not_fit(self, engine):
        opt = gs.Optimizer(np.ones(2), "adam", on_nonfinite="skip", engine=engine)
        with pytest.raises(gs.GradstepValueError):
            opt.step(np.ones(3))
        assert opt.skipped == 0

    @engines
    def test_ignore(self, engine):
        opt = gs.Optimizer(self.good(), "sgd", lr=1.0, on_nonfinite="ignore", engine=engine)
        opt.step(self.bad())
        assert (opt.t, opt.skipped) == (1, 0)
        assert np.isnan(opt.params["b"]).tolist() == [True, False]
        opt.step(self.good())
        assert opt.params["a"].tolist() == [-1.0, -1.0]

    @engines
    def test_ignore_needs_a_finite_norm_all_the_same(self, engine):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd)
        opt = gs.Optimizer(self.good(), tx, on_nonfinite="ignore", engine=engine)
        before = fingerprint(opt)
        with pytest.raises(gs.NonFiniteError, match="the sum over the gradients is not finite"):
            opt.step(self.bad())
        assert fingerprint(opt) == before

    @engines
    def test_refused_gradients_are_let_go(self, engine):
        import weakref

        opt = gs.Optimizer(np.ones(SMALL + 1), "adam", on_nonfinite="skip", engine=engine)
        seen = []
        for _ in range(3):
            g = np.full(SMALL + 1, np.nan)
            seen.append(weakref.ref(g))
            opt.step(g)
        del g
        opt.step(np.ones(SMALL + 1))
        assert [x() for x in seen] == [None] * 3

    @engines
    def test_an_eps_that_vanishes_in_float32_is_refused(self, engine):
        for dtype in ("f4", "f8"):
            w = np.ones(3, dtype)
            opt = gs.Optimizer({"w": w, "x": np.ones(1)}, "adam", eps=1e-50, engine=engine)
            zero = {"w": np.zeros(3, dtype), "x": np.zeros(1)}
            if dtype == "f8":
                opt.step(zero)
            else:
                with pytest.raises(gs.NonFiniteError, match="eps = 1e-50 at update 1 is 0 in the parameters' dtype"):
                    opt.step(zero)
            assert w.tolist() == [1.0] * 3


class TestHyperparameters:
    def test_views(self):
        opt = gs.Optimizer(np.ones(2), "adamw", lr=0.5)
        assert opt.lr == 0.5
        assert dict(opt.hyper) == {"lr": 0.5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
        assert len(opt.hyper) == 5
        assert repr(opt.hyper) == repr(dict(opt.hyper))

    @engines
    def test_changes_hold_from_the_next_step_on(self, engine):
        w, v = np.ones(2), np.ones(2)
        opt = gs.Optimizer(w, "adam", lr=0.5, engine=engine)
        twin = gs.Optimizer(
            v, "adam", lr=lambda t: 0.5 if t < 2 else 0.25, beta1=lambda t: 0.9 if t < 1 else 0.8, engine=engine
        )
        for k in range(4):
            if k == 1:
                opt.hyper["beta1"] = 0.8
            if k == 2:
                opt.lr = 0.25
            assert opt.lr == twin.lr
            opt.step(np.ones(2) / (k + 1))
            twin.step(np.ones(2) / (k + 1))
        assert same(w, v)

    @pytest.mark.parametrize("name", ["lr", "beta1", "beta2", "eps", "weight_decay"])
    def test_any_may_be_a_schedule(self, name):
        value = dict(gs.adamw.defaults)[name]
        asked = []
        opt = gs.Optimizer(np.ones(2), "adamw", **{name: lambda t: asked.append(t) or value})
        plain = gs.Optimizer(np.ones(2), "adamw")
        asked.clear()
        for _ in range(3):
            opt.step(np.ones(2))
            plain.step(np.ones(2))
        assert asked == [0, 1, 2]
        assert same(opt.params, plain.params)

    def test_a_schedule_moves_lr(self):
        opt = gs.Optimizer(np.ones(2), "sgd", lr=gs.schedules.linear(1.0, 4))
        seen = []
        for _ in range(4):
            seen.append(opt.lr)
            opt.step(np.ones(2))
        assert seen == [1.0, 0.75, 0.5, 0.25]

    @pytest.mark.parametrize(
        ("change", "kind", "text"),
        [
            (lambda opt: opt.hyper.__setitem__("rho", 0.1), ValueError, "unknown hyperparameter 'rho'"),
            (lambda opt: opt.hyper.__setitem__("eps", 0.0), ValueError, "optimizer: eps must be finite and > 0"),
            (lambda opt: opt.hyper.__setitem__("eps", "1"), TypeError, "optimizer: eps must be a number or a schedule"),
            (lambda opt: setattr(opt, "lr", -1.0), ValueError, "lr follows the schedule"),
            (lambda opt: opt.hyper.pop("eps"), TypeError, "hyperparameter eps cannot be removed"),
            (lambda opt: opt.hyper.clear(), TypeError, "cannot be removed"),
        ],
    )
    def test_what_cannot_be_set(self, change, kind, text):
        opt = gs.Optimizer(np.ones(2), "adam", lr=gs.schedules.constant(0.1))
        before = fingerprint(opt)
        with pytest.raises(kind) as error:
            change(opt)
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert clear(error)
        assert fingerprint(opt) == before

    def test_without_a_shared_lr(self):
        opt = gs.Optimizer(np.ones(2), gs.adam(lr=0.1, name="mine"))
        assert opt.hyper["mine.lr"] == 0.1
        assert not hasattr(opt, "lr")
        with pytest.raises(AttributeError, match=r"has no shared lr; its hyperparameters are mine\.lr, beta1"):
            _ = opt.lr
        with pytest.raises(gs.GradstepValueError, match="unknown hyperparameter 'lr'"):
            opt.lr = 0.1

    @engines
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, gs.GradstepValueError])
    def test_a_schedule_that_raises_changes_nothing(self, error, engine):
        def lr(t):
            if t == 2 and failing:
                raise error("stop")
            return 0.1

        failing = [1]
        params = {"a": np.ones(SMALL + 3), "b": np.ones(3, "f4")}
        opt = gs.Optimizer(params, "nadam", lr=lr, engine=engine)
        twin = gs.Optimizer(mapped(params, np.copy), "nadam", lr=0.1, engine=engine)
        grads = mapped(params, np.ones_like)
        for x in (opt, opt, twin, twin, twin):
            x.step(grads)
        before = fingerprint(opt)
        with pytest.raises(error):
            opt.step(grads)
        assert fingerprint(opt) == before
        failing.clear()
        opt.step(grads)
        assert same(opt.params, twin.params)

    def test_schedules_out_of_range_stop_at_their_step(self):
        opt = gs.Optimizer(np.ones(2), "sgd", lr=lambda t: 0.1 - t)
        opt.step(np.ones(2))
        before = fingerprint(opt)
        with pytest.raises(
            gs.GradstepValueError, match="hyperparameter, schedule at t = 1: lr must be finite and >= 0"
        ):
            opt.step(np.ones(2))
        assert fingerprint(opt) == before


class TestState:
    def test_names_shapes_and_dtypes(self):
        params = {"l": [np.ones((2, 3), "f4"), np.array(1j)], "e": np.ones((0, 2)), "b": np.ones(3, ">f8")}
        opt = gs.Optimizer(params, gs.chain(gs.adam, gs.ema(decay=0.9, name="avg")))
        assert set(opt.state) == {"l.0", "l.1", "e", "b"}
        for name, x in zip(*(lambda f: (f[0].names, f[1]))(flatten(params)), strict=True):
            assert list(opt.state[name]) == ["adam.m", "adam.v", "avg.average"]
            for y in opt.state[name].values():
                assert y.shape == x.shape
                assert y.dtype == x.dtype.newbyteorder("=")
                assert y.flags.c_contiguous
                assert not np.shares_memory(x, y)

    def test_is_read_by_name_and_not_replaced(self):
        opt = gs.Optimizer({"w": np.ones(2)}, "adam")
        with pytest.raises(TypeError):
            opt.state["w"]["adam.m"] = np.ones(2)
        with pytest.raises(TypeError):
            opt.state["x"] = {}

    @engines
    @pytest.mark.parametrize("tx", [*registry().values(), LONG], ids=lambda x: getattr(x, "name", "long"))
    def test_reset_is_a_fresh_start(self, tx, engine):
        params = {"a": numbers(5, "f4"), "b": numbers((2, 3), "c16"), "s": numbers(())}
        opt = gs.Optimizer(params, tx, groups={"a": {"lr": gs.times(0.5)}}, engine=engine)
        grads = mapped(params, lambda x: np.full_like(x, 0.3))
        for _ in range(3):
            opt.step(grads)
        opt.reset()
        fresh = gs.Optimizer(mapped(params, np.copy), tx, groups={"a": {"lr": gs.times(0.5)}}, engine=engine)
        assert fingerprint(opt) == fingerprint(fresh)
        for x in (opt, fresh, opt, fresh):
            x.step(grads)
        assert fingerprint(opt) == fingerprint(fresh)

    @engines
    def test_averaged(self, engine):
        params = {"a": numbers(4, "f4"), "b": [numbers((2, 2), "c8"), numbers(3, ">f8")], "f": np.arange(3)}
        tx = gs.chain(gs.sgd(lr=0.5), gs.ema(decay=0.75))
        opt = gs.Optimizer(params, tx, groups={"f": "freeze"}, engine=engine)
        track = {"a": params["a"].copy(), "b": [x.astype(x.dtype.newbyteorder("=")) for x in params["b"]]}
        rng = np.random.default_rng(0)
        for _ in range(3):
            opt.step({"a": normal(rng, params["a"]), "b": [normal(rng, x) for x in params["b"]]})
            track["a"] = np.float32(0.75) * track["a"] + np.float32(0.25) * params["a"]
            track["b"] = [
                x.dtype.type(0.75) * x + x.dtype.type(0.25) * y for x, y in zip(track["b"], params["b"], strict=True)
            ]
        out = opt.averaged()
        assert same({k: out[k] for k in "ab"}, track)
        assert out["f"].tolist() == [0, 1, 2]
        assert type(out["b"]) is list
        before = fingerprint(opt)
        for x in flatten(out)[1]:
            x[...] = 0
        assert fingerprint(opt) == before

    def test_averaged_without_an_average(self):
        with pytest.raises(gs.GradstepValueError, match=r"keeps no average; add one: gs\.chain") as error:
            gs.Optimizer(np.ones(2), "sgd").averaged()
        assert clear(error)

    def test_the_last_average_is_read(self):
        tx = gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.5, name="fast"), gs.ema(decay=0.0, name="none"))
        opt = gs.Optimizer(np.zeros(1), tx)
        opt.step(np.ones(1))
        assert opt.averaged().tolist() == [-1.0]
        assert opt.state["params"]["fast.average"].tolist() == [-0.5]

    def test_repr(self):
        opt = gs.Optimizer([np.ones(2), np.ones(3)], "adam", lr=0.1, engine="eager")
        opt.step([np.ones(2), np.ones(3)])
        assert repr(opt) == "<Optimizer adam(lr=0.1) of 2 arrays, t=1, eager>"


BY_HAND = """
import hashlib, sys, numpy as np, gradstep as gs
rng = np.random.default_rng(3)
params = {f"w{k}": rng.normal(size=(k, 7)).astype(d) for k, d in enumerate(["f4", "f8", "c8", "f4"])}
tx = gs.chain(
    gs.clip_by_global_norm(1.0), gs.l2(0.1), gs.clip_by_norm(0.5, name="each"), gs.nadam(lr=0.1), gs.decay, gs.ema
)
opt = gs.Optimizer(params, tx)
for _ in range(4):
    opt.step({k: rng.normal(size=x.shape).astype(x.dtype) for k, x in params.items()})
digest = hashlib.sha256()
for x in (*params.values(), *(y for own in opt.state.values() for y in own.values())):
    digest.update(x.tobytes())
print(opt.engine, digest.hexdigest())
"""


class TestEngines:
    def test_auto(self):
        assert gs.Optimizer(np.ones(1), "sgd").engine in ("compiled", "eager")
        assert gs.Optimizer(np.ones(1), "sgd", engine="eager").engine == "eager"

    def test_without_llvmlite_the_bits_are_the_same(self):
        here = script(BY_HAND).split()
        there = script(BY_HAND, before="import sys; sys.modules['llvmlite'] = None").split()
        assert there[0] == "eager"
        assert here[0] == ENGINES[0]
        assert here[1] == there[1]

    def test_asking_for_what_is_not_there(self):
        code = """
import numpy as np, gradstep as gs
try:
    gs.Optimizer(np.ones(2), "adam", engine="compiled")
except gs.GradstepValueError as error:
    print(error)
"""
        out = script(code, before="import sys; sys.modules['llvmlite'] = None")
        assert out.strip() == "engine=\"compiled\": llvmlite is not installed; pip install 'gradstep[fast]'."

    def test_an_llvmlite_that_does_not_load(self, monkeypatch):
        native = pytest.importorskip("gradstep.engine.native")

        def broken():
            raise OSError("libLLVM: no such file")

        monkeypatch.setattr(native, "cpu", broken)
        assert gs.Optimizer(np.ones(1), "sgd").engine == "eager"
        with pytest.raises(gs.GradstepValueError, match="llvmlite does not load: libLLVM: no such file"):
            gs.Optimizer(np.ones(1), "sgd", engine="compiled")

    def test_foreign_arrays_are_not_compiled(self):
        strict = pytest.importorskip("array_api_strict")
        w = strict.asarray([1.0, 2.0])
        opt = gs.Optimizer({"w": w, "n": np.ones(2)}, "sgd", lr=1.0)
        assert opt.engine == "eager"
        opt.step({"w": strict.asarray([0.5, 0.5]), "n": np.ones(2)})
        assert np.asarray(w).tolist() == [0.5, 1.5]
        with pytest.raises(gs.GradstepValueError, match='engine="compiled" works on NumPy arrays alone'):
            gs.Optimizer(w, "sgd", engine="compiled")


class TestThreads:
    @staticmethod
    def trained(seed, steps=12):
        rng = np.random.default_rng(seed)
        params = {"a": rng.normal(size=(30, 40)).astype("f4"), "b": rng.normal(size=SMALL + seed), "s": np.array(1.0)}
        opt = gs.Optimizer(params, LONG)
        for _ in range(steps):
            opt.step(mapped(params, lambda x: normal(rng, x)))
        return fingerprint(opt)

    @staticmethod
    def together(*jobs):
        errors = []

        def run(job):
            barrier.wait()
            try:
                job()
            except BaseException as error:
                errors.append(error)

        barrier = threading.Barrier(len(jobs))
        threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        assert not any(thread.is_alive() for thread in threads)

    def test_eight_optimizers_at_once(self):
        alone = [self.trained(seed) for seed in range(8)]
        seen = {}
        self.together(*(lambda seed=seed: seen.__setitem__(seed, self.trained(seed)) for seed in range(8)))
        assert [seen[seed] for seed in range(8)] == alone

    def test_one_optimizer_for_eight(self):
        w, v = numbers(SMALL + 9), numbers(SMALL + 9)
        g = np.linspace(-1.0, 1.0, w.size)
        opt, twin = gs.Optimizer(w, "nadam"), gs.Optimizer(v, "nadam")
        self.together(*[lambda: [opt.step(g) for _ in range(10)]] * 8)
        for _ in range(80):
            twin.step(g)
        assert fingerprint(opt) == fingerprint(twin)

    def test_a_refusal_in_one_thread_holds_up_no_other(self):
        opt = gs.Optimizer(np.ones(5), "adam", on_nonfinite="skip")
        bad, good = np.full(5, np.nan), np.ones(5)
        self.together(*[lambda: [opt.step(bad) for _ in range(10)], lambda: [opt.step(good) for _ in range(10)]] * 4)
        assert (opt.t, opt.skipped) == (40, 40)


def test_a_fork_after_a_step():
    code = """
import os, numpy as np, gradstep as gs
def run(opt):
    opt.step(np.ones(70_000)); return opt.params.tobytes()
opt = gs.Optimizer(np.zeros(70_000), "adam")
run(opt)
pid = os.fork()
if pid == 0:
    try:
        mine = run(opt)  # the same optimizer, and a new kernel
        other = gs.Optimizer(np.zeros(3, "f4"), gs.chain(gs.clip_by_global_norm(1.0), gs.radam))
        other.step(np.ones(3, "f4"))
        os._exit(0 if other.params[0] < 0 and len(set(mine)) > 1 else 1)
    finally:
        os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
before = opt.params.copy()
run(opt)
assert opt.t == 2 and (opt.params < before).all()
"""
    if not hasattr(__import__("os"), "fork"):
        pytest.skip("no fork here")
    script(code)


class TestTorch:
    def test_parameters_of_a_module(self):
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
        params = dict(net.named_parameters())
        plain = {name.replace(".", "_"): x.detach().numpy().copy() for name, x in params.items()}
        opt, other = gs.Optimizer(params, LONG), gs.Optimizer(plain, LONG)
        x = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5)
        for _ in range(3):
            net.zero_grad()
            net(x).square().sum().backward()
            grads = {name: p.grad for name, p in params.items()}
            opt.step(grads)
            other.step({name.replace(".", "_"): g.numpy() for name, g in grads.items()})
        for name, p in params.items():
            assert p.requires_grad
            assert p.is_leaf
            np.testing.assert_allclose(p.detach().numpy(), plain[name.replace(".", "_")], rtol=1e-15, atol=1e-15)

    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
    def test_dtypes(self, dtype):
        torch = pytest.importorskip("torch")
        w = torch.tensor([1.0, 2.0, 3.0], dtype=getattr(torch, dtype))
        plain = w.numpy().copy()
        opt, other = gs.Optimizer(w, "momentum"), gs.Optimizer(plain, "momentum")
        for _ in range(3):
            opt.step(w.clone())
            other.step(plain.copy())
        assert bits(w.numpy()) == bits(plain)
        opt.reset()
        assert opt.state["params"]["momentum.v"].abs().sum() == 0

    def test_refusals(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3)
        with pytest.raises(gs.GradstepTypeError, match="parameter 'w' has dtype bfloat16"):
            gs.Optimizer({"w": w.bfloat16()}, "sgd")
        with pytest.raises(gs.GradstepValueError, match="share memory"):
            gs.Optimizer({"embed": w, "head": w}, "sgd")
        opt = gs.Optimizer({"w": w}, "adam")
        for g, text in (
            (torch.ones(2), "shape"),
            (torch.ones(3).double(), "dtype"),
            (np.ones(3, "f4"), "ndarray"),
            (None, "missing"),
        ):
            with pytest.raises(gs.GradstepError, match=text):
                opt.step({"w": g})
        with pytest.raises(gs.NonFiniteError, match=r"gradient 'w' is not finite: \[1\] = nan"):
            opt.step({"w": torch.tensor([1.0, float("nan"), 2.0])})
        assert w.tolist() == [1.0] * 3
        assert opt.t == 0

    def test_averaged_has_no_graph(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3, requires_grad=True)
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.5)))
        opt.step(torch.ones(3))
        assert opt.averaged().tolist() == [0.5] * 3
        assert not opt.averaged().requires_grad


def test_jax_arrays_are_sent_to_update():
    jax = pytest.importorskip("jax")
    with pytest.raises(gs.GradstepTypeError, match=r"cannot be changed in place; use params, state = gs\.update"):
        gs.Optimizer({"w": jax.numpy.ones(3)}, "adam")


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
