"""Adam as Keras, MLX and optax have it: other places for eps, and without bias correction.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; eps_root in
[g]^2; beta1, beta2 are pure numbers.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.adam import adam
from gradstep.vocabulary import sqrt


@variant(adam)
def adam_eps_hat(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    """Keras 3.15, Adam, and TensorFlow 1's: eps is added to the root before its correction ("epsilon hat").

    Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; beta1, beta2 are pure numbers.
    """
    return dict(rate=lr / (1 - beta1**t), eps=eps / sqrt(1 - beta2**t), beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@variant(adam)
def adam_uncorrected(lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """MLX 0.32, Adam with bias_correction=False, its default: the first step is 3.16 times that of Adam.

    Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g]; beta1, beta2 are pure numbers.
    """
    return dict(rate=lr, eps=eps, beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2, unbias2=1.0)


def rooted(t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 0.0):
    return dict(rate=lr / (1 - beta1**t), eps=eps, eps_root=eps_root, beta1=beta1, rest1=1 - beta1,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / (1 - beta2**t))


@rule(rooted, state="m v", nonnegative="v", power=2, units={"lr": "theta", "eps": "g", "eps_root": "g*g"})
def adam_eps_root(theta, g, m, v, rate, eps, eps_root, beta1, rest1, beta2, rest2, unbias2):
    """optax 0.2.8, scale_by_adam: a second eps inside of the root, for gradients through the update.

    Units: [g] = loss/[theta]; m in [g]; v, eps_root in [g]^2; lr in [theta]; eps in [g]; beta1, beta2 are pure numbers.
    """
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - rate * m / (sqrt(unbias2 * v + eps_root) + eps)
    return theta, g, m, v
