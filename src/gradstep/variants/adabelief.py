"""AdaBelief as its authors' package has it by default: rectified.

Shapes: theta, g, m, s alike.   Units: [g] = loss/[theta]; m in [g]; s and eps_root in [g]^2; lr in [theta] once
rectified and in [theta]/[g] before; eps in [g]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import Positive, rule
from gradstep.rules.radam import rectification
from gradstep.vocabulary import sqrt, where


def scalars(t, weights, lags, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-16, eps_root: Positive = 1e-16):
    weights, lags, r = rectification(t, weights, lags, beta2, 5.0, included=True)
    return dict(weights=weights, lags=lags, rate=(r * sqrt(1 - beta2**t) or 1.0) * lr / (1 - beta1**t),
                rectified=float(r > 0), eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2)


@rule(scalars, state="m s", nonnegative="s", memory={"weights": 0.0, "lags": 0.0}, power=2,
      units={"lr": "theta", "eps": "g", "eps_root": "g*g"},
      exceptions={"units": "lr changes its unit where the rule changes its branch"})
def adabelief_rectified(theta, g, m, s, rate, rectified, eps, eps_root, beta1, rest1, beta2, rest2):
    """Zhuang et al. 2020, arXiv:2010.07468, the authors' code with rectify=True: eps beside the plain root."""
    m = beta1 * m + rest1 * g
    surprise = g - m
    s = beta2 * s + rest2 * (surprise * surprise) + eps_root
    theta = theta - rate * where(rectified > 0.5, m / (sqrt(s) + eps), m)
    return theta, g, m, s
