"""Projections: the point that a stage gives lies in the set, and no other point of it is nearer.

In exact arithmetic, p is the projection of x onto a convex set if (x - p) (y - p) <= 0 for every y of the set; for
these sets it is enough to look at a few y, of which all others are made.
"""

from fractions import Fraction

import numpy as np
import pytest

import gradstep as gs
from support import ENGINES, bits

u = 2.0**-53
RADII = [0.25, 1.0, 3.0]
engines = pytest.mark.parametrize("engine", ENGINES)


def projected(stage, x, engine="auto"):
    """Theta after a step that only the stage makes."""
    x = np.array(x)
    gs.Optimizer(x, gs.chain(gs.sgd(lr=0.0), stage), engine=engine).step(np.ones_like(x))
    return x


def cases():
    rng = np.random.default_rng(0)
    yield from (rng.normal(size=shape) for shape in [(1,), (2,), (7,), (3, 4), (2, 3, 5), (500,)])
    yield np.array([0.5, 0.5, 0.5, 0.5])  # equal
    yield np.array([10.0, -10.0, 0.0])
    yield np.array([1e-3, 2e-3])  # within the balls
    yield np.array([0.25, 0.75])  # on the simplex of 1
    yield -np.arange(1.0, 5.0)
    yield np.array([1e20, 1.0, -1e20])


def exact(x):
    return [Fraction(a) for a in np.asarray(x, float).flat]


def excess(x, p, radius, signs):
    """The largest (x - p) (y - p) over the corners of a simplex or a ball: y is radius in one place, and else 0."""
    apart = [a - b for a, b in zip(exact(x), exact(p), strict=True)]
    inner = sum(a * b for a, b in zip(apart, exact(p), strict=True))
    return max(sign * Fraction(radius) * a for a in apart for sign in signs) - inner


@engines
@pytest.mark.parametrize("radius", RADII)
def test_simplex(radius, engine):
    for x in cases():
        p = projected(gs.project_simplex(radius=radius), x, engine)
        room = 4 * (x.size + 2) * u * (radius + np.abs(x).max())
        assert (p >= 0).all()
        assert abs(sum(exact(p)) - Fraction(radius)) <= room
        assert excess(x, p, radius, (1,)) <= room * (radius + np.abs(x).max())


@engines
@pytest.mark.parametrize("radius", RADII)
def test_l1_ball(radius, engine):
    for x in cases():
        p = projected(gs.project_l1_ball(radius=radius), x, engine)
        room = 4 * (x.size + 2) * u * (radius + np.abs(x).max())
        if sum(map(abs, exact(x))) <= radius:
            assert bits(p) == bits(x)
        assert sum(map(abs, exact(p))) - Fraction(radius) <= room
        assert excess(x, p, radius, (1, -1)) <= room * (radius + np.abs(x).max())


@engines
@pytest.mark.parametrize("radius", RADII)
def test_l2_ball(radius, engine):
    for x in cases():
        p, square = projected(gs.project_l2_ball(radius=radius), x, engine), sum(a * a for a in exact(x))
        if square <= Fraction(radius) ** 2:
            assert bits(p) == bits(x)
            continue
        assert abs(sum(a * a for a in exact(p)) - Fraction(radius) ** 2) <= 16 * u * radius**2
        ratios = [float(b / a) for a, b in zip(exact(x), exact(p), strict=True) if a]  # along the line to the middle
        assert max(ratios) - min(ratios) <= 2 * u


@engines
def test_box_and_orthant(engine):
    for x in cases():
        p = projected(gs.project_box(low=-0.3, high=0.5), x, engine)
        assert bits(p) == bits(np.array([min(max(a, -0.3), 0.5) for a in x.flat]).reshape(x.shape))
        q = projected(gs.project_nonnegative(), x, engine)
        assert bits(q) == bits(np.array([a if a > 0 else 0.0 for a in x.flat]).reshape(x.shape))


@engines
def test_ends_that_are_no_box(engine):
    with pytest.raises(gs.ScalarError, match=r"project_box: .* low = 2 is above high = 1"):
        projected(gs.project_box(low=2.0, high=1.0), np.ones(2), engine)


@engines
def test_the_least_of_a_function_on_the_simplex(engine):
    """Of |x - (1, 1/2, -1)|^2 it is (3/4, 1/4, 0)."""
    x, aim = np.ones(3), np.array([1.0, 0.5, -1.0])
    opt = gs.Optimizer(x, gs.chain(gs.sgd(lr=0.1), gs.project_simplex()), engine=engine)
    for _ in range(200):
        opt.step(x - aim)
    assert np.abs(x - [0.75, 0.25, 0.0]).max() < 1e-9


def test_stacks_and_empty_arrays():
    x = np.ones((2, 3, 4, 5), "f4")
    p = projected(gs.project_simplex(), x)
    assert p.dtype == "f4"
    np.testing.assert_allclose(p, 1 / x.size, rtol=1e-6)
    assert projected(gs.project_l1_ball(), np.ones((0, 3))).shape == (0, 3)
    assert projected(gs.project_simplex(radius=2.0), np.array(7.0)) == 2.0
