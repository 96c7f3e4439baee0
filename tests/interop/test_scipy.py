"""A rule as SciPy's method: what minimize hands on, what its own methods do with it, and what comes back."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradstep as gs
from loop.cases import SCALES, TARGET, bowl, never
from support import bits, clear

optimize = pytest.importorskip("scipy.optimize")
minimize, OptimizeWarning, Bounds = optimize.minimize, optimize.OptimizeWarning, optimize.Bounds
X0 = np.array([2.0, 2.0, -1.0])
FIELDS = {"x", "fun", "jac", "success", "status", "message", "nit", "nfev", "njev"}
MORE = {"x_best", "fun_best", "t_best", "skipped", "seconds"}
CLIPPED = gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.5))


def f(x):
    return bowl(x)[0]


def g(x):
    return bowl(x)[1]


def method(rule="adam", **options):
    return gs.interop.scipy.method(rule, **options)


def run(fun=f, x0=X0, rule="adam", jac=g, more=None, **options):
    """Minimize by a rule, with these options."""
    return minimize(fun, x0, jac=jac, method=method(rule), options=options, **(more or {}))


class Counted:
    """A function that keeps what it is called with: the very array, and how it was."""

    def __init__(self, function):
        self.function, self.seen = function, []

    def __call__(self, x, *args):
        self.seen.append((x, x.copy()))
        return self.function(x, *args)


class TestResult:
    def test_every_field(self):
        result = run(lr=0.05, maxiter=40)
        assert isinstance(result, optimize.OptimizeResult)
        assert result.keys() == FIELDS | MORE
        assert (result.nit, result.nfev, result.njev) == (40, 41, 41)
        assert (result.success, result.status, result.message) == (False, 1, "40 steps are made.")
        assert result.fun == f(result.x)
        assert bits(result.jac) == bits(g(result.x))
        assert f(result.x_best) == result.fun_best <= result.fun

    def test_the_best_point_where_the_last_is_worse(self):
        result = run(rule="sgd", jac=lambda x: -g(x), lr=0.1, maxiter=5)
        assert bits(result.x_best) == bits(X0)
        assert (result.fun_best, result.t_best) == (f(X0), 0)
        assert result.fun > f(X0)

    def test_an_integer_beyond_floats_is_infinite(self):
        result = run(lr=0.05, maxiter=10**400, maxfev=5, gtol=-(10**400))
        assert (result.nfev, result.success) == (5, False)

    @pytest.mark.parametrize("theirs", ["BFGS", "CG", "L-BFGS-B"])
    @pytest.mark.parametrize("options", [{}, {"maxiter": 1}])
    def test_success_and_status_are_those_of_scipys_methods(self, theirs, options):
        """Out of iterations is no success, whether or not a tolerance was asked for."""
        theirs = minimize(f, X0, jac=g, method=theirs, options=options)
        mine = run(lr=0.1, **options)
        assert (mine.success, mine.status) == (theirs.success, theirs.status)
        assert type(mine.success) is bool
        assert gs.minimize(bowl, X0, lr=0.1, max_steps=1).success  # which differs

    def test_return_all(self):
        result = run(lr=0.05, maxiter=4, return_all=True)
        assert len({x.tobytes() for x in result.allvecs}) == len(result.allvecs) == 5
        assert bits(result.allvecs[0]) == bits(X0)
        assert bits(result.allvecs[-1]) == bits(result.x)
        assert "allvecs" not in run(lr=0.05, maxiter=4, return_all=False)

    def test_disp(self, capsys):
        result = run(lr=0.05, maxiter=4, disp=True)
        assert capsys.readouterr().out == f"{result.message}\nfun: {result.fun}\nnit: 4\nnfev: 5\nnjev: 5\n"
        run(lr=0.05, maxiter=4, disp=False)
        assert capsys.readouterr().out == ""


class TestSteps:
    @pytest.mark.parametrize("rule", ["sgd", "nesterov", "adam", "adadelta", "radam"])
    @pytest.mark.parametrize("bounds", [None, [(0.0, 1.0), (None, 0.5), (-1.5, None)]])
    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_the_steps_are_those_of_gs_minimize(self, rule, bounds, dtype):
        seen, lr, x0 = [], gs.schedules.cosine(0.1, 50), X0.astype(dtype)

        def both(x):
            seen.append(x.copy())
            value, slope = bowl(x)
            return value, slope.astype(dtype)

        gs.minimize(both, x0, rule, lr=lr, max_steps=50, bounds=bounds)
        result = run(x0=x0, rule=rule, lr=lr, maxiter=50, gtol=-1, return_all=True, more={"bounds": bounds})
        assert len(seen) == 51
        assert [bits(x) for x in result.allvecs] == [bits(x) for x in seen]

    @pytest.mark.parametrize(
        "made",
        [
            lambda: method(lr=0.07, beta1=0.8),
            lambda: method(gs.adam(lr=0.07, beta1=0.8)),
            lambda: method(gs.adam, lr=0.07, beta1=0.8),
        ],
    )
    def test_hyperparameters_in_either_place(self, made):
        result = minimize(f, X0, jac=g, method=made(), options={"maxiter": 20})
        assert bits(result.x) == bits(run(lr=0.07, beta1=0.8, maxiter=20).x)

    @pytest.mark.parametrize(
        ("made", "rule"),
        [
            (method(lr=gs.schedules.cosine(0.1, 9)), gs.adam(lr=0.02)),
            (method(CLIPPED), gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.02))),
        ],
    )
    def test_options_win_over_the_methods_own_and_are_not_kept(self, made, rule):
        for _ in range(2):
            before = minimize(f, X0, jac=g, method=made, options={"maxiter": 15})
            result = minimize(f, X0, jac=g, method=made, options={"lr": 0.02, "maxiter": 15})
            assert bits(result.x) == bits(gs.minimize(bowl, X0, rule, max_steps=15).x) != bits(before.x)

    @pytest.mark.parametrize(
        ("rule", "given"),
        [
            ("keras.Adam", {"learning_rate": 0.05, "beta_1": 0.5}),
            ("torch.Adam", {"lr": 0.05, "betas": (0.5, 0.9)}),
            ("torch.SGD", {"lr": 0.05, "momentum": 0.9}),  # another stage than the one without
        ],
    )
    def test_a_constructors_names(self, rule, given):
        made = method(rule)
        result = minimize(f, X0, jac=g, method=made, options={**given, "maxiter": 15})
        plain = minimize(f, X0, jac=g, method=made, options={"maxiter": 15})
        assert bits(result.x) == bits(gs.minimize(bowl, X0, rule, max_steps=15, **given).x) != bits(plain.x)
        with pytest.raises(gs.GradstepError):
            minimize(never, X0, jac=g, method=made, options={next(iter(given)): -1.0})

    def test_eps_is_the_rules(self):
        result = run(lr=0.1, eps=1.0, maxiter=15, jac=None)
        assert result.x == pytest.approx(gs.minimize(bowl, X0, "adam", lr=0.1, eps=1.0, max_steps=15).x, abs=1e-6)

    def test_a_state_that_starts_at_a_hyperparameter(self):
        made = method("tf1.AdagradOptimizer", learning_rate=0.1)
        result = minimize(f, X0, jac=g, method=made, options={"initial_accumulator": 0.5, "maxiter": 15})
        other = method("tf1.AdagradOptimizer", learning_rate=0.1, initial_accumulator_value=0.5)
        assert bits(result.x) == bits(minimize(f, X0, jac=g, method=other, options={"maxiter": 15}).x)

    def test_options_of_an_optimizer_and_a_rule_to_stop(self):
        made = method("adamw", lr=0.1, engine="eager", stop=gs.stop.target(1.0))
        result = minimize(f, X0, jac=g, method=made)
        assert (result.success, result.status) == (True, 0)
        assert result.message.startswith("The value, ")
        assert result.fun <= 1.0

    @pytest.mark.parametrize(
        "bad",
        [
            lambda: method("adm"),
            lambda: method(lrr=1),
            lambda: method(lr=-1),
            lambda: method(max_steps=3),
            lambda: run(lr=-1, fun=never),
        ],
    )
    def test_what_no_optimizer_takes(self, bad):
        with pytest.raises(gs.GradstepValueError) as error:
            bad()
        assert clear(error)


class TestFunctions:
    def test_once_for_each_point(self):
        fun, jac = Counted(f), Counted(g)
        result = run(fun, jac=jac, lr=0.1, maxiter=30, return_all=True)
        for counted in (fun, jac):
            assert [bits(x) for _, x in counted.seen] == [bits(x) for x in result.allvecs]
        assert (result.nit, result.nfev, result.njev) == (30, 31, 31)

    def test_once_for_each_point_with_jac_true(self):
        both = Counted(bowl)
        result = run(both, jac=True, lr=0.1, maxiter=30, return_all=True)
        assert [bits(x) for _, x in both.seen] == [bits(x) for x in result.allvecs]
        assert (result.nit, result.nfev, result.njev) == (30, 31, 31)
        assert bits(result.x) == bits(run(lr=0.1, maxiter=30).x)

    def test_they_get_copies(self):
        """Which they may keep, and may spoil."""

        def spoils(function):
            def spoiled(x):
                out = function(x)
                x[:] = np.nan
                return out

            return spoiled

        counted, x0 = Counted(f), X0.copy()
        result = run(counted, x0, lr=0.1, maxiter=5)
        assert bits(x0) == bits(X0)
        assert all(bits(kept) == bits(x) for kept, x in counted.seen)
        assert bits(run(spoils(f), x0, jac=spoils(g), lr=0.1, maxiter=5).x) == bits(result.x)

    def test_one_array_for_all_gradients(self):
        out = np.zeros(3)

        def jac(x):
            out[:] = g(x)
            return out

        result = run(jac=jac, lr=0.1, maxiter=5)
        assert bits(result.x) == bits(run(lr=0.1, maxiter=5).x)
        out[:] = 0.0
        assert bits(result.jac) == bits(g(result.x))

    def test_args(self):
        def fun(x, scale, shift):
            return scale * f(x - shift)

        def jac(x, scale, shift):
            return scale * g(x - shift)

        shift = np.array([1.0, 2.0, 3.0])
        result = run(fun, jac=jac, lr=0.1, more={"args": (2.0, shift)})
        assert np.abs(result.x - TARGET - shift).max() <= 1e-5 / (4 * SCALES.min())
        assert (
            run(lambda x, a: f(x) + a, jac=lambda x, a: g(x), lr=0.1, maxiter=0, more={"args": 7.0}).fun == f(X0) + 7.0
        )
        measured = run(fun, jac=None, lr=0.1, more={"args": (2.0, shift)})
        assert measured.x == pytest.approx(result.x, abs=1e-5)

    @pytest.mark.parametrize(
        ("x0", "dtype"),
        [
            (X0.astype("f4"), "f4"),
            (X0, "f8"),
            ([2, 2, -1], "f8"),
            (np.array([2, 2, -1], "i2"), "f8"),
            ([2.0, 2.0, -1.0], "f8"),
        ],
    )
    def test_the_dtype_of_x0(self, x0, dtype):
        seen = Counted(f)
        result = run(seen, x0, lr=0.1, maxiter=3, return_all=True)
        assert (
            {x.dtype for x, _ in seen.seen}
            == {x.dtype for x in (result.x, result.jac, result.x_best)}
            == {np.dtype(dtype)}
        )

    def test_a_number_for_x0(self):
        result = run(lambda x: x @ x, 3.0, jac=lambda x: 2 * x[0], lr=0.1)
        assert result.x.shape == (1,)
        assert abs(result.x[0]) <= 5e-6

    @pytest.mark.parametrize("value", [np.float32(1.5), np.array(1.5), np.array([1.5]), np.array([[1.5]]), 3, True])
    def test_values_that_scipy_takes(self, value):
        assert run(lambda x: value, maxiter=1).fun == float(np.squeeze(value))

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            ({"x0": X0 + 1j, "fun": never}, "x0 is complex"),
            ({"fun": bowl}, r"needs jac=True\."),
            ({"fun": lambda x: x}, "the value that fun gives must be one number"),
            ({"fun": lambda x: None}, "the value that fun gives must be one real number, not None"),
            ({"fun": lambda x: 1j}, "the value that fun gives must be one real number"),
            ({"jac": lambda x: None}, "jac gave None"),
            ({"jac": lambda x: x[:2]}, r"gradient 'params' has shape \(2,\)"),
            ({"jac": lambda x: x[:, None]}, r"gradient 'params' has shape \(3, 1\)"),
            ({"jac": lambda x: x + 1j}, "gradient 'params' has dtype complex128"),
            ({"maxiter": 1.5, "fun": never}, "must be an integer"),
            ({"gtol": "small", "fun": never}, "gtol must be a number"),
            ({"ftol": math.nan, "fun": never}, "ftol must not be NaN"),
        ],
    )
    def test_what_does_not_fit(self, arguments, text):
        with pytest.raises(gs.GradstepError, match=text) as error:
            run(**arguments)
        assert clear(error)

    @pytest.mark.parametrize(
        "kind", [RuntimeError, StopIteration, KeyboardInterrupt, gs.GradstepValueError, ZeroDivisionError]
    )
    @pytest.mark.parametrize("when", [0, 3])
    @pytest.mark.parametrize("where", ["fun", "jac", "differences", "callback"])
    def test_a_users_own_errors_come_through(self, kind, when, where):
        if (kind, where) == (StopIteration, "callback"):
            pytest.skip("which ends the run")
        own = kind("mine")

        def raising(function):
            calls = iter(range(100))

            def raises(x):
                if next(calls) == when:
                    raise own
                return function(x)

            return raises

        given = {"jac": {"jac": raising(g)}, "callback": {"more": {"callback": raising(f)}}}
        given = given.get(where, {"fun": raising(f), "jac": None if where == "differences" else g})
        with pytest.raises(kind) as error:
            run(lr=0.1, maxiter=9, **given)
        assert error.value is own


class TestDifferences:
    def test_what_they_cost(self):
        fun = Counted(f)
        result = run(fun, jac=None, lr=0.1, maxiter=30)
        assert (result.nit, result.nfev, result.njev) == (30, 31 * 4, 31)
        assert len(fun.seen) == result.nfev

    @pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", False])
    def test_scipys_words_do_not_reach_a_method(self, jac):
        assert bits(run(jac=jac, lr=0.1, maxiter=9).x) == bits(run(jac=None, lr=0.1, maxiter=9).x)

    @pytest.mark.parametrize("dtype", ["f4", "f8"])
    def test_how_near_they_are(self, dtype):
        """h f''/2 + 2 eps |f| / h, with h as in SciPy's forward differences."""
        x0 = X0.astype(dtype)
        eps = np.finfo(dtype).eps
        h = np.sqrt(eps) * np.maximum(1, np.abs(X0))
        measured = run(lambda x: bowl(x)[0], x0, jac=None, maxiter=0).jac
        assert (np.abs(measured - g(X0)) <= h * SCALES + 8 * eps * f(X0) / h).all()

    def test_within_bounds(self):
        """Also at a bound, between bounds that are closer than a difference, and where nothing is free."""
        low, high = np.array([2.0, 0.0, -1.0, 1.0]), np.array([3.0, 2.0, -1.0 + 1e-12, 1.0])

        def fun(x):
            assert (low <= x).all()
            assert (x <= high).all()
            return float(((x - 5.0) ** 2).sum())

        result = run(fun, [2.0, 2.0, -1.0, 1.0], jac=None, lr=0.1, more={"bounds": Bounds(low, high)})
        assert bits(result.x) == bits(high)
        assert (result.success, result.jac[3]) == (True, 0.0)
        assert result.jac[:3] == pytest.approx(2 * (high - 5.0)[:3], rel=1e-2)

    def test_maxfev(self):
        fun = Counted(f)
        result = run(fun, jac=None, lr=0.1, maxfev=10)
        assert len(fun.seen) == result.nfev == 12  # at the first point where there are enough
        assert (result.success, result.status, result.message) == (False, 1, "12 evaluations are made.")


class TestBounds:
    @pytest.mark.parametrize(
        "bounds",
        [
            [(0, 1), (-np.inf, 0.5), (-0.5, np.inf)],
            ((0, 1), (None, 0.5), (-0.5, None)),
            [[0, 1], [None, 0.5], [-0.5, None]],
            [np.array([0, 1]), (None, 0.5), np.array([-0.5, np.inf])],
            np.array([(0, 1), (-np.inf, 0.5), (-0.5, np.inf)]),
            Bounds([0, -np.inf, -0.5], [1, 0.5, np.inf]),
        ],
    )
    def test_every_form(self, bounds):
        result = run(lr=0.1, more={"bounds": bounds})
        theirs = minimize(f, X0, jac=g, method="L-BFGS-B", bounds=bounds)
        assert result.success
        assert result.x == pytest.approx(theirs.x, abs=1e-5)
        assert bits(result.x) == bits(run(lr=0.1, more={"bounds": [(0, 1), (None, 0.5), (-0.5, None)]}).x)

    def test_an_iterator_and_numbers(self):
        pairs = [(-1.0, 1.0)] * 3
        expected = run(lr=0.1, maxiter=20, more={"bounds": pairs})
        for bounds in (zip([-1.0] * 3, [1.0] * 3, strict=True), Bounds(-1, 1)):
            assert bits(run(lr=0.1, maxiter=20, more={"bounds": bounds}).x) == bits(expected.x)

    @pytest.mark.parametrize("bounds", [[(0, 1)] * 2, [], (0, 1, 2), [(1, 0)] * 3, [(0,)] * 3, Bounds([0, 1], [2, 3])])
    def test_what_are_no_bounds(self, bounds):
        with pytest.raises(gs.GradstepError, match="bound") as error:
            run(never, more={"bounds": bounds})
        assert "\n" not in str(error.value)

    @settings(deadline=None, max_examples=30)
    @given(
        seed=st.integers(0, 10**6),
        n=st.integers(1, 4),
        rule=st.sampled_from([("adam", 0.05), ("momentum", 0.03), ("nesterov", 0.03)]),
        measured=st.booleans(),
    )
    def test_they_hold_and_the_optimum_is_that_of_lbfgsb(self, seed, n, rule, measured):
        """Strongly convex, mu = 1: a point in the box whose gradient is r, without what bounds hold, is within |r|."""
        rng = np.random.default_rng(seed)
        q, _ = np.linalg.qr(rng.normal(size=(n, n)))
        a, b = q @ np.diag(rng.uniform(1.0, 9.0, n)) @ q.T, 3 * rng.normal(size=n)
        low, high = np.sort(rng.normal(size=(2, n)), axis=0)
        low[rng.random(n) < 0.3], high[rng.random(n) < 0.3] = -np.inf, np.inf

        def slope(x):
            return a @ x - b + np.tanh(x)

        def fun(x):
            assert (low <= x).all()
            assert (x <= high).all()
            return 0.5 * x @ a @ x - b @ x + np.logaddexp(x, -x).sum()

        def residual(x):
            r = slope(x)
            return np.linalg.norm(np.where(((x <= low) & (r > 0)) | ((x >= high) & (r < 0)), 0.0, r))

        name, lr = rule
        options = {"bounds": Bounds(low, high), "jac": None if measured else slope}
        mine = minimize(fun, rng.normal(size=n), method=method(name, lr=lr), **options)
        theirs = minimize(
            fun, np.zeros(n), jac=slope, method="L-BFGS-B", bounds=Bounds(low, high), options={"ftol": 0, "gtol": 1e-10}
        )
        assert mine.success, mine.message
        assert np.linalg.norm(mine.x - theirs.x) <= residual(mine.x) + residual(theirs.x)
        assert residual(mine.x) <= 1e-5 * np.sqrt(n) * (2 if measured else 1)


class TestWhatNoRuleUses:
    @pytest.mark.parametrize(
        "constraints",
        [
            {"type": "eq", "fun": f},
            [{"type": "ineq", "fun": f}],
            optimize.LinearConstraint(np.eye(3)),
            optimize.NonlinearConstraint(f, 0, 1),
        ],
    )
    def test_constraints_are_refused(self, constraints):
        with pytest.raises(gs.GradstepValueError, match=r"^constraints: a rule knows none") as error:
            run(never, more={"constraints": constraints})
        assert clear(error)

    @pytest.mark.parametrize("constraints", [(), [], {}, None])
    def test_no_constraints(self, constraints):
        assert run(maxiter=1, more={"constraints": constraints}).nit == 1

    @pytest.mark.parametrize(
        "more", [{"hess": lambda x: np.eye(3)}, {"hessp": lambda x, p: p}, {"hess": "2-point", "hessp": lambda x, p: p}]
    )
    def test_a_hessian_is_warned_of(self, more):
        with pytest.warns(RuntimeWarning, match=r"^Method adam uses no Hessian \(hess, hessp\)\.$") as seen:
            result = run(lr=0.1, maxiter=5, more=more)
        assert len(seen) == 1
        assert bits(result.x) == bits(run(lr=0.1, maxiter=5).x)

    def test_unknown_options_are_warned_of(self):
        text = r"^Unknown solver options: maxfun, momentum$"
        for made in ("BFGS", method()):  # word for word as by SciPy's own
            with pytest.warns(OptimizeWarning, match=text) as seen:
                result = minimize(f, X0, jac=g, method=made, options={"maxfun": 5, "maxiter": 5, "momentum": 0.5})
            assert seen[0].filename == __file__
        assert bits(result.x) == bits(run(maxiter=5).x)


class TestCallbacks:
    @pytest.mark.parametrize("made", ["BFGS", "L-BFGS-B", method(lr=0.1)])
    def test_both_forms(self, made):
        """After each step, with the new point and its value; as by SciPy's own methods."""
        points, results = [], []
        first = minimize(f, X0, jac=g, method=made, callback=points.append, options={"maxiter": 5})
        minimize(
            f,
            X0,
            jac=g,
            method=made,
            callback=lambda intermediate_result: results.append(
                (intermediate_result.x.copy(), intermediate_result.fun)
            ),
            options={"maxiter": 5},
        )
        assert len(points) == len(results) == first.nit
        assert bits(points[-1]) == bits(first.x)
        for x, (y, value) in zip(points, results, strict=True):
            assert bits(x) == bits(y) != bits(X0)
            assert value == f(x)

    def test_it_is_the_name_that_counts(self):
        seen = []
        run(maxiter=1, more={"callback": lambda result: seen.append(result)})
        run(maxiter=1, more={"callback": lambda intermediate_result, more=0: seen.append(intermediate_result)})
        assert all(type(x) is np.ndarray for x in seen)
        assert len(seen) == 2

    def test_they_get_copies(self):
        def spoils(x):
            x[:] = np.nan

        assert bits(run(lr=0.1, maxiter=5, more={"callback": spoils}).x) == bits(run(lr=0.1, maxiter=5).x)

    @pytest.mark.parametrize("made", ["BFGS", "L-BFGS-B", method(lr=0.1)])
    def test_stop_iteration(self, made):
        points = []

        def stop(x):
            points.append(x)
            if len(points) == 3:
                raise StopIteration

        result = minimize(f, X0, jac=g, method=made, callback=stop)
        assert (result.success, result.status, result.nit) == (False, 99, 3)
        assert result.message == "`callback` raised `StopIteration`."
        assert bits(result.x) == bits(points[-1])
        assert result.fun == f(result.x)
        assert bits(result.jac) == bits(g(result.x))

    def test_what_it_returns_counts_for_nothing(self):
        assert run(maxiter=5, more={"callback": lambda x: True}).nit == 5


class TestTolerances:
    def test_gtol_is_1e_5_and_of_the_largest_element(self):
        result = run(lr=0.1, return_all=True)
        largest = [np.abs(g(x)).max() for x in result.allvecs]
        assert (result.success, result.status) == (True, 0)
        assert largest[-1] <= 1e-5 < min(largest[:-1])
        assert result.message == f"The gradient's largest element, {largest[-1]:.3g}, is at most 1e-05."

    @pytest.mark.parametrize(
        ("options", "tol", "expected"),
        [({"gtol": 1e-2}, None, 1e-2), ({}, 1e-2, 1e-2), ({"gtol": 1e-3}, 1e-1, 1e-3), ({"gtol": None}, 1e-2, 1e-2)],
    )
    def test_tol_is_gtol_as_for_bfgs(self, options, tol, expected):
        result = run(lr=0.1, return_all=True, more={"tol": tol}, **options)
        largest = [np.abs(g(x)).max() for x in result.allvecs]
        assert largest[-1] <= expected < min(largest[:-1])
        assert (
            np.abs(minimize(f, X0, jac=g, method="BFGS", tol=tol, options=options | {"gtol": expected}).jac).max()
            <= expected
        )

    def test_at_the_start(self):
        result = run(x0=TARGET)
        assert (result.success, result.nit, result.nfev) == (True, 0, 1)

    def test_arriving_at_the_last_step_is_a_success(self):
        steps = run(lr=0.1).nit
        assert run(lr=0.1, maxiter=steps).success
        assert not run(lr=0.1, maxiter=steps - 1).success

    def test_ftol(self):
        result = run(lr=0.1, ftol=1e-6, return_all=True)
        values = np.array([f(x) for x in result.allvecs])
        changes = np.abs(np.diff(values)) / np.maximum(1, np.maximum(values[1:], values[:-1]))
        assert changes[-1] <= 1e-6 < changes[:-1].min()
        assert (result.success, result.message[:27]) == (True, "The value's relative change")

    def test_xtol(self):
        result = run(rule="sgd", lr=0.1, xtol=1e-3, return_all=True)
        changes = np.abs(np.diff(result.allvecs, axis=0)).max(axis=1)
        assert changes[-1] <= 1e-3 < changes[:-1].min()
        assert (result.success, result.message[:23]) == (True, "The largest change of x")

    @pytest.mark.parametrize("maxiter", [0, 1, 7, np.int64(7)])
    def test_maxiter(self, maxiter):
        result = run(maxiter=maxiter)
        assert (result.nit, result.nfev, result.status, result.success) == (maxiter, maxiter + 1, 1, False)

    def test_maxiter_is_10_000(self):
        assert run(rule="sgd", lr=0.0, maxiter=None).nit == 10_000

    def test_maxfev(self):
        result = run(maxfev=8)
        assert (result.nit, result.nfev, result.status, result.success) == (7, 8, 1, False)
        assert result.message == "8 evaluations are made."


class TestNotFinite:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("when", [0, 3])
    @pytest.mark.parametrize("jac", [g, None])
    def test_a_value(self, bad, when, jac):
        def fun(x):
            return bad if abs(x[0] - X0[0]) > (0.25 if when else -1) else f(x)

        result = run(fun, jac=jac, lr=0.1)
        assert (result.success, result.status, result.nit) == (False, 2, when)
        assert result.message == f"The value at step {when + 1} is {bad}; nothing was changed."
        assert result.fun == bad or math.isnan(bad)
        if when:
            assert result.fun_best == f(result.x_best)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_gradient(self, bad):
        result = run(jac=lambda x: np.array([0.0, bad, 0.0]))
        assert (result.success, result.status, result.nit) == (False, 2, 0)
        assert result.message.startswith("Gradient 'params' is not finite: [1] = ")

    @pytest.mark.parametrize("policy", [{}, {"on_nonfinite": "skip"}])
    def test_no_gradient_makes_it_a_success(self, policy):
        result = minimize(lambda x: math.nan, X0, jac=np.zeros_like, method=method(**policy))
        assert (result.success, result.status) == (False, 2)

    def test_a_gradient_beyond_the_dtype(self):
        result = run(x0=X0.astype("f4"), jac=lambda x: np.full(3, 1e300))
        assert (result.success, result.status) == (False, 2)

    def test_the_best_point_stays(self):
        """As the logarithm of a number that a step has made negative."""
        with np.errstate(invalid="ignore"):
            result = run(lambda x: float(np.log(x[0])), [0.25], jac=lambda x: 1 / x, rule="sgd", lr=0.1)
        assert math.isnan(result.fun)
        assert result.fun_best == math.log(result.x_best[0])


def wells(x):
    """Many of them, of which one is the deepest; from the documentation of basinhopping."""
    value = math.cos(14.5 * x[0] - 0.3) + (x[1] + 0.2) * x[1] + (x[0] + 0.2) * x[0]
    return value, np.array([-14.5 * math.sin(14.5 * x[0] - 0.3) + 2 * x[0] + 0.2, 2 * x[1] + 0.2])


@pytest.fixture(scope="module")
def deepest():
    """By a grid in x[0], and SciPy from there; x[1] does not depend on it."""
    grid = np.linspace(-3, 3, 60_001)
    start = grid[np.argmin([wells([x, -0.1])[0] for x in grid])]
    return minimize(wells, [start, -0.1], jac=True, method="BFGS").x


class TestGlobal:
    """Within SciPy's searches. The curvature at the minimum is 2 at least: |x - x*| <= |gradient| / 2."""

    def test_basinhopping(self, deepest):
        local = {"method": method(lr=0.02), "jac": True}
        results = [optimize.basinhopping(wells, [1.0, 1.0], niter=20, rng=2, minimizer_kwargs=local) for _ in range(2)]
        assert results[0].minimization_failures == 0
        assert np.linalg.norm(results[0].x - deepest) <= 2e-5
        assert bits(results[0].x) == bits(results[1].x)
        assert np.linalg.norm(minimize(wells, [1.0, 1.0], **local).x - deepest) > 0.3  # alone it ends in the next well

    @pytest.mark.parametrize("jac", [lambda x: wells(x)[1], None])
    def test_dual_annealing(self, deepest, jac):
        local = {"method": method(lr=0.02), "jac": jac, "bounds": [(-3, 3)] * 2, "options": {"maxiter": 1000}}
        result = optimize.dual_annealing(
            lambda x: wells(x)[0], [(-3, 3)] * 2, rng=0, maxiter=60, minimizer_kwargs=local
        )
        assert np.linalg.norm(result.x - deepest) <= 2e-5


class TestAutograd:
    """The formulas of autograd.misc.optimizers, written out, beside the rules that the page names for them."""

    def steps(self, formula, rule, start=None, **hyper):
        x, there = X0.copy(), X0.copy()
        opt = gs.Optimizer(x, rule, **hyper)
        if start is not None:
            opt.state["params"][f"{rule}.v"][...] = start
        m = v = np.full(3, 0.0 if start is None else start)
        for i in range(1, 60):
            m, v, update = formula(i, m, v, g(there))
            there = there - update
            opt.step(g(x))
            np.testing.assert_array_max_ulp(x, there, maxulp=256)  # a rounding or two in each step

    def test_adam(self):
        def formula(i, m, v, g):
            m, v = 0.8 * m + 0.2 * g, 0.99 * v + 0.01 * g**2
            return m, v, 0.1 * (m / (1 - 0.8**i)) / (np.sqrt(v / (1 - 0.99**i)) + 1e-6)

        self.steps(formula, "adam", lr=0.1, beta1=0.8, beta2=0.99, eps=1e-6)

    def test_sgd(self):
        def formula(i, m, v, g):
            m = 0.8 * m + (1 - 0.8) * g
            return m, v, 0.1 * m

        self.steps(formula, "momentum", lr=0.1 * (1 - 0.8), momentum=0.8)

    def test_rmsprop(self):
        def formula(i, m, v, g):
            v = 0.8 * v + (1 - 0.8) * g**2
            return m, v, 0.1 * g / (np.sqrt(v) + 1e-6)

        self.steps(formula, "rmsprop", start=1.0, lr=0.1, rho=0.8, eps=1e-6)
        own = X0.copy()
        gs.Optimizer(own, "rmsprop", lr=0.1, rho=0.8, eps=1e-6).step(g(X0))
        assert (np.abs(own - X0) > np.abs(formula(1, 0.0, 1.0, g(X0))[2])).all()  # larger than from 1

    def test_numbers_in_a_nest(self):
        with pytest.raises(gs.GradstepTypeError, match=r"write numpy\.array"):
            gs.Optimizer({"w": np.ones(2), "b": 1.0}, "adam")
        gs.Optimizer({"w": np.ones(2), "b": np.array(1.0)}, "adam")


# Each line of a table of docs/migrating/scipy.md, and the test that it rests on.
LINES = {
    "`fun`": TestFunctions.test_once_for_each_point,
    "`x0`": TestFunctions.test_the_dtype_of_x0,
    "`args`": TestFunctions.test_args,
    "`jac`, a function": TestFunctions.test_they_get_copies,
    "`jac=True`": TestFunctions.test_once_for_each_point_with_jac_true,
    "`jac=None`": TestDifferences.test_what_they_cost,
    '`jac="3-point"` and the like': TestDifferences.test_scipys_words_do_not_reach_a_method,
    "`hess`, `hessp`": TestWhatNoRuleUses.test_a_hessian_is_warned_of,
    "`bounds`": TestBounds.test_every_form,
    "`constraints`": TestWhatNoRuleUses.test_constraints_are_refused,
    "`callback(xk)`, `callback(intermediate_result)`": TestCallbacks.test_both_forms,
    "`tol`": TestTolerances.test_tol_is_gtol_as_for_bfgs,
    "`lr`, any hyperparameter": TestSteps.test_options_win_over_the_methods_own_and_are_not_kept,
    "`eps`": TestSteps.test_eps_is_the_rules,
    "`maxiter`": TestTolerances.test_maxiter_is_10_000,
    "`maxfev`": TestTolerances.test_maxfev,
    "`gtol`": TestTolerances.test_gtol_is_1e_5_and_of_the_largest_element,
    "`ftol`": TestTolerances.test_ftol,
    "`xtol`": TestTolerances.test_xtol,
    "`disp`": TestResult.test_disp,
    "`return_all`": TestResult.test_return_all,
    "any other": TestWhatNoRuleUses.test_unknown_options_are_warned_of,
    "`x`, `fun`, `jac`": TestResult.test_every_field,
    "`x_best`, `fun_best`, `t_best`": TestResult.test_the_best_point_where_the_last_is_worse,
    "`success`": TestResult.test_success_and_status_are_those_of_scipys_methods,
    "`status`": TestNotFinite.test_a_value,
    "`nit`, `nfev`, `njev`": TestDifferences.test_what_they_cost,
    "`hess_inv`": TestResult.test_every_field,
    "`adam(..., step_size, b1, b2, eps)`": TestAutograd.test_adam,
    "`sgd(..., step_size, mass)`": TestAutograd.test_sgd,
    "`rmsprop(..., step_size, gamma, eps)`": TestAutograd.test_rmsprop,
    "numbers at the ends of a nest": TestAutograd.test_numbers_in_a_nest,
}


def test_each_line_of_the_page_has_its_test():
    page = (Path(__file__).parents[2] / "docs/migrating/scipy.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.*?) \| .* \|$", page, flags=re.MULTILINE)
    assert [line for line in lines if line != "autograd"] == list(LINES)


class TestNumbersAndLengths:
    @pytest.mark.parametrize("maxiter", [1e1, np.float64(10), np.int32(10)])
    def test_whole_numbers_of_any_kind(self, maxiter):
        assert run(lr=0.01, maxiter=maxiter).nit == 10

    def test_infinity_is_no_limit(self):
        assert run(lr=0.1, maxiter=np.inf).success

    @pytest.mark.parametrize(
        "bounds", [[(0, 1)], [(0, 1)] * 4, [(0, 1), (0, 1), (0,)], [(0, 1), (0, 1, 2), (0, 1)], [0, 1, 2]], ids=repr
    )
    def test_a_wrong_number_of_bounds_is_told(self, bounds):
        with pytest.raises(gs.GradstepValueError, match=r"a pair \(low, high\) for each of the 3 elements") as error:
            run(lr=0.1, more={"bounds": bounds})
        assert clear(error)

    def test_pairs_are_scipys_where_ours_would_be_refused(self):
        """For every method of SciPy's they are pairs; here two lists, for two elements."""
        both = [
            minimize(lambda x: x @ x, [0.5, 0.6], jac=lambda x: 2 * x, method=how, bounds=([0, 0.1], [0.2, 1])).x
            for how in (method("adam", lr=0.05), "L-BFGS-B")
        ]
        assert np.allclose(*both, atol=1e-4)
