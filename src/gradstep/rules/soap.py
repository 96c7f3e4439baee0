"""SOAP: Adam in the eigenvectors of Shampoo's averages. Vyas et al. 2024, arXiv:2409.11321.

Algorithm 3 as in the authors' code: the first gradient gives the bases and moves nothing; eps stands beside the root
before the corrections; the decay comes last. left and right are the averages, p and q their eigenvectors, of which
every so many steps one orthogonal iteration is made; m and v are the moments as they see them. A side of n elements
takes 2 n^2 numbers of state. One of more than 10000 has no basis, and an array of one axis none at all: that is Adam.

Where the first gradient has several singular values of zero, or equal ones, the bases are LAPACK's choice.

Shapes: theta, g, m, v alike; left, right, p, q are squares.   Units: [g] = loss/[theta]; m, eps in [g]; v, left, right
in [g]^2; lr in [theta]; weight_decay in 1/[theta]; p, q, the betas are pure numbers.
"""

from typing import Annotated

from gradstep.rule import Domain, Fraction, rule
from gradstep.vocabulary import eigh, gram, iterated, matmul, sqrt, transpose, when


def scalars(t, lr=3e-3, beta1=0.95, beta2=0.95, shampoo_beta: Fraction = 0.95, eps=1e-8, weight_decay=0.01,
            every: Annotated[float, Domain(1.0, whole=True)] = 10.0):
    made = t - 1
    moves = 1.0 if made else 0.0
    rate = lr * sqrt(1 - beta2**made) / (1 - beta1**made) if made else 0.0
    return dict(beta1=beta1, rest1=moves * (1 - beta1), beta2=beta2, rest2=moves * (1 - beta2), eps=eps, rate=rate,
                shrink=moves * lr * weight_decay, beta=shampoo_beta, rest=1 - shampoo_beta, first=1.0 - moves,
                due=1.0 if made and made % every == 0 else 0.0)


def turned(p, x, q):
    return matmul(matmul(transpose(p), x), q)


def turned_back(p, x, q):
    return matmul(matmul(p, x), transpose(q))


@rule(scalars, state="m v left right p q", start={"p": "identity", "q": "identity"}, nonnegative="v", power=2,
      whole=True, axes=2, longest=10000, vectors=False,
      shapes={"left": "rows rows", "right": "columns columns", "p": "rows rows", "q": "columns columns"},
      units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"})
def soap(theta, g, m, v, left, right, p, q, beta1, rest1, beta2, rest2, eps, rate, shrink, beta, rest, first, due):
    h = turned(p, g, q)
    m = beta1 * m + rest1 * h
    v = beta2 * v + rest2 * (h * h)
    u = m / (sqrt(v) + eps)
    theta = theta - rate * turned_back(p, u, q)
    theta = theta - shrink * theta
    left = left * beta + gram(g, left) * rest
    right = right * beta + gram(transpose(g), right) * rest
    old = p, q
    p = when(first, lambda _: eigh(left)[1], when(due, lambda x: iterated(left, x), p))
    q = when(first, lambda _: eigh(right)[1], when(due, lambda x: iterated(right, x), q))
    m = when(due, lambda x: turned(p, turned_back(old[0], x, old[1]), q), m)
    return theta, g, m, v, left, right, p, q
