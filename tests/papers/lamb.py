"""LAMB. You et al. 2020 (ICLR), arXiv:1904.00962, Algorithm 2, for one layer: an array is a list of numbers.

    m_t     = beta1 m_{t-1} + (1 - beta1) g_t
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    m_t     = m_t / (1 - beta1^t)
    v_t     = v_t / (1 - beta2^t)
    r_t     = m_t / (sqrt(v_t) + epsilon)
    x_{t+1} = x_t - eta_t phi(||x_t||) / ||r_t + lambda x_t|| (r_t + lambda x_t)

Named differences
- phi is the identity (the paper's own choice in its experiments, section 4, is z itself for z in a wide range).
- The corrected averages do not take the place of the averages, as they do in the printed algorithm: with them in place
  the second step would correct twice. Adam, to which the paper refers, keeps both.
- Where a norm is zero the paper divides by zero, or never leaves zero; the quotient is one there, as in the authors'
  code (arXiv:1904.00962v1 and google-research/bert's LAMB) and optax 0.2.8.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "You et al. 2020, arXiv:1904.00962, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the paper tunes it
    "beta1": 0.9,  # section 4
    "beta2": 0.999,
    "eps": 1e-6,
    "weight_decay": 1e-2,  # section 4: lambda = 0.01
}


def norm(values):
    return sqrt(sum(value**2 for value in values))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    x, m, v = theta0, [mpf(0)] * len(theta0), [mpf(0)] * len(theta0)
    for t, g in enumerate(gradients, 1):
        m = [beta1 * a + (1 - beta1) * b for a, b in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * b**2 for a, b in zip(v, g, strict=True)]
        r = [a / (1 - beta1**t) / (sqrt(b / (1 - beta2**t)) + eps) for a, b in zip(m, v, strict=True)]
        u = [a + weight_decay * b for a, b in zip(r, x, strict=True)]
        trust = norm(x) / norm(u) if norm(x) > 0 and norm(u) > 0 else 1
        x = [a - lr * trust * b for a, b in zip(x, u, strict=True)]
        yield x
