"""StableAdamW. Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2: AdamW with Adafactor's clip of the update.

Each array's rate is divided by the root mean square of g / sqrt(v), where that is more than one; so is the decay.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; the betas are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import maximum, sqrt


def averages(t, beta1=0.9, beta2=0.99, eps=1e-8):
    beta1, beta2 = (beta * (1 - beta ** (t - 1)) / (1 - beta**t) if t > 1 else 0.0 for beta in (beta1, beta2))
    return dict(beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2, eps=eps, floor=eps * eps)


def scalars(ratios, elements, lr=1e-3, weight_decay=1e-2):
    rate = lr / max(1.0, sqrt(ratios / elements)) if elements else lr
    return dict(rate=rate, shrink=rate * weight_decay)


def squared_ratio(g, v, beta2, rest2, floor):
    v = beta2 * v + rest2 * (g * g)
    return g * g / maximum(v, floor)


def element(g):
    return 0.0 * g + 1.0


@rule(scalars, early=averages, reduce={"ratios": squared_ratio, "elements": element}, over="tensor",
      state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def stable_adamw(theta, g, m, v, beta1, rest1, beta2, rest2, eps, floor, rate, shrink):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - shrink * theta
    theta = theta - rate * m / (sqrt(v) + eps)
    return theta, g, m, v
