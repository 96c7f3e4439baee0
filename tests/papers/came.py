"""CAME. Luo et al. 2023 (ACL), arXiv:2307.02047, Algorithm 2, and the authors' code (yangluo7/CAME, came.py).

    R_t, C_t of G_t^2 + eps1 with beta2, as Adafactor's; V_t = R_t C_t / mean(R_t)
    U_t    = G_t / sqrt(V_t),   Uhat_t = U_t / max(1, RMS(U_t) / clip)
    M_t    = beta1 M_{t-1} + (1 - beta1) Uhat_t
    r_t, c_t of (Uhat_t - M_t)^2 + eps2 with beta3;   S_t = r_t c_t / mean(r_t)
    X_t    = X_{t-1} - lr weight_decay X_{t-1} - lr M_t / sqrt(S_t)

Named differences
- Means in the place of sums, which is the same: V and S are quotients.
- A vector (a matrix of one column) has V whole and no S: X_t = X_{t-1} - lr M_t, as in the authors' code; the paper
  has matrices alone.
- The decay is decoupled, as in the authors' code.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import Factored, combined, each, rms

CITATION = "Luo et al. 2023, arXiv:2307.02047, Algorithm 2"
DEFAULTS = {
    "lr": 2e-4,  # the authors' examples
    "beta1": 0.9,  # the authors' code, as what follows
    "beta2": 0.999,
    "beta3": 0.9999,
    "eps1": 1e-30,
    "eps2": 1e-16,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, beta3, eps1, eps2, clip, weight_decay):
    shape = len(theta0), len(theta0[0])
    x, m, second, spread = theta0, combined((mpf(0), theta0)), Factored(*shape), Factored(*shape)
    for g in gradients:
        second.add(each(lambda a: a**2 + eps1, g), beta2)
        u = each(lambda a, v: a / sqrt(v), g, second.estimate())
        u = combined((1 / max(mpf(1), rms(u) / clip), u))
        m = combined((beta1, m), (1 - beta1, u))
        spread.add(each(lambda a, b: (a - b) ** 2 + eps2, u, m), beta3)
        step = m if shape[1] == 1 else each(lambda a, s: a / sqrt(s), m, spread.estimate())
        x = combined((1 - lr * weight_decay, x), (-lr, step))
        yield x
