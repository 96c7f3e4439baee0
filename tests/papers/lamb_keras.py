"""LAMB as Keras 3.15 has it (keras/src/optimizers/lamb.py): lamb.py's, with

- the decay theta - lr weight_decay theta before all else, which has no part in the step that the ratio scales;
- eps 1e-7.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Keras 3.15, keras/src/optimizers/lamb.py"
DEFAULTS = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-7,
    "weight_decay": 0.0,
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    x, m, v = theta0, [mpf(0)] * len(theta0), [mpf(0)] * len(theta0)
    for t, g in enumerate(gradients, 1):
        x = [a - lr * weight_decay * a for a in x]
        m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * b**2 for a, b in zip(v, g, strict=True)]
        u = [a / (1 - beta1**t) / (sqrt(b / (1 - beta2**t)) + eps) for a, b in zip(m, v, strict=True)]
        trust = norm(x) / norm(u) if norm(x) > 0 and norm(u) > 0 else 1
        x = [a - lr * trust * b for a, b in zip(x, u, strict=True)]
        yield x
