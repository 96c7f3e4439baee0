"""MADGRAD. Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1, and the authors' code (facebookresearch/madgrad).

    lambda_k = gamma sqrt(k + 1),   k = 0, 1, ...
    s_{k+1}  = s_k + lambda_k g_k
    v_{k+1}  = v_k + lambda_k g_k^2
    z_{k+1}  = x_0 - s_{k+1} / (cbrt(v_{k+1}) + epsilon)
    x_{k+1}  = (1 - c) x_k + c z_{k+1}

Here momentum is 1 - c.

Named differences
- gamma is lr + eps where lr is not zero, as in the authors' code "for stability"; the paper has lr.
- c is constant.
"""

from mpmath import cbrt, mpf, sqrt

from .exact import exact, ratio

CITATION = "Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1"
DEFAULTS = {
    "lr": 1e-2,  # the authors' code, as all three
    "momentum": 0.9,
    "eps": 1e-6,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, eps):
    gamma, c = (lr + eps if lr != 0 else lr), 1 - momentum
    x, s, v = theta0, mpf(0), mpf(0)
    for k, g in enumerate(gradients):
        lambda_k = gamma * sqrt(mpf(k + 1))
        s = s + lambda_k * g
        v = v + lambda_k * g**2
        z = theta0 - ratio(s, cbrt(v) + eps)
        x = (1 - c) * x + c * z
        yield x
