"""RAdam with NAdam's mean: optax.radam(nesterov=True).

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_radam(nesterov=True)"
DEFAULTS = optax_adam.RECTIFIED
trajectory = optax_adam.relative(rectifies=True, nesterov=True)
