"""Adadelta. Zeiler 2012, arXiv:1212.5701, Algorithm 1.

    E[g^2]_t  = rho E[g^2]_{t-1} + (1 - rho) g_t^2
    dx_t      = - RMS[dx]_{t-1} / RMS[g]_t  g_t
    E[dx^2]_t = rho E[dx^2]_{t-1} + (1 - rho) dx_t^2
    x_{t+1}   = x_t + dx_t,        RMS[y]_t = sqrt(E[y^2]_t + epsilon)

Named difference
- lr, absent from the paper, multiplies the step that is taken, not the dx_t that is averaged; 1 is the paper.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Zeiler 2012, arXiv:1212.5701, Algorithm 1"
DEFAULTS = {
    "lr": 1.0,  # the paper (it has no learning rate)
    "rho": 0.95,  # the paper's experiments
    "eps": 1e-6,  # the paper's experiments
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, rho, eps):
    def rms(mean_square):
        return sqrt(mean_square + eps)

    x, mean_g2, mean_dx2 = theta0, mpf(0), mpf(0)
    for g in gradients:
        mean_g2 = rho * mean_g2 + (1 - rho) * g**2
        dx = -rms(mean_dx2) / rms(mean_g2) * g
        mean_dx2 = rho * mean_dx2 + (1 - rho) * dx**2
        x = x + lr * dx
        yield x
