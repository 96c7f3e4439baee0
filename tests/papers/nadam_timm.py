"""NAdamW of timm 1.0.31 (timm/optim/nadamw.py) without its decay: nadamw.py's with weight_decay = 0."""

from . import nadamw

CITATION = "timm 1.0.31, timm/optim/nadamw.py"
DEFAULTS = {key: x for key, x in nadamw.DEFAULTS.items() if key != "weight_decay"}


def trajectory(theta0, gradients, **hyper):
    return nadamw.trajectory(theta0, gradients, weight_decay=0.0, **hyper)
