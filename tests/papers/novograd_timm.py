"""NovoGrad as timm 1.0.31 has it (timm/optim/nvnovograd.py), for one layer: an array is a list of numbers.

Named difference from Ginsburg et al. 2019 (novograd.py): v_1 is the square of the first gradient that is not zero, for
v = 0 tells that there was none yet. What came before it has moved m by the decay alone.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "timm 1.0.31, timm/optim/nvnovograd.py"
DEFAULTS = {
    "lr": 1e-3,
    "beta1": 0.95,
    "beta2": 0.98,
    "eps": 1e-8,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    w, m, v = theta0, [mpf(0)] * len(theta0), mpf(0)
    for g in gradients:
        square = sum((b**2 for b in g), mpf(0))
        v = square if v == 0 else beta2 * v + (1 - beta2) * square
        m = [beta1 * a + (b / (sqrt(v) + eps) + weight_decay * x) for a, b, x in zip(m, g, w, strict=True)]
        w = [x - lr * a for x, a in zip(w, m, strict=True)]
        yield w
