"""What is minimised, its gradient, and when everybody stops: a check from outside, so it shares no code."""

import numpy as np
from benchopt import BaseObjective
from benchopt.stopping_criterion import StoppingCriterion


class EqualBudget(StoppingCriterion):
    """Everybody is looked at after the same iterations, ``--max-runs`` times, whatever was reached."""

    def get_next_stop_val(self, stop_val):
        return min(super().get_next_stop_val(stop_val), stop_val + 50)


class Objective(BaseObjective):
    """f(w) = mean over i of log(1 + exp(-y_i x_i·w)) + lmbd/2 |w|², with y_i in {-1, 1}: lmbd-strongly convex."""

    name = "l2-logistic-regression"
    min_benchopt_version = "1.10"
    parameters = {"lmbd": [0.01]}
    sampling_strategy = "callback"
    stopping_criterion = EqualBudget()

    def set_data(self, x, y):
        self.x, self.y = x, y

    def value(self, w):
        return float(np.mean(np.logaddexp(0, -self.y * (self.x @ w)))) + self.lmbd / 2 * float(w @ w)

    def gradient(self, w):
        pull = np.exp(-np.logaddexp(0, self.y * (self.x @ w)))  # 1 / (1 + exp(margin)), which cannot overflow like this
        return self.lmbd * w - self.x.T @ (pull * self.y) / len(self.y)

    def get_objective(self):
        return {"value": self.value, "gradient": self.gradient, "n_features": self.x.shape[1]}

    def evaluate_result(self, w):
        gradient = self.gradient(w)
        # by strong convexity the optimum is no farther below than this
        return {"value": self.value(w), "gap_at_most": float(gradient @ gradient) / (2 * self.lmbd)}

    def get_one_result(self):
        return {"w": np.zeros(self.x.shape[1])}
