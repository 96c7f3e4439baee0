"""Schedule-free AdamW as Keras has it: all steps weigh alike, those of the warm-up too.

Shapes: theta, g, x, z, v alike.   Units: [g] = loss/[theta]; x, z in [theta]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; the betas are pure numbers; warmup is a number of updates.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, warmup: NonNegative = 0.0):
    rate = lr * min(1.0, t / warmup) if warmup else lr
    return dict(share=1 / t, rate=rate, slope=rate * (1 - beta1 * (1 - 1 / t)), eps=eps, shrink=lr * weight_decay,
                out=lr * weight_decay / beta1 if beta1 else 0.0,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


def read(theta, x, z, v):
    return x


@rule(scalars, state="x z v", nonnegative="v", start={"x": "theta", "z": "theta"}, power=2, read=read,
      units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"})
def schedule_free_adamw_keras(theta, g, x, z, v, share, rate, slope, eps, shrink, out, beta2, rest2, unbias2):
    """Keras 3.15, ScheduleFreeAdamW: x moves with the decay of theta, and is a plain mean of z."""
    x = x - out * theta
    theta = theta - shrink * theta
    v = beta2 * v + rest2 * (g * g)
    u = g / (unbias2 * sqrt(v) + eps)
    theta = theta + share * (z - theta) - slope * u
    z = z - rate * u
    x = x + share * (z - x)
    return theta, g, x, z, v
