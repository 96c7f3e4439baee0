"""AMSGrad with bias correction before the maximum: optax.amsgrad, as it comes.

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_amsgrad"
DEFAULTS = optax_adam.DEFAULTS
trajectory = optax_adam.relative(keeps_maximum=True)
