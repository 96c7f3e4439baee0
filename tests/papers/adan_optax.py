"""Adan as optax 0.2.8 has it (optax/_src/alias.py, adan; optax/_src/transform.py, scale_by_adan): adan.py's, with

- 1 - beta2 in front of the gradients' difference, in both places, where the paper (its betas are the complements of
  the code's) and the authors have beta2;
- eps_root added to the corrected n_t within the root.

Its decay goes into the step and is another stage's business.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py, scale_by_adan"
DEFAULTS = {
    "lr": 1e-3,  # optax has no default
    "beta1": 0.98,
    "beta2": 0.92,
    "beta3": 0.99,
    "eps": 1e-8,
    "eps_root": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, beta3, eps, eps_root):
    theta, m, v, n = theta0, mpf(0), mpf(0), mpf(0)
    for k, g in enumerate(gradients, 1):
        change = g - gradients[max(k - 2, 0)]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * change
        n = beta3 * n + (1 - beta3) * (g + (1 - beta2) * change) ** 2
        top = m / (1 - beta1**k) + (1 - beta2) * v / (1 - beta2**k)
        theta = theta - lr * top / (sqrt(n / (1 - beta3**k) + eps_root) + eps)
        yield theta
