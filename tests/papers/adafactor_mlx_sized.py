"""Adafactor as MLX 0.32 has it (mlx/optimizers/optimizers.py, Adafactor) with relative_step=False.

adafactor_timm.py's, but rho_t is lr itself, without the bound 1 / sqrt(t): alpha_t = max(eps2, RMS(X_{t-1})) lr.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import numbers_of

CITATION = "MLX 0.32, mlx/optimizers/optimizers.py, Adafactor"
DEFAULTS = {
    "lr": 1e-3,  # what is given
    "decay_rate": 0.8,
    "beta1": 0.0,  # None
    "eps1": 1e-30,
    "eps2": 1e-3,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, **hyper):
    yield from steps(theta0, gradients, sized=True, bounded=False, **hyper)


def steps(x, gradients, *, sized, bounded, lr, decay_rate, beta1, eps1, clip, weight_decay, eps2=0):
    n, m = len(x), len(x[0])
    across, down = [mpf(0)] * n, [mpf(0)] * m
    first = [[mpf(0)] * m for _ in x]
    for t, g in enumerate(gradients, 1):
        rate = min(lr, 1 / sqrt(mpf(t))) if bounded else lr
        if sized:
            rate *= max(eps2, sqrt(sum(a**2 for a in numbers_of(x)) / (n * m)))
        new = mpf(t) ** -decay_rate
        squares = [[a**2 + eps1 for a in row] for row in g]
        across = [(1 - new) * across[i] + new * sum(squares[i]) / m for i in range(n)]
        down = [(1 - new) * down[j] + new * sum(row[j] for row in squares) / n for j in range(m)]
        middle = sum(across) / n
        u = [[g[i][j] / sqrt(across[i] / middle * down[j]) for j in range(m)] for i in range(n)]
        shorter = max(1, sqrt(sum(a**2 for a in numbers_of(u)) / (n * m)) / clip)
        first = [[beta1 * first[i][j] + (1 - beta1) * rate * u[i][j] / shorter for j in range(m)] for i in range(n)]
        x = [[x[i][j] - weight_decay * rate * x[i][j] - first[i][j] for j in range(m)] for i in range(n)]
        yield x
