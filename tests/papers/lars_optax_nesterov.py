"""LARS as optax 0.2.8 has it with nesterov=True: lars_optax.py's."""

from functools import partial

from . import lars_optax

CITATION, DEFAULTS = lars_optax.CITATION, lars_optax.DEFAULTS
trajectory = partial(lars_optax.trajectory, nesterov=1)
