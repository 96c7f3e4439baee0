"""Simplified AdEMAMix. Morwani et al. 2025, arXiv:2502.02431, and the authors' code.

m is a sum of gradients and no average, so a good rate is about 1 - beta1 times Adam's.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; the betas
and alpha are pure numbers.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-4, beta1=0.99, beta2=0.95, alpha: NonNegative = 0.0, eps=1e-8):
    return dict(lr=lr, alpha=alpha, eps=eps, beta1=beta1, beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"})
def simplified_ademamix(theta, g, m, v, lr, alpha, eps, beta1, beta2, rest2, unbias2):
    m = beta1 * m + g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - lr * (m + alpha * g) / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
