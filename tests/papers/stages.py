"""The stages once more, as plain functions over lists of numbers (a "tensor" is a list), at 80 digits.

Clipping by norm is Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, Algorithm 1:

    if ||g|| >= threshold:  g = (threshold / ||g||) g

(written with > below: at equality the factor is one). The library clips one tensor, or all of them as one vector.
Unscaling is Micikevicius et al. 2018, arXiv:1710.03740, section 3.2.
Weight decay, arXiv:1711.05101 (Loshchilov & Hutter 2019): l2 goes into the gradient, decay into the parameter.
The average is that of Polyak & Juditsky 1992 with exponential weights, and no bias correction: it starts at theta0.
"""

from mpmath import sqrt

from .exact import exact


def norm(values):
    return sqrt(sum(value**2 for value in values))


def clipped(values, length, max_norm):
    return [value * max_norm / length for value in values] if length > max_norm else values


@exact()
def clip_by_value(gs, max_value):
    return [min(max(g, -max_value), max_value) for g in gs]


@exact()
def clip_by_norm(tensors, max_norm):
    return [clipped(tensor, norm(tensor), max_norm) for tensor in tensors]


@exact()
def clip_by_global_norm(tensors, max_norm):
    length = norm([value for tensor in tensors for value in tensor])
    return [clipped(tensor, length, max_norm) for tensor in tensors]


@exact()
def unscale(gs, loss_scale):
    return [g / loss_scale for g in gs]


@exact()
def l2(gs, thetas, weight_decay):
    return [g + weight_decay * theta for g, theta in zip(gs, thetas, strict=True)]


@exact()
def decay(thetas, lr, weight_decay):
    return [theta - lr * weight_decay * theta for theta in thetas]


@exact()
def ema(theta0, thetas, decay):
    """Return the average after each of `thetas`, the values that one parameter takes after theta0."""
    average = theta0
    for theta in thetas:
        average = decay * average + (1 - decay) * theta
        yield average
