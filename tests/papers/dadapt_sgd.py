"""D-Adapt SGD. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 4, as the authors' code has it.

    lambda_k = d_k gamma_k / ||g_0||
    s_{k+1}  = s_k + lambda_k g_k
    dhat     = 2 sum_{i<=k} lambda_i <g_i, s_i> / ||s_{k+1}||,   d_{k+1} = max(d_k, min(dhat, growth d_k))
    z_{k+1}  = x_0 - s_{k+1}
    x_{k+1}  = beta x_k + (1 - beta) z_{k+1}

An array is a list of numbers; of several arrays, the list is that of them all: d is one number. gamma_k is lr, beta is
momentum; growth 0 is no bound.

Named differences
- growth is of the authors' code (dadaptation/dadapt_sgd.py 3.2).
- g_0 is the first gradient that is not zero, and nothing moves before it: the authors' code divides by its zero norm.
- While ||s_{k+1}|| is zero, x stays.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Defazio & Mishchenko 2023, arXiv:2301.07733, Algorithm 4"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all four; its growth_rate is infinite
    "momentum": 0.0,
    "d0": 1e-6,
    "growth": 0,
}


def norm(values):
    return sqrt(sum((value**2 for value in values), mpf(0)))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, d0, growth):
    x, s, total, d, first = theta0, [mpf(0)] * len(theta0), mpf(0), d0, mpf(0)
    for g in gradients:
        first = first if first > 0 else norm(g)
        if first > 0:
            rate = d * lr / first
            total = total + rate * sum(a * b for a, b in zip(g, s, strict=True))
            s = [a + rate * b for a, b in zip(s, g, strict=True)]
            if norm(s) > 0:
                d_hat = 2 * total / norm(s)
                d = max(d, min(d_hat, growth * d) if growth else d_hat)
                x = [momentum * a + (1 - momentum) * (a0 - b) for a, a0, b in zip(x, theta0, s, strict=True)]
        yield x
