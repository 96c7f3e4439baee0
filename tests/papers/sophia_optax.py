"""Sophia as optax 0.2.8 has it (optax/contrib/_sophia.py): sophia.py's, with three differences.

- m_t is divided by 1 - beta1^t.
- The bound of a step is a number, clip (clip_threshold).
- A step takes h_{t-1}: the estimate of this step enters h after it. So the first steps divide by epsilon.
"""

from mpmath import mpf

from .exact import exact

CITATION = "optax 0.2.8, optax/contrib/_sophia.py"
DEFAULTS = {
    "lr": 1e-4,  # optax has no default
    "beta1": 0.965,
    "beta2": 0.99,
    "gamma": 0.01,
    "eps": 1e-8,
    "k": 10,
    "clip": 1.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, curvature, lr, beta1, beta2, gamma, eps, k, clip):
    theta, m, h = theta0, mpf(0), mpf(0)
    for t, (g, estimate) in enumerate(zip(gradients, curvature, strict=True), 1):
        m = beta1 * m + (1 - beta1) * g
        step = m / (1 - beta1**t) / max(gamma * h, eps)
        theta = theta - lr * min(max(step, -clip), clip)
        if (t - 1) % k == 0:
            h = beta2 * h + (1 - beta2) * estimate
        yield theta
