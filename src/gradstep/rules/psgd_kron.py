"""PSGD, whose preconditioner is a product of a triangle for each side. Li 2018, arXiv:1512.04202; timm's Kron.

p and q are fitted so that the momentum and random numbers n come out alike, p m q' and p^-1' n q^-1: at each of the
first 500 steps, then ever less often, down to every 34th. The step is p'p m q'q, cut to a root mean square of 1.1.
They begin as identities, and stand for what is the root of ``scale`` times as large. Of a side of more than 2048
elements, and of an array of one axis, each is a diagonal. timm brings both to one size now and then, which changes
nothing but rounding; here they stay.

noise, n here, is a function of the optimizer's ``seed``, the update, the parameter's name and the place in it, as in
``gs.gradient_noise``.

Shapes: theta, g, m, noise alike; p, q are squares.   Units: [g] = loss/[theta]; m in [g]; scale in [g]^-1/2; lr in
[theta]; weight_decay in 1/[theta]; momentum, precond_lr are pure numbers.
"""

import math

from gradstep.rule import Fraction, Positive, rule
from gradstep.vocabulary import columns, gram, least_norm, matmul, mean, minimum, sqrt, transpose, trisolve, upper, when

TINY = 2.0**-126


def scalars(t, waited, lr=1e-3, momentum=0.9, weight_decay=0.0, precond_lr: Fraction = 0.1, scale: Positive = 1.0):
    share = min(1.0, max(0.03, math.exp(0.001 * (501 - t))))
    is_due = waited + 1 >= 1 / share
    unbias = 1 / (1 - momentum**t)
    return dict(waited=0.0 if is_due else waited + 1, due=1.0 if is_due else 0.0, momentum=momentum, rest=1 - momentum,
                up=scale * unbias, down=1 / scale, upwards=scale * scale * unbias, step=precond_lr, lr=lr,
                shrink=lr * weight_decay)


def change(p, a, b, step):
    """Return by how much p is too large for the squares of ``a`` and ``b`` to be alike, times ``step``."""
    one, two = gram(a, p), gram(b, p)
    return matmul(upper(one - two), p) * (step / (least_norm(one + two) + TINY))


@rule(scalars, state="m p q", start={"p": "identity", "q": "identity"}, memory={"waited": 0.0}, random="noise",
      power=2, whole=True, axes=2, longest=2048, vectors=False, shapes={"p": "rows rows", "q": "columns columns"},
      units={"lr": "theta", "weight_decay": "1/theta"},
      exceptions={"units": "the scale of p and q has the unit of a gradient to the power -1/2",
                  "first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def psgd_kron(theta, g, m, p, q, noise, due, momentum, rest, up, down, upwards, step, lr, shrink):
    m = momentum * m + rest * g

    def fitted(p, q):
        a = up * matmul(matmul(p, m), transpose(q))
        b = down * trisolve(transpose(p), transpose(trisolve(transpose(q), transpose(noise))))
        matrix = minimum(1.0, columns(g) - 1.0)  # q of a vector stays 1
        return p - change(p, a, b, step), q - change(q, transpose(a), transpose(b), step) * matrix

    p, q = when(due, fitted, p, q)
    u = upwards * matmul(matmul(matmul(transpose(p), matmul(p, m)), transpose(q)), q)
    theta = theta - shrink * theta - lr * u * minimum(1.0, 1.1 / (sqrt(mean(u * u, "all")) + 1e-8))
    return theta, g, m, p, q
