"""Adafactor. Shazeer & Stern 2018, arXiv:1804.04235, Algorithms 4, 5 and 6.

    rho_t    = min(lr, 1 / sqrt(t)),   alpha_t = max(eps2, RMS(X_{t-1})) rho_t,   beta2_t = 1 - t^-decay_rate
    R_t      = beta2_t R_{t-1} + (1 - beta2_t) (G_t^2 + eps1 1_n 1_m^T) 1_m
    C_t      = beta2_t C_{t-1} + (1 - beta2_t) 1_n^T (G_t^2 + eps1 1_n 1_m^T)
    V_t      = R_t C_t / (1_n^T R_t)                      a vector's: beta2_t V_{t-1} + (1 - beta2_t) (G_t^2 + eps1)
    U_t      = G_t / sqrt(V_t),   Uhat_t = U_t / max(1, RMS(U_t) / clip),   X_t = X_{t-1} - alpha_t Uhat_t

Named differences: none. A matrix of one column is taken as a vector, by Algorithm 5.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 6"
DEFAULTS = {
    "lr": 1e-2,
    "decay_rate": 0.8,
    "eps1": 1e-30,
    "eps2": 1e-3,
    "clip": 1.0,
}


def rms(x):
    numbers = [number for row in x for number in row]
    return sqrt(sum(number**2 for number in numbers) / len(numbers))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, decay_rate, eps1, eps2, clip):
    x, n, m = theta0, len(theta0), len(theta0[0])
    r, c, v = [mpf(0)] * n, [mpf(0)] * m, [mpf(0)] * n
    for t, g in enumerate(gradients, 1):
        beta2 = 1 - mpf(t) ** -decay_rate
        alpha = max(eps2, rms(x)) * min(lr, 1 / sqrt(mpf(t)))
        squares = [[number**2 + eps1 for number in row] for row in g]
        if m == 1:
            v = [beta2 * v[i] + (1 - beta2) * squares[i][0] for i in range(n)]
            estimate = [[number] for number in v]
        else:
            r = [beta2 * r[i] + (1 - beta2) * sum(squares[i]) for i in range(n)]
            c = [beta2 * c[j] + (1 - beta2) * sum(row[j] for row in squares) for j in range(m)]
            estimate = [[r[i] * c[j] / sum(r) for j in range(m)] for i in range(n)]
        u = [[g[i][j] / sqrt(estimate[i][j]) for j in range(m)] for i in range(n)]
        shorter = max(1, rms(u) / clip)
        x = [[x[i][j] - alpha * u[i][j] / shorter for j in range(m)] for i in range(n)]
        yield x
