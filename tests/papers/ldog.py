"""L-DoG. Ivgi, Hinder & Carmon 2023 (ICML), arXiv:2302.12022: DoG's step with the norms of one layer.

    rbar_t  = max(rbar_{t-1}, ||x_t - x_0||),   rbar_0 = r_epsilon
    G_t     = G_{t-1} + ||g_t||^2
    x_{t+1} = x_t - c rbar_t / sqrt(G_t) g_t

of every array by itself, which is a list of numbers here: for one array it is DoG.

Named differences: DoG's.
"""

from . import dog
from .exact import exact

CITATION = "Ivgi et al. 2023, arXiv:2302.12022, L-DoG"
DEFAULTS = {
    "lr": 1.0,  # the authors' code, as all three
    "reps_rel": 1e-6,
    "eps": 1e-8,
}
BOUND = 1e-9  # As of DoG: the first distances are differences of 1e-6 of theta.


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, reps_rel, eps):
    return dog.trajectory(theta0, gradients, lr=lr, reps_rel=reps_rel, eps=eps)
