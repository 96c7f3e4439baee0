"""NAdamW. Dahl et al. 2023, arXiv:2306.07179 (AlgoPerf), as timm has it.

Dozat's NAdam without its schedule of momentum: Adam with the average that the next step will have, without its
gradient, and decoupled decay.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; the betas are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2):
    return dict(shrink=lr * weight_decay, rate=lr / (1 - beta1**t), eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "decoupled decay pulls towards zero, whatever the gradient"})
def nadamw(theta, g, m, v, shrink, rate, eps, beta1, rest1, beta2, rest2, unbias2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - shrink * theta
    theta = theta - rate * (beta1 * m + rest1 * g) / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
