"""SM3 of pytorch_optimizer 4.1.0 (optimizer/sm3.py) for a matrix: sm3.py's, with other defaults."""

from . import sm3

CITATION = "pytorch_optimizer 4.1.0, optimizer/sm3.py"
DEFAULTS = {**sm3.DEFAULTS, "momentum": 0.0, "eps": 1e-30}


def trajectory(theta0, gradients, **hyper):
    return sm3.trajectory(theta0, gradients, **{**DEFAULTS, **hyper})
