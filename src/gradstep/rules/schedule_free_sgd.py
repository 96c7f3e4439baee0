"""Schedule-free SGD. Defazio et al. 2024 (NeurIPS 37), arXiv:2405.15682, equations 3 to 5.

theta is the paper's y, where gradients are taken; z goes by them; x, an average of z, is the result:
``opt.averaged()``. There is no mode to switch. Updates are weighed by the square of the largest rate so far. With
warmup, the rate grows to lr in so many updates. In this form an lr of 0 keeps theta to the last bit.

Shapes: theta, g, x, z alike.   Units: [g] = loss/[theta]; x, z in [theta]; lr in [theta]/[g]; beta1 is a pure number;
warmup is a number of updates.
"""

from gradstep.rule import NonNegative, rule


def scalars(t, top, total_weight, lr=1.0, beta1=0.9, warmup: NonNegative = 0.0):
    rate = lr * min(1.0, t / warmup) if warmup else lr
    top = max(top, rate)
    total_weight = total_weight + top * top
    share = top * top / total_weight if total_weight else 0.0
    return dict(top=top, total_weight=total_weight, share=share, rate=rate, slope=rate * (1 - beta1 * (1 - share)))


def read(theta, x, z):
    return x


@rule(scalars, state="x z", start={"x": "theta", "z": "theta"}, memory={"top": 0.0, "total_weight": 0.0}, read=read,
      units={"lr": "theta/g"}, search=1.0)
def schedule_free_sgd(theta, g, x, z, share, rate, slope):
    theta = theta + share * (z - theta) - slope * g
    z = z - rate * g
    x = x + share * (z - x)
    return theta, g, x, z
