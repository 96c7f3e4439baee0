"""Prodigy. Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4, and the authors' code.

Adam whose rate is lr times d: an estimate of the distance to the solution, from sums over all arrays, that starts at
d0 and never falls. lr is 1, or a schedule that ends at 0. With correction = 1 averages are corrected as Adam's are;
growth bounds the factor by which d grows in one update, and 0 leaves it without a bound. While all gradients have
been zero, nothing moves.

Shapes: theta, g, m, v, s, x0 alike.   Units: [g] = loss/[theta]; d, d0, x0 in [theta]; m, s in [theta][g]; v in the
square of that; eps in [g]; weight_decay in 1/[theta]; lr, the betas, d_coef, growth are pure numbers.
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.vocabulary import abs, sqrt


def rated(t, d, lr, beta1, beta2, d0, correction):
    now = d or d0
    return now, now * lr * (sqrt(1 - beta2**t) / (1 - beta1**t) if correction else 1.0)


def gains(t, d, lr=1.0, beta1=0.9, beta2=0.999, d0: Positive = 1e-6, correction: NonNegative = 0.0):
    now, rate = rated(t, d, lr, beta1, beta2, d0, correction)
    return dict(beta1=beta1, gain1=(1 - beta1) * now, beta2=beta2, gain2=(1 - beta2) * now * now,
                beta3=sqrt(beta2), gain3=now / d0 * rate)


def scalars(t, along, size, d, most, product, beta3, gain3, lr=1.0, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
            d0: Positive = 1e-6, d_coef: Positive = 1.0, growth: NonNegative = 0.0, correction: NonNegative = 0.0):
    now, rate = rated(t, d, lr, beta1, beta2, d0, correction)
    most = max(most, d0)
    if not size:
        return dict(d=now, most=most, product=product, rate=0.0, shrink=0.0, floor=now * eps)
    product = beta3 * product + gain3 * along
    found = d_coef * product / size
    most = max(most, found)
    d = max(now, found) if now == d0 else now
    d = min(most, d * growth) if growth else most
    return dict(d=d, most=most, product=product, rate=rate, shrink=rate * weight_decay, floor=d * eps)


def way(theta, g, x0):
    return g * (x0 - theta)


def new_size(g, s, beta3, gain3):
    return abs(beta3 * s + gain3 * g)


@rule(scalars, early=gains, reduce={"along": way, "size": new_size}, over="all",
      state="m v s x0", nonnegative="v", start={"x0": "theta"}, memory={"d": 0.0, "most": 0.0, "product": 0.0}, power=2,
      units={"d0": "theta", "eps": "g", "weight_decay": "1/theta"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient",
                  "refuses_nonfinite": "d grows, and state with it, as long as gradients do not get smaller"})
def prodigy(theta, g, m, v, s, x0, beta1, gain1, beta2, gain2, beta3, gain3, rate, shrink, floor):
    m = beta1 * m + gain1 * g
    v = beta2 * v + gain2 * (g * g)
    s = beta3 * s + gain3 * g
    theta = theta - shrink * theta
    theta = theta - rate * m / (sqrt(v) + floor)
    return theta, g, m, v, s, x0
