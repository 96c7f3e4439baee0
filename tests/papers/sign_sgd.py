"""signSGD: optax's sign_sgd, optax/_src/alias.py, which is scale_by_sign (optax/_src/transform.py) times -lr.

    theta_t = theta_{t-1} - lr sign(g_t),   sign(0) = 0

Named differences: none.
"""

from mpmath import sign

from .exact import exact

CITATION = "optax 0.2.8, sign_sgd (optax/_src/alias.py), after Bernstein et al. 2018, arXiv:1802.04434, Algorithm 1"
DEFAULTS = {"lr": 1e-3}  # the custom (optax has no default)


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr):
    theta = theta0
    for g in gradients:
        theta = theta - lr * sign(g)
        yield theta
