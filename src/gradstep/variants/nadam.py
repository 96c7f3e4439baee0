"""NAdam as torch, Keras and optax have it: the mean with beta1, and in optax a look ahead that is constant too.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v, eps_root in [g]^2; lr in [theta]; eps in [g];
beta1, beta2 are pure numbers.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.nadam import nadam
from gradstep.rules.nadam import scalars as growing
from gradstep.vocabulary import sqrt


@variant(nadam)
def nadam_torch(t, product, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay: NonNegative = 0.004):
    """torch 2.13, NAdam, and Keras's: mu_t weighs the look ahead, but the mean is one with beta1.

    Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; betas, momentum_decay are pure numbers.
    """
    return {**growing(t, product, lr, beta1, beta2, eps, momentum_decay), "mu": beta1, "rest": 1 - beta1}


def scalars(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    return dict(look=lr * beta1 / (1 - beta1 ** (t + 1)), now=lr * (1 - beta1) / (1 - beta1**t),
                eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / (1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g", "eps_root": "g*g"})
def nadam_optax(theta, g, m, v, look, now, eps, eps_root, beta1, rest1, beta2, rest2, unbias2):
    """optax 0.2.8, nadam: Adam with Nesterov momentum that is constant; eps_root inside of the root.

    Units: [g] = loss/[theta]; m in [g]; v, eps_root in [g]^2; lr in [theta]; eps in [g]; betas are pure numbers.
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - (look * m + now * g) / (sqrt(unbias2 * v + eps_root) + eps)
    return theta, g, m, v


@variant(nadam_optax, units={"lr": "theta", "eps": "g"})
def nadam_timm(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """timm 1.0.31, NAdamW without its decay: both terms are corrected with t. Units as nadam_optax."""
    rate = lr / (1 - beta1**t)
    return dict(look=rate * beta1, now=rate * (1 - beta1), eps=eps, eps_root=0.0, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / (1 - beta2**t))
