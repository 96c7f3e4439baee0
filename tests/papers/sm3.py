"""SM3. Anil et al. 2019 (NeurIPS), arXiv:1901.11150, SM3-II of a matrix, its covers the rows and the columns.

    nu_t(i, j) = min(rows_{t-1}(i), columns_{t-1}(j)) + g_t(i, j)^2
    rows_t(i)  = max_j nu_t(i, j),   columns_t(j) = max_i nu_t(i, j)
    m_t        = momentum m_{t-1} + (1 - momentum) g_t / sqrt(nu_t + eps)   (0 where nu_t = 0)
    w_{t+1}    = w_t - lr m_t

A vector, a matrix of one column, has one accumulator an element.

Named differences: momentum and its weight 1 - momentum, section 4 of the paper, and eps, as in optax 0.2.8.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, each, turned

CITATION = "Anil et al. 2019, arXiv:1901.11150, SM3-II"
DEFAULTS = {
    "lr": 0.1,  # the paper tunes it
    "momentum": 0.9,  # optax, as the next
    "eps": 1e-8,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, eps):
    w, m = theta0, combined((mpf(0), theta0))
    rows, columns = [mpf(0)] * len(w), [mpf(0)] * len(w[0])
    for g in gradients:
        nu = [[min(r, c) + x**2 for c, x in zip(columns, row, strict=True)] for r, row in zip(rows, g, strict=True)]
        rows, columns = [max(row) for row in nu], [max(column) for column in turned(nu)]
        u = each(lambda a, v: a / sqrt(v + eps) if v > 0 else mpf(0), g, nu)
        m = combined((momentum, m), (1 - momentum, u))
        w = combined((mpf(1), w), (-lr, m))
        yield w
