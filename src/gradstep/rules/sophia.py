"""Sophia. Liu et al. 2023, arXiv:2305.14342, Algorithm 3, without the decay: ``gs.chain(gs.decay(), gs.sophia())``.

``opt.step(grads, curvature=h)``: h estimates the Hessian's diagonal, by Hutchinson's or the Gauss-Newton-Bartlett
estimator. It is looked at in updates 1, k + 1, 2 k + 1, ...; in between, hand in the one before. eps is the least that
is divided by.

Shapes: theta, g, curvature, m, h alike.   Units: [g] = loss/[theta]; m in [g]; curvature, h in [g]/[theta]; lr, gamma
in [theta]; eps in [g]; the betas are pure numbers; k is a number of updates.
"""

from typing import Annotated

from gradstep.rule import Domain, Positive, rule
from gradstep.vocabulary import maximum, minimum

Clock = Annotated[float, Domain(1.0, whole=True)]


def scalars(t, lr=1e-4, beta1=0.965, beta2=0.99, gamma: Positive = 0.01, eps=1e-12, k: Clock = 10.0):
    is_new = (t - 1) % k < 1
    return dict(lr=lr, gamma=gamma, eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2 if is_new else 1.0, rest2=1 - beta2 if is_new else 0.0)


@rule(scalars, inputs="curvature", state="m h",
      units={"curvature": "g/theta", "lr": "theta", "gamma": "theta", "eps": "g"})
def sophia(theta, g, curvature, m, h, lr, gamma, eps, beta1, rest1, beta2, rest2):
    m = beta1 * m + rest1 * g
    h = beta2 * h + rest2 * curvature
    u = minimum(maximum(m / maximum(gamma * h, eps), -1.0), 1.0)
    theta = theta - lr * u
    return theta, g, m, h
