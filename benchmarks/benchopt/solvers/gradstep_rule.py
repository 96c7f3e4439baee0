import numpy as np
from benchopt import BaseSolver

import gradstep as gs
from gradstep.rule import registry


class Solver(BaseSolver):
    """Any rule of Gradstep's by its name."""

    name = "gradstep"
    parameters = {"rule": list(registry()), "lr": [0.01, 0.1, 0.5]}

    def set_objective(self, value, gradient, n_features):
        self.gradient, self.n_features = gradient, n_features

    def warm_up(self):
        self.run_once(2)  # compiles the step

    def run(self, callback):
        self.w = np.zeros(self.n_features)
        opt = gs.Optimizer(self.w, self.rule, lr=self.lr)
        while callback():
            opt.step(self.gradient(self.w))

    def get_result(self):
        return {"w": self.w}
