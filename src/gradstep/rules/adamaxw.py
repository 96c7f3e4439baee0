"""AdamaxW: Adamax with decoupled weight decay. Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

The decay is that of Loshchilov & Hutter 2019, arXiv:1711.05101: lr * weight_decay * theta. Where no gradient has come
yet, 0/0 counts as a step of zero.

Shapes: theta, g, m, u alike.   Units: [g] = loss/[theta]; m, u in [g]; lr in [theta]; weight_decay in 1/[theta]; the
betas are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import abs, maximum, where


def scalars(t, lr=2e-3, beta1=0.9, beta2=0.999, weight_decay=1e-2):
    return dict(shrink=lr * weight_decay, rate=lr / (1 - beta1**t), beta1=beta1, rest1=1 - beta1, beta2=beta2)


@rule(scalars, state="m u", nonnegative="u", units={"lr": "theta", "weight_decay": "1/theta"}, search=2.0,
      exceptions={"first_step_descends": "decoupled decay pulls towards zero, whatever the gradient"})
def adamaxw(theta, g, m, u, shrink, rate, beta1, rest1, beta2):
    m = beta1 * m + rest1 * g
    u = maximum(beta2 * u, abs(g))
    theta = theta - shrink * theta
    theta = theta - rate * where(u > 0.0, m / u, 0.0)
    return theta, g, m, u
