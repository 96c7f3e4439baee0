"""L-BFGS: against matrices, SciPy and torch; refusals, limits, odd values; what it keeps."""

import math
from itertools import pairwise

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop.lbfgs import Pair, _times_inverse_hessian
from gradstep.loop.line_search import Trial, search
from loop.cases import bowl, fit, never, valley
from support import bits

scipy_optimize = pytest.importorskip("scipy.optimize")


class Counted:
    """An objective, with the points at which it was called; ends by an error where the gradient is small enough."""

    def __init__(self, f, until=0.0):
        self.f, self.until, self.values = f, until, []

    def __call__(self, x):
        value, g = self.f(np.asarray(x))
        self.values.append(value)
        if self.until and np.linalg.norm(g) <= self.until:
            raise StopIteration
        return value, g


def quadratic(n=30, condition=1e4):
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    h = q * np.geomspace(1, condition, n) @ q.T
    b = rng.standard_normal(n)
    return lambda x: (float(0.5 * x @ h @ x - b @ x), h @ x - b)


def digits():
    """Logistic regression on the digits, with a penalty."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    x, y = np.c_[data.data / 16, np.ones(len(data.data))][::4], np.eye(10)[data.target][::4]

    def f(w):
        w = w.reshape(65, 10)
        z = x @ w
        z -= z.max(1, keepdims=True)
        total = np.log(np.exp(z).sum(1, keepdims=True))
        g = x.T @ (np.exp(z - total) - y) / len(x) + 1e-3 * w
        return float(-np.mean(np.sum(y * (z - total), 1)) + 5e-4 * np.sum(w * w)), g.ravel()

    return f


PROBLEMS = {
    "rosenbrock": (valley, np.array([-1.2, 1.0]), 1e-6),
    "rosenbrock of 100": (valley, np.tile([-1.2, 1.0], 50), 1e-4),
    "quadratic": (quadratic(), np.zeros(30), 1e-3),
    "digits": (digits, np.zeros(650), 1e-4),
}


def by_scipy(f, x0, tolerance):
    counted = Counted(f, tolerance)
    try:
        options = {"maxcor": 10, "gtol": 0, "ftol": 0, "maxiter": 10**5, "maxfun": 10**5}
        scipy_optimize.minimize(counted, x0, jac=True, method="L-BFGS-B", options=options)
    except StopIteration:
        return len(counted.values)
    return math.inf


def by_torch(f, x0, tolerance):
    torch = pytest.importorskip("torch")
    counted, x = Counted(f, tolerance), torch.tensor(x0, requires_grad=True)
    most = {"max_iter": 5000, "max_eval": 10000, "tolerance_grad": 0, "tolerance_change": 0}
    opt = torch.optim.LBFGS([x], history_size=10, line_search_fn="strong_wolfe", **most)

    def closure():
        value, g = counted(x.detach().numpy())
        x.grad = torch.tensor(g)
        return torch.tensor(value)

    try:
        opt.step(closure)
    except StopIteration:
        return len(counted.values)
    return math.inf


@pytest.mark.parametrize("name", PROBLEMS)
def test_as_few_evaluations_as_scipy_and_torch(name):
    f, x0, tolerance = PROBLEMS[name]
    f = f() if f is digits else f
    counted = Counted(f)
    result = gs.minimize(counted, x0, "lbfgs", grad_norm=tolerance)
    assert result.success
    assert result.nfev == len(counted.values)
    assert np.linalg.norm(f(result.x)[1]) <= tolerance
    best = min(by_scipy(f, x0, tolerance), by_torch(f, x0, tolerance))
    assert result.nfev <= 1.5 * best, (result.nfev, best)


# ---- its two halves


def test_two_loops_are_the_matrices_of_bfgs():
    """Equation 6.17 of Nocedal & Wright with whole matrices."""
    rng = np.random.default_rng(1)
    n, pairs = 6, []
    h = rng.standard_normal((n, n))
    h = h @ h.T + np.eye(n)
    for _ in range(4):
        s = rng.standard_normal(n)
        pairs.append(Pair(s, h @ s))
    s, y = pairs[-1]
    inverse = np.eye(n) * (s @ y) / (y @ y)
    for s, y in pairs:
        rho = 1 / (s @ y)
        left = np.eye(n) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    g = rng.standard_normal(n)
    assert np.allclose(_times_inverse_hessian(pairs, g), inverse @ g, rtol=1e-12, atol=0)
    assert _times_inverse_hessian((), g) is g


LINES = {  # phi, phi': the functions of Moré & Thuente 1994, and some with edges
    "1": (lambda a: -a / (a * a + 2), lambda a: (a * a - 2) / (a * a + 2) ** 2),
    "2": (lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4, lambda a: 5 * (a + 0.004) ** 4 - 8 * (a + 0.004) ** 3),
    "barrier": (lambda a: -math.log(2 - a) - 5 * a if a < 2 else math.nan, lambda a: 1 / (2 - a) - 5 if a < 2 else 1.0),
    "far": (lambda a: (a - 1e4) ** 2, lambda a: 2 * (a - 1e4)),
    "waves": (lambda a: math.cos(3 * a) + 0.02 * a * a - 2 * a, lambda a: -3 * math.sin(3 * a) + 0.04 * a - 2),
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 1.99, 10.0, 1e3])
@pytest.mark.parametrize("c2", [0.1, 0.9])
def test_the_line_search_meets_both_conditions(name, first, c2):
    value, slope = LINES[name]
    start, c1 = Trial(0.0, value(0.0), slope(0.0)), 1e-4

    def phi(a):
        v = value(a)
        v = v if math.isfinite(v) else math.inf
        return Trial(a, v, slope(a), v <= start.value + c1 * a * start.slope)

    end = search(phi, start, first, c2, 40)
    assert end.value <= start.value + c1 * end.alpha * start.slope
    assert abs(end.slope) <= c2 * abs(start.slope)


def test_a_line_that_only_rises_has_no_end():
    assert search(lambda a: Trial(a, a, 1.0, falls=False), Trial(0.0, 0.0, -1.0), 1.0, 0.9, 30) is None


# ---- a run


def test_steps_fall_and_have_what_steps_have():
    run = gs.Run(valley, np.array([-1.2, 1.0, 0.5]), "lbfgs", grad_norm=1e-8)
    steps = list(run)
    values = [step.value for step in steps]
    assert all(a > b for a, b in pairwise(values))
    assert [step.t for step in steps] == list(range(1, len(steps) + 1))
    assert steps[0].grad_norm == pytest.approx(np.linalg.norm(valley(np.array([-1.2, 1.0, 0.5]))[1]), rel=1e-15)
    assert all(0 < step.update_ratio < 10 and math.isnan(step.lr) for step in steps)
    assert steps[-1].evaluations < run.evaluations <= 80
    assert run.best_t == run.t
    assert np.allclose(run.params, 1.0, atol=1e-8)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nests_and_dtypes(dtype):
    scale = np.array([1.0, 30.0, 0.5], dtype)

    def f(params):
        a, b = params["a"] - 1, params["b"][0] * scale - 2
        return float(a * a + b @ b), {"a": 2 * a, "b": [2 * scale * b]}

    x0 = {"a": np.zeros((), dtype), "b": [np.zeros(3, dtype)]}
    result = gs.minimize(f, x0, gs.lbfgs(memory=5), grad_norm=1e-3)
    assert result.success
    assert result.x["a"].dtype == result.x["b"][0].dtype == dtype
    assert np.allclose(result.x["b"][0] * scale, 2, rtol=1e-4)


def test_two_dtypes_in_one_nest_and_what_is_frozen():
    def f(params):
        a, b = params["a"] - 1, params["b"] * params["fixed"] - 2
        return float((a * a).sum() + (b * b).sum()), {"a": 2 * a, "b": (2 * params["fixed"] * b).astype("f4")}

    x0 = {"a": np.zeros(2), "b": np.zeros(2, "f4"), "fixed": np.array([1.0, 3.0])}
    run = gs.Run(f, x0, "lbfgs", groups={"fixed": "freeze"}, grad_norm=1e-5)
    list(run)
    assert run.reason.kind == "converged"
    assert run.params["fixed"].tolist() == [1.0, 3.0]
    assert np.allclose(run.params["b"], [2, 2 / 3], atol=1e-5)


def test_torchs_tensors():
    torch = pytest.importorskip("torch")

    def f(x):
        value, g = valley(x.detach().numpy())
        return value, torch.tensor(g)

    run = gs.Run(f, torch.tensor([-1.2, 1.0], dtype=torch.float64), "lbfgs", grad_norm=1e-6)
    list(run)
    same = gs.Run(valley, np.array([-1.2, 1.0]), "lbfgs", grad_norm=1e-6)
    list(same)
    assert bits(run.params.numpy()) == bits(same.params)
    assert run.evaluations == same.evaluations


def test_the_value_made_large():
    def f(x):
        value, g = bowl(x)
        return -value, -g

    run, down = (gs.Run(g, np.zeros(3), "lbfgs", mode=m, max_steps=4) for g, m in ((f, "max"), (bowl, "min")))
    list(run)
    list(down)
    assert bits(run.params) == bits(down.params)
    assert run.best_value == -down.best_value


def test_a_gradient_whose_array_is_used_again():
    buffer = np.zeros(3)

    def f(x):
        value, buffer[:] = valley(x)
        return value, buffer

    run, plain = (gs.Run(g, np.array([2.0, 2.0, -1.0]), "lbfgs", max_steps=20) for g in (f, valley))
    list(run)
    list(plain)
    assert bits(run.params) == bits(plain.params)


@pytest.mark.parametrize("bad", [math.nan, math.inf, "gradient"])
def test_it_backs_off_from_what_is_not_finite(bad):
    """log(x) beyond 0, where the first step leads."""

    def f(x):
        if np.any(x <= 0):
            return (0.0, np.full(2, np.nan)) if bad == "gradient" else (bad, np.zeros(2))
        return float(np.sum(x - 1e-3 * np.log(x))), 1 - 1e-3 / x

    result = gs.minimize(f, np.array([0.5, 0.2]), "lbfgs", grad_norm=1e-8)
    assert result.success
    assert np.allclose(result.x, 1e-3, rtol=1e-5)


def test_not_finite_at_the_start():
    result = gs.minimize(lambda x: (math.nan, x), np.ones(2), "lbfgs")
    assert (result.status, result.success, result.nfev) == (2, False, 1)


@pytest.mark.parametrize("n", range(1, 12))
def test_evaluations_are_limited_within_a_search_too(n):
    counted = Counted(valley)
    result = gs.minimize(counted, np.array([-1.2, 1.0]), "lbfgs", max_evaluations=n, grad_norm=1e-12)
    assert len(counted.values) == result.nfev == n
    assert (result.status, result.success) == (1, False)
    assert result.fun <= counted.values[0]


def test_it_ends_at_the_precision_of_the_value_or_says_that_it_is_stuck():
    result = gs.minimize(digits(), np.zeros(650), "lbfgs")
    assert result.success
    assert result.message == "The value can decrease by no more than its rounding error."
    assert np.linalg.norm(result.jac) < 1e-6

    def wrong(x):
        value, g = bowl(x)
        return value, -g

    result = gs.minimize(wrong, np.zeros(3), "lbfgs")
    assert (result.success, result.status, result.nit) == (False, 4, 0)
    assert "found no lower value" in result.message
    flat = gs.minimize(lambda x: (1.0, 0 * x), np.ones(2), "lbfgs")
    assert (flat.success, flat.nfev) == (True, 1)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_small_valley_under_a_large_value(dtype):
    """The value's rounding is that of its own dtype, here always float64, and not of the parameters'."""

    def f(x):
        value, g = valley(x.astype("f8"))
        return value + 1000.0, g.astype(x.dtype)

    result = gs.minimize(f, np.array([-1.2, 1.0], dtype), "lbfgs")
    assert result.success
    assert result.nfev < 120
    assert np.allclose(result.x, 1.0, atol=1e-3 if dtype == "f4" else 1e-6)


def test_a_value_of_float32_ends_within_a_few_of_its_roundings():
    exact = digits()

    def f(w):
        value, g = exact(w.astype("f8"))
        return float(np.float32(value)), g.astype("f4")

    result = gs.minimize(f, np.zeros(650, "f4"), "lbfgs")
    assert result.success
    least = gs.minimize(exact, np.zeros(650), "lbfgs").fun
    assert result.fun <= least * (1 + 20 * 2.0**-23)


def test_parameters_that_are_changed_between_steps_are_evaluated_anew():
    counted = Counted(bowl)
    run = gs.Run(counted, np.zeros(3), "lbfgs", max_steps=3)
    for step in run:
        if step.t == 1:
            run.params[...] = [1.0, 1.0, 1.0]
    assert bowl(np.ones(3))[0] in counted.values
    assert run.evaluation().value == bowl(run.params)[0]


# ---- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batches": gs.Batches(4, 2)}, "batches: lbfgs compares values, and with batches they may be random"),
        ({"rng": np.random.default_rng(0)}, "rng: lbfgs compares values"),
        ({"bounds": (0, 1)}, "bounds: lbfgs has no bounds; take a rule, such as adam, or scipy"),
        ({"project": lambda x: None}, "project: lbfgs would leave its line"),
        ({"lr": 0.1}, "lbfgs has no lr: its line search finds the length"),
        ({"beta1": 0.1}, "lbfgs: unknown hyperparameter 'beta1'; known: memory, c1, c2, max_search"),
        ({"memory": 0}, "lbfgs: memory"),
        ({"c1": 0.95}, "0 < c1 < c2 < 1 is needed, not c1=0.95 and c2=0.9"),
        ({"state_dtype": "8bit"}, "state_dtype: lbfgs keeps its memory in the dtype of the parameters"),
        ({"groups": {"*": {"lr": 0.1}}}, 'groups: lbfgs moves all parameters together; .* can be "freeze" alone'),
        ({"rule": gs.lbfgs(), "memory": 3}, r"memory is given beside lbfgs\(...\); give it inside"),
        ({"x0": np.zeros(2, "f2")}, "lbfgs is for parameters of float32 and float64"),
        ({"x0": np.zeros(2, "c16")}, "lbfgs is for parameters of float32 and float64"),
    ],
)
def test_what_makes_no_sense_is_refused(options, says):
    with pytest.raises(gs.GradstepError, match=says):
        gs.Run(**{"value_and_grad": never, "x0": np.zeros(2), "rule": "lbfgs"} | options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gs.Optimizer(np.zeros(2), "lbfgs"),
        lambda: gs.interop.scipy.method("lbfgs"),
    ],
)
def test_elsewhere_it_is_told_where_it_belongs(make):
    with pytest.raises(gs.GradstepError, match=r"lbfgs is no rule, .* use it with gs.minimize"):
        make()


@pytest.mark.parametrize("name", ["BFGS", "L-BFGS-B", "l-bfgs"])
def test_scipys_names_lead_to_ours(name):
    with pytest.raises(gs.GradstepValueError, match=f"there is no '{name}'; .* have 'lbfgs', without bounds"):
        gs.minimize(never, np.zeros(2), method=name)


def test_the_checkpoint_of_another_run_is_refused(tmp_path):
    path, other = tmp_path / "lbfgs.safetensors", tmp_path / "sgd.safetensors"
    run, sgd = (gs.Run(valley, np.zeros(3), rule, max_steps=3) for rule in ("lbfgs", "sgd"))
    for one, file in ((run, path), (sgd, other)):
        list(one)
        one.save(file)
    before = bits(run.params)
    with pytest.raises(gs.CheckpointError, match="was not made by lbfgs"):
        run.restore(other)
    with pytest.raises(gs.CheckpointError, match="was made by lbfgs"):
        sgd.restore(path)
    assert bits(run.params) == before
    fewer = gs.Run(valley, np.zeros(3), "lbfgs", memory=1, max_steps=30)
    fewer.restore(path)
    list(fewer)
    assert fewer.t == 30 or fewer.reason.kind == "converged"


def test_batches_are_refused_before_they_are_drawn():
    with pytest.raises(gs.GradstepValueError, match="batches"):
        gs.Run(fit, np.zeros(3), "lbfgs", batches=never)
