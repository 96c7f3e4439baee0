"""Any rule of Gradstep as the gradient optimizer of a pyribs emitter. Copy this file.

    GradientArborescenceEmitter(archive, x0=x0, sigma0=0.1, lr=0.01, grad_opt=Gradstep)

pyribs climbs: its gradients point uphill. ``theta`` is of n numbers, float32 or float64. Tried with pyribs 0.12.0.
"""

import numpy as np
from ribs.emitters.opt import GradientOptBase

import gradstep as gs


class Gradstep(GradientOptBase):
    """Climb by a rule; ``hyper`` are its hyperparameters, as for :class:`gradstep.Optimizer`."""

    def __init__(self, theta0, lr, rule="adam", **hyper):
        self._theta = np.array(theta0)
        self.opt = gs.Optimizer(self._theta, rule, **{gs.conventions.rate_name(rule) or "lr": lr}, **hyper)

    @property
    def theta(self):
        """Return a copy of the point."""
        return self._theta.copy()

    def reset(self, theta0):
        """Begin again at another point, with averages of zero."""
        self._theta[...] = theta0
        self.opt.reset()

    def step(self, gradient):
        """Go uphill by one step; refuse a gradient that is not finite, with nothing changed."""
        self.opt.step(-np.asarray(gradient, self._theta.dtype))
