"""RAdam with a threshold, and epsilon beside the corrected root: optax.radam.

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_radam"
DEFAULTS = optax_adam.RECTIFIED
trajectory = optax_adam.relative(rectifies=True)
