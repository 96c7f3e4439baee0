"""RAdam as torch and optax have it: rectified from a rho of 5 on, where the paper says 4, and other places for eps.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v, eps_root in [g]^2; lr in [theta] once rectified
and in [theta]/[g] before; eps in [g]; beta1, beta2, threshold are pure numbers.
"""

from typing import Annotated

from gradstep.rule import Domain, NonNegative, rule, variant
from gradstep.rules.radam import radam, rectification
from gradstep.vocabulary import sqrt, where

Threshold = Annotated[float, Domain(4.0)]  # the rectification is no number below
MIXED = {"units": "lr changes its unit where the rule changes its branch"}


@variant(radam)
def radam_torch(t, weights, lags, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """torch 2.13, RAdam: rectified where rho > 5, with eps added to the root before its correction. Units as radam."""
    weights, lags, r = rectification(t, weights, lags, beta2, 5.0)
    return dict(weights=weights, lags=lags, rate=(r or 1.0) * lr / (1 - beta1**t), rectified=float(r > 0),
                eps=eps / sqrt(1 - beta2**t), beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


def optax_scalars(t, weights, lags, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0,
                  threshold: Threshold = 5.0):
    weights, lags, r = rectification(t, weights, lags, beta2, threshold, included=True)
    rate = (r or 1.0) * lr
    return dict(weights=weights, lags=lags, look=rate / (1 - beta1**t), now=0.0, rectified=float(r > 0),
                eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / (1 - beta2**t))


@rule(optax_scalars, state="m v", nonnegative="v", memory={"weights": 0.0, "lags": 0.0}, power=2,
      units={"lr": "theta", "eps": "g", "eps_root": "g*g"}, exceptions=MIXED)
def radam_optax(theta, g, m, v, look, now, rectified, eps, eps_root, beta1, rest1, beta2, rest2, unbias2):
    """optax 0.2.8, radam: rectified from rho = threshold on; eps_root inside of the root. Units as radam."""
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    step = look * m + now * g
    theta = theta - where(rectified > 0.5, step / (sqrt(unbias2 * v + eps_root) + eps), step)
    return theta, g, m, v


@variant(radam_optax)
def radam_optax_nesterov(t, weights, lags, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0,
                         threshold: Threshold = 5.0):
    """optax 0.2.8, radam with nesterov=True: the momentum of nadam_optax. Units as radam."""
    out = optax_scalars(t, weights, lags, lr, beta1, beta2, eps, eps_root, threshold)
    step = out["look"] * (1 - beta1**t)
    return {**out, "look": step * beta1 / (1 - beta1 ** (t + 1)), "now": step * (1 - beta1) / (1 - beta1**t)}
