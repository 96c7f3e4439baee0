"""AMSGrad without bias correction: optax.amsgrad(bias_correction_mu=False, bias_correction_nu=False).

Named difference: that of all in optax_adam.py. With eps = eps_root = 0 it is the paper's AMSGrad.
"""

from . import optax_adam

CITATION = f"{optax_adam.CITATION}, scale_by_amsgrad(bias_correction_mu=False, bias_correction_nu=False)"
DEFAULTS = optax_adam.DEFAULTS
trajectory = optax_adam.relative(keeps_maximum=True, corrects_mean=False, corrects_square=False)
