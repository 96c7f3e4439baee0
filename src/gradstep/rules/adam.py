"""Adam. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    return dict(rate=lr / (1 - beta1**t), eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"}, lazy=True)
def adam(theta, g, m, v, rate, eps, beta1, rest1, beta2, rest2, unbias2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - rate * m / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
