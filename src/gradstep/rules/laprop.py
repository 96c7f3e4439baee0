"""LaProp. Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1.

The gradient is divided by the root of its average square before it is averaged. lr stands inside the average, so that
a schedule acts late; c, the average of lr, corrects it.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m, lr in [theta]; v in [g]^2; eps in [g]; the betas are
pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(t, c, lr=4e-4, beta1=0.9, beta2=0.999, eps=1e-15):
    c = beta1 * c + (1 - beta1) * lr
    return dict(c=c, rate=lr / c if c else 0.0, share=(1 - beta1) * lr, beta1=beta1, eps=eps,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", memory={"c": 0.0}, power=2, units={"lr": "theta", "eps": "g"})
def laprop(theta, g, m, v, rate, share, beta1, eps, beta2, rest2, unbias2):
    v = beta2 * v + rest2 * (g * g)
    m = beta1 * m + share * g / (unbias2 * sqrt(v) + eps)
    theta = theta - rate * m
    return theta, g, m, v
