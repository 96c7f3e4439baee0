"""RMSprop. Tieleman & Hinton 2012, Neural Networks for Machine Learning (Coursera), lecture 6.5.

    MeanSquare(w, t) = 0.9 MeanSquare(w, t-1) + 0.1 (dE/dw (t))^2
    the gradient is divided by sqrt(MeanSquare(w, t))

Named differences
- The lecture's 0.9 and 0.1 are rho and 1 - rho.
- eps, absent from the lecture, is added to the root (outside), as torch does.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6.5"
DEFAULTS = {
    "lr": 1e-3,  # Keras (the lecture's slide gives none)
    "rho": 0.9,  # the lecture
    "eps": 1e-8,  # torch (the lecture has none)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, rho, eps):
    w, mean_square = theta0, mpf(0)
    for g in gradients:
        mean_square = rho * mean_square + (1 - rho) * g**2
        w = w - lr * g / (sqrt(mean_square) + eps)
        yield w
