import numpy as np
from benchopt import BaseSolver
from scipy.optimize import minimize


class Solver(BaseSolver):
    """The reference: SciPy's L-BFGS, until it can do no better."""

    name = "scipy-lbfgs"

    def set_objective(self, value, gradient, n_features):
        self.value, self.gradient, self.n_features = value, gradient, n_features

    def run(self, callback):
        def each(intermediate_result):
            self.w = intermediate_result.x
            if not callback():
                raise StopIteration

        self.w = np.zeros(self.n_features)
        if callback():
            exact = {"gtol": 0, "ftol": 0, "maxiter": 10_000}
            minimize(self.value, self.w, jac=self.gradient, method="L-BFGS-B", callback=each, options=exact)

    def get_result(self):
        return {"w": self.w}
