"""The gradient check: right gradients of many kinds pass, each kind of wrong one is found and named."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from gradstep.gradient_check.derivative import complex_step
from gradstep.gradient_check.function import RealFunction
from gradstep.loop.user import Objective
from support import clear, mapped

SEEDS = range(20)


def quadratic(rng):
    a = rng.normal(size=(5, 5))
    return lambda x: (0.5 * x @ a @ a.T @ x, a @ a.T @ x), rng.normal(size=5)


def regression(rng, dtype="f8"):
    x, y = rng.normal(size=(40, 4)).astype(dtype), rng.normal(size=(40, 3)).astype(dtype)

    def f(p):
        error = x @ p["w"] + p["b"] - y
        return np.mean(error**2), {"w": 2 * x.T @ error / error.size, "b": 2 * error.sum(0) / error.size}

    return f, {"w": rng.normal(size=(4, 3)).astype(dtype), "b": rng.normal(size=3).astype(dtype)}


def single(rng):
    return regression(rng, "f4")


def narrow_only(rng):
    """A function that float64 does not enter."""
    f, params = regression(rng, "f4")

    def g(p):
        assert p["w"].dtype == np.float32
        return f(p)

    return g, params


def cast_inside(rng):
    """Looks like float64, and is not."""
    f, params = regression(rng, "f4")

    def g(p):
        value, grads = f(mapped(p, lambda x: x.astype(np.float32)))
        return float(value), mapped(grads, lambda x: x.astype(np.float64))

    return g, mapped(params, lambda x: x.astype(np.float64))


def half(rng):
    return lambda x: (np.sum(x * x), 2 * x), rng.normal(size=6).astype(np.float16)


def fourier(rng):
    a = rng.normal(size=(6, 4)) + 1j * rng.normal(size=(6, 4))
    y = rng.normal(size=6) + 1j * rng.normal(size=6)

    def f(z):
        error = a @ z - y
        return np.sum(np.abs(error) ** 2), 2 * a.conj().T @ error

    return f, rng.normal(size=4) + 1j * rng.normal(size=4)


def narrow_complex(rng):
    return lambda z: (np.sum(np.abs(z) ** 2), 2 * z), (rng.normal(size=4) + 1j * rng.normal(size=4)).astype("c8")


def deep(rng):
    def f(p):
        a, (b, [c]) = p["a"]["x"], p["y"]
        return np.sin(a).sum() * b + c @ c, {"a": {"x": np.cos(a) * b}, "y": (np.sin(a).sum(), [2 * c])}

    return f, {"a": {"x": rng.normal(size=(2, 3))}, "y": (np.array(rng.normal()), [rng.normal(size=3)])}


def scalar(rng):
    return lambda x: (x**3, 3 * x**2), np.array(rng.normal())


def with_empty(rng):
    def f(p):
        return p["x"] @ p["x"] + p["none"].sum(), {"x": 2 * p["x"], "none": np.ones((0, 3))}

    return f, {"x": rng.normal(size=3), "none": np.zeros((0, 3))}


def big(rng):
    c = 1e8 * rng.normal(size=4)
    return lambda x: (np.sum((x - c) ** 2), 2 * (x - c)), 1e8 * rng.normal(size=4)


def tiny(rng):
    c = 1e-8 * rng.normal(size=4)
    return lambda x: (np.sum((x - c) ** 4), 4 * (x - c) ** 3), 1e-8 * rng.normal(size=4)


def far_from_zero(rng):
    """Varies on a scale of 1, ten thousand away from zero, on top of a constant."""
    shift = 1e4 * np.ones(3)
    return lambda x: (1e3 + np.sin(x).sum(), np.cos(x)), shift + rng.normal(size=3)


def badly_scaled(rng):
    c = 10.0 ** np.array([8, 4, 0, -4, -8])
    return lambda x: (np.sum((x / c) ** 4), 4 * (x / c) ** 3 / c), c * rng.normal(size=5)


def badly_scaled_and_real(rng):
    f, x = badly_scaled(rng)
    return lambda x: f(x) if not np.iscomplexobj(x) else 1 / 0, x


def network(rng):
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 2))

    def f(p):
        w, b, v = p
        z = x @ w + b
        h = np.maximum(z, 0)
        error = h @ v - y
        back = (2 / error.size) * error
        dz = (back @ v.T) * (z > 0)
        return np.mean(error**2), [x.T @ dz, dz.sum(0), h.T @ back]

    return f, [rng.normal(size=(5, 8)), 0.1 * rng.normal(size=8), rng.normal(size=(8, 2))]


def softmax(rng):
    x, y = rng.normal(size=(30, 5)), rng.integers(0, 3, 30)

    def f(w):
        z = x @ w
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        p = np.exp(log_p)
        p[np.arange(30), y] -= 1
        return -log_p[np.arange(30), y].mean(), x.T @ p / 30

    return f, rng.normal(size=(5, 3))


def logarithm(rng):
    return lambda x: (np.sum(x * np.log(x)), np.log(x) + 1), rng.uniform(1e-8, 3, 6)


def absolute(rng):
    return lambda x: (np.sum(np.abs(x) ** 3), 3 * x * np.abs(x)), rng.normal(size=4)


def partly_real(rng):
    """A complex step is carried through only in part."""
    return lambda x: (np.sum(x**2) + 0.01 * np.sum(x.real**3), 2 * x + 0.03 * x.real**2), rng.normal(size=4)


def large(rng):
    a = rng.normal(size=(30, 30))
    return lambda x: (np.sum(np.sin(a * x)), a * np.cos(a * x)), rng.normal(size=(30, 30))


def at_the_optimum(rng):
    x = rng.normal(size=(20, 4))
    w = rng.normal(size=4)
    y = x @ w

    def f(w):
        error = x @ w - y
        return error @ error / 20, 2 * x.T @ error / 20

    return f, np.linalg.lstsq(x, y)[0]


def from_zero(rng):
    f, params = regression(rng)
    return f, mapped(params, np.zeros_like)


def fortran(rng):
    a = rng.normal(size=(4, 3))
    return lambda x: (np.sum(a * x**2), 2 * a * x), np.asfortranarray(rng.normal(size=(4, 3)))


RIGHT = [
    *(quadratic, regression, single, narrow_only, cast_inside, half, fourier, narrow_complex, deep, scalar, with_empty),
    *(big, tiny, far_from_zero, badly_scaled, badly_scaled_and_real, network, softmax, logarithm, absolute),
    *(partly_real, large, at_the_optimum, from_zero, fortran),
]


@pytest.mark.parametrize("make", RIGHT, ids=lambda make: make.__name__)
def test_right_gradients_pass(make):
    for seed in SEEDS:
        f, params = make(np.random.default_rng(seed))
        report = gs.check_gradient(f, params, seed=seed)
        assert report.ok, report
        assert all(p.ok for p in report.parameters), report
        assert report.wrong == report.undecided == ()


@pytest.mark.parametrize("make", [f for f in RIGHT if f is not at_the_optimum], ids=lambda make: make.__name__)
@pytest.mark.parametrize("factor", [-1.0, 2.0, 1.05])
def test_wrong_ones_of_the_same_do_not(make, factor):
    if make is half and factor == 1.05:
        return
    for seed in SEEDS[:5]:
        f, params = make(np.random.default_rng(seed))
        report = gs.check_gradient(spoiled(f, lambda g: np.asarray(factor * g, g.dtype)), params, seed=seed)
        names = [p.name for p in report.parameters if p.name != "none"]
        assert (report.ok, list(report.wrong)) == (False, names), report


@pytest.mark.parametrize("make", [quadratic, regression, deep, scalar, large, tiny, network, softmax])
def test_the_complex_step_is_used_where_it_is_possible(make):
    f, params = make(np.random.default_rng(0))
    ways = {p.way for p in gs.check_gradient(f, params).parameters}
    assert ways == {"central differences"} if make is absolute else {"complex step"}


@pytest.mark.parametrize("make", [absolute, partly_real, fourier, narrow_only, badly_scaled_and_real])
def test_and_is_not_believed_where_it_is_not(make):
    f, params = make(np.random.default_rng(0))
    assert {p.way for p in gs.check_gradient(f, params).parameters} == {"central differences"}


@pytest.mark.parametrize(
    "f",
    [
        lambda x: float(np.sum(x.real**2)),
        lambda x: np.sum(np.abs(x) ** 2) + (0j if np.iscomplexobj(x) else 0),
        lambda x: np.sum((x * x.conj()).real),
        lambda x: np.sum(np.asarray(x).astype(float) ** 2),
        lambda x: np.sum(x * np.conj(x)),
        lambda x: max(x[0] * x[0], 1.0) if x.dtype == float else x[0] > 1.0 + 1j and None,
        lambda x: np.sum(x**2) + (np.iscomplexobj(x) and 5),
    ],
)
def test_complex_steps_that_lie(f):
    x = np.array([2.0, 0.3])
    report = gs.check_gradient(lambda x: (f(x), 2 * x.real * [1, f(np.array([1.0, 1.0])) > 1]), x)
    assert [p.way for p in report.parameters] == ["central differences"]
    assert report.ok, report


def test_a_complex_step_that_may_lie_is_no_proof():
    """It misses a part of the derivative, smaller than what differences of so large a value can see."""
    f = lambda x: (1e13 + np.sum(np.sin(x)) + 1e-3 * np.sum(np.sin(x.real)), 1.001 * np.cos(x))  # noqa: E731
    report = gs.check_gradient(f, np.array([1.0, 2.0]))
    assert (report.ok, report.undecided) == (False, ("params",))
    assert "too coarse" in report.parameters[0].message


# -- defects ------


def spoiled(f, change, name=None):
    """``f`` with a change of one parameter's gradient, or of all."""

    def wrong(p, *batch):
        value, grads = f(p, *batch)
        if name is None:
            return value, mapped(grads, change)
        return value, {**grads, name: change(grads[name])}

    return wrong


def only(report, name):
    """The one parameter that is wrong."""
    assert not report.ok
    assert report.wrong == (name,), report
    return next(p for p in report.parameters if p.name == name)


@pytest.mark.parametrize("make", [regression, single, narrow_only, cast_inside])
@pytest.mark.parametrize("seed", SEEDS)
def test_factors_are_named(make, seed):
    f, params = make(np.random.default_rng(seed))
    for factor, says in {
        -1: ": the sign is wrong",
        2: ": it is 2 times what it should be",
        120: ": it is 120 times what it should be",
        1 / 3: ": it is 1/3 of what it should be",
        -0.5: ": it is -1/2 of what it should be",
        0: ": it is zero",
        1.3: ": it is 1.3 times what it should be",
    }.items():
        report = gs.check_gradient(spoiled(f, lambda g: (factor * g).astype(g.dtype), "w"), params, seed=seed)  # noqa: B023
        check = only(report, "w")
        assert check.message.endswith(says), check.message
        assert check.tested == 12
        assert check.wrong >= (10 if make is cast_inside else 12)  # a small element is lost in its noise
        assert abs(check.worst.given - factor * check.worst.measured) <= 2e-3 * abs(check.worst.measured)


@pytest.mark.parametrize("make", [network, regression, large, badly_scaled, softmax, deep, fourier])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_element_wrong_by_one_percent(make, seed):
    rng = np.random.default_rng(seed)
    f, params = make(rng)
    nest, leaves = gs.array.tree.flatten(params)
    k = int(rng.integers(len(leaves)))
    grads = nest.leaves(f(params)[1], "")
    likely = np.abs(grads[k]) >= 1e-3 * np.max(np.abs(grads[k]))
    j = int(rng.choice(np.flatnonzero(likely)))

    def wrong(p):
        value, grads = f(p)
        leaves = [np.array(g) for g in nest.leaves(grads, "")]
        leaves[k].reshape(-1)[j] *= 1.01
        return value, nest.build(leaves)

    check = only(gs.check_gradient(wrong, params, seed=seed), nest.names[k])
    assert check.worst.index == np.unravel_index(j, leaves[k].shape)
    assert check.wrong <= (2 if make is fourier else 1)
    assert abs(check.worst.given / check.worst.measured - 1.01) < 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_transposed(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 4))
    f = lambda x: (np.sum(a * np.sin(x)), (a * np.cos(x)).T)  # noqa: E731
    check = only(gs.check_gradient(f, rng.normal(size=(4, 4)), seed=seed), "params")
    assert check.message.endswith(": it is transposed")
    b = rng.normal(size=(2, 6))
    g = lambda x: (np.sum(b * x * x), (2 * b * x).T.reshape(2, 6))  # noqa: E731
    assert only(gs.check_gradient(g, rng.normal(size=(2, 6)), seed=seed), "params").message.endswith("it is transposed")


@pytest.mark.parametrize("seed", SEEDS)
def test_swapped_between_two_parameters(seed):
    rng = np.random.default_rng(seed)
    f = lambda p: (np.sum(p["a"] ** 2 * p["b"]), {"b": 2 * p["a"] * p["b"], "a": p["a"] ** 2})  # noqa: E731
    report = gs.check_gradient(f, {"a": rng.normal(size=3), "b": rng.normal(size=3)}, seed=seed)
    assert report.wrong == ("a", "b")
    assert [p.message.rpartition(": ")[2] for p in report.parameters] == ["it is that of 'b'", "it is that of 'a'"]


@pytest.mark.parametrize("seed", SEEDS)
def test_conjugated(seed):
    f, z = fourier(np.random.default_rng(seed))
    check = only(gs.check_gradient(spoiled(f, np.conj), z, seed=seed), "params")
    assert check.message.endswith(": it is conjugated")
    assert check.worst.given == pytest.approx(check.worst.measured.conjugate())


@pytest.mark.parametrize("seed", SEEDS)
def test_float32_wrong_by_five_percent(seed):
    for make in (single, narrow_only):
        f, params = make(np.random.default_rng(seed))
        report = gs.check_gradient(spoiled(f, lambda g: np.float32(1.05) * g, "b"), params, seed=seed)
        assert only(report, "b").message.endswith(": it is 1.05 times what it should be")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gradient_that_is_missing(seed):
    f, params = regression(np.random.default_rng(seed))

    def without(p):
        value, grads = f(p)
        del grads["b"]
        return value, grads

    with pytest.raises(gs.GradstepValueError, match="gradients: 'b' is missing"):
        gs.check_gradient(without, params, seed=seed)
    with pytest.raises(gs.GradstepValueError, match="gradients: 'b' is missing"):
        gs.check_gradient(lambda p: (f(p)[0], {**f(p)[1], "b": None}), params, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_stale_gradients(seed):
    f, params = regression(np.random.default_rng(seed))
    last = {}

    def late(p):
        value, grads = f(p)
        kept, last["grads"] = last.get("grads", grads), grads
        return value, kept

    with pytest.raises(gs.GradstepValueError, match="late gives another gradient 'w' when it is called again") as error:
        gs.check_gradient(late, params, seed=seed)
    assert clear(error)
    first = {}

    def frozen(p):
        return f(p)[0], first.setdefault("grads", f(p)[1])

    assert gs.check_gradient(frozen, params, seed=seed).wrong == ("w", "b")


# -- what comes before ------


def in_place(p):
    p["w"] *= 2
    return np.sum(p["w"]), {"w": np.ones(2)}


def buffer(p, out=np.zeros(2)):  # noqa: B008
    out[...] = 2 * p["w"]
    return p["w"] @ p["w"], {"w": out}


def randomly(rng):
    return lambda p: (np.sum(p["w"]) + rng.normal(), {"w": np.ones(2)})


@pytest.mark.parametrize(
    ("f", "says"),
    [
        (lambda p: (np.nan, {"w": np.ones(2)}), "the value that value_and_grad gives is nan"),
        (lambda p: (np.ones(2), {"w": np.ones(2)}), "must be one number, and has shape (2,)"),
        (lambda p: np.sum(p["w"]), "value_and_grad must give (value, gradients), not an array"),
        (lambda p: (1.0, {"v": np.ones(2)}), "gradients: 'v' belongs to no parameter."),
        (lambda p: (1.0, {"w": np.ones(2), "v": np.ones(2)}), "gradients: 'v' belongs to no parameter."),
        (lambda p: (1.0, [np.ones(2)]), "gradients: expected a dict, not list; they have the form of the parameters."),
        (lambda p: (1.0, {"w": np.ones(3)}), "gradient 'w' has shape (3,), its parameter (2,)."),
        (lambda p: (1.0, {"w": np.ones(2, "f4")}), "gradient 'w' has dtype float32, its parameter float64"),
        (
            lambda p: (1.0, {"w": [1.0, 1.0]}),
            "gradient 'w' is of type list, not an array; write numpy.array(...) around it.",
        ),
        (lambda p: (1.0, {"w": np.array([1.0, np.inf])}), "gradient 'w' is not finite: [1] = inf"),
        (in_place, "in_place changes parameter 'w' in place; let it work on a copy."),
        (randomly(np.random.default_rng(0)), "value_and_grad gives another value when it is called again"),
        (lambda p: 1 / 0, "value_and_grad raised ZeroDivisionError: division by zero (test_gradient_check.py, line "),
    ],
)
def test_what_is_refused(f, says):
    params = {"w": np.array([1.0, 2.0])}
    with pytest.raises(gs.GradstepError) as error:
        gs.check_gradient(f, params)
    assert clear(error)
    assert says in str(error.value)
    assert params["w"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("params", "options", "says"),
    [
        ({"w": np.array([np.nan])}, {}, "parameter 'w' is not finite"),
        ({"w": np.ones(2, int)}, {}, "parameter 'w' has dtype int64"),
        ({"w": np.ma.ones(2)}, {}, "parameter 'w' is a masked array"),
        ({"w": 1.0}, {}, "numpy.array(...)"),
        ({}, {}, "there is no parameter to check"),
        ({"w": np.ones(2)}, {"directions": 0}, "directions must be a whole number of at least 1, not 0."),
        ({"w": np.ones(2)}, {"seed": -1}, "seed must be a whole number of at least 0, not -1."),
        ({"w": np.ones(2)}, {"rtol": 0}, "rtol must be between 0 and 1, not 0."),
    ],
)
def test_what_cannot_be_checked(params, options, says):
    with pytest.raises(gs.GradstepError) as error:
        gs.check_gradient(lambda p: (1.0, p), params, **options)
    assert clear(error)
    assert says in str(error.value)


def test_generators_are_put_back_before_each_call():
    """A function that draws its noise from them gives the same at each call, and they are left as they were."""
    one, two = np.random.default_rng(1), np.random.Generator(np.random.MT19937(2))
    before = [rng.bit_generator.state["state"] for rng in (one, two)]

    def f(x):
        noise = one.normal(size=x.shape) + two.normal(size=x.shape)
        return np.sum((x + noise) ** 2), 2 * (x + noise)

    assert gs.check_gradient(f, np.ones(3), rng={"one": one, "two": two}).ok
    assert gs.check_gradient(spoiled(f, lambda g: 1.1 * g), np.ones(3), rng={"one": one, "two": two}).wrong
    for rng, state in zip((one, two), before, strict=True):
        np.testing.assert_equal(rng.bit_generator.state["state"], state)
    with pytest.raises(gs.GradstepValueError, match="or name the generator that it draws from, rng") as error:
        gs.check_gradient(f, np.ones(3), rng=one)
    assert clear(error)
    with pytest.raises(gs.GradstepTypeError, match="rng must be a"):
        gs.check_gradient(f, np.ones(3), rng=np.random.RandomState(0))


def test_they_are_put_back_after_an_error_too():
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state

    def f(x):
        raise ValueError(rng.normal())

    with pytest.raises(gs.UserCodeError):
        gs.check_gradient(f, np.ones(3), rng=rng)
    assert rng.bit_generator.state == before


def test_progress_tells_names_and_counts():
    f, params = regression(np.random.default_rng(0))
    calls, told = [], []

    def counted(p):
        calls.append(p)
        return f(p)

    assert gs.check_gradient(counted, params, progress=lambda *what: told.append(what)).ok
    assert [count for _, count in told] == list(range(len(calls)))
    assert list(dict.fromkeys(name for name, _ in told)) == ["", "w", "b"]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_gradients_of_jax(wide, own):
    """``jax.value_and_grad`` as it is, of parameters of NumPy or its own, in 64 bits or 32."""
    jax = pytest.importorskip("jax")
    with jax.enable_x64(wide):
        f = jax.value_and_grad(lambda p: jax.numpy.sum((p["w"] - 1) ** 2) * jax.numpy.exp(p["b"]))
        params = {"w": np.array([3.0, 4.0, -1.0]), "b": np.array(0.3)}
        if own:
            params = mapped(params, jax.numpy.asarray)
        assert gs.check_gradient(f, params).ok
        assert gs.check_gradient(lambda p: (f(p)[0], {**f(p)[1], "w": 1.1 * f(p)[1]["w"]}), params).wrong == ("w",)


def test_gradients_may_be_kept_in_one_buffer():
    assert gs.check_gradient(buffer, {"w": np.array([1.0, 2.0])}).ok


def test_batches():
    f = lambda p, batch: (np.sum(batch * p), batch)  # noqa: E731
    assert gs.check_gradient(f, np.ones(3), batch=np.array([1.0, 2.0, 3.0])).ok
    assert gs.check_gradient(lambda p, batch: (p @ p, 2 * p if batch is None else p), np.ones(3), batch=None).ok
    assert not gs.check_gradient(lambda p, batch: (p @ p, 2 * p if batch is None else p * 1), np.ones(3), batch=1).ok
    with pytest.raises(gs.UserCodeError, match="missing 1 required positional argument: 'batch'"):
        gs.check_gradient(f, np.ones(3))


# -- where a derivative is not ------


@pytest.mark.parametrize("g", [-1.0, 0.0, 0.5, 1.0])
def test_a_kink_is_undecided_where_the_gradient_lies_between(g):
    f = lambda x: (np.sum(np.abs(x)), np.where(x == 0, g, np.sign(x)))  # noqa: E731
    report = gs.check_gradient(f, np.array([0.0, 1.0]))
    assert not report.ok
    assert report.wrong == ()
    assert report.undecided == ("params",)
    message = f"at [0]: one-sided derivatives -1 and 1 (kink), gradient {g:g}; the other 1 tested: right"
    assert report.parameters[0].message == message
    assert message in str(report)


@pytest.mark.parametrize("g", [-1.5, 1.01, 7.0])
def test_and_wrong_where_it_does_not(g):
    f = lambda x: (np.sum(np.abs(x)), np.where(x == 0, g, np.sign(x)))  # noqa: E731
    check = only(gs.check_gradient(f, np.array([0.0, 1.0])), "params")
    assert check.worst.index == (0,)


def test_beside_a_kink_a_wrong_element_is_found():
    f = lambda x: (np.sum(np.abs(x)), np.sign(x) * [1, 1, 1.01])  # noqa: E731
    check = only(gs.check_gradient(f, np.array([0.0, 1.0, 1.0])), "params")
    assert (check.worst.index, check.wrong) == ((2,), 1)


@pytest.mark.parametrize("at_zero", [0.0, 1.0])
def test_relu_at_zero(at_zero):
    f = lambda x: (np.sum(np.maximum(x, 0)), np.where(x == 0, at_zero, x > 0))  # noqa: E731
    report = gs.check_gradient(f, np.array([0.0, 1.0, -1.0]))
    assert report.undecided == ("params",)
    assert "kink" in report.parameters[0].message


def test_kinks_are_counted():
    f = lambda x: (np.sum(np.abs(x)), np.sign(x))  # noqa: E731
    message = gs.check_gradient(f, np.array([0.0, 1.0, 0.0, 2.0])).parameters[0].message
    assert message.startswith(
        "2 elements at a kink, at [0]: one-sided derivatives -1 and 1 (kink), gradient 0; the other 2"
    )
    assert gs.check_gradient(f, np.zeros(())).parameters[0].message == (
        "one-sided derivatives -1 and 1 (kink), gradient 0"
    )


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, -1e-4])
def test_a_kink_near_by_is_no_kink_here(distance):
    f = lambda x: (np.abs(x - 1), np.sign(x - 1))  # noqa: E731
    assert gs.check_gradient(f, np.array(1 + distance)).parameters[0].ok


def test_the_edge_of_a_domain_is_undecided():
    report = gs.check_gradient(lambda x: (np.sum(x**1.5), 1.5 * np.sqrt(x)), np.zeros(2))
    assert report.undecided == ("params",)
    assert report.parameters[0].message == "the function has no finite value beside this point"

    def stubborn(x):
        if x.min() < 0:
            raise ValueError("no")
        return x.sum(), np.ones(2)

    assert gs.check_gradient(stubborn, np.zeros(2)).undecided == ("params",)


def test_a_derivative_lost_in_rounding_is_undecided():
    f = lambda x: (float(1e16 + np.sin(x).sum()), 7 * np.ones(2))  # noqa: E731
    report = gs.check_gradient(f, np.ones(2))
    assert report.undecided == ("params",)
    assert "too coarse" in report.parameters[0].message


def test_a_parameter_that_is_not_used_has_the_gradient_zero():
    f = lambda p: (p["a"] @ p["a"], {"a": 2 * p["a"], "b": np.zeros(3)})  # noqa: E731
    assert all(p.ok for p in gs.check_gradient(f, {"a": np.ones(2), "b": np.ones(3)}).parameters)
    g = lambda p: (p["a"] @ p["a"], {"a": 2 * p["a"], "b": 1e-3 * np.ones(3)})  # noqa: E731
    assert gs.check_gradient(g, {"a": np.ones(2), "b": np.ones(3)}).wrong == ("b",)


# -- properties ------

coefficients = st.floats(-10, 10).filter(lambda c: abs(c) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(coefficients, st.integers(1, 5)), min_size=1, max_size=6),
    st.integers(0, 10**6),
    st.sampled_from(["f8", "f4"]),
    st.data(),
)
def test_polynomials(terms, seed, dtype, data):
    """A sum of c x^n, one term an element; and the same with one element wrong."""
    c, n = (np.array(column) for column in zip(*terms, strict=True))
    x = np.random.default_rng(seed).uniform(0.5, 2.0, len(c)).astype(dtype)
    f = lambda x: (np.sum(c * x**n), (c * n * x ** (n - 1)).astype(x.dtype))  # noqa: E731
    assert all(p.ok for p in gs.check_gradient(f, x, seed=seed).parameters)
    j = data.draw(st.integers(0, len(c) - 1))
    by = data.draw(st.sampled_from([1.01, 0.99, 2.0, -1.0, 0.0] if dtype == "f8" else [1.05, 2.0, -1.0, 0.0]))
    weight = np.abs(c * n * x ** (n - 1))
    if weight[j] * abs(by - 1) < 5e-3 * weight.max():
        return  # lost in the rounding of the others, in float32
    worse = spoiled(f, lambda g: np.where(np.arange(len(g)) == j, g * by, g).astype(g.dtype))
    report = gs.check_gradient(worse, x, seed=seed)
    assert report.parameters[0].worst.index == (j,), report


@settings(max_examples=30, deadline=None)
@given(st.floats(-300, 300), st.integers(0, 1000))
def test_scale_does_not_matter(power, seed):
    """The unit of the parameters and that of the value."""
    rng = np.random.default_rng(seed)
    unit = 10.0 ** (power / 4)
    f = lambda x: (np.sum((x / unit) ** 3), 3 * (x / unit) ** 2 / unit)  # noqa: E731
    x = unit * rng.uniform(0.5, 2.0, 3)
    assert gs.check_gradient(f, x, seed=seed).parameters[0].ok
    wrong = gs.check_gradient(spoiled(f, lambda g: g * [1, 1, 1.01]), x, seed=seed)
    assert wrong.parameters[0].worst.index == (2,)


# -- the report ------


def test_the_report_is_readable_and_frozen():
    f, params = regression(np.random.default_rng(0))
    report = gs.check_gradient(spoiled(f, lambda g: 2 * g, "w"), params)
    lines = str(report).splitlines()
    assert lines[0].split() == ["parameter", "gradient", "measured", "by", "error", "tolerance"]
    assert lines[1].startswith(
        "w          wrong     complex step  4.2e-01  9.0e-08    12 of 12 elements tested are wrong"
    )
    assert lines[2].startswith("b          right     complex step")
    assert lines[3] == "1 right, 1 wrong"
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.ok = True
    assert json.loads(json.dumps(dataclasses.asdict(report)))["ok"] is False


def test_the_same_seed_gives_the_same_report():
    f, params = network(np.random.default_rng(0))
    assert gs.check_gradient(f, params, seed=3) == gs.check_gradient(f, params, seed=3)
    assert gs.check_gradient(f, params, seed=3) != gs.check_gradient(f, params, seed=4)


def test_more_directions_and_another_tolerance():
    f, x = quadratic(np.random.default_rng(0))
    slightly = spoiled(f, lambda g: g * 1.001)
    assert not gs.check_gradient(slightly, x, directions=1).ok
    assert gs.check_gradient(slightly, x, directions=7, rtol=0.01).ok
    assert gs.check_gradient(slightly, x, rtol=0.01).parameters[0].tolerance == pytest.approx(0.01, rel=1e-3)


def test_one_wrong_element_of_many_is_searched():
    n = 5000
    c = np.random.default_rng(0).uniform(0.5, 2, n)
    f = lambda x: (np.sum(c * x**2), 2 * c * x)  # noqa: E731
    bad = spoiled(f, lambda g: np.where(np.arange(n) == 4321, g * 1.01, g))
    check = only(gs.check_gradient(bad, np.random.default_rng(1).uniform(1, 2, n)), "params")
    assert (check.worst.index, check.wrong, check.tested) == ((4321,), 1, 65)


def test_other_namespaces():
    xp = pytest.importorskip("array_api_strict")
    x = xp.asarray([1.0, 2.0, 3.0])
    assert gs.check_gradient(lambda x: (xp.sum(x**2), 2 * x), x).ok
    assert gs.check_gradient(lambda x: (xp.sum(x**2), 3 * x), x).wrong == ("params",)


def test_the_complex_step_is_as_exact_as_it_is_said_to_be():
    """Squire and Trapp's example: the derivative of x^4.5 at 1.5."""
    f = lambda x: (x**4.5, 4.5 * x**3.5)  # noqa: E731
    function = RealFunction(Objective(f), np.array(1.5), ())
    assert complex_step(function, 0, np.ones(1), 1e-30, 0.0) == pytest.approx(18.60081273425976, rel=1e-15)


def test_users_warnings_are_not_shown():
    """The tests make errors of warnings: log of a negative number, overflow, ComplexWarning."""
    f = lambda x: (np.sum(np.log(x)) + float(np.sum(x)), 1 / x + 1)  # noqa: E731
    assert gs.check_gradient(f, np.array([1e-300, 1.0])).ok


def test_an_objective_keeps_its_name():
    with pytest.raises(gs.GradstepTypeError, match=r"^mine\.loss must give"):
        gs.check_gradient(Objective(lambda _: None, "mine.loss"), np.ones(2))


def test_a_gradient_may_be_the_parameter_itself():
    params = {"w": np.array([1.0, -2.0]), "b": np.array([3.0])}
    report = gs.check_gradient(lambda p: (p["w"] @ p["w"] / 2 + p["b"] @ p["b"] / 2, p), params)
    assert report.ok
    assert not gs.check_gradient(lambda p: (p["w"] @ p["w"] + p["b"] @ p["b"] / 2, p), params).ok


def test_a_value_of_three_digits_that_does_not_move_is_no_constant():
    f = lambda x: (float("%.3g" % (1000 + x @ x)), 0 * x)  # noqa: E731
    assert gs.check_gradient(f, np.array([1.0, 0.7, -0.4])).parameters[0].verdict == "undecided"


def test_a_parameter_without_effect_is_right_at_zero():
    assert gs.check_gradient(lambda x: (3.0, 0 * x), np.array([1.0, 0.7])).ok
