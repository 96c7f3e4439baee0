"""Lion. Chen et al. 2023, arXiv:2302.06675, Algorithm 2, without the decoupled decay: ``gs.chain(gs.decay, gs.lion)``.

The step takes its sign from an average with beta1 of the momentum before it was updated; the momentum takes beta2.

Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; m in [g]; lr in [theta]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sign


def scalars(lr=1e-4, beta1=0.9, beta2=0.99):
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2)


@rule(scalars, state="m", units={"lr": "theta"}, search=0.1)
def lion(theta, g, m, lr, beta1, rest1, beta2, rest2):
    theta = theta - lr * sign(beta1 * m + rest1 * g)
    m = beta2 * m + rest2 * g
    return theta, g, m
