"""LAMB as pytorch_optimizer 4.1.0 has it (optimizer/lamb.py), for one layer: an array is a list of numbers.

    m_t   = beta1 m_{t-1} + (1 - beta1) g_t
    v_t   = beta2 v_{t-1} + (1 - beta2) g_t^2
    u_t   = m_t / (sqrt(v_t) + eps)
    r_t   = min(||w_t||, 10) / (||u_t|| + eps),   1 where ||w_t|| or ||u_t|| is zero
    w_t+1 = w_t - lr / (1 - beta1^t) r_t u_t

Named differences from You et al. 2019 (lamb.py): v is not corrected, the norm of w is bounded, eps stands beside the
norm of the step as well, and the decay, which is decoupled, is not part of this.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "pytorch_optimizer 4.1.0, optimizer/lamb.py"
DEFAULTS = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-6,
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps):
    w, m, v = theta0, [mpf(0)] * len(theta0), [mpf(0)] * len(theta0)
    for t, g in enumerate(gradients, 1):
        m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * b**2 for a, b in zip(v, g, strict=True)]
        u = [a / (sqrt(b) + eps) for a, b in zip(m, v, strict=True)]
        r = min(norm(w), mpf(10)) / (norm(u) + eps) if norm(w) > 0 and norm(u) > 0 else mpf(1)
        w = [a - lr / (1 - beta1**t) * r * b for a, b in zip(w, u, strict=True)]
        yield w
