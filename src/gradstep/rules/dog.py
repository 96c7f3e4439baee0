"""DoG: distance over gradients. Ivgi, Hinder & Carmon 2023 (ICML), arXiv:2302.12022, equation DoG.

The rate is the largest distance from the start so far over the root of the sum of all squared gradients; lr is a
factor of it, 1 in the paper. The first distance is reps_rel (1 + |theta_0|). The paper's results are those of
averaged parameters: ``gs.chain(gs.dog(), gs.ema(...))``.

Shapes: theta, g, x0 alike.   Units: [g] = loss/[theta]; x0 in [theta]; eps in [g]^2; lr is a pure number.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sqrt


def scalars(start, away, length, distance, gradients, lr=1.0, reps_rel: Positive = 1e-6, eps=1e-8):
    distance = max(distance, sqrt(away)) or reps_rel * (1 + sqrt(start))
    gradients = gradients + length
    return dict(distance=distance, gradients=gradients, rate=lr * distance / sqrt(gradients + eps))


def squared_start(x0):
    return x0 * x0


def squared_way(theta, x0):
    return (theta - x0) * (theta - x0)


def squared_gradient(g):
    return g * g


@rule(scalars, reduce={"start": squared_start, "away": squared_way, "length": squared_gradient}, over="all",
      state="x0", start={"x0": "theta"}, memory={"distance": 0.0, "gradients": 0.0}, power=2,
      exceptions={"units": "the first distance adds 1 to a norm"})
def dog(theta, g, x0, rate):
    theta = theta - rate * g
    return theta, g, x0
