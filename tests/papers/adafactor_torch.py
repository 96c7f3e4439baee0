"""Adafactor as torch 2.13 has it (torch/optim/_adafactor.py): adafactor.py's, with

- eps1 not added to the squares: it is the least that the mean of R counts, and its square the least of the estimate;
- a decoupled decay, theta - lr weight_decay theta, after alpha_t has been taken and before the step.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, mean, rms

CITATION = "torch 2.13, torch/optim/_adafactor.py"
DEFAULTS = {
    "lr": 1e-2,
    "decay_rate": 0.8,
    "eps1": 2.0**-52,  # None: that of the parameters' dtype, here of float64
    "eps2": 1e-3,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, eps1, eps2, clip, weight_decay):
    x, second = theta0, Factored(len(theta0), len(theta0[0]))
    for t, g in enumerate(gradients, 1):
        alpha = max(eps2, rms(x)) * min(lr, 1 / sqrt(mpf(t)))
        x = each(lambda a: a - lr * weight_decay * a, x)
        second.add(each(lambda a: a**2, g), 1 - mpf(t) ** -decay_rate)
        if len(x[0]) == 1:
            estimate = [[a] for a in second.rows]
        else:
            scale = max(mean(second.rows), eps1)
            estimate = [[r * c / scale for c in second.columns] for r in second.rows]
        u = each(lambda a, v: a / sqrt(max(v, eps1**2)), g, estimate)
        shorter = max(1, rms(u) / clip)
        x = combined((mpf(1), x), (-alpha / shorter, u))
        yield x
