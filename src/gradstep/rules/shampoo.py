"""Shampoo: the gradient between roots of its own second moments. Gupta, Koren & Singer 2018, arXiv:1802.09568.

Algorithm 1 for a matrix; an array of one axis is a column, which takes the root of order two: Algorithm 2 of order one.
left and right are sums, as in the paper, of products of the gradient with itself: a side of n elements takes n^2
numbers of state and a time of n^3 at each step. Of a side of more than 768 elements the diagonal alone is kept, as in
the authors' code. No eigenvalue counts for less than eps, which it starts with; one below 1e-7 of the largest is a
rounding error in float32, which eps should be above.

Shapes: theta, g alike; left, right are squares.   Units: [g] = loss/[theta]; left, right, eps in [g]^2; lr in [theta].
"""

from gradstep.rule import rule
from gradstep.vocabulary import columns, eigh, gram, matmul, maximum, minimum, sqrt, transpose


def scalars(lr=1.0, eps=1e-4):
    return dict(lr=lr, eps=eps)


def root(x, least, matrix):
    """Return x to the power -1/4, or -1/2 where ``matrix`` is 0 and not 1, with eigenvalues of at least ``least``."""
    values, vectors = eigh(x)
    half = 1.0 / sqrt(maximum(values, least))
    return matmul(vectors * (matrix * sqrt(half) + (1.0 - matrix) * half), transpose(vectors))


@rule(scalars, state="left right", start={"left": "eps identity", "right": "eps identity"}, power=2, whole=True, axes=2,
      shapes={"left": "rows rows", "right": "columns columns"}, longest=768, units={"lr": "theta", "eps": "g*g"},
      exceptions={"first_step_descends": "an element may move uphill, for the matrix as a whole goes down"})
def shampoo(theta, g, left, right, lr, eps):
    left = left + gram(g, left)
    right = right + gram(transpose(g), right)
    matrix = minimum(1.0, columns(g) - 1.0)
    u = matmul(root(left, eps, matrix), g)
    u = matrix * matmul(u, root(right, eps, 1.0)) + (1.0 - matrix) * u
    theta = theta - lr * u
    return theta, g, left, right
