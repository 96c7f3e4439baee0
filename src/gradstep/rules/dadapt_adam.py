"""D-Adapted Adam. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 5, as the authors' code has it.

Adam whose rate is lr times d: a lower bound of the distance to the solution, from sums over all arrays, that starts
at d0 and never falls. lr is 1, or a schedule that ends at 0. With correction = 1 averages are corrected as Adam's
are; growth bounds the factor by which d grows in one update, and 0 leaves it without a bound.

Shapes: theta, g, m, v, s alike.   Units: [g] = loss/[theta]; d, d0 in [theta]; m, s in [theta][g]; v in [g]^2; eps in
[g]; weight_decay in 1/[theta]; lr, the betas, growth are pure numbers.
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.vocabulary import abs, sqrt


def rated(t, d, lr, beta1, beta2, d0, correction):
    now = max(d, d0)
    return now, now * lr * (sqrt(1 - beta2**t) / (1 - beta1**t) if correction else 1.0)


def gains(t, d, lr=1.0, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, d0: Positive = 1e-6,
          correction: NonNegative = 0.0):
    _, rate = rated(t, d, lr, beta1, beta2, d0, correction)
    beta3 = sqrt(beta2)
    return dict(beta1=beta1, gain1=(1 - beta1) * rate, beta2=beta2, rest2=1 - beta2, eps=eps,
                shrink=rate * weight_decay, beta3=beta3, gain3=(1 - beta3) * rate)


def scalars(t, along, size, d, product, beta3, lr=1.0, beta1=0.9, beta2=0.999, d0: Positive = 1e-6,
            growth: NonNegative = 0.0, correction: NonNegative = 0.0):
    now, rate = rated(t, d, lr, beta1, beta2, d0, correction)
    product = beta3 * product + (1 - beta3) * rate * along
    found = product / ((1 - beta3) * size) if size else 0.0
    return dict(product=product, d=max(now, min(found, now * growth) if growth else found))


def way(g, v, s, eps):
    return g * s / (sqrt(v) + eps)


def new_size(g, s, beta3, gain3):
    return abs(beta3 * s + gain3 * g)


@rule(scalars, early=gains, reduce={"along": way, "size": new_size}, over="all",
      state="m v s", nonnegative="v", memory={"d": 0.0, "product": 0.0}, power=2,
      units={"d0": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def dadapt_adam(theta, g, m, v, s, beta1, gain1, beta2, rest2, eps, shrink, beta3, gain3):
    m = beta1 * m + gain1 * g
    v = beta2 * v + rest2 * (g * g)
    s = beta3 * s + gain3 * g
    theta = theta - shrink * theta
    theta = theta - m / (sqrt(v) + eps)
    return theta, g, m, v, s
