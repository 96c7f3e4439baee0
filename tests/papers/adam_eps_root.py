"""Adam with a second epsilon, inside of the root: optax.adam(eps_root=...).

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_adam"
DEFAULTS = optax_adam.DEFAULTS
trajectory = optax_adam.relative()
