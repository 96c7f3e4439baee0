"""Verdicts of the gradient check on right and wrong gradients, over levels of noise and units: none of them is false.

A right gradient may be called undecided, never wrong; a wrong one undecided, never right. The functions are simple ones
whose gradients are known; what makes them hard is how their values are spoiled and in which units their parameters are.
"""

import hashlib
from collections import Counter
from functools import cache

import numpy as np
import pytest

import gradstep as gs
from gradstep.gradient_check import first_look

# -- functions: each of four to six numbers near 1, with its gradient ------


def least_squares(rng):
    a, b = rng.normal(size=(20, 5)), rng.normal(size=20)
    return lambda x: (np.mean((a @ x - b) ** 2), 2 * a.T @ (a @ x - b) / 20), rng.normal(size=5)


def logistic(rng):
    a, y = rng.normal(size=(40, 4)), rng.choice([-1.0, 1.0], 40)

    def f(x):
        z = y * (a @ x)
        return np.sum(np.log1p(np.exp(-z))), -a.T @ (y / (1 + np.exp(z)))

    return f, rng.normal(size=4)


def decays(rng):
    t = np.linspace(0, 3, 30)
    data = np.exp(-t) + 0.5 * np.exp(-3 * t) + 0.01 * rng.normal(size=30)

    def f(x):
        one, two = np.exp(-x[1] * t), np.exp(-x[3] * t)
        e = x[0] * one + x[2] * two - data
        return np.sum(e**2), 2 * np.array([e @ one, -x[0] * (e @ (t * one)), e @ two, -x[2] * (e @ (t * two))])

    return f, np.array([1.0, 1.0, 0.5, 3.0]) * rng.uniform(0.7, 1.4, 4)


def rosenbrock(rng):
    def f(x):
        gap = x[1:] - x[:-1] ** 2
        grad = np.zeros_like(x)
        grad[1:] += 200 * gap
        grad[:-1] += -400 * x[:-1] * gap - 2 * (1 - x[:-1])
        return np.sum(100 * gap**2 + (1 - x[:-1]) ** 2), grad

    return f, rng.normal(size=6)


def likelihood(rng):
    """A large sum of logarithms, on top of a constant."""
    y = rng.gamma(3.0, 2.0, 500)

    def f(x):
        shape, rate, c, d = x
        value = -np.sum((c * c + 1) * np.log(y) * shape - rate * d * y) / 50 + 1e3
        logs, total = np.sum(np.log(y)) / 50, np.sum(y) / 50
        return value, np.array([-(c * c + 1) * logs, d * total, -2 * c * shape * logs, rate * total])

    return f, rng.uniform(0.5, 2.0, 4)


def waves(rng):
    """Two periods that are short beside the parameters: seen at small steps alone."""
    t = rng.uniform(0, 2e3, 200)
    data = np.sin(1.3 * t) + 0.1 * rng.normal(size=200)

    def f(x):
        a, w, p, c = x
        s = np.sin(w * t + p)
        e = a * s + c - data
        turn = e * a * np.cos(w * t + p)
        return np.mean(e**2), 2 * np.array([np.mean(e * s), np.mean(turn * t), np.mean(turn), np.mean(e)])

    return f, np.array([0.8, 1.3, 0.4, 0.2]) + 1e-4 * rng.normal(size=4)


FUNCTIONS = (least_squares, logistic, decays, rosenbrock, likelihood, waves)


# -- what becomes of a value ------


def real(x):
    """Refuse complex numbers: as values they cannot be printed."""
    if np.iscomplexobj(x):
        raise TypeError("real numbers, please")
    return x


def noisy(level):
    """Noise without any structure, the same for the same parameters."""

    def spoil(value, x):
        seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(real(x)).tobytes()).digest()[:8], "little")
        return value + level * abs(value) * np.random.default_rng(seed).normal()

    return spoil


def rippled(level):
    """Jumps of a solver that stops by a tolerance: a saw over the parameters."""
    return lambda value, x: real(value) * (1 + level * ((x.sum() * 1e7) % 1.0))


SPOILED = {
    "float64": lambda value, x: value,
    "float32": lambda value, x: np.float32(real(value)),
    "float16": lambda value, x: np.float16(real(value)),
    **{f"%.{n}g": lambda value, x, n=n: float(f"%.{n}g" % real(value)) for n in (3, 4, 6, 8, 10, 12)},
    **{f"%.{n}f": lambda value, x, n=n: float(f"%.{n}f" % real(value)) for n in (2, 4, 6, 8)},
    **{f"1/{n}": lambda value, x, n=n: round(real(value) * n) / n for n in (360, 7919, 1000003)},
    **{f"noise {level:g}": noisy(level) for level in (1e-13, 1e-10, 1e-7, 1e-5, 1e-3)},
    **{f"jumps {level:g}": rippled(level) for level in (1e-13, 1e-10, 1e-7)},
}


# -- what becomes of a gradient: wrong by at least a tenth, in an element that counts for at least a tenth ------


def defects(rng, grad, weight):
    """Generate wrong gradients; ``weight``: what an element's own size makes of it in the value."""
    j = int(rng.choice(np.flatnonzero(np.abs(weight) >= 0.1 * np.max(np.abs(weight)))))
    one = np.arange(len(grad)) == j
    yield "sign", -grad
    yield "zero", 0 * grad
    yield "twice", 2 * grad
    yield "tenth", 1.1 * grad
    yield "element", np.where(one, 1.1 * grad, grad)
    yield "element's sign", np.where(one, -grad, grad)
    yield "element left out", np.where(one, 0.0, grad)


def real_only(f):
    """Return the function without complex numbers, so that there are only differences."""
    return lambda x: f(real(x))


def trials(make, seeds, powers):
    """Generate functions in units that differ by powers of ten, with their parameters."""
    for seed in seeds:
        rng = np.random.default_rng([seed, *make.__name__.encode()])
        f, x = make(rng)
        unit = 10.0 ** rng.uniform(-powers, powers, x.shape) if powers else np.ones_like(x)

        def g(y, f=f, unit=unit):
            value, grad = f(y / unit)
            return value, grad / unit

        yield seed, rng, g, x * unit, unit


def verdicts(make, spoil, seeds, powers, wrong, few=9):
    """Count verdicts, and list the false ones."""
    counts, false = Counter(), []
    for seed, rng, f, x, unit in trials(make, seeds, powers):
        f = real_only(f) if seed % 2 else f
        right = f(x)[1]
        grads = list(defects(rng, right, right * x)) if wrong else [("none", right)]
        some = rng.choice(len(grads), min(few, len(grads)), replace=False)
        for what, given in (grads[i] for i in some):
            change = given - right

            def g(y, f=f, change=change, unit=unit):
                value, grad = f(y)
                return spoil(value, y / unit), grad + change

            found = gs.check_gradient(g, x, seed=seed).parameters[0]
            counts[found.verdict] += 1
            if found.verdict == ("right" if wrong else "wrong"):
                false.append(f"{make.__name__}, seed {seed}, units 10^{powers}, {what}: {found}")
    return counts, false


@cache
def counted(name, full):
    """Count verdicts on right and on wrong gradients, and list the false ones.

    One seed, one power of ten and one defect for each function; ``full``: 12 seeds, and all of the others.
    """
    counts, false = {False: Counter(), True: Counter()}, []
    for i, make in enumerate(FUNCTIONS):
        for powers in (0, 3, 6) if full else ([0, 3, 6][i % 3],):
            for wrong in counts:
                found, errors = verdicts(make, SPOILED[name], range(12 if full else 1), powers, wrong, 9 if full else 1)
                counts[wrong] += found
                false += errors
    return counts, false


@pytest.mark.parametrize("name", SPOILED)
def test_no_verdict_is_false(name, full):
    assert counted(name, full)[1] == []


def test_and_few_are_undecided(full):
    """Of all; what another process has counted is counted again."""
    right, wrong = (sum((counted(name, full)[0][kind] for name in SPOILED), Counter()) for kind in (False, True))
    assert right["right"] >= 0.6 * right.total()
    assert wrong["wrong"] >= 0.8 * wrong.total()


@pytest.mark.parametrize("name", ["float64", "float32", "%.8g", "%.8f", "%.10g", "1/1000003", "noise 1e-10"])
@pytest.mark.parametrize("make", [least_squares, logistic, decays, rosenbrock], ids=lambda make: make.__name__)
def test_a_value_of_eight_digits_is_enough(make, name):
    for powers in (0, 6):
        assert verdicts(make, SPOILED[name], range(2), powers, wrong=False)[0] == Counter(right=2)
        assert verdicts(make, SPOILED[name], [2], powers, wrong=True, few=2)[0] == Counter(wrong=2)


@pytest.mark.parametrize("start", ["as large as they are", "zero"])
@pytest.mark.parametrize("factor", [2.0, 0.0, -1.0])
def test_units_that_differ_by_a_million_millions(start, factor):
    """Metres, a ratio and pascals in one array; the gradient by the last is wrong."""
    scale = np.array([1e-6, 1.0, 1e6])
    x = 1.3 * scale if start != "zero" else np.zeros(3)

    def f(x, last=1.0):
        return np.sum(((x - 2 * scale) / scale) ** 2), np.array([2, 2, 2 * last]) * (x - 2 * scale) / scale**2

    assert gs.check_gradient(f, x).parameters[0].ok
    found = gs.check_gradient(lambda x: f(x, factor), x).parameters[0]
    assert (found.verdict, found.worst.index) == ("wrong", (2,))


def test_a_frequency_over_a_long_time_is_right_and_its_wrong_gradient_wrong():
    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, 1e6, 2000))
    data = np.sin(2 * np.pi * 1.2345 * t) + 0.1 * rng.normal(size=2000)

    def fit(p):
        a, f = p
        s, c = np.sin(2 * np.pi * f * t), np.cos(2 * np.pi * f * t)
        e = a * s - data
        return np.mean(e**2), np.array([2 * np.mean(e * s), 2 * np.mean(e * a * c * 2 * np.pi * t)])

    x = np.array([0.9, 1.2345 + 2e-7])
    for function in (fit, real_only(fit)):
        assert gs.check_gradient(function, x).parameters[0].ok
        for factor in (0.99, -1.0):
            wrong = lambda p: (function(p)[0], fit(p)[1] * [1.0, factor])  # noqa: B023, E731
            assert gs.check_gradient(wrong, x).parameters[0].worst.index == (1,)


def saw(width, height, kind):
    """Return what makes values jump at distances of ``width``, as a solver's do; they rise in between or not."""

    def spoil(value, x):
        place = real(x).sum() / width + 0.37
        return value * (1 + height * (place % 1.0 if kind == "teeth" else -np.floor(place)))

    return spoil


@pytest.mark.parametrize("kind", ["teeth", "stairs"])
@pytest.mark.parametrize("width", [1e-8, 1e-6, 1e-4])
def test_a_gradient_without_the_jumps_of_a_value_is_not_called_wrong(kind, width):
    for make in (least_squares, logistic, rosenbrock, likelihood):
        found, false = verdicts(make, saw(width, 1e-4, kind), range(2), 0, wrong=False)
        assert not false
        assert found["undecided"] == 2
        assert not verdicts(make, saw(width, 1e-4, kind), range(2), 0, wrong=True, few=2)[1]


def test_low_jumps_do_not_hide_a_wrong_gradient():
    for make in (least_squares, logistic, rosenbrock):
        assert verdicts(make, saw(1e-4, 1e-9, "teeth"), range(2), 0, wrong=True, few=3)[0]["wrong"] >= 5


@pytest.mark.parametrize("check", [gs.check_gradient, first_look])
def test_noise_that_the_value_has_not_makes_no_gradient_wrong(check):
    rng, start = np.random.default_rng(5), np.linspace(1.0, 2.0, 8)

    def noisy(size, factor):
        def f(x):
            return float(0.5 * (x * x).sum()), factor * x + size * rng.normal(size=x.shape)

        return check(f, start, rng={"rng": rng}).parameters[0]

    assert noisy(0.1, 1.0).verdict == "undecided"
    assert noisy(0.1, 1.0).message.startswith("its noise is not in the value")
    assert noisy(1e-4, -3.0).verdict == "wrong"
