"""P8: 16-bit parameters are safe: finite for gradients of any size, and near to what float64 gives."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.form.matrices import SQUARES
from gradstep.rule import lookup
from support import OF_GRADIENTS

ml_dtypes = pytest.importorskip("ml_dtypes")
DTYPES = {"float16": "f2", "bfloat16": ml_dtypes.bfloat16, "float32": "f4", "float64": "f8"}
SCALES = [10.0**k for k in range(-12, 5)]
# Roots of squares hang on their least eigenvalues, of which a dtype knows none beside large ones: not near.
OF_SQUARES = {name for name in OF_GRADIENTS if {*lookup(name).shapes.values()} & {*SQUARES}}
STEPS, SIZE = 10, 64
SMALLEST = {name: float(ml_dtypes.finfo(dtype).smallest_normal) for name, dtype in DTYPES.items()}
ROOM = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 1e-6, "float64": 1e-15}  # half a spacing for each step


def gradients(scale, dtype):
    """Of that size, in that dtype."""
    rng = np.random.default_rng(11)
    shape = STEPS, SIZE
    return (rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.0, shape) * scale).astype(DTYPES[dtype])


def trained(name, dtype, grads):
    theta = np.linspace(1.0, 2.0, SIZE).astype(DTYPES["bfloat16"]).astype("f8").astype("f2").astype(dtype)
    opt = gs.Optimizer(theta, name)
    for g in grads:
        opt.step(g.astype(dtype))
    arrays = [theta, *(x for own in opt.state.values() for x in own.values())]
    return theta.astype("f8"), all(np.isfinite(x.astype("f8")).all() for x in arrays)


def error(name, dtype, scale):
    """The largest error relative to the largest parameter, and whether all is finite."""
    grads = gradients(scale, dtype)
    low, finite = trained(name, DTYPES[dtype], grads)
    exact, _ = trained(name, "f8", grads)
    largest = max(np.abs(exact).max(), SMALLEST[dtype])  # FTRL's parameters are near zero after small gradients
    return float(np.abs(low - exact).max() / largest), finite


def upwards(x):
    """One digit, rounded up."""
    if x == 0:
        return "0"
    digit = 10.0 ** math.floor(math.log10(x))
    return f"{math.ceil(x / digit) * digit:.0e}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_finite_and_near(dtype, figure):
    found = {(name, scale): error(name, dtype, scale) for name in OF_GRADIENTS for scale in SCALES}
    assert all(finite for _, finite in found.values())
    worst = max(x for (name, _), (x, _) in found.items() if name not in OF_SQUARES)
    assert worst <= STEPS * ROOM[dtype]
    others = f", but of {len(OF_SQUARES)} by roots of squares"
    text = f"{dtype}: finite {{n}} / {{n}}; largest error against float64 {upwards(worst)}{others}"
    figure("P8", text, n=len(found))


def naive_adam(theta, grads, dtype):
    """Adam as a page of NumPy, all in one dtype."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    b1, b2, lr, eps, one = (np.asarray(x, dtype) for x in (0.9, 0.999, 1e-3, 1e-8, 1))
    for t, g in enumerate(grads, 1):
        m = b1 * m + (one - b1) * g
        v = b2 * v + (one - b2) * g * g
        theta = theta - lr * (m / (one - b1**t)) / (np.sqrt(v / (one - b2**t)) + eps)
    return theta


def test_control_plain_float16_arithmetic_breaks(control):
    broken = []
    for scale in SCALES:
        with np.errstate(all="ignore"):
            theta = naive_adam(np.ones(SIZE, "f2"), gradients(scale, "float16"), "f2")
        if not np.isfinite(theta).all():
            broken.append(scale)
    assert broken
    control("P8", f"Adam in plain float16: not finite for {len(broken)} / {len(SCALES)} scales of gradients")
