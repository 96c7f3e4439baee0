"""ADOPT as its paper prints it, without the bound of the authors' later code; and with a bound one update ahead.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; v in [g]^2; lr in [theta]; eps in [g]; m, the betas and
clip_exponent are pure numbers.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.adopt import adopt
from gradstep.rules.adopt import scalars as clipped
from gradstep.vocabulary import maximum, sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.9999, eps=1e-6):
    keeps = t > 1  # the first gradient only makes v
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1 if keeps else 0.0, eps=eps,
                beta2=beta2 if keeps else 0.0, rest2=1 - beta2 if keeps else 1.0)


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"})
def adopt_unclipped(theta, g, m, v, lr, beta1, rest1, eps, beta2, rest2):
    """Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2. Units as adopt."""
    m = beta1 * m + rest1 * (g / maximum(sqrt(v), eps))
    theta = theta - lr * m
    v = beta2 * v + rest2 * (g * g)
    return theta, g, m, v


@variant(adopt)
def adopt_ahead(t, lr=1e-3, beta1=0.9, beta2=0.9999, eps=1e-6, clip_exponent: NonNegative = 0.25):
    """pytorch_optimizer 4.1.0, ADOPT: the bound is t to the power, 2 at the first step that moves. Units as adopt."""
    bound = float(t) ** clip_exponent if t > 1 else 0.0
    return {**clipped(t, lr, beta1, beta2, eps), "high": bound, "low": -bound}
