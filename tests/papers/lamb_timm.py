"""LAMB as timm 1.0.31 has it (timm/optim/lamb.py): lamb.py's, but plain Adam where weight_decay is zero.

(always_adapt=False, timm's default, which keeps the ratio from biases and norms.) Its clipping by the norm of all
gradients is a stage of its own.
"""

from . import adam, lamb
from .exact import exact

CITATION = "timm 1.0.31, timm/optim/lamb.py"
DEFAULTS = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-6,
    "weight_decay": 0.01,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    hyper = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps}
    if weight_decay != 0:
        return lamb.trajectory(theta0, gradients, weight_decay=weight_decay, **hyper)
    each = [adam.trajectory(x, [g[i] for g in gradients], **hyper) for i, x in enumerate(theta0)]
    return [list(x) for x in zip(*each, strict=True)]
