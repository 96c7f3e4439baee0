"""Muon as torch 2.13 has it (torch/optim/_muon.py): muon.py's, with

- U_t divided by max(||U_t||, eps), where Jordan adds;
- other defaults;
- nesterov to choose: 0 takes U_t = B_t;
- matched (adjust_lr_fn="match_rms_adamw"): lr is multiplied by 0.2 sqrt(max(rows, columns)).

torch computes X in bfloat16, here it is exact.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, newton_schulz, norm

CITATION = "torch 2.13, torch/optim/_muon.py"
DEFAULTS = {
    "lr": 1e-3,
    "momentum": 0.95,
    "weight_decay": 0.1,
    "eps": 1e-7,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum, weight_decay, eps, nesterov=1, matched=0):
    theta, buffer = theta0, combined((mpf(0), theta0))
    rows, columns = len(theta), len(theta[0])
    scale = lr * (mpf(0.2) * sqrt(mpf(max(rows, columns))) if matched else sqrt(max(mpf(1), mpf(rows) / columns)))
    for g in gradients:
        buffer = combined((momentum, buffer), (1 - momentum, g))
        u = combined((momentum, buffer), (1 - momentum, g)) if nesterov else buffer
        x = newton_schulz(u, max(norm(u), eps))
        theta = combined((1 - lr * weight_decay, theta), (-scale, x))
        yield theta
