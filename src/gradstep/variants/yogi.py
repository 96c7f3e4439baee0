"""Yogi as optax and pytorch_optimizer have it.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; beta1, beta2
are pure numbers; initial_accumulator, at which m and v start, is in neither.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sign, sqrt


def scalars(t, lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-3, initial_accumulator: Positive = 1e-6):
    return dict(rate=lr / (1 - beta1**t), beta1=beta1, rest1=1 - beta1, rest2=1 - beta2,
                unbias2=1 / sqrt(1 - beta2**t), eps=eps)


@rule(scalars, state="m v", nonnegative="v", start={"m": "initial_accumulator", "v": "initial_accumulator"}, power=2,
      units={"lr": "theta", "eps": "g"},
      exceptions={"units": "m and v start at one number", "odd_symmetry": "m starts above zero",
                  "first_step_descends": "m starts above zero"})
def yogi_corrected(theta, g, m, v, rate, beta1, rest1, rest2, unbias2, eps):
    """optax 0.2.8, scale_by_yogi: corrected averages, which both start at initial_accumulator. Units as yogi."""
    m = beta1 * m + rest1 * g
    square = g * g
    v = v - rest2 * sign(v - square) * square
    theta = theta - rate * m / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
