"""Any rule of Gradstep as an optimiser of PINTS, with its boundaries. Copy this file.

    pints.OptimisationController(error, x0, boundaries=box, method=optimiser("adam")).run()

``x0`` is of n numbers, in float64. As in PINTS' Adam the learning rate is the least of ``sigma0``, unless you give it.
Where a parameter stands at a boundary, a gradient that points outwards is taken as zero, so that averages don't fill
with it. A gradient that is not finite ends the run with an error, and nothing changed. Tried with PINTS 0.6.1.
"""

import numpy as np
import pints

import gradstep as gs


def optimiser(rule="adam", **hyper):
    """Return a class for PINTS' ``method=``; ``rule`` and ``hyper`` are those of :class:`gradstep.Optimizer`."""

    class Gradstep(pints.Optimiser):
        def __init__(self, x0, sigma0=0.1, boundaries=None):
            super().__init__(x0, sigma0, boundaries)
            rate = gs.conventions.rate_name(rule)
            self._x = np.array(self._x0)
            self.opt = gs.Optimizer(self._x, rule, **({rate: self._sigma0.min()} if rate else {}) | hyper)
            self._low, self._high = (boundaries.lower(), boundaries.upper()) if boundaries else (-np.inf, np.inf)
            self._here, self._best, self._running = (np.inf, self._x0), (np.inf, self._x0), False

        def ask(self):
            self._running = True
            self._here = np.inf, pints.vector(self.opt.ask())
            return [self._here[1]]

        def tell(self, reply):
            [(f, g)], x = reply, self._x
            g = np.where((x <= self._low) & (g > 0) | (x >= self._high) & (g < 0), 0.0, g)
            self.opt.tell(g, loss=f)
            np.clip(x, self._low, self._high, out=x)
            self._here = f, self._here[1]
            self._best = min(self._best, self._here, key=lambda point: point[0])

        f_best, x_best = (lambda self: self._best[0]), (lambda self: self._best[1])
        f_guessed, x_guessed = (lambda self: self._here[0]), (lambda self: self._here[1])
        name, running = (lambda self: f"Gradstep {rule}"), (lambda self: self._running)
        needs_sensitivities, n_hyper_parameters = (lambda self: True), (lambda self: 0)

    return Gradstep
