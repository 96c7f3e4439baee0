"""AdaBelief. Zhuang et al. 2020 (NeurIPS 33), arXiv:2010.07468, Algorithm 2.

s averages the square of what the gradient differs from its average by: a step is long where the gradient is as
expected. As in the authors' code eps_root is added to s at each step and stays in it.

On a gradient without noise s goes to eps_root / (1 - beta2), and a step to millions of times the gradient: for those,
take a larger eps.

Shapes: theta, g, m, s alike.   Units: [g] = loss/[theta]; m in [g]; s and eps_root in [g]^2; lr in [theta]; eps in
[g]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-16, eps_root: Positive = 1e-16):
    return dict(rate=lr / (1 - beta1**t), eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m s", nonnegative="s", power=2, units={"lr": "theta", "eps": "g", "eps_root": "g*g"})
def adabelief(theta, g, m, s, rate, eps, eps_root, beta1, rest1, beta2, rest2, unbias2):
    m = beta1 * m + rest1 * g
    surprise = g - m
    s = beta2 * s + rest2 * (surprise * surprise) + eps_root
    theta = theta - rate * m / (unbias2 * sqrt(s) + eps)
    return theta, g, m, s
