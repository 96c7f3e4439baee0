"""DoWG: distance over weighted gradients. Khaled, Mishchenko & Jin 2023, arXiv:2305.16284, Algorithm 1.

The rate is the largest squared distance from the start so far, over the root of the sum of squared gradients, each
times the squared distance of its time. lr is a factor of it, 1 in the paper.

Shapes: theta, g, x0 alike.   Units: [g] = loss/[theta]; x0 in [theta]; start in [theta]^2; eps in [theta][g]; lr is a
pure number.
"""

from gradstep.rule import Positive, rule
from gradstep.vocabulary import sqrt


def scalars(away, length, distance, weighted, lr=1.0, start: Positive = 1e-4, eps=1e-4):
    distance = max(distance, start, away)
    weighted = weighted + distance * length
    return dict(distance=distance, weighted=weighted, rate=lr * distance / (sqrt(weighted) + eps))


def squared_way(theta, x0):
    return (theta - x0) * (theta - x0)


def squared_gradient(g):
    return g * g


@rule(scalars, reduce={"away": squared_way, "length": squared_gradient}, over="all", state="x0", start={"x0": "theta"},
      memory={"distance": 0.0, "weighted": 0.0}, power=2, units={"start": "theta*theta", "eps": "theta*g"})
def dowg(theta, g, x0, rate):
    theta = theta - rate * g
    return theta, g, x0
