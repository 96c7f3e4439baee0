"""AdEMAMix. Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1.

Adam with a second, much slower average m2, which is not corrected. Until alpha_steps its weight grows to alpha, and
until beta3_steps beta3 grows from beta1, linearly in the half-life of the average; the authors advise the length of
the training for both. With 0, the default, both are constant.

Shapes: theta, g, m1, m2, v alike.   Units: [g] = loss/[theta]; m1, m2 in [g]; v in [g]^2; lr in [theta]; eps in [g];
the betas and alpha are pure numbers; alpha_steps, beta3_steps are numbers of updates.
"""

import math

from gradstep.rule import Fraction, NonNegative, rule
from gradstep.vocabulary import sqrt


def half_life(beta):
    return math.log(0.5) / math.log(beta + 1e-8) - 1


def warmed(t, beta1, beta3, steps):
    if t >= steps:
        return beta3
    share = t / steps
    return 0.5 ** (1 / (1 + (1 - share) * half_life(beta1) + share * half_life(beta3)))


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, beta3: Fraction = 0.9999, alpha: NonNegative = 5.0, eps=1e-8,
            alpha_steps: NonNegative = 0.0, beta3_steps: NonNegative = 0.0):
    slow = warmed(t, beta1, beta3, beta3_steps)
    share = min(1.0, t / alpha_steps) if alpha_steps else 1.0
    return dict(rate=lr / (1 - beta1**t), rate2=lr * alpha * share, eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, slow=slow, rest3=1 - slow, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m1 m2 v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g"})
def ademamix(theta, g, m1, m2, v, rate, rate2, eps, beta1, rest1, beta2, rest2, slow, rest3, unbias2):
    m1 = beta1 * m1 + rest1 * g
    m2 = slow * m2 + rest3 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - (rate * m1 + rate2 * m2) / (unbias2 * sqrt(v) + eps)
    return theta, g, m1, m2, v
