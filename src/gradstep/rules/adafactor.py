"""Adafactor: the mean square of a matrix as a row and a column. Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 6.

The paper's sums over rows and columns are means here, which gives the same quotient. An array of one axis is a column:
c / mean(r) is then one, and what is left is the paper's Algorithm 5. More axes are a stack of matrices.

Shapes: theta, g alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps1 in [g]^2; eps2 in [theta];
lr (the paper's bound of the relative step), decay_rate, clip are pure numbers.
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.vocabulary import maximum, mean, sqrt


def scalars(t, lr=1e-2, decay_rate: Positive = 0.8, eps1: Positive = 1e-30, eps2: NonNegative = 1e-3,
            clip: Positive = 1.0):
    rest = t**-decay_rate
    return dict(beta=1 - rest, rest=rest, rho=min(lr, t**-0.5), eps1=eps1, eps2=eps2, unclip=1 / clip)


def averages(square, r, c, beta, rest):
    return beta * r + rest * mean(square, "columns"), beta * c + rest * mean(square, "rows")


def estimate(r, c):
    return r * (c / mean(r, "rows"))


def clipped(u, unclip, over="all"):
    return u / maximum(1.0, unclip * sqrt(mean(u * u, over)))


def size(theta, eps2, over="all"):
    return maximum(eps2, sqrt(mean(theta * theta, over)))


@rule(scalars, state="r c", nonnegative="r c", power=2, whole=True, shapes={"r": "rows", "c": "columns"},
      units={"eps1": "g*g", "eps2": "theta"}, search=0.01, finds_scale=True)
def adafactor(theta, g, r, c, beta, rest, rho, eps1, eps2, unclip):
    r, c = averages(g * g + eps1, r, c, beta, rest)
    u = clipped(g / sqrt(estimate(r, c)), unclip)
    theta = theta - rho * size(theta, eps2) * u
    return theta, g, r, c
