"""D-Adapt Adam. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 5, as the authors' code has it.

    lambda_k = d_k gamma_k
    r_{k+1}  = sqrt(beta2) r_k + (1 - sqrt(beta2)) lambda_k <g_k, s_k / (sqrt(v_k) + epsilon)>
    m_{k+1}  = beta1 m_k + (1 - beta1) lambda_k g_k
    v_{k+1}  = beta2 v_k + (1 - beta2) g_k^2
    s_{k+1}  = sqrt(beta2) s_k + (1 - sqrt(beta2)) lambda_k g_k
    dhat     = r_{k+1} / ((1 - sqrt(beta2)) ||s_{k+1}||_1),   d_{k+1} = max(d_k, min(dhat, growth d_k))
    x_{k+1}  = x_k - lambda_k lambda x_k - m_{k+1} / (sqrt(v_{k+1}) + epsilon)

An array is a list of numbers; of several arrays, the list is that of them all: d is one number. gamma_k is lr, with
correction times sqrt(1 - beta2^(k+1)) / (1 - beta1^(k+1)); growth 0 is no bound.

Named differences, all of them the authors' code (dadaptation/dadapt_adam.py 3.2)
- r takes v_k, where the paper's inner product has v_{k+1}.
- The decay is decoupled (decouple=True), taken with d_k; growth; correction.
- While ||s|| is zero nothing happens: no decay, and k does not count.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Defazio & Mishchenko 2023, arXiv:2301.07733, Algorithm 5"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all eight; its growth_rate is infinite
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "d0": 1e-6,
    "growth": 0,
    "correction": 0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay, d0, growth, correction):
    x, nothing, q = theta0, [mpf(0)] * len(theta0), sqrt(beta2)
    m, v, s, r, d, k = nothing, nothing, nothing, mpf(0), d0, 0
    for g in gradients:
        rate = d * lr * (sqrt(1 - beta2 ** (k + 1)) / (1 - beta1 ** (k + 1)) if correction else 1)
        r = q * r + (1 - q) * rate * sum(b * a / (sqrt(c) + eps) for b, a, c in zip(g, s, v, strict=True))
        m = [beta1 * a + (1 - beta1) * rate * b for a, b in zip(m, g, strict=True)]
        v = [beta2 * a + (1 - beta2) * b**2 for a, b in zip(v, g, strict=True)]
        s = [q * a + (1 - q) * rate * b for a, b in zip(s, g, strict=True)]
        size = sum(abs(a) for a in s)
        if size > 0:
            d_hat = r / ((1 - q) * size)
            d = max(d, min(d_hat, growth * d) if growth else d_hat)
            x = [a - rate * weight_decay * a - b / (sqrt(c) + eps) for a, b, c in zip(x, m, v, strict=True)]
            k += 1
        yield x
