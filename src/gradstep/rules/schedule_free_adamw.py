"""Schedule-free AdamW. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, Algorithm 1.

theta is the paper's y, where gradients are taken; z goes by them; x, an average of z, is the result:
``opt.averaged()``. There is no mode to switch. Updates are weighed by the square of the largest rate so far. The
decay is taken at y, in the direction. With warmup, the rate grows to lr in so many updates.

Shapes: theta, g, x, z, v alike.   Units: [g] = loss/[theta]; x, z in [theta]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; the betas are pure numbers; warmup is a number of updates.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, top, total_weight, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
            warmup: NonNegative = 0.0):
    rate = lr * min(1.0, t / warmup) if warmup else lr
    top = max(top, rate)
    total_weight = total_weight + top * top
    share = top * top / total_weight if total_weight else 0.0
    return dict(top=top, total_weight=total_weight, share=share, rate=rate, slope=rate * (1 - beta1 * (1 - share)),
                eps=eps, weight_decay=weight_decay, beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


def read(theta, x, z, v):
    return x


@rule(scalars, state="x z v", nonnegative="v", start={"x": "theta", "z": "theta"}, power=2,
      memory={"top": 0.0, "total_weight": 0.0}, read=read,
      units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def schedule_free_adamw(theta, g, x, z, v, share, rate, slope, eps, weight_decay, beta2, rest2, unbias2):
    v = beta2 * v + rest2 * (g * g)
    u = g / (unbias2 * sqrt(v) + eps) + weight_decay * theta
    theta = theta + share * (z - theta) - slope * u
    z = z - rate * u
    x = x + share * (z - x)
    return theta, g, x, z, v
