"""Adafactor as torch, optax, Keras, timm, fairseq and MLX have it: other floors, decays and averages of the step.

The root mean squares of step and parameters are those of the whole array, also where that is a stack of matrices.

Shapes: theta, g, m alike; r has one column, c one row.   Units: [g] = loss/[theta]; r, c in [g]^2; eps2, m in [theta];
lr, decay_rate, clip, momentum are pure numbers; others as each says.
"""

from gradstep.rule import Fraction, NonNegative, Positive, rule, variant
from gradstep.rules.adafactor import averages, clipped, estimate, scalars, size
from gradstep.vocabulary import columns, maximum, mean, spacing, sqrt, where

SHAPES = {"r": "rows", "c": "columns"}
PULLS = {"first_step_descends": "the decay pulls towards zero, whatever the gradient"}


def torch_scalars(t, lr=1e-2, decay_rate: Positive = 0.8, eps1: Positive = 2.0**-52, eps2: NonNegative = 1e-3,
                  clip: Positive = 1.0, weight_decay=0.0):
    return dict(**scalars(t, lr, decay_rate, eps1, eps2, clip), least=eps1 * eps1, shrink=lr * weight_decay)


def torch_root(r, c, floor, least):
    v = where(columns(c) > 1.0, r * c / maximum(mean(r, "rows"), floor), r)
    return sqrt(maximum(v, least))


@rule(torch_scalars, state="r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES,
      units={"eps2": "theta"}, search=0.01, finds_scale=True,
      exceptions={**PULLS, "units": "eps1 is a floor of a square and, squared, of another"})
def adafactor_torch(theta, g, r, c, beta, rest, rho, eps1, eps2, unclip, least, shrink):
    """torch 2.13, Adafactor: eps1 is not added but the least of r's mean, its square the least of the estimate.

    A vector's estimate is r itself.
    """
    alpha = rho * size(theta, eps2, "array")
    r, c = averages(g * g, r, c, beta, rest)
    u = clipped(g / torch_root(r, c, eps1, least), unclip, "array")
    theta = theta - shrink * theta - alpha * u
    return theta, g, r, c


def torch_scalars_of_dtype(t, lr=1e-2, decay_rate: Positive = 0.8, eps2: NonNegative = 1e-3, clip: Positive = 1.0,
                           weight_decay=0.0):
    known = torch_scalars(t, lr, decay_rate, 1.0, eps2, clip, weight_decay)
    return {key: x for key, x in known.items() if key not in ("eps1", "least")}


@rule(torch_scalars_of_dtype, state="r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES,
      units={"eps2": "theta"}, search=0.01, finds_scale=True, exceptions=PULLS)
def adafactor_torch_dtype(theta, g, r, c, beta, rest, rho, eps2, unclip, shrink):
    """torch 2.13, Adafactor with eps1=None: that of adafactor_torch is the spacing of the dtype at 1."""
    alpha = rho * size(theta, eps2, "array")
    r, c = averages(g * g, r, c, beta, rest)
    u = clipped(g / torch_root(r, c, spacing(g), spacing(g) * spacing(g)), unclip, "array")
    theta = theta - shrink * theta - alpha * u
    return theta, g, r, c


def optax_scalars(t, lr=1.0, decay_rate: Positive = 0.8, momentum=0.0, eps1: Positive = 1e-30,
                  eps2: NonNegative = 1e-3, clip: Positive = 1.0, weight_decay=0.0):
    rest = t**-decay_rate
    return dict(rest=rest, beta=1 - rest, momentum=momentum, new=(1 - momentum) * lr, eps1=eps1, eps2=eps2,
                unclip=1 / clip, shrink=weight_decay)


@rule(optax_scalars, state="m r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES, folds=1,
      units={"eps1": "g*g", "eps2": "theta"}, search=0.01, finds_scale=True,
      exceptions={**PULLS, "zero_rate_keeps_theta": "the decay is not times lr",
                  "refuses_nonfinite": "with lr = 1 the parameters may double at each step"})
def adafactor_optax(theta, g, m, r, c, beta, rest, momentum, new, eps1, eps2, unclip, shrink):
    """optax 0.2.8, adafactor with both axes factored: lr is not bounded, and the decay is not multiplied by it."""
    r, c = averages(g * g + eps1, r, c, beta, rest)
    u = clipped(g / sqrt(estimate(r, c)), unclip, "array")
    m = momentum * m + new * size(theta, eps2, "array") * u
    theta = theta - m - shrink * theta
    return theta, g, m, r, c


@variant(adafactor_optax, folds=128)
def adafactor_optax_128(t, lr=1.0, decay_rate: Positive = 0.8, momentum=0.0, eps1: Positive = 1e-30,
                        eps2: NonNegative = 1e-3, clip: Positive = 1.0, weight_decay=0.0):
    """optax 0.2.8, adafactor as it comes: arrays whose second longest axis is shorter than 128 are not factored."""
    return optax_scalars(t, lr, decay_rate, momentum, eps1, eps2, clip, weight_decay)


@variant(adafactor_optax, folds=2**62)
def adafactor_optax_unfactored(t, lr=1.0, decay_rate: Positive = 0.8, momentum=0.0, eps1: Positive = 1e-30,
                               eps2: NonNegative = 1e-3, clip: Positive = 1.0, weight_decay=0.0):
    """optax 0.2.8, adafactor with factored=False: an average of squares for each element."""
    return optax_scalars(t, lr, decay_rate, momentum, eps1, eps2, clip, weight_decay)


def keras_scalars(t, lr=1e-3, decay_rate: Positive = 0.8, eps1: Positive = 1e-30, eps2: NonNegative = 1e-3,
                  clip: Positive = 1.0, weight_decay=0.0):
    return dict(**scalars(t, lr, decay_rate, eps1, eps2, clip), shrink=lr * weight_decay)


@rule(keras_scalars, state="r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES,
      units={"eps1": "g*g", "eps2": "theta"}, search=0.01, finds_scale=True, exceptions=PULLS)
def adafactor_keras(theta, g, r, c, beta, rest, rho, eps1, eps2, unclip, shrink):
    """Keras 3.15, Adafactor: the size of the parameters is taken when they have decayed."""
    theta = theta - shrink * theta
    r, c = averages(g * g + eps1, r, c, beta, rest)
    u = clipped(g / sqrt(where(columns(c) > 1.0, estimate(r, c), r)), unclip, "array")
    theta = theta - rho * size(theta, eps2, "array") * u
    return theta, g, r, c


def timm_scalars(t, lr=1e-2, decay_rate: Positive = 0.8, beta1: Fraction = 0.0, eps1: Positive = 1e-30,
                 eps2: NonNegative = 1e-3, clip: Positive = 1.0, weight_decay=0.0):
    return dict(**scalars(t, lr, decay_rate, eps1, eps2, clip), beta1=beta1, rest1=1 - beta1, decay=weight_decay)


@rule(timm_scalars, state="m r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES,
      units={"eps1": "g*g", "eps2": "theta", "weight_decay": "1/theta"}, search=0.01, finds_scale=True,
      exceptions=PULLS)
def adafactor_timm(theta, g, m, r, c, beta, rest, rho, eps1, eps2, unclip, beta1, rest1, decay):
    """timm 1.0.31, transformers, fairseq, Adafactor without lr: decay and momentum are of the finished step."""
    alpha = rho * size(theta, eps2, "array")
    r, c = averages(g * g + eps1, r, c, beta, rest)
    u = clipped(g / sqrt(estimate(r, c)), unclip, "array")
    m = beta1 * m + rest1 * alpha * u
    theta = theta - alpha * (decay * theta) - m
    return theta, g, m, r, c


@variant(adafactor_timm)
def adafactor_mlx_sized(t, lr=1e-3, decay_rate: Positive = 0.8, beta1: Fraction = 0.0, eps1: Positive = 1e-30,
                        eps2: NonNegative = 1e-3, clip: Positive = 1.0, weight_decay=0.0):
    """MLX 0.32, Adafactor with relative_step=False: lr has no bound that falls, and is times the parameters' size."""
    return {**timm_scalars(t, lr, decay_rate, beta1, eps1, eps2, clip, weight_decay), "rho": lr}


def rate_scalars(t, lr=1e-3, decay_rate: Positive = 0.8, beta1: Fraction = 0.0, eps1: Positive = 1e-30,
                 clip: Positive = 1.0, weight_decay=0.0):
    rest = t**-decay_rate
    return dict(rest=rest, beta=1 - rest, beta1=beta1, new=(1 - beta1) * lr, eps1=eps1, unclip=1 / clip,
                shrink=lr * weight_decay)


@rule(rate_scalars, state="m r c", nonnegative="r c", power=2, whole=True, shapes=SHAPES,
      units={"eps1": "g*g", "lr": "theta", "weight_decay": "1/theta"}, search=0.1, exceptions=PULLS)
def adafactor_timm_rate(theta, g, m, r, c, beta, rest, beta1, new, eps1, unclip, shrink):
    """timm 1.0.31, transformers, fairseq, Adafactor with lr, MLX's without scale_parameter: lr is the step's size."""
    r, c = averages(g * g + eps1, r, c, beta, rest)
    u = clipped(g / sqrt(estimate(r, c)), unclip, "array")
    m = beta1 * m + new * u
    theta = theta - shrink * theta - m
    return theta, g, m, r, c


@variant(adafactor_timm_rate)
def adafactor_mlx_unsized(t, lr=1e-2, decay_rate: Positive = 0.8, beta1: Fraction = 0.0, eps1: Positive = 1e-30,
                          clip: Positive = 1.0, weight_decay=0.0):
    """MLX 0.32, Adafactor with scale_parameter=False and relative_step: lr is at most 1 / sqrt(t)."""
    return rate_scalars(t, min(lr, t**-0.5), decay_rate, beta1, eps1, clip, weight_decay)
