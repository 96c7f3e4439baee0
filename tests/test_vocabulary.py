"""The words mean one thing: on Python floats, on arrays of every namespace, and in compiled code."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import gradstep as gs
from gradstep import vocabulary as words
from gradstep.form.equation import equation
from gradstep.rule import stage
from gradstep.vocabulary import cbrt
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
    opt = gs.Optimizer(w, gs.chain(made, gs.sgd(lr=0.0)), on_nonfinite="ignore", engine="compiled")
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


def integer_cube_root(x):
    """Of |x|, to 80 bits more than a double has: by Newton's iteration on integers."""
    mantissa, power = math.frexp(abs(x))
    n, power = int(mantissa * 2**53) << 600, power - 53 - 600
    n, power = n << power % 3, power - power % 3
    root = 1 << -(-n.bit_length() // 3)
    while (better := (2 * root + n // root**2) // 3) < root:
        root = better
    return Fraction(root) * Fraction(2) ** (power // 3)


class TestCubeRoot:
    """By the same operations everywhere, so that the bits are; less than an ulp from the root."""

    def columns(self, dtype):
        rng = np.random.default_rng(0)
        most = 1023 if dtype == "float64" else 127
        tiny = 2.0**-1074 if dtype == "float64" else 2.0**-149
        plain = np.concatenate(
            [
                rng.uniform(1, 8, 300),
                2.0 ** rng.uniform(-most - 20, most, 300) * rng.choice([-1, 1], 300),
                np.arange(1, 40) ** 3.0,
                [8.0, 1.0, 2.0**-126, tiny, 3 * tiny, np.nextafter(8, 9), np.nextafter(1, 0), np.finfo(dtype).max],
            ]
        ).astype(dtype)
        return plain[np.isfinite(plain) & (plain != 0)]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_it_is_less_than_an_ulp_off(self, dtype):
        x = self.columns(dtype)
        for a, b in zip(x, words.cbrt(x), strict=True):
            right = integer_cube_root(float(a))
            off = abs(Fraction(float(abs(b))) - right) / Fraction(float(np.spacing(abs(b))))
            assert off < 1, (a, b, float(off))
            assert (b < 0) == (a < 0)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_cubes_of_small_numbers(self, dtype):
        n = np.arange(40, dtype=dtype)
        assert np.allclose(words.cbrt(n**3), n, rtol=np.finfo(dtype).eps, atol=0)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_zeros_infinities_and_nan_are_their_own(self, dtype):
        x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan], dtype)
        with np.errstate(all="ignore"):
            assert bits(words.cbrt(x)) == bits(x)

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("kind", ["numpy", "strict", "torch", "compiled", "python"])
    def test_the_same_bits_everywhere(self, kind, dtype):
        x = np.concatenate([self.columns(dtype), np.array([0.0, -0.0, math.inf, -math.inf, math.nan], dtype)])
        with np.errstate(all="ignore"):
            expected = words.cbrt(x)
            if kind == "compiled":
                pytest.importorskip("llvmlite")
                out = compiled(lambda theta, g, c: words.cbrt(theta), x, x)
            elif kind == "python":
                if dtype == "float32":
                    pytest.skip("Python's floats are double")
                out = np.array([words.cbrt(float(y)) for y in x])
            else:
                out = np.asarray(words.cbrt(namespaces()[kind](x)))
        assert bits(out) == bits(expected)

    def test_it_is_printed(self):
        @stage(lambda: {}, state="out")  # noqa: PIE807 - dict has no signature
        def rooted(theta, g, out):
            return theta, g, cbrt(g + theta)

        assert "∛(" in equation(rooted).text()
        assert r"\sqrt[3]{" in equation(rooted).latex()


def test_a_remainder_is_printed_and_computed():
    @stage(lambda t, k=3.0: {"share": 1 - t % k / k}, state="out")
    def counted(theta, g, out, share):
        return theta, share * g, share * g

    made = equation(counted)
    assert "t mod k" in made.text()
    assert r"t \bmod k" in made.latex()
    found = made.evaluate({"theta": 1.0, "g": 2.0, "out": 0.0, "t": 5, "k": 3.0})
    assert found["out"] == 2.0 * (1 - 2 / 3)
