"""Evaluations of L-BFGS until the gradient's norm is reached: ours, SciPy's and torch's; a table for docs/runs.md.

``python benchmarks/lbfgs.py`` takes seconds, and needs SciPy, torch and scikit-learn.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize, rosen, rosen_der
from sklearn.datasets import load_digits

import gradstep as gs

MOST = 20_000


class ReachedError(Exception):
    """The gradient is small enough."""


class Counted:
    """An objective that counts its calls, and raises where the gradient is small enough."""

    def __init__(self, f: Callable[..., Any], tolerance: float) -> None:
        self.f, self.tolerance, self.calls = f, tolerance, 0

    def __call__(self, x: Any) -> Any:
        value, g = self.f(x)
        self.calls += 1
        if np.linalg.norm(g) <= self.tolerance:
            raise ReachedError
        return value, g


def by_scipy(f: Counted, x0: Any) -> None:
    options = {"maxcor": 10, "gtol": 0, "ftol": 0, "maxiter": MOST, "maxfun": MOST}
    minimize(f, x0, jac=True, method="L-BFGS-B", options=options)


def by_torch(f: Counted, x0: Any) -> None:
    x = torch.tensor(x0, requires_grad=True)
    most = {"max_iter": MOST, "max_eval": MOST, "tolerance_grad": 0, "tolerance_change": 0}
    opt = torch.optim.LBFGS([x], history_size=10, line_search_fn="strong_wolfe", **most)

    def closure() -> Any:
        value, g = f(x.detach().numpy())
        x.grad = torch.tensor(g)
        return torch.tensor(value)

    opt.step(closure)


def by_us(f: Counted, x0: Any) -> None:
    gs.minimize(f, x0, "lbfgs", max_evaluations=MOST)


def rosenbrock(x: Any) -> Any:
    return float(rosen(x)), rosen_der(x)


def quadratic() -> Callable[..., Any]:
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.standard_normal((50, 50)))
    h, b = q * np.geomspace(1, 1e6, 50) @ q.T, rng.standard_normal(50)
    return lambda x: (float(0.5 * x @ h @ x - b @ x), h @ x - b)


def digits() -> Callable[..., Any]:
    data = load_digits()
    x, y = np.c_[data.data / 16, np.ones(len(data.data))], np.eye(10)[data.target]

    def f(w: Any) -> Any:
        z = x @ w.reshape(65, 10)
        z -= z.max(1, keepdims=True)
        total = np.log(np.exp(z).sum(1, keepdims=True))
        value = -np.mean(np.sum(y * (z - total), 1)) + 5e-4 * w @ w
        return float(value), (x.T @ (np.exp(z - total) - y) / len(x)).ravel() + 1e-3 * w

    return f


PROBLEMS = {
    "Rosenbrock, 2, from (-1.2, 1), 1e-6": (rosenbrock, np.array([-1.2, 1.0]), 1e-6),
    "Rosenbrock, 100, from (-1.2, 1, ...), 1e-5": (rosenbrock, np.tile([-1.2, 1.0], 50), 1e-5),
    "a quadratic of 50, condition 1e6, 1e-2": (quadratic(), np.zeros(50), 1e-2),
    "logistic regression, digits, 1e-5": (digits(), np.zeros(650), 1e-5),
}


def main() -> None:
    print("| | Gradstep | SciPy's `L-BFGS-B` | `torch.optim.LBFGS`, strong Wolfe |", "|---|---|---|---|", sep="\n")
    for name, (f, x0, tolerance) in PROBLEMS.items():
        row = [name]
        for run in (by_us, by_scipy, by_torch):
            counted = Counted(f, tolerance)
            try:
                run(counted, x0)
                row.append(f"ended at {counted.calls}")
            except ReachedError:
                row.append(str(counted.calls))
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
