"""SOAP. Vyas et al. 2024, arXiv:2409.11321, Algorithm 3, and the authors' code (nikhilvyas/SOAP, soap.py).

    first gradient:  L = (1 - beta) G G^T, R = (1 - beta) G^T G; Q_L, Q_R their eigenvectors, largest first; W stays
    then, t = 1, 2, ...:
    G'  = Q_L^T G Q_R
    M   = beta1 M + (1 - beta1) G            (seen as M' = Q_L^T M Q_R),   V = beta2 V + (1 - beta2) G'^2
    N'  = M' / (sqrt(V) + epsilon)
    W   = W - eta_t Q_L N' Q_R^T,   eta_t = eta sqrt(1 - beta2^t) / (1 - beta1^t);   W = W - eta lambda W
    L   = beta L + (1 - beta) G G^T,   R = beta R + (1 - beta) G^T G
    where t mod every = 0: Q = the Q of QR(L Q), its columns first in the order of diag(Q^T L Q), largest first, V too

Here beta is shampoo_beta.

Named differences
- The first gradient sets up the bases and moves nothing, as in the authors' code.
- epsilon stands beside the root before the corrections, and the decay comes last, as in the authors' code.
- The columns are put in order before QR, and V with them, as in the authors' code.
- A vector, a matrix of one column, has no bases: Adam's step with that epsilon, as in the authors' code.

Signs of the eigenvectors change nothing. Where a first gradient has two or more singular values that are zero, or equal
ones, the bases are not determined.
"""

from mpmath import mpf, sqrt

from .exact import exact
from .matrices import combined, each, eigen, identity, orthonormal, product, turned

CITATION = "Vyas et al. 2024, arXiv:2409.11321, Algorithm 3"
DEFAULTS = {
    "lr": 3e-3,  # the authors' code, as all seven
    "beta1": 0.95,
    "beta2": 0.95,
    "shampoo_beta": 0.95,
    "eps": 1e-8,
    "weight_decay": 0.01,
    "every": 10,
}
BOUND = 1e-9  # Eigenvectors whose eigenvalues are close have lost digits.


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, shampoo_beta, eps, weight_decay, every):
    w, m, v = theta0, combined((mpf(0), theta0)), combined((mpf(0), theta0))
    left, right = (combined((mpf(0), identity(n))) for n in (len(theta0), len(theta0[0])))
    vector = len(theta0[0]) == 1
    bases = identity(len(theta0)), identity(len(theta0[0]))
    for t, g in enumerate(gradients):
        if t > 0:
            turn = product(turned(bases[0]), g, bases[1])
            m = combined((beta1, m), (1 - beta1, g))
            v = each(lambda a, b: beta2 * a + (1 - beta2) * b**2, v, turn)
            step = each(lambda a, b: a / (sqrt(b) + eps), product(turned(bases[0]), m, bases[1]), v)
            rate = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
            w = combined((1, w), (-rate, product(bases[0], step, turned(bases[1]))))
            w = combined((1 - lr * weight_decay, w))
        left = combined((shampoo_beta, left), (1 - shampoo_beta, product(g, turned(g))))
        right = combined((shampoo_beta, right), (1 - shampoo_beta, product(turned(g), g)))
        if t == 0 and not vector:
            bases = eigen(left)[1], eigen(right)[1]
        elif t > 0 and t % every == 0 and not vector:
            q, order = renewed(left, bases[0])
            p, other = renewed(right, bases[1])
            v = [[v[i][j] for j in other] for i in order]
            bases = q, p
        yield w


def renewed(average, basis):
    """The next basis, and the order of the old one's columns that goes into it."""
    seen = product(turned(basis), average, basis)
    order = sorted(range(len(basis)), key=lambda j: -seen[j][j])
    return orthonormal(product(average, [[row[j] for j in order] for row in basis])), order
