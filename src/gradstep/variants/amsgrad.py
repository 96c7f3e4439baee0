"""AMSGrad as torch, Keras and optax have it: with Adam's bias corrections and an eps, which the paper does not have.

Shapes: theta, g, m, v, top alike.   Units: [g] = loss/[theta]; m in [g]; v, top in [g]^2; lr in [theta]; eps in [g];
eps_root in [g]^2; beta1, beta2 are pure numbers.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.vocabulary import maximum, sqrt

SYMBOLS = {"top": r"\hat{v}"}


def corrected(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    return dict(rate=lr / (1 - beta1**t), eps=eps, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(corrected, state="m v top", nonnegative="v top", power=2, units={"lr": "theta", "eps": "g"}, symbols=SYMBOLS)
def amsgrad_corrected(theta, g, m, v, top, rate, eps, beta1, rest1, beta2, rest2, unbias2):
    """torch 2.13, Adam with amsgrad=True: the largest v so far, corrected as v is.

    Units: [g] = loss/[theta]; m in [g]; v, top in [g]^2; lr in [theta]; eps in [g]; beta1, beta2 are pure numbers.
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    top = maximum(top, v)
    theta = theta - rate * m / (unbias2 * sqrt(top) + eps)
    return theta, g, m, v, top


@variant(amsgrad_corrected)
def amsgrad_eps_hat(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    """Keras 3.15, Adam with amsgrad=True: eps is added to the root before its correction ("epsilon hat").

    Units: [g] = loss/[theta]; m in [g]; v, top in [g]^2; lr in [theta]; eps in [g]; beta1, beta2 are pure numbers.
    """
    return dict(rate=lr / (1 - beta1**t), eps=eps / sqrt(1 - beta2**t), beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


def optax_scalars(t, lr, beta1, beta2, eps, eps_root, mean=True, square=True):
    return dict(rate=lr / (1 - beta1**t) if mean else lr, eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / (1 - beta2**t) if square else 1.0)


def both(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    return optax_scalars(t, lr, beta1, beta2, eps, eps_root)


@rule(both, state="m v top", nonnegative="v top", power=2, units={"lr": "theta", "eps": "g", "eps_root": "g*g"},
      symbols=SYMBOLS)
def amsgrad_optax(theta, g, m, v, top, rate, eps, eps_root, beta1, rest1, beta2, rest2, unbias2):
    """optax 0.2.8, amsgrad: the largest of the corrected v; eps_root inside of the root.

    Units: [g] = loss/[theta]; m in [g]; v, top, eps_root in [g]^2; lr in [theta]; eps in [g]; betas are pure numbers.
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    top = maximum(top, unbias2 * v)
    theta = theta - rate * m / (sqrt(top + eps_root) + eps)
    return theta, g, m, v, top


@variant(amsgrad_optax)
def amsgrad_optax_mean(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    """optax 0.2.8, amsgrad with bias_correction_nu=False: the mean alone is corrected. Units as amsgrad_optax."""
    return optax_scalars(t, lr, beta1, beta2, eps, eps_root, square=False)


@variant(amsgrad_optax)
def amsgrad_optax_square(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    """optax 0.2.8, amsgrad with bias_correction_mu=False: the square alone is corrected. Units as amsgrad_optax."""
    return optax_scalars(t, lr, beta1, beta2, eps, eps_root, mean=False)


@variant(amsgrad_optax)
def amsgrad_optax_uncorrected(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    """optax 0.2.8, amsgrad without bias corrections: the paper's, with an eps. Units as amsgrad_optax."""
    return optax_scalars(t, lr, beta1, beta2, eps, eps_root, mean=False, square=False)
