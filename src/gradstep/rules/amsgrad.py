"""AMSGrad. Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2: no bias correction, as in the paper.

The paper has no eps: where no gradient has come yet, 0/0 counts as a step of zero.

Shapes: theta, g, m, v, top alike.   Units: [g] = loss/[theta]; m in [g]; v, top in [g]^2; lr in [theta];
beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import maximum, sqrt, where


def scalars(lr=1e-3, beta1=0.9, beta2=0.999):
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


@rule(scalars, state="m v top", nonnegative="v top", power=2, units={"lr": "theta"}, symbols={"top": r"\hat{v}"})
def amsgrad(theta, g, m, v, top, lr, beta1, rest1, beta2, rest2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    top = maximum(top, v)
    theta = theta - lr * where(top > 0.0, m / sqrt(top), 0.0)
    return theta, g, m, v, top
