"""Prodigy. Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4 (of Adam), as the authors' prodigyopt has it.

    m_{k+1} = beta1 m_k + (1 - beta1) d_k g_k
    v_{k+1} = beta2 v_k + (1 - beta2) d_k^2 g_k^2
    r_{k+1} = sqrt(beta2) r_k + gamma_k d_k^2 <g_k, x_0 - x_k>
    s_{k+1} = sqrt(beta2) s_k + gamma_k d_k^2 g_k
    dhat    = d_coef r_{k+1} / ||s_{k+1}||_1,   d_{k+1} = max(d_k, dhat)
    x_{k+1} = x_k - gamma_k d_k lambda x_k - gamma_k d_k m_{k+1} / (sqrt(v_{k+1}) + d_{k+1} epsilon)

An array is a list of numbers; of several arrays, the list is that of them all: d is one number. gamma_k is lr, with
correction times sqrt(1 - beta2^(k+1)) / (1 - beta1^(k+1)).

Named differences, all of them the authors' code (prodigyopt/prodigy.py 1.1.2)
- The factor 1 - sqrt(beta2) of r and s is left out: it is in both.
- d_{k+1} stands beside epsilon, where the paper has d_k.
- growth bounds d_{k+1} by growth d_k (0: no bound) once the first estimate above d0 is taken; the largest dhat so far
  is what d may still grow to.
- The decay is decoupled and taken with d_k; d_coef; correction.
- While ||s|| is zero nothing happens: no decay, and k does not count.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all nine; its growth_rate is infinite
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "d0": 1e-6,
    "d_coef": 1.0,
    "growth": 0,
    "correction": 0,
}
BOUND = 1e-9  # The way from the start is a difference of 1e-6 of theta at first, and d grows with it.


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay, d0, d_coef, growth, correction):
    x, nothing = theta0, [mpf(0)] * len(theta0)
    m, v, s, r, d, d_max, k = nothing, nothing, nothing, mpf(0), d0, d0, 0
    for g in gradients:
        rate = d * lr * (sqrt(1 - beta2 ** (k + 1)) / (1 - beta1 ** (k + 1)) if correction else 1)
        m = [beta1 * a + (1 - beta1) * d * b for a, b in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * d**2 * b**2 for a, b in zip(v, g, strict=True)]
        r = sqrt(beta2) * r + d * rate * sum(b * (a0 - a) for b, a0, a in zip(g, theta0, x, strict=True))
        s = [sqrt(beta2) * a + d * rate * b for a, b in zip(s, g, strict=True)]
        size = sum(abs(a) for a in s)
        if size > 0:
            d_hat = d_coef * r / size
            if d == d0:
                d = max(d, d_hat)
            d_max = max(d_max, d_hat)
            d = min(d_max, growth * d) if growth else d_max
            x = [a - rate * weight_decay * a - rate * b / (sqrt(c) + d * eps) for a, b, c in zip(x, m, v, strict=True)]
            k += 1
        yield x
