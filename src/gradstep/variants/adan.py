"""Adan as optax has it, with the paper's coefficient in the place of the code's.

Shapes: theta, g, m, v, n, last alike.   Units: [g] = loss/[theta]; m, v, last in [g]; n, eps_root in [g]^2; lr in
[theta]; eps in [g]; the betas are pure numbers.
"""

from gradstep.rule import Fraction, NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, lr=1e-3, beta1=0.98, beta2=0.92, beta3: Fraction = 0.99, eps=1e-8, eps_root: NonNegative = 1e-8):
    return dict(rate=lr / (1 - beta1**t), ahead=lr * (1 - beta2) / (1 - beta2**t), keep=1.0 if t > 1 else 0.0,
                eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2,
                beta3=beta3, rest3=1 - beta3, unbias3=1 / (1 - beta3**t))


@rule(scalars, state="m v n last", nonnegative="n", power=2, units={"lr": "theta", "eps": "g", "eps_root": "g*g"})
def adan_optax(theta, g, m, v, n, last, rate, ahead, keep, eps, eps_root, beta1, rest1, beta2, rest2, beta3, rest3,
               unbias3):
    """optax 0.2.8, adan: looks ahead by 1 - beta2 of the change, where paper and authors take beta2. Units as adan."""
    d = keep * (g - last)
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * d
    look = g + rest2 * d
    n = beta3 * n + rest3 * (look * look)
    theta = theta - (rate * m + ahead * v) / (sqrt(unbias3 * n + eps_root) + eps)
    return theta, g, m, v, n, g
