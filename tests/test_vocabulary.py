"""The words mean one thing: on Python floats, on arrays of every namespace, and in compiled code."""

import itertools
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep import vocabulary as words
from gradstep.rule import stage
from support import bits

pytestmark = pytest.mark.usefixtures("own_registry")

EDGES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.3,
    -7.25,
    2.0**-1074,
    -1e-310,
    1e-40,
    -1e-44,
    1e-30,
    3e38,
    -3e38,
    math.inf,
    -math.inf,
    math.nan,
]
UNARY = ["sqrt", "abs", "sign"]
BINARY = ["minimum", "maximum"]


def oracle(word, *x):
    """The table of the module's docstring, once more."""
    a, b = (*x, None)[:2]
    match word:
        case "sqrt":
            return math.nan if math.isnan(a) or a < 0 else math.sqrt(a)  # a double root rounds to the float32 one
        case "abs":
            return math.copysign(a, 1.0)
        case "sign":
            return a if math.isnan(a) else 0.0 if a == 0 else math.copysign(1.0, a)
        case "minimum":
            return a if math.isnan(a) or a < b else b
        case "maximum":
            return a if math.isnan(a) or a > b else b
    raise AssertionError(word)


def edges(dtype, count):
    """Every combination of ``count`` edge values, each as a column of ``dtype``."""
    with np.errstate(all="ignore"):
        values = np.array(EDGES, dtype)
    return [np.array(column, dtype) for column in zip(*itertools.product(values, repeat=count), strict=True)]


def expected(word, columns):
    with np.errstate(all="ignore"):
        rows = zip(*(x.astype(np.float64).tolist() for x in columns), strict=True)
        return np.array([oracle(word, *row) for row in rows]).astype(columns[0].dtype)


def compiled(update, theta, g, c=0.25):
    """What a stage that keeps ``update(theta, g, c)`` computes, compiled."""

    def tiny(theta, g, out, c):
        return theta, g, update(theta, g, c)

    made = stage(lambda c=c: {"c": c}, state="out")(tiny)
    w = np.zeros_like(theta)
    opt = gs.Optimizer(w, made, on_nonfinite="ignore", engine="compiled")
    w[...] = theta
    opt.step(g)
    return opt.state["params"]["tiny.out"]


def namespaces():
    def strict(x):
        return pytest.importorskip("array_api_strict").asarray(x)

    def torch(x):
        return pytest.importorskip("torch").asarray(np.array(x))

    return {"numpy": np.asarray, "strict": strict, "torch": torch}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("word", UNARY + BINARY)
class TestEdges:
    def columns(self, word, dtype):
        return edges(dtype, 1 if word in UNARY else 2)

    def test_python(self, word, dtype):
        columns = self.columns(word, dtype)
        rows = list(zip(*(x.astype(np.float64).tolist() for x in columns), strict=True))
        out = [getattr(words, word)(*row) for row in rows]
        assert all(type(x) is float for x in out)
        assert bits(np.array(out)) == bits(np.array([oracle(word, *row) for row in rows]))

    @pytest.mark.parametrize("kind", namespaces())
    def test_arrays(self, word, dtype, kind):
        columns = self.columns(word, dtype)
        with np.errstate(all="ignore"):
            out = np.asarray(getattr(words, word)(*map(namespaces()[kind], columns)))
        right = expected(word, columns)
        if (word, kind) == ("sqrt", "torch"):  # whose vector library may be an ulp off
            np.testing.assert_allclose(out, right, rtol=np.finfo(dtype).eps, atol=0)
        else:
            assert bits(out) == bits(right)

    def test_numpy_scalars(self, word, dtype):
        columns = self.columns(word, dtype)
        with np.errstate(all="ignore"):
            out = [getattr(words, word)(*row) for row in zip(*columns, strict=True)]
        assert bits(np.array(out)) == bits(expected(word, columns))

    def test_compiled(self, word, dtype):
        pytest.importorskip("llvmlite")
        columns = self.columns(word, dtype)
        if word in UNARY:
            out = compiled(lambda theta, g, c: getattr(words, word)(theta), columns[0], columns[0])
        else:
            out = compiled(lambda theta, g, c: getattr(words, word)(theta, g), *columns)
        assert bits(out) == bits(expected(word, columns))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("number", [0.0, -0.0, 0.1, 1e-42, 16777217, 1e300, -math.inf, math.nan])
@pytest.mark.parametrize("word", BINARY)
def test_a_literal_is_rounded_to_the_arrays_dtype(word, number, dtype):
    pytest.importorskip("llvmlite")
    (x,) = edges(dtype, 1)
    speak = getattr(words, word)
    with np.errstate(all="ignore"):
        columns = [x, np.full_like(x, number)]
        left, right = expected(word, columns), expected(word, columns[::-1])
        assert bits(speak(x, number)) == bits(left)
        assert bits(speak(number, x)) == bits(right)
    assert bits(compiled(lambda theta, g, c: speak(theta, number), x, x)) == bits(left)
    assert bits(compiled(lambda theta, g, c: speak(number, theta), x, x)) == bits(right)


CONDITIONS = {
    "a < b": (lambda a, b, c: words.where(a < b, a, b), lambda a, b, c: a if a < b else b),
    "a > b": (lambda a, b, c: words.where(a > b, a, -b), lambda a, b, c: a if a > b else -b),
    "literal": (lambda a, b, c: words.where(a > 0.0, a, 0.0), lambda a, b, c: a if a > 0 else 0.0),
    "integer": (lambda a, b, c: words.where(0 < a, a, 1), lambda a, b, c: a if a > 0 else 1.0),  # noqa: SIM300
    "scalar": (lambda a, b, c: words.where(c > 0.5, a, b), lambda a, b, c: a if c > 0.5 else b),
    "scalar the other way": (lambda a, b, c: words.where(0.5 > c, a, b), lambda a, b, c: a if c < 0.5 else b),  # noqa: SIM300
    "scalar value": (lambda a, b, c: words.where(a < c, c, b), lambda a, b, c: c if a < c else b),
}


@pytest.mark.parametrize("c", [0.25, 0.75])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CONDITIONS)
def test_where(case, dtype, c):
    update, meaning = CONDITIONS[case]
    a, b = edges(dtype, 2)
    wide = zip(a.astype(np.float64).tolist(), b.astype(np.float64).tolist(), strict=True)
    right = np.array([meaning(x, y, c) for x, y in wide]).astype(dtype)
    assert bits(update(a, b, np.asarray(c, dtype))) == bits(right)
    strict = pytest.importorskip("array_api_strict")
    made = update(*map(strict.asarray, (a, b)), strict.asarray(c, dtype=getattr(strict, dtype)))
    assert bits(np.asarray(made)) == bits(right)
    pytest.importorskip("llvmlite")
    assert bits(compiled(update, a, b, c)) == bits(right)


OPERATIONS = {
    "a + b": lambda a, b, c: a + b,
    "a - b": lambda a, b, c: a - b,
    "a * b": lambda a, b, c: a * b,
    "a / b": lambda a, b, c: a / b,
    "-a": lambda a, b, c: -a,
    "0.1 + a": lambda a, b, c: 0.1 + a,
    "0.1 - a": lambda a, b, c: 0.1 - a,
    "0.1 * a": lambda a, b, c: 0.1 * a,
    "0.1 / a": lambda a, b, c: 0.1 / a,
    "a - 0": lambda a, b, c: a - 0,
    "a + 0": lambda a, b, c: a + 0,
    "1 * a": lambda a, b, c: 1 * a,
    "-1.0 * a": lambda a, b, c: -1.0 * a,
    "0.0 * a": lambda a, b, c: 0.0 * a,
    "a - a": lambda a, b, c: a - a,
    "a / a": lambda a, b, c: a / a,
    "c * a + b": lambda a, b, c: c * a + b,  # no contraction to one rounding
    "c * a - b * b": lambda a, b, c: c * a - b * b,
    "(a + b) - b": lambda a, b, c: (a + b) - b,
    "a * b / b": lambda a, b, c: a * b / b,
    "sqrt(a) * sqrt(a)": lambda a, b, c: words.sqrt(a) * words.sqrt(a),
    "1 / sqrt(a)": lambda a, b, c: 1.0 / words.sqrt(a),
    "1e300 * a": lambda a, b, c: 1e300 * a,
    "1e-300 * a": lambda a, b, c: 1e-300 * a,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OPERATIONS)
def test_arithmetic_is_compiled_as_written(case, dtype):
    pytest.importorskip("llvmlite")
    update = OPERATIONS[case]
    rng = np.random.default_rng(0)
    a, b = (np.concatenate([x, rng.normal(size=101).astype(dtype)]) for x in edges(dtype, 2))
    with np.errstate(all="ignore"):
        right = update(a, b, np.asarray(0.1, dtype))
    assert right.dtype == dtype
    assert bits(compiled(update, a, b, 0.1)) == bits(right)


def test_words_on_python_numbers_give_floats():
    assert words.sqrt(4) == 2.0
    assert math.isnan(words.sqrt(-1.0))
    assert (words.sign(-3), words.sign(0), words.sign(-0.0)) == (-1.0, 0.0, 0.0)
    assert math.copysign(1.0, words.sign(-0.0)) == 1.0
    assert words.where(1 < 2, 3.0, 4.0) == 3.0
    assert words.__all__ == sorted(words.__all__)


def test_where_of_two_literals_has_no_dtype():
    with pytest.raises(TypeError, match="two literals have no dtype"):
        words.where(np.array([1.0]) > 0, 1.0, 0.0)


def test_a_numpy_scalar_is_no_literal():
    out = words.maximum(np.float64(0.1), np.array([0.0], np.float64))
    assert out.dtype == np.float64
    assert type(words.abs(np.float64(-2.0))) is not float
