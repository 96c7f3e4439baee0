"""Gradient descent with stochastic gradients. Robbins & Monro 1951, Ann. Math. Statist. 22(3), 400-407.

The paper's recursion, for the root of M(x) = a from noisy values y_n of M(x_n):

    x_{n+1} = x_n + a_n (a - y_n)

Named differences
- The root sought is that of the gradient: a = 0 and y_n = g_n, a noisy value of the gradient at x_n.
- a_n is the constant lr (the paper asks for sum a_n = inf, sum a_n^2 < inf: a schedule's business).
"""

from .exact import exact

CITATION = "Robbins & Monro 1951, A Stochastic Approximation Method, Ann. Math. Statist. 22(3)"
DEFAULTS = {
    "lr": 1e-2,  # Keras (the paper gives none)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr):
    x = theta0
    for y in gradients:
        x = x + lr * (0 - y)
        yield x
