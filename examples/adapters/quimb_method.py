"""Any rule of Gradstep as an optimizer of quimb, which goes on where its last call ended. Copy this file.

    tnopt = TNOptimizer(tn, loss_fn=loss, optimizer=Method("nadam", lr=0.05), autodiff_backend="autograd")
    tnopt.optimize(100)
    tnopt.optimize(100)                   # steps 101 to 200 of one run
    tnopt.optimizer.opt.save("nadam.safetensors")

It is also a ``method=`` of scipy.optimize.minimize. Without state between calls,
``gradstep.interop.scipy.method("nadam")`` is one, with tolerances too. Tried with quimb 1.16.0.
"""

import numpy as np
from scipy.optimize import OptimizeResult

import gradstep as gs

SCIPYS = ("constraints", "hess", "hessp", "tol")  # which no rule uses


class Method:
    """A rule with its state; ``rule`` and ``options`` are those of :class:`gradstep.Optimizer`."""

    def __init__(self, rule="adam", **options):
        self.rule, self.options, self.opt = rule, options, None

    def __call__(self, fun, x0, args=(), jac=None, bounds=None, callback=None, maxiter=1000, **hyper):
        """Make ``maxiter`` steps from ``x0``; a callback that returns True ends them. Return SciPy's result."""
        if self.opt is None:
            self.opt = gs.Optimizer(np.array(x0), self.rule, **self.options)
        x = self.opt.params
        x[...] = x0
        for key in hyper.keys() - set(SCIPYS):
            self.opt.hyper[key] = hyper[key]
        low, high = (-np.inf, np.inf) if bounds is None else np.asarray(bounds, x.dtype).T
        began = self.opt.t
        while self.opt.t < began + maxiter:
            f, g = fun(x.copy(), *args), np.asarray(jac(x.copy(), *args), x.dtype)
            g = np.where((x <= low) & (g > 0) | (x >= high) & (g < 0), x.dtype.type(0), g)
            self.opt.step(g, loss=f)
            np.clip(x, low, high, out=x)
            if callback is not None and callback(x.copy()):
                break
        made = self.opt.t - began
        return OptimizeResult(x=x.copy(), fun=fun(x.copy(), *args), nit=made, nfev=made + 1, success=True)
