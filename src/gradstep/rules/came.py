"""CAME: Adafactor whose step is divided by how far it strays from its average. Luo et al. 2023, arXiv:2307.02047.

Algorithm 2, and the authors' code: averages are not corrected, and a column (an array of one axis) is not divided by
the second estimate.

Shapes: theta, g, m alike; r, s_r have one column, c, s_c one row.   Units: [g] = loss/[theta]; r, c, eps1 in [g]^2; lr
in [theta]; weight_decay in 1/[theta]; m, s_r, s_c, eps2, the betas, clip are pure numbers.
"""

from gradstep.rule import Fraction, Positive, rule
from gradstep.vocabulary import columns, maximum, mean, minimum, sqrt


def scalars(lr=2e-4, beta1=0.9, beta2=0.999, beta3: Fraction = 0.9999, eps1: Positive = 1e-30, eps2: Positive = 1e-16,
            clip: Positive = 1.0, weight_decay=0.0):
    return dict(lr=lr, shrink=lr * weight_decay, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2,
                beta3=beta3, rest3=1 - beta3, eps1=eps1, eps2=eps2, unclip=1 / clip)


def averaged(square, r, c, beta, rest):
    r = beta * r + rest * mean(square, "columns")
    c = beta * c + rest * mean(square, "rows")
    return r, c, r * (c / mean(r, "rows"))


@rule(scalars, state="m r c s_r s_c", nonnegative="r c s_r s_c", power=2, whole=True,
      shapes={"r": "rows", "c": "columns", "s_r": "rows", "s_c": "columns"},
      units={"lr": "theta", "eps1": "g*g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def came(theta, g, m, r, c, s_r, s_c, lr, shrink, beta1, rest1, beta2, rest2, beta3, rest3, eps1, eps2, unclip):
    r, c, square = averaged(g * g + eps1, r, c, beta2, rest2)
    u = g / sqrt(square)
    u = u / maximum(1.0, unclip * sqrt(mean(u * u, "all")))
    m = beta1 * m + rest1 * u
    s_r, s_c, strays = averaged((u - m) * (u - m) + eps2, s_r, s_c, beta3, rest3)
    matrix = minimum(1.0, columns(g) - 1.0)
    theta = theta - shrink * theta - lr * m / (matrix * sqrt(strays) + (1.0 - matrix))
    return theta, g, m, r, c, s_r, s_c
