"""NovoGrad. Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1.

Each array's gradient is divided by the root of an average of its squared norm, one number for the array.

Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; eps in [g]; m is a pure number; lr in [theta]; weight_decay in
1/[theta]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt


def scalars(t, length, v, lr=1e-3, beta1=0.95, beta2=0.98, eps=1e-8, weight_decay=0.0):
    v = beta2 * v + (1 - beta2) * length if t > 1 else length
    return dict(v=v, lr=lr, beta1=beta1, scale=1 / (sqrt(v) + eps), weight_decay=weight_decay)


def squared_gradient(g):
    return g * g


@rule(scalars, reduce={"length": squared_gradient}, over="tensor", memory={"v": 0.0}, state="m", power=2,
      units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def novograd(theta, g, m, lr, beta1, scale, weight_decay):
    m = beta1 * m + scale * g + weight_decay * theta
    theta = theta - lr * m
    return theta, g, m
