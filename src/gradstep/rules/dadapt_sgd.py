"""D-Adapted SGD. Defazio & Mishchenko 2023 (ICML), arXiv:2301.07733, Algorithm 4, as the authors' code has it.

Dual averaging from the start x0 with a rate of lr d over the norm of the first gradient; d is a lower bound of the
distance to the solution, from sums over all arrays, that starts at d0 and never falls. lr is 1, or a schedule that
ends at 0. growth bounds the factor by which d grows in one update, and 0 leaves it without a bound.

Shapes: theta, g, s, x0 alike.   Units: [g] = loss/[theta]; d, d0, s, x0 in [theta]; lr, momentum, growth are pure
numbers.
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.vocabulary import sqrt


def scalars(along, length, size, d, product, first, lr=1.0, momentum=0.0, d0: Positive = 1e-6,
            growth: NonNegative = 0.0):
    now, first = max(d, d0), first if first else sqrt(length)
    gain = lr * now / first if first else 0.0
    product = product + gain * along
    norm = sqrt(max(0.0, size + 2 * gain * along + gain * gain * length))  # of s after this update
    found = 2 * product / norm if norm else 0.0
    return dict(first=first, product=product, d=max(now, min(found, now * growth) if growth else found),
                gain=gain, rest=1 - momentum)


def way(g, s):
    return g * s


def squared_gradient(g):
    return g * g


def squared(s):
    return s * s


@rule(scalars, reduce={"along": way, "length": squared_gradient, "size": squared}, over="all", state="s x0",
      start={"x0": "theta"}, memory={"d": 0.0, "product": 0.0, "first": 0.0}, power=2, units={"d0": "theta"},
      exceptions={"smaller_state": "parameters are made from s anew at each step, and would move by its rounding"})
def dadapt_sgd(theta, g, s, x0, gain, rest):
    s = s + gain * g
    theta = theta + rest * (x0 - s - theta)
    return theta, g, s, x0
