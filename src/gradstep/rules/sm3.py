"""SM3: Adagrad of a matrix with a number for each row and column. Anil et al. 2019 (NeurIPS), arXiv:1901.11150, SM3-II.

A sum of squares is at most what its row and its column remember; these remember the largest sum in them. With momentum
as in section 4 of the paper. An array of one axis is a column: it has Adagrad's sums.

Shapes: theta, g, m alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c, eps in [g]^2; lr in [theta];
m, momentum are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import max, minimum, sqrt, where


def scalars(lr=0.1, momentum=0.9, eps=1e-8):
    return dict(lr=lr, momentum=momentum, rest=1 - momentum, eps=eps)


@rule(scalars, state="m r c", nonnegative="r c", power=2, whole=True, shapes={"r": "rows", "c": "columns"},
      units={"lr": "theta", "eps": "g*g"})
def sm3(theta, g, m, r, c, lr, momentum, rest, eps):
    square = minimum(r, c) + g * g
    m = momentum * m + rest * where(square > 0.0, g / sqrt(square + eps), 0.0 * g)
    theta = theta - lr * m
    r = max(square, "columns")
    c = max(square, "rows")
    return theta, g, m, r, c
