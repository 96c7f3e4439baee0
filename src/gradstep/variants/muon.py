"""Muon as torch, optax, Keras, MLX and Moonshot have it: other averages, guards and scales around Jordan's five steps.

Shapes: theta, g, b alike.   Units: [g] = loss/[theta]; b, eps in [g]; lr in [theta]; weight_decay in 1/[theta].
"""

from gradstep.rule import NonNegative, rule, variant
from gradstep.rules.muon import quintic, scalars
from gradstep.vocabulary import columns, maximum, norm, repeat, rows, shaped_as, sqrt, wide

UNITS = {"lr": "theta", "weight_decay": "1/theta", "eps": "g"}
UPHILL = {"first_step_descends": "an element may move uphill, for the matrix as a whole goes down"}


def torch_scalars(lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    return dict(**scalars(lr, momentum, weight_decay, eps), look=momentum, now=1 - momentum)


@rule(torch_scalars, state="b", whole=True, axes=2, units=UNITS, exceptions=UPHILL)
def muon_torch(theta, g, b, rate, shrink, momentum, rest, eps, look, now):
    """torch 2.13, Muon: the norm is no less than eps, where Jordan adds; torch computes in bfloat16. Units as muon."""
    b = momentum * b + rest * g
    u = look * b + now * g
    o = repeat(quintic, wide(u / maximum(norm(u), eps)), 5)
    scale = sqrt(maximum(1.0, rows(g) / columns(g)))
    theta = theta - shrink * theta - rate * (scale * shaped_as(o, g))
    return theta, g, b


def torch_matched(lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    return {**torch_scalars(lr, momentum, weight_decay, eps), "rate": 0.2 * lr}


@rule(torch_matched, state="b", whole=True, axes=2, units=UNITS, exceptions=UPHILL)
def muon_torch_matched(theta, g, b, rate, shrink, momentum, rest, eps, look, now):
    """torch 2.13, Muon with adjust_lr_fn="match_rms_adamw": Moonshot's scale. Units as muon."""
    b = momentum * b + rest * g
    u = look * b + now * g
    o = repeat(quintic, wide(u / maximum(norm(u), eps)), 5)
    scale = sqrt(maximum(rows(g), columns(g)))
    theta = theta - shrink * theta - rate * (scale * shaped_as(o, g))
    return theta, g, b


PLAIN = {"look": 1.0, "now": 0.0}  # without Nesterov's look ahead


@variant(muon_torch)
def muon_torch_plain(lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    """torch 2.13, Muon with nesterov=False. Units as muon."""
    return {**torch_scalars(lr, momentum, weight_decay, eps), **PLAIN}


@variant(muon_torch_matched)
def muon_torch_plain_matched(lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    """torch 2.13, Muon with nesterov=False and adjust_lr_fn="match_rms_adamw". Units as muon."""
    return {**torch_matched(lr, momentum, weight_decay, eps), **PLAIN}


def corrected(t, lr=0.02, momentum=0.95, weight_decay=0.0, eps=1e-8):
    return dict(rate=lr, shrink=lr * weight_decay, momentum=momentum, rest=1 - momentum, eps=eps,
                look=momentum / (1 - momentum ** (t + 1)), now=(1 - momentum) / (1 - momentum**t))


@rule(corrected, state="b", whole=True, axes=2, units=UNITS, exceptions=UPHILL)
def muon_optax(theta, g, b, rate, shrink, momentum, rest, eps, look, now):
    """optax 0.2.8, contrib.muon: averages are corrected, and the sum is over the first axis. Units as muon."""
    b = momentum * b + rest * g
    u = look * b + now * g
    o = repeat(quintic, wide(u / (norm(u) + eps)), 5)
    scale = sqrt(maximum(1.0, columns(g) / rows(g)))
    theta = theta - shrink * theta - rate * (scale * shaped_as(o, g))
    return theta, g, b


def moonlight(lr=1e-3, momentum=0.95, weight_decay=0.1, eps=1e-7):
    return dict(rate=0.2 * lr, shrink=lr * weight_decay, momentum=momentum, eps=eps, look=momentum, now=1.0)


@rule(moonlight, state="b", whole=True, axes=2, units=UNITS, exceptions=UPHILL)
def muon_moonlight(theta, g, b, rate, shrink, momentum, eps, look, now):
    """Liu et al. 2025, arXiv:2502.16982, equation 4: steps with the mean square of AdamW's. Units as muon."""
    b = momentum * b + g
    u = now * g + look * b
    o = repeat(quintic, wide(u / (norm(u) + eps)), 5)
    scale = sqrt(maximum(rows(g), columns(g)))
    theta = theta - shrink * theta - rate * (scale * shaped_as(o, g))
    return theta, g, b


@variant(muon_moonlight)
def muon_keras(lr=1e-3, momentum=0.95, weight_decay=0.004, rms_rate: NonNegative = 0.2, eps=1e-7):
    """Keras 3.15, Muon: Moonshot's, with a factor to choose. Units as muon."""
    return {**moonlight(lr, momentum, weight_decay, eps), "rate": rms_rate * lr}


@variant(muon_moonlight)
def muon_keras_plain(lr=1e-3, momentum=0.95, weight_decay=0.004, rms_rate: NonNegative = 0.2, eps=1e-7):
    """Keras 3.15, Muon with nesterov=False. Units as muon."""
    return {**muon_keras.scalars(lr, momentum, weight_decay, rms_rate, eps), **PLAIN}


def mlx_scalars(lr=0.02, momentum=0.95, weight_decay=0.01, eps=1e-7):
    return dict(lr=lr, decay=weight_decay, momentum=momentum, rest=1 - momentum, eps=eps, look=momentum,
                now=1 - momentum)


@rule(mlx_scalars, state="b", whole=True, axes=2, units={**UNITS, "weight_decay": "g/theta"}, exceptions=UPHILL)
def muon_mlx(theta, g, b, lr, decay, momentum, rest, eps, look, now):
    """MLX 0.32, Muon: Jordan's, with a decay that is added to the gradient. Units: weight_decay in [g]/[theta]."""
    g = g + decay * theta
    b = momentum * b + rest * g
    u = look * b + now * g
    o = repeat(quintic, wide(u / (norm(u) + eps)), 5)
    scale = sqrt(maximum(1.0, rows(g) / columns(g)))
    theta = theta - lr * (scale * shaped_as(o, g))
    return theta, g, b


@variant(muon_mlx)
def muon_mlx_plain(lr=0.02, momentum=0.95, weight_decay=0.01, eps=1e-7):
    """MLX 0.32, Muon with nesterov=False. Units as muon_mlx."""
    return {**mlx_scalars(lr, momentum, weight_decay, eps), **PLAIN}
