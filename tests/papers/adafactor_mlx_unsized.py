"""Adafactor as MLX 0.32 has it with scale_parameter=False: alpha_t is rho_t, at most 1 / sqrt(t)."""

from .adafactor_mlx_sized import CITATION, steps
from .exact import exact

__all__ = ["CITATION", "DEFAULTS", "trajectory"]

DEFAULTS = {
    "lr": 1e-2,
    "decay_rate": 0.8,
    "beta1": 0.0,  # None
    "eps1": 1e-30,
    "clip": 1.0,
    "weight_decay": 0.0,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, **hyper):
    yield from steps(theta0, gradients, sized=False, bounded=True, **hyper)
