"""DoWG. Khaled, Mishchenko & Jin 2023 (NeurIPS), arXiv:2305.16284, Algorithm 1, with optax' numbers.

    rbar_t^2 = max(rbar_{t-1}^2, ||x_t - x_0||^2),   rbar_{-1} = r_epsilon
    v_t      = v_{t-1} + rbar_t^2 ||g_t||^2,         v_{-1} = 0
    x_{t+1}  = x_t - rbar_t^2 / sqrt(v_t) g_t

An array is a list of numbers; of several arrays, the list is that of them all. start is r_epsilon^2: a square.

Named differences
- eps is added to the root, as in optax 0.2.8 (optax/contrib/_dog.py), and lr multiplies the step: not so in the paper.
- No projection.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Khaled et al. 2023, arXiv:2305.16284, Algorithm 1"
DEFAULTS = {
    "lr": 1.0,  # optax, as all three
    "start": 1e-4,
    "eps": 1e-4,
}


def square(values):
    return sum((value**2 for value in values), mpf(0))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, start, eps):
    x, far, v = theta0, start, mpf(0)
    for g in gradients:
        far = max(far, square([a - b for a, b in zip(x, theta0, strict=True)]))
        v = v + far * square(g)
        x = [a - lr * far / (sqrt(v) + eps) * b for a, b in zip(x, g, strict=True)]
        yield x
