"""Sophia as optax has it.

Shapes: theta, g, curvature, m, h alike.   Units: [g] = loss/[theta]; m in [g]; curvature, h in [g]/[theta]; lr, gamma
in [theta]; eps in [g]; clip and the betas are pure numbers; k is a number of updates.
"""

from gradstep.rule import Positive, rule
from gradstep.rules.sophia import Clock, sophia
from gradstep.vocabulary import maximum, minimum


def scalars(t, lr=1e-4, beta1=0.965, beta2=0.99, gamma: Positive = 0.01, eps=1e-8, k: Clock = 10.0,
            clip: Positive = 1.0):
    is_new = (t - 1) % k < 1
    return dict(lr=lr, gamma=gamma, clip=clip, low=-clip, eps=eps, beta1=beta1, rest1=1 - beta1,
                unbias1=1 / (1 - beta1**t), beta2=beta2 if is_new else 1.0, rest2=1 - beta2 if is_new else 0.0)


@rule(scalars, inputs="curvature", state="m h", units=sophia.units)
def sophia_optax(theta, g, curvature, m, h, lr, gamma, clip, low, eps, beta1, rest1, unbias1, beta2, rest2):
    """optax 0.2.8, contrib.sophia: m is corrected, and h is that of the step before: first steps are signs."""
    m = beta1 * m + rest1 * g
    u = minimum(maximum(unbias1 * m / maximum(gamma * h, eps), low), clip)
    theta = theta - lr * u
    h = beta2 * h + rest2 * curvature
    return theta, g, m, h
