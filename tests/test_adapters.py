"""The adapters of examples/adapters, beside the Adam of the library that each is for, where that is installed."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs

FOLDER = Path(__file__).parents[1] / "examples/adapters"
CURVATURE, GOAL = np.array([1.0, 4.0, 0.25]), np.array([1.0, -2.0, 0.5])
# A library of others may warn of what it likes.
pytestmark = pytest.mark.filterwarnings("ignore")


def adapter(name, library, monkeypatch):
    pytest.importorskip(library, reason=f"{library} is not installed (pip install {library})")
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def value(x):
    return float(0.5 * (CURVATURE * (x - GOAL)) @ (x - GOAL))


def grad(x):
    return CURVATURE * (x - GOAL) + 0.1 * np.sin(20 * x)


def told(opt, steps):
    points = []
    for _ in range(steps):
        [x] = opt.ask()
        points.append(np.array(x))
        opt.tell([(value(x), grad(x))])
    return np.array(points)


def test_pints_adam(monkeypatch):
    ours = adapter("pints_optimiser", "pints", monkeypatch).optimiser("adam")(np.zeros(3), 0.05)
    import pints

    theirs = pints.Adam(np.zeros(3), 0.05)
    np.testing.assert_allclose(told(ours, 50), told(theirs, 50), rtol=1e-12, atol=1e-14)
    assert ours.f_best() == pytest.approx(theirs.f_best(), rel=1e-12)
    np.testing.assert_allclose(ours.x_best(), theirs.x_best(), rtol=1e-12)
    assert ours.f_guessed() == pytest.approx(theirs.f_guessed(), rel=1e-12)


def test_pints_boundaries_order_and_controller(monkeypatch):
    optimiser = adapter("pints_optimiser", "pints", monkeypatch).optimiser
    import pints

    box = pints.RectangularBoundaries([-1, -1, -1], [0.5, 1, 1])
    ours = optimiser("nadam", lr=0.05)(np.zeros(3), 0.1, box)
    points = told(ours, 400)
    assert (points >= box.lower()).all()
    assert (points <= box.upper()).all()
    np.testing.assert_allclose(points[-1][:2], [0.5, -1.0])
    with pytest.raises(gs.GradstepValueError, match="ask"):
        ours.tell([(1.0, np.zeros(3))])

    class Error(pints.ErrorMeasure):
        def n_parameters(self):
            return 3

        def __call__(self, x):
            return value(x)

        def evaluateS1(self, x):
            return value(x), CURVATURE * (x - GOAL)

    control = pints.OptimisationController(Error(), np.zeros(3), 0.05, method=optimiser("adam"))
    control.set_max_iterations(500)
    control.set_log_to_screen(False)
    x, f = control.run()
    np.testing.assert_allclose(x, GOAL, atol=1e-2)
    assert f == pytest.approx(value(x))


def fitted(optimiser, parameters, steps, **hyper):
    """Fit a decaying curve with PyBOP; return the result and the parameters of each evaluation."""
    import pybop

    times = np.linspace(0, 2, 40)

    class Decay(pybop.BaseSimulator):
        has_sensitivities = True

        def set_output_variables(self, target):
            pass

        def solve_batch(self, inputs, calculate_sensitivities=False):
            return [self.solved(x, np.exp(-x["rate"] * times)) for x in inputs]

        def solved(self, x, y):
            made = pybop.Solution(x)
            slopes = {"start": y, "rate": -x["start"] * times * y}
            made.set_solution_variable("Voltage [V]", data=x["start"] * y, sensitivities=slopes)
            return made

    data = pybop.Dataset({"Time [s]": times, "Voltage [V]": 2 * np.exp(-1.5 * times)})
    problem = pybop.Problem(Decay(pybop.Parameters(parameters)), pybop.SumSquaredError(data))
    made = optimiser(problem, pybop.PintsOptions(max_iterations=steps, max_unchanged_iterations=steps), **hyper)
    return made.run(), np.array(made._logger.x_model)


def test_pybop_adamw(monkeypatch):
    made = adapter("pybop_optimiser", "pybop", monkeypatch).Gradstep
    import pybop

    def start():
        return {
            "start": pybop.Parameter(pybop.Gaussian(1.0, 0.1), initial_value=1.0),
            "rate": pybop.Parameter(pybop.Gaussian(0.5, 0.1), initial_value=0.5),
        }

    _, ours = fitted(made, start(), 60, rule="adamw", weight_decay=0.01, eps=np.finfo(float).eps)
    _, theirs = fitted(pybop.AdamW, start(), 60)
    assert len(ours) == 61
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_pybop_bounds(monkeypatch):
    made = adapter("pybop_optimiser", "pybop", monkeypatch).Gradstep
    import pybop

    parameters = {
        "start": pybop.Parameter(initial_value=1.0, bounds=(0, 3)),
        "rate": pybop.Parameter(initial_value=0.5, bounds=(0, 1.2)),
    }
    result, points = fitted(made, parameters, 300, rule="nadam", lr=0.05)
    assert points[:, 1].max() == result.x[1] == 1.2
    assert result.x[0] == pytest.approx(1.7972394, abs=1e-6)  # the least squares with that rate


def test_pyribs_adam(monkeypatch):
    made = adapter("pyribs_optimizer", "ribs", monkeypatch).Gradstep
    from ribs.emitters.opt import AdamOpt

    ours, theirs = made(np.zeros(3), 0.05, rule="keras.Adam", epsilon=1e-8), AdamOpt(np.zeros(3), 0.05)
    for k in range(80):
        if k == 40:
            ours.reset(GOAL / 2)
            theirs.reset(GOAL / 2)
        np.testing.assert_allclose(ours.theta, theirs.theta, rtol=1e-12, atol=1e-14)
        for one in (ours, theirs):
            one.step(-grad(one.theta))


def test_pyribs_emitter(monkeypatch):
    made = adapter("pyribs_optimizer", "ribs", monkeypatch).Gradstep
    from ribs.archives import GridArchive
    from ribs.emitters import GradientArborescenceEmitter

    archive = GridArchive(solution_dim=3, dims=[10, 10], ranges=[(-3, 3), (-3, 3)])
    emitter = GradientArborescenceEmitter(
        archive, x0=np.zeros(3), sigma0=0.1, lr=0.1, grad_opt=made, grad_opt_kwargs={"rule": "lion"}, seed=0
    )
    for _ in range(5):
        x = emitter.ask_dqd()
        jacobian = np.stack([-CURVATURE * (x - GOAL), np.eye(3)[[0]], np.eye(3)[[1]]], axis=1)
        given = {"objective": np.array([-value(x[0])]), "measures": x[:, :2]}
        emitter.tell_dqd(x, **given, jacobian=jacobian, add_info=archive.add(x, **given))
        x = emitter.ask()
        given = {"objective": np.array([-value(one) for one in x]), "measures": x[:, :2]}
        emitter.tell(x, **given, add_info=archive.add(x, **given))
    assert archive.stats.num_elites > 1


def test_quimb_adam_goes_on_where_it_ended(monkeypatch):
    made = adapter("quimb_method", "quimb", monkeypatch).Method
    from quimb.tensor.optimize import ADAM
    from scipy.optimize import minimize

    ours, theirs, ends = made("adam"), ADAM(), []
    for method, rate in ((ours, "lr"), (theirs, "learning_rate")):
        x = np.zeros(3)
        for _ in range(3):
            x = minimize(value, x, jac=grad, method=method, options={"maxiter": 20, rate: 0.05}).x
        ends.append(x)
    np.testing.assert_allclose(*ends, rtol=1e-12)
    assert ours.opt.t == 60
    bounded = minimize(value, np.zeros(3), jac=grad, method=made("adam", lr=0.05), bounds=[(-1, 0.5)] * 3)
    np.testing.assert_allclose(bounded.x[:2], [0.5, -1.0])


def test_quimb_network(monkeypatch):
    made = adapter("quimb_method", "quimb", monkeypatch).Method
    pytest.importorskip("autograd", reason="autograd is not installed")
    import quimb.tensor as qtn

    goal = qtn.MPS_rand_state(4, bond_dim=2, seed=0)
    tnopt = qtn.TNOptimizer(
        qtn.MPS_rand_state(4, bond_dim=2, seed=1),
        loss_fn=lambda mps: 1 - abs((mps.H & goal).contract(all)) ** 2 / (mps.H & mps).contract(all),
        optimizer=made("adam", lr=0.05),
        autodiff_backend="autograd",
        progbar=False,
    )
    tnopt.optimize(40)
    first = tnopt.loss
    tnopt.optimize(40)
    assert tnopt.loss < first < 0.5
    assert tnopt.optimizer.opt.t == 80
