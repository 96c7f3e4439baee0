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
    result = gs.minimize(bowl, X0, "sgd", lr=0.3, max_steps=5)
    run = gs.Run(bowl, X0, "sgd", lr=0.3, max_steps=5)
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


class TestNamesOfSciPys:
    def test_they_mean_ours(self):
        ours = gs.minimize(bowl, X0, "sgd", lr=0.1, max_steps=7, max_evaluations=50, grad_norm=1e-9)
        theirs = gs.minimize(fun=bowl, x0=X0, method="sgd", lr=0.1, maxiter=7, maxfev=50, tol=1e-9, jac=True)
        assert bits(ours.x) == bits(theirs.x)
        assert (ours.nit, ours.message) == (theirs.nit, theirs.message)
        assert gs.minimize(bowl, X0, "sgd", maxiter=1e1).nit == 10

    def test_value_and_gradient_apart_with_arguments(self):
        found = gs.minimize(
            lambda x, a: float(a * x @ x), X0, "sgd", lr=0.1, jac=lambda x, a: 2 * a * x, args=(0.5,), max_steps=5
        )
        ours = gs.minimize(lambda x, a: (float(a * x @ x), 2 * a * x), X0, "sgd", lr=0.1, args=(0.5,), max_steps=5)
        assert bits(found.x) == bits(ours.x)
        assert bits(found.x) == bits(gs.minimize(lambda x: (0.0, x), X0, "sgd", lr=0.1, max_steps=5).x)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"maxiter": 3, "max_steps": 3}, "two names of one thing"),
            ({"jac": "2-point"}, "jac must be True"),
            ({"gtol": 1e-3}, "grad_norm="),
            ({"constraints": ()}, "project="),
            ({"ftol": 1e-3}, "plateau"),
        ],
    )
    def test_what_is_refused(self, options, match):
        with pytest.raises(gs.GradstepTypeError, match=match) as error:
            gs.minimize(bowl, X0, "sgd", **options)
        assert clear(error)

    def test_a_run_says_ours(self):
        with pytest.raises(gs.GradstepTypeError, match="max_steps="):
            gs.Run(bowl, X0, "sgd", maxiter=3)


class TestCallbacks:
    def test_of_parameters(self):
        seen = []
        found = gs.minimize(bowl, X0, "sgd", lr=0.1, max_steps=3, callback=lambda xk: seen.append(xk))
        assert len(seen) == 3
        assert bits(seen[-1]) == bits(found.x)
        seen[-1][:] = 9.0
        assert bits(seen[0]) != bits(seen[1])

    def test_of_an_intermediate_result(self):
        seen = []
        found = gs.minimize(
            bowl, X0, lr=0.1, max_steps=3, callback=lambda intermediate_result: seen.append(intermediate_result)
        )
        assert [one.fun for one in seen] == [bowl(one.x)[0] for one in seen]
        assert seen[-1].fun == found.fun
        assert found.nfev == 4

    def test_stop_iteration(self):
        def stop(_):
            raise StopIteration

        found = gs.minimize(bowl, X0, "sgd", max_steps=9, callback=stop)
        assert (found.nit, found.status, found.success) == (1, 99, False)

    def test_of_a_step_and_its_run(self):
        seen = []
        gs.minimize(
            bowl, X0, "sgd", lr=0.1, max_steps=3, callbacks=[lambda step, run: seen.append((step.t, run.params.copy()))]
        )
        assert [t for t, _ in seen] == [1, 2, 3]
        assert bits(seen[0][1]) == bits(X0 - 0.1 * bowl(X0)[1])
        one = []
        gs.minimize(bowl, X0, "sgd", max_steps=3, callbacks=[one.append, lambda step, more=None: None])
        assert len(one) == 3


class TestOnlyGrew:
    @pytest.mark.parametrize(
        "options", [{"max_steps": 50}, {"stop": gs.stop.plateau(5)}, {"max_evaluations": 9}, {"seconds": 0.05}]
    )
    def test_no_success_and_a_remark(self, options):
        found = gs.minimize(lambda x: (float(x @ x), -2 * x), X0, "sgd", lr=0.01, **options)
        assert not found.success
        assert found.message.endswith(". The value is worse than that of the start.")
        assert found.fun > found.fun_best

    def test_a_complex_gradient_in_the_other_convention(self):
        z0 = np.array([1 + 2j, 3 - 1j])
        f = lambda z: (float((abs(z) ** 2).sum()), 2 * z.conj())  # noqa: E731
        assert not gs.minimize(f, z0, "adam", lr=0.1, max_steps=200).success
        assert gs.minimize(lambda z: (f(z)[0], 2 * z), z0, "adam", lr=0.1, max_steps=200).success

    def test_one_that_stays_or_comes_back_is_a_success(self):
        assert gs.minimize(bowl, TARGET, "sgd", max_steps=5).success
        assert gs.minimize(bowl, X0, "sgd", lr=0.3, max_steps=12).success

    def test_also_after_it_has_gone_on(self, tmp_path):
        path = tmp_path / "run.safetensors"
        for last in (5, 10):
            found = gs.minimize(
                lambda x: (float(x @ x), -2 * x), X0, "sgd", lr=0.01, max_steps=last, save_to=path, resume=True
            )
            assert not found.success

    def test_of_noise_nobody_can_say_it(self):
        rng = np.random.default_rng(0)
        for more in ({"batches": lambda k: k}, {"rng": rng}):
            found = gs.minimize(lambda x, *_: (float(x @ x), -2 * x), X0, "sgd", lr=0.01, max_steps=9, **more)
            assert found.success


class TestMoreSteps:
    def test_a_run_that_has_ended_goes_on(self):
        whole = gs.Run(bowl, X0, "adam", lr=0.1, max_steps=12)
        list(whole)
        run = gs.Run(bowl, X0, "adam", lr=0.1, max_steps=5)
        list(run)
        run.stop = gs.stop.steps(12)
        assert run.reason is None
        assert [step.t for step in run] == list(range(6, 13))
        assert bits(run.params) == bits(whole.params)
        assert run.evaluations == whole.evaluations

    def test_what_is_not_finite_still_ends_it(self):
        run = gs.Run(lambda x, k: (np.nan if k > 6 else 1.0, x), X0, "sgd", batches=lambda k: k, max_steps=2)
        list(run)
        run.stop = gs.stop.steps(20)
        list(run)
        assert (run.t, run.reason.kind) == (7, "non-finite")
        run.on_nonfinite = "skip"
        with pytest.raises(gs.GradstepValueError, match="on_nonfinite"):
            run.on_nonfinite = "jump"

    @pytest.mark.parametrize("stop", [5, "steps", [gs.stop.steps(3)]])
    def test_what_is_no_stop(self, stop):
        run = gs.Run(bowl, X0, "sgd", max_steps=2)
        with pytest.raises(gs.GradstepTypeError, match="is no stop"):
            run.stop = stop
        assert len(list(run)) == 2
