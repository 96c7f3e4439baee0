"""NAdam with a constant momentum: optax.nadam.

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_adam(nesterov=True)"
DEFAULTS = optax_adam.DEFAULTS
trajectory = optax_adam.relative(nesterov=True)
