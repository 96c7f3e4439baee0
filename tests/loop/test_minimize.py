"""gs.minimize beside scipy.optimize, and each field of its result."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop.minimize import DEFAULT_STEPS
from loop.cases import SCALES, TARGET, bowl, never
from support import bits, clear, same, script

optimize = pytest.importorskip("scipy.optimize")
X0 = np.array([2.0, 2.0, -1.0])
FIELDS = {
    *("x", "fun", "jac", "success", "status", "message", "nit", "nfev", "njev"),
    *("x_best", "fun_best", "t_best", "skipped", "seconds", "history"),
}


def test_every_field():
    result = gs.minimize(bowl, X0, "sgd", lr=0.4, max_steps=5)
    run = gs.Run(bowl, X0, "sgd", lr=0.4, max_steps=5)
    steps = list(run)
    assert isinstance(result, optimize.OptimizeResult)
    assert result.keys() == FIELDS
    assert bits(result.x) == bits(run.params)
    assert (result.fun, bits(result.jac)) == (bowl(run.params)[0], bits(bowl(run.params)[1]))
    assert (result.success, result.status, result.message) == (True, 1, "5 steps are made.")
    assert (result.nit, result.nfev, result.njev, result.skipped) == (5, 6, 6, 0)
    values = [*(step.value for step in steps), run.evaluation().value]
    assert (result.fun_best, result.t_best) == (min(values), int(np.argmin(values)))
    assert bowl(result.x_best)[0] == result.fun_best <= result.fun
    assert [s.value for s in result.history] == [s.value for s in steps]
    assert 0.0 < result.seconds < 60.0
    assert len(repr(result)) < 1000


def nan_later(x):
    """A number until the third element is more than 1: after two steps of 1 from -1."""
    return (math.nan if x[2] > 0.5 else 1.0), np.array([0.0, 0.0, -1.0])


def stop_at_two(step):
    if step.t == 2:
        raise StopIteration


ENDS = {
    "steps": (bowl, {"max_steps": 3}, 1, True, "3 steps are made."),
    "steps for a tolerance": (bowl, {"max_steps": 3, "grad_norm": 1e-9}, 1, False, "3 steps are made."),
    "steps for a target": (bowl, {"max_steps": 3, "target": -1.0}, 1, False, "3 steps are made."),
    "evaluations": (bowl, {"max_evaluations": 3}, 1, True, "3 evaluations are made."),
    "seconds": (bowl, {"seconds": 0.0}, 1, True, "0 seconds are over."),
    "target": (bowl, {"target": 1e9, "max_steps": 3}, 0, True, "The value, 38.11, has reached 1e+09."),
    "plateau": (lambda x: (1.0, x), {"stop": gs.stop.plateau(2)}, 0, True, None),
    "gradient": (bowl, {"grad_norm": 1e-3, "lr": 0.1}, 0, True, None),
    "nan": (nan_later, {"lr": 1.0}, 2, False, "The value at step 3 is nan; nothing was changed."),
    "nan, skipped in vain": (lambda x: (math.nan, x), {"on_nonfinite": "skip"}, 2, False, None),
    "callback": (bowl, {"callbacks": stop_at_two}, 99, False, "A callback raised StopIteration."),
    "batches": (lambda x, _: bowl(x), {"batches": [1, 2]}, 1, True, "The batches are used up."),
}


@pytest.mark.parametrize(("f", "options", "status", "success", "message"), ENDS.values(), ids=ENDS)
def test_status_and_success(f, options, status, success, message):
    result = gs.minimize(f, X0, "sgd", **options)
    assert (result.status, result.success) == (status, success)
    assert message is None or result.message == message
    assert result.message[0].isupper() or result.message[0].isdigit()
    assert result.message[-1] == "."
    assert result.message[-2] not in ".!?"


@pytest.mark.process
def test_a_signal():
    code = """
import os, signal, gradstep as gs
def f(x):
    os.kill(os.getpid(), signal.SIGTERM)
    return float(x @ x), 2 * x
result = gs.minimize(f, [1.0], "sgd", stop=gs.stop.signals())
print(result.status, result.success, result.nit, result.message)
"""
    assert script(code).strip() == "3 False 0 The signal SIGTERM came."


def test_where_batches_are_used_up_nothing_is_known_of_the_last_point():
    result = gs.minimize(lambda x, _: bowl(x), X0, "sgd", batches=[1, 2])
    assert math.isnan(result.fun)
    assert result.jac is None
    assert (result.nit, result.nfev) == (2, 2)


def test_a_gradient_that_is_not_finite_at_the_end_is_no_success():
    result = gs.minimize(lambda x: (1.0, x * np.nan), X0, "sgd", max_steps=0)
    assert (result.status, result.success) == (2, False)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, DEFAULT_STEPS),
        ({"stop": gs.stop.plateau(5) & gs.stop.steps(7)}, DEFAULT_STEPS),  # which is no limit: values keep falling
        ({"stop": gs.stop.steps(7) & gs.stop.evaluations(9)}, 8),
        ({"stop": gs.stop.target(-1e9) | gs.stop.steps(7)}, 7),
        ({"max_evaluations": DEFAULT_STEPS + 6}, DEFAULT_STEPS + 5),
    ],
)
def test_the_limit_of_steps(options, steps):
    calls = iter(range(10**6))
    result = gs.minimize(lambda x: (-float(next(calls)), x), [0.0], "sgd", lr=0.0, history=False, **options)
    assert result.nit == steps
    assert result.history is None


def test_a_nest_and_no_best():
    x0 = {"a": np.array([3.0]), "b": [np.array(4.0)]}

    def f(p):
        return float(p["a"] @ p["a"] + p["b"][0] ** 2), {"a": 2 * p["a"], "b": [np.asarray(2 * p["b"][0])]}

    result = gs.minimize(f, x0, "sgd", lr=0.25, max_steps=2, keep_best=False)
    assert same(result.x, {"a": np.array([0.75]), "b": [np.array(1.0)]})
    assert same(result.jac, {"a": np.array([1.5]), "b": [np.array(2.0)]})
    assert result.x_best is result.fun_best is result.t_best is None


@pytest.mark.process
def test_without_scipy():
    code = """
import gradstep as gs
def f(x):
    raise AssertionError
try:
    gs.minimize(f, [1.0])
except gs.GradstepError as error:
    print(error)
print(len(list(gs.Run(lambda x: (float(x @ x), 2 * x), [1.0], "sgd", max_steps=3))))
"""
    first, second = script(code, before="import sys; sys.modules['scipy'] = None").splitlines()
    assert first.startswith("gs.minimize gives SciPy's result, and SciPy is not installed: pip install scipy")
    assert second == "3"


def test_errors_are_those_of_a_run():
    with pytest.raises(gs.GradstepError) as error:
        gs.minimize(never, X0, "sgd", max_step=5)
    assert clear(error)


@pytest.mark.parametrize(("rule", "lr"), [("sgd", 0.1), ("momentum", 0.05), ("nesterov", 0.05), ("adam", 0.05)])
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_scipy_finds(rule, lr, seed):
    """Convex quadratics with eigenvalues in [1, 9], and one that is no quadratic; |x - x*| <= |gradient| / 1."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    a = q @ np.diag(rng.uniform(1.0, 9.0, 5)) @ q.T
    b = rng.normal(size=5)

    def quadratic(x):
        return float(0.5 * x @ a @ x - b @ x), a @ x - b

    def soft(x):
        """A quadratic and logarithms of cosh, whose gradient is a tanh."""
        value, g = quadratic(x)
        return value + float(np.logaddexp(x, -x).sum()), g + np.tanh(x)

    for f in (quadratic, soft):
        mine = gs.minimize(f, np.zeros(5), rule, lr=lr, grad_norm=1e-7, history=False)
        theirs = optimize.minimize(f, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-9})
        assert mine.success, mine.message
        assert np.linalg.norm(mine.x - theirs.x) < 2e-7
        assert mine.fun == pytest.approx(theirs.fun, abs=1e-12)


def test_the_minimum_of_a_bowl():
    result = gs.minimize(bowl, X0, "adam", lr=0.05, grad_norm=1e-8)
    assert np.abs(result.x - TARGET).max() <= 1e-8 / (2 * SCALES.min())
