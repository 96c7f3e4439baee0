"""Muon: momentum with singular values near one. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.

Five Newton-Schulz steps with the author's coefficients bring each singular value of the direction to 0.7 to 1.2; they
are part of the rule. The scale is the square root of rows / columns where there are more rows: weights are (out, in).

It is for matrices. An array of one axis is a column, and so moves by the direction of its momentum, all elements
together: authors give biases, gains and embeddings to AdamW, as ``groups={"*.bias": gs.adamw()}`` does. An array of
more axes is refused: hand in a view, ``w.reshape(len(w), -1)``.

Shapes: theta, g, b alike.   Units: [g] = loss/[theta]; b, eps in [g]; lr in [theta]; weight_decay in 1/[theta].
"""

from gradstep.rule import rule
from gradstep.vocabulary import columns, matmul, maximum, norm, repeat, rows, shaped_as, sqrt, transpose, wide


def scalars(lr=0.02, momentum=0.95, weight_decay=0.0, eps=1e-7):
    return dict(rate=lr, shrink=lr * weight_decay, momentum=momentum, rest=1 - momentum, eps=eps)


def quintic(x):
    """Return a x + b A x + c A^2 x; A is symmetric, and BLAS does half the work where it can see that of its square."""
    a = matmul(x, transpose(x))
    return 3.4445 * x + matmul(2.0315 * matmul(a, transpose(a)) - 4.775 * a, x)


@rule(scalars, state="b", whole=True, axes=2, units={"lr": "theta", "weight_decay": "1/theta", "eps": "g"},
      exceptions={"first_step_descends": "an element may move uphill, for the matrix as a whole goes down"})
def muon(theta, g, b, rate, shrink, momentum, rest, eps):
    b = momentum * b + rest * g
    u = momentum * b + rest * g
    o = repeat(quintic, wide(u / (norm(u) + eps)), 5)
    scale = sqrt(maximum(1.0, rows(g) / columns(g)))
    theta = theta - shrink * theta - rate * (scale * shaped_as(o, g))
    return theta, g, b
