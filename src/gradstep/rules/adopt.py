"""ADOPT. Taniguchi et al. 2024 (NeurIPS 37), arXiv:2411.02853, Algorithm 2 with the bound of the authors' later code.

The gradient is divided by the root of v before this gradient is in it, so the first update only makes v. The quotient
is cut at (t - 1) to the power clip_exponent, 0 at the first update. eps is the least that is divided by.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; v in [g]^2; lr in [theta]; eps in [g]; m, the betas and
clip_exponent are pure numbers.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import maximum, minimum, sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.9999, eps=1e-6, clip_exponent: NonNegative = 0.25):
    first = t == 1
    bound = 0.0 if first else float(t - 1) ** clip_exponent
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1, high=bound, low=-bound, eps=eps,
                beta2=0.0 if first else beta2, rest2=1.0 if first else 1 - beta2)


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"})
def adopt(theta, g, m, v, lr, beta1, rest1, high, low, eps, beta2, rest2):
    n = minimum(maximum(g / maximum(sqrt(v), eps), low), high)
    m = beta1 * m + rest1 * n
    theta = theta - lr * m
    v = beta2 * v + rest2 * (g * g)
    return theta, g, m, v
