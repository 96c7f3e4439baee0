import numpy as np
from benchopt import BaseSolver

import gradstep as gs
from gradstep.conventions import constructor


class Solver(BaseSolver):
    """Another library's optimizer as Gradstep has it, by that library's name for it; the library need not be there."""

    name = "gradstep-convention"
    parameters = {"constructor": ["torch.Adam", "optax.adam", "keras.Adam"], "lr": [0.1]}

    def set_objective(self, value, gradient, n_features):
        self.gradient, self.n_features = gradient, n_features

    def warm_up(self):
        self.run_once(2)  # compiles the step

    def run(self, callback):
        self.w = np.zeros(self.n_features)
        # lr or learning_rate: with each of them the first argument
        opt = gs.Optimizer(self.w, constructor(self.constructor)(self.lr))
        while callback():
            opt.step(self.gradient(self.w))

    def get_result(self):
        return {"w": self.w}
