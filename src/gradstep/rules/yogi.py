"""Yogi. Zaheer et al. 2018 (NeurIPS 31), Algorithm 2.

v moves towards the square of the gradient by at most rest2 of that square, so that it falls slower than Adam's. The
paper takes its start from a large batch; here it is a hyperparameter. Averages are not corrected.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v and initial_accumulator in [g]^2; lr in
[theta]; eps in [g]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sign, sqrt


def scalars(lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-3, initial_accumulator: Positive = 1e-6):
    return dict(lr=lr, beta1=beta1, rest1=1 - beta1, rest2=1 - beta2, eps=eps)


@rule(scalars, state="m v", nonnegative="v", start={"v": "initial_accumulator"}, power=2,
      units={"lr": "theta", "eps": "g", "initial_accumulator": "g*g"})
def yogi(theta, g, m, v, lr, beta1, rest1, rest2, eps):
    m = beta1 * m + rest1 * g
    square = g * g
    v = v - rest2 * sign(v - square) * square
    theta = theta - lr * m / (sqrt(v) + eps)
    return theta, g, m, v
