"""Schedule-free SGD and AdamW as optax, Keras and pytorch_optimizer have them: other rates and weights of a warm-up.

Shapes: theta, g, x, z, v alike.   Units: [g] = loss/[theta]; x, z in [theta]; v in [g]^2; lr in [theta]; eps in [g];
weight_decay in 1/[theta]; the betas are pure numbers; warmup is a number of updates.
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.schedule_free_adamw import scalars as adamw_scalars
from gradstep.rules.schedule_free_adamw import schedule_free_adamw
from gradstep.rules.schedule_free_sgd import scalars as sgd_scalars
from gradstep.rules.schedule_free_sgd import schedule_free_sgd
from gradstep.vocabulary import sqrt


def late(out, t, lr, beta1, warmup):
    """The numbers of an update with the rate of the one before; its weight stays."""
    rate = lr * min(1.0, (t - 1) / warmup) if warmup else lr
    return {**out, "rate": rate, "slope": rate * (1 - beta1 * (1 - out["share"]))}


@variant(schedule_free_sgd)
def schedule_free_sgd_optax(t, top, total_weight, lr=1.0, beta1=0.9, warmup: NonNegative = 0.0):
    """optax 0.2.8, contrib.schedule_free_sgd: a warm-up begins at 0, with the weight of the update after."""
    return late(sgd_scalars(t, top, total_weight, lr, beta1, warmup), t, lr, beta1, warmup)


@variant(schedule_free_adamw, exceptions={})  # its first step is none
def schedule_free_adamw_optax(t, top, total_weight, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0,
                              warmup: NonNegative = 0.0):
    """optax 0.2.8, contrib.schedule_free_adamw: a warm-up begins at 0, with the weight of the update after."""
    own = adamw_scalars(t, top, total_weight, lr, beta1, beta2, eps, weight_decay, warmup)
    return late(own, t, lr, beta1, warmup)


def keras_scalars(t, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, warmup: NonNegative = 0.0):
    rate = lr * min(1.0, t / warmup) if warmup else lr
    return dict(share=1 / t, rate=rate, slope=rate * (1 - beta1 * (1 - 1 / t)), eps=eps, shrink=lr * weight_decay,
                out=lr * weight_decay / beta1 if beta1 else 0.0,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


def read(theta, x, z, v):
    return x


@rule(keras_scalars, state="x z v", nonnegative="v", start={"x": "theta", "z": "theta"}, power=2, read=read,
      units={"lr": "theta", "eps": "g", "weight_decay": "1/theta"})
def schedule_free_adamw_keras(theta, g, x, z, v, share, rate, slope, eps, shrink, out, beta2, rest2, unbias2):
    """Keras 3.15, ScheduleFreeAdamW: x moves with the decay of theta, and is a plain mean of z."""
    x = x - out * theta
    theta = theta - shrink * theta
    v = beta2 * v + rest2 * (g * g)
    u = g / (unbias2 * sqrt(v) + eps)
    theta = theta + share * (z - theta) - slope * u
    z = z - rate * u
    x = x + share * (z - x)
    return theta, g, x, z, v


def rooted(t, top, total_weight, lr=2.5e-3, beta1=0.9, beta2=0.999, eps=1e-8, eps_root: NonNegative = 1e-15,
           weight_decay=0.0, warmup: NonNegative = 0.0):
    out = adamw_scalars(t, top, total_weight, lr, beta1, beta2, eps, weight_decay, warmup)
    return {**out, "unbias2": 1 / (1 - beta2**t), "eps_root": eps_root}


@rule(rooted, state="x z v", nonnegative="v", start={"x": "theta", "z": "theta"}, power=2, read=read,
      memory={"top": 0.0, "total_weight": 0.0},
      units={"lr": "theta", "eps": "g", "eps_root": "g*g", "weight_decay": "1/theta"},
      exceptions=schedule_free_adamw.exceptions)
def schedule_free_adamw_rooted(theta, g, x, z, v, share, rate, slope, eps, eps_root, weight_decay, beta2, rest2,
                               unbias2):
    """pytorch_optimizer 4.1.0, ScheduleFreeAdamW: a second eps inside of the root, in [g]^2."""
    v = beta2 * v + rest2 * (g * g)
    u = g / (sqrt(unbias2 * v + eps_root) + eps) + weight_decay * theta
    theta = theta + share * (z - theta) - slope * u
    z = z - rate * u
    x = x + share * (z - x)
    return theta, g, x, z, v
