"""AMSGrad with bias correction of the mean alone: optax.amsgrad(bias_correction_nu=False).

Named difference: that of all in optax_adam.py.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_amsgrad(bias_correction_nu=False)"
DEFAULTS = optax_adam.DEFAULTS
trajectory = optax_adam.relative(keeps_maximum=True, corrects_square=False)
