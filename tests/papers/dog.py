"""DoG. Ivgi, Hinder & Carmon 2023 (ICML), arXiv:2302.12022, with the start of the authors' code (formll/dog).

    rbar_t  = max(rbar_{t-1}, ||x_t - x_0||),   rbar_0 = r_epsilon
    G_t     = G_{t-1} + ||g_t||^2
    x_{t+1} = x_t - c rbar_t / sqrt(G_t) g_t

An array is a list of numbers; of several arrays, the list is that of them all. Here c is lr.

Named differences
- r_epsilon is reps_rel (1 + ||x_0||), as the paper's experiments have it.
- The sum of squares starts at eps, as in the authors' code; the paper's starts at zero.
- The averaging of the iterates, which the paper asks for, is not of the rule.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "Ivgi et al. 2023, arXiv:2302.12022, equation (DoG)"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all three
    "reps_rel": 1e-6,
    "eps": 1e-8,
}
BOUND = 1e-9  # The first distances are 1e-6 of theta, and differences: float64 has ten digits of them.


def norm(values):
    return sqrt(sum((value**2 for value in values), mpf(0)))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, reps_rel, eps):
    x, far, total = theta0, reps_rel * (1 + norm(theta0)), eps
    for g in gradients:
        far = max(far, norm([a - b for a, b in zip(x, theta0, strict=True)]))
        total = total + norm(g) ** 2
        x = [a - lr * far / sqrt(total) * b for a, b in zip(x, g, strict=True)]
        yield x
