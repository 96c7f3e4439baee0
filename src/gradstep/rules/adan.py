"""Adan. Xie et al. 2022, arXiv:2208.06677, Algorithm 1, without the decay.

The betas are ours: the paper writes 1 - beta. d is how the gradient has changed, v its average; the step looks ahead
by beta2 of it. At t = 1 there is no change yet.

Shapes: theta, g, m, v, n, last alike.   Units: [g] = loss/[theta]; m, v, last in [g]; n in [g]^2; lr in [theta]; eps
in [g]; the betas are pure numbers.
"""

from gradstep.rule import Fraction, rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.98, beta2=0.92, beta3: Fraction = 0.99, eps=1e-8):
    return dict(rate=lr / (1 - beta1**t), ahead=lr * beta2 / (1 - beta2**t), keep=1.0 if t > 1 else 0.0, eps=eps,
                beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2,
                beta3=beta3, rest3=1 - beta3, unbias3=1 / sqrt(1 - beta3**t))


@rule(scalars, state="m v n last", nonnegative="n", power=2, units={"lr": "theta", "eps": "g"})
def adan(theta, g, m, v, n, last, rate, ahead, keep, eps, beta1, rest1, beta2, rest2, beta3, rest3, unbias3):
    d = keep * (g - last)
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * d
    look = g + beta2 * d
    n = beta3 * n + rest3 * (look * look)
    theta = theta - (rate * m + ahead * v) / (unbias3 * sqrt(n) + eps)
    return theta, g, m, v, n, g
