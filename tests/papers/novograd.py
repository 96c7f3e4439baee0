"""NovoGrad. Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1, for one layer: an array is a list of numbers.

    v_1     = ||g_1||^2,   v_t = beta2 v_{t-1} + (1 - beta2) ||g_t||^2
    m_1     = g_1 / sqrt(v_1) + d w_1
    m_t     = beta1 m_{t-1} + (g_t / (sqrt(v_t) + epsilon) + d w_t)
    w_{t+1} = w_t - lambda_t m_t

Here lambda_t is lr, d is weight_decay.

Named differences
- epsilon stands beside the first root too, as in the authors' code (else 0/0 where the first gradient is zero).
- lambda_t is constant.

The first gradient is g_1 even where it is zero, as printed; the code of NVIDIA and timm takes the first that is not.
"""

from mpmath import mpf, sqrt

from .exact import exact, ratio

CITATION = "Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1"
DEFAULTS = {
    "lr": 1e-3,  # timm and NVIDIA's code
    "beta1": 0.95,  # the paper, as the next two
    "beta2": 0.98,
    "eps": 1e-8,
    "weight_decay": 0.0,  # NVIDIA's code (the paper tunes d)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    w, m, v = theta0, [mpf(0)] * len(theta0), None
    for g in gradients:
        square = sum((b**2 for b in g), mpf(0))
        v = square if v is None else beta2 * v + (1 - beta2) * square
        m = [beta1 * a + (ratio(b, sqrt(v) + eps) + weight_decay * x) for a, b, x in zip(m, g, w, strict=True)]
        w = [x - lr * a for x, a in zip(w, m, strict=True)]
        yield w
