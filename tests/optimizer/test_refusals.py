"""What is refused, in one clear sentence, and that nothing has been changed then."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from gradstep.form.chain import program
from gradstep.rule import registry
from support import OF_GRADIENTS, clear, engines, fingerprint, mapped, states


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
@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_the_largest_gradient_that_is_taken_leaves_all_finite(name, dtype, engine):
    limit = program(registry()[name]()).limit_in(dtype)
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
    for dtype in ("i8", "u1", "?", "O", "S3", "M8[s]", "g", [("a", "f4")]):
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
        (lambda w: gs.Optimizer(w, 3), TypeError, "expected a rule or a stage, such as gs.adam(lr=1e-3), not 3"),
        (lambda w: gs.Optimizer(w, None), TypeError, "expected a rule or a stage, such as gs.adam(lr=1e-3), not None"),
        (lambda w: gs.Optimizer(w, "adam", engine="gpu"), ValueError, "engine must be one of auto, compiled, eager"),
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
