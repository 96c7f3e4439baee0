"""Polyak's step as optax 0.2.8 has it with variant="sps+": polyak_optax.py's, where no gap is below zero."""

from .exact import exact
from .polyak_optax import CITATION as CITATION
from .polyak_optax import DEFAULTS, steps


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, loss, lr, scaling, f_min, eps):
    return steps(theta0, gradients, loss, lr, scaling, f_min, eps, True)
