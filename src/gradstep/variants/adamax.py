"""Adamax as torch, optax, Keras and MLX have it: with an eps, which the paper does not have.

Shapes: theta, g, m, u alike.   Units: [g] = loss/[theta]; m, u, eps in [g]; lr in [theta]; the betas are pure
numbers.
"""

from gradstep.rule import rule, variant
from gradstep.vocabulary import abs, maximum


def corrected(t, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    return dict(rate=lr / (1 - beta1**t), eps=eps, beta1=beta1, rest1=1 - beta1, beta2=beta2)


@rule(corrected, state="m u", nonnegative="u", units={"lr": "theta", "eps": "g"}, search=2.0)
def adamax_eps_inside(theta, g, m, u, rate, eps, beta1, rest1, beta2):
    """torch 2.13, Adamax, and optax's: eps is added to abs(g) within the maximum.

    Units: [g] = loss/[theta]; m, u, eps in [g]; lr in [theta]; beta1, beta2 are pure numbers.
    """
    m = beta1 * m + rest1 * g
    u = maximum(beta2 * u, abs(g) + eps)
    theta = theta - rate * m / u
    return theta, g, m, u


def outside(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    return corrected(t, lr, beta1, beta2, eps)


@rule(outside, state="m u", nonnegative="u", units={"lr": "theta", "eps": "g"}, search=2.0)
def adamax_eps_outside(theta, g, m, u, rate, eps, beta1, rest1, beta2):
    """Keras 3.15, Adamax: eps is added to the maximum.

    Units: [g] = loss/[theta]; m, u, eps in [g]; lr in [theta]; beta1, beta2 are pure numbers.
    """
    m = beta1 * m + rest1 * g
    u = maximum(beta2 * u, abs(g))
    theta = theta - rate * m / (u + eps)
    return theta, g, m, u


@variant(adamax_eps_outside)
def adamax_uncorrected(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """MLX 0.32, Adamax: no bias correction; the first step is a tenth of that of Adamax.

    Units: [g] = loss/[theta]; m, u, eps in [g]; lr in [theta]; beta1, beta2 are pure numbers.
    """
    return dict(rate=lr, eps=eps, beta1=beta1, rest1=1 - beta1, beta2=beta2)
