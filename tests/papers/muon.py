"""Muon. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, and his repository (KellerJordan/Muon).

    B_t = mu B_{t-1} + (1 - mu) G_t
    U_t = mu B_t + (1 - mu) G_t                                   (Nesterov)
    X_0 = U_t / (||U_t|| + eps), transposed where it has more rows than columns
    X_{k+1} = a X_k + (b A + c A^2) X_k,   A = X_k X_k^T,   (a, b, c) = (3.4445, -4.7750, 2.0315), five times
    theta_t = theta_{t-1} - lr wd theta_{t-1} - lr sqrt(max(1, rows / columns)) X_5, transposed back

Named differences: the author computes X in bfloat16, here it is exact; an array of one axis is a matrix of one column,
which he does not hand in.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, newton_schulz, norm

CITATION = "Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/"
DEFAULTS = {
    "lr": 0.02,
    "momentum": 0.95,
    "weight_decay": 0.0,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, eps):
    theta, rows, columns = theta0, len(theta0), len(theta0[0])
    buffer = combined((mpf(0), theta0))
    for g in gradients:
        buffer = combined((momentum, buffer), (1 - momentum, g))
        u = combined((momentum, buffer), (1 - momentum, g))
        x = newton_schulz(u, norm(u) + eps)
        scale = lr * sqrt(max(mpf(1), mpf(rows) / columns))
        theta = combined((1 - lr * weight_decay, theta), (-scale, x))
        yield theta
