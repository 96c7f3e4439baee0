"""PSGD with a Kronecker-factored preconditioner, "Kron". Li 2018, arXiv:1512.04202, and timm 1.0.31 (optim/kron.py).

    m = momentum m + (1 - momentum) G,   mhat = m / (1 - momentum^t)
    A = Q_1 mhat Q_2^T,   B = Q_1^-T V Q_2^-1,   V random normal
    Q_1 = Q_1 - precond_lr triu(A A^T - B B^T) Q_1 / (low(A A^T + B B^T) + tiny),   Q_2 so with A^T A and B^T B
    U = Q_1^T Q_1 mhat Q_2^T Q_2,   U = U min(1, 1.1 / (RMS(U) + 1e-8))
    theta = theta - lr (U + weight_decay theta)

Q_1 and Q_2 start as the root of `scale` times the identity. Of an axis of one element, and of a vector (a matrix of one
column), Q is a diagonal q:

    q = q - precond_lr (a - b) q / (max(a + b) + tiny),   a, b: the sums of squares of A and B along that element

low is a bound from below of the largest eigenvalue, of timm's _norm_lower_bound. noise has V for each gradient.

Named differences
- timm updates Q at every step for the first 500 alone, then with a probability that falls to 0.03; here at each.
- timm brings Q_1 and Q_2 to one size with probability 0.01, which changes nothing but rounding; here never.
- timm solves with Q in float32.
"""

import mpmath
from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, each, identity, norm, product, rms, turned

CITATION = "Li 2018, arXiv:1512.04202, as timm/optim/kron.py"
DEFAULTS = {
    "lr": 1e-3,  # timm, as all five
    "momentum": 0.9,
    "weight_decay": 0.0,
    "precond_lr": 0.1,
    "scale": 1.0,
}
TINY = mpf(2) ** -126  # of bfloat16


def inverse(p):
    q = mpmath.inverse(mpmath.matrix(p))
    return [[q[i, j] for j in range(len(p))] for i in range(len(p))]


def low(p):
    most = max(abs(x) for row in p for x in row)
    if most == 0:
        return most
    p = combined((1 / most, p))
    columns, rows = ([sum(x**2 for x in own) for own in way] for way in (turned(p), p))
    i, j = columns.index(max(columns)), rows.index(max(rows))
    if columns[i] > rows[j]:
        x = product(turned(p), [[row[i]] for row in p])
        return most * norm(product(p, combined((1 / norm(x), x))))
    x = product(p, [[x] for x in p[j]])
    return most * norm(product(turned(p), combined((1 / norm(x), x))))


def renewed(q, a, b, precond_lr, whole):
    """Q of the axis along which the rows of a and b lie, and as a diagonal where it is not whole."""
    one, two = product(a, turned(a)), product(b, turned(b))
    if not whole:
        most = max(one[i][i] + two[i][i] for i in range(len(q))) + TINY
        return [
            [x - precond_lr * (one[i][i] - two[i][i]) * x / most if i == j else x for j, x in enumerate(row)]
            for i, row in enumerate(q)
        ]
    both, apart = combined((1, one), (1, two)), combined((1, one), (-1, two))
    upper = [[x if j >= i else mpf(0) for j, x in enumerate(row)] for i, row in enumerate(apart)]
    return combined((1, q), (-precond_lr / (low(both) + TINY), product(upper, q)))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, noise, lr, momentum, weight_decay, precond_lr, scale):
    theta, m = theta0, combined((mpf(0), theta0))
    rows, columns = len(theta), len(theta[0])
    vector = columns == 1
    p = identity(rows, scale if vector else sqrt(scale))
    q = identity(columns, 1 if vector else sqrt(scale))
    for t, (g, v) in enumerate(zip(gradients, noise, strict=True), 1):
        m = combined((momentum, m), (1 - momentum, g))
        m_hat = each(lambda x: x / (1 - momentum**t), m)  # noqa: B023 - used at once
        a = product(p, m_hat, turned(q))
        b = product(turned(inverse(p)), v, inverse(q))
        new = renewed(p, a, b, precond_lr, whole=rows > 1 and not vector)
        if not vector:
            q = renewed(q, turned(a), turned(b), precond_lr, whole=columns > 1)
        p = new
        u = product(turned(p), p, m_hat, turned(q), q)
        cut = min(mpf(1), mpf(1.1) / (rms(u) + mpf(1e-8)))
        theta = combined((1 - lr * weight_decay, theta), (-lr * cut, u))
        yield theta
