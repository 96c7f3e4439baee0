"""RMSprop's division as a stage, for a rule with momentum behind it: torch 2.13, Keras, optax, TensorFlow 1.

Centered: the root of the variance, which is clamped at zero; rounding would take it below for constant gradients.
Corrected: averages without the weight of their start, as optax has them with bias_correction=True.

Shapes: g, v, mean alike.   Units: v, initial_accumulator in [g]^2; mean in [g]; eps in [g], or in [g]^2 inside of the
root; rho is a pure number. The gradient that is handed on is a pure number.
"""

from gradstep.rule import Fraction, NonNegative, stage, variant
from gradstep.vocabulary import maximum, sqrt

START = {"v": "initial_accumulator"}
OUTSIDE = {"eps": "g", "initial_accumulator": "g*g", "g": "1"}
INSIDE = {**OUTSIDE, "eps": "g*g"}
SEARCH = 0.3  # as RMSprop's
CENTERED = {"smaller_state": "a variance, which is a small difference, is lost in fewer bits, and steps have no bound"}


def plain(rho: Fraction = 0.9, eps=1e-8, initial_accumulator: NonNegative = 0.0):
    return dict(rho=rho, rest=1 - rho, eps=eps, unbias=1.0)


@stage(plain, state="v", nonnegative="v", start=START, power=2, search=SEARCH, units=OUTSIDE)
def scale_by_rms(theta, g, v, rho, rest, eps, unbias):
    """torch 2.13, RMSprop: g over the root of the mean square, eps added to the root. Units: eps in [g]."""
    v = rho * v + rest * (g * g)
    g = g / (unbias * sqrt(v) + eps)
    return theta, g, v


@stage(plain, state="v", nonnegative="v", start=START, power=2, search=SEARCH, units=INSIDE)
def scale_by_rms_inside(theta, g, v, rho, rest, eps, unbias):
    """Keras 3.15, RMSprop, and optax's: g over the root of mean square and eps. Units: eps in [g]^2."""
    v = rho * v + rest * (g * g)
    g = g / sqrt(unbias * v + eps)
    return theta, g, v


@stage(plain, state="v mean", nonnegative="v", start=START, power=2, search=SEARCH, units=OUTSIDE, exceptions=CENTERED)
def scale_by_centered_rms(theta, g, v, mean, rho, rest, eps, unbias):
    """torch 2.13, RMSprop with centered=True: g over the root of the variance, eps added to it. Units: eps in [g]."""
    v = rho * v + rest * (g * g)
    mean = rho * mean + rest * g
    m = unbias * mean
    g = g / (sqrt(maximum(unbias * v - m * m, 0.0)) + eps)
    return theta, g, v, mean


@stage(plain, state="v mean", nonnegative="v", start=START, power=2, search=SEARCH, units=INSIDE, exceptions=CENTERED)
def scale_by_centered_rms_inside(theta, g, v, mean, rho, rest, eps, unbias):
    """Keras 3.15, RMSprop with centered=True: g over the root of variance and eps. Units: eps in [g]^2."""
    v = rho * v + rest * (g * g)
    mean = rho * mean + rest * g
    m = unbias * mean
    g = g / sqrt(maximum(unbias * v - m * m, 0.0) + eps)
    return theta, g, v, mean


@variant(scale_by_rms)
def scale_by_rms_corrected(t, rho: Fraction = 0.9, eps=1e-8, initial_accumulator: NonNegative = 0.0):
    """optax 0.2.8, scale_by_rms with bias_correction=True, eps_in_sqrt=False. Units: eps in [g]."""
    return {**plain(rho, eps), "unbias": 1 / sqrt(1 - rho**t)}


@variant(scale_by_rms_inside)
def scale_by_rms_inside_corrected(t, rho: Fraction = 0.9, eps=1e-8, initial_accumulator: NonNegative = 0.0):
    """optax 0.2.8, scale_by_rms with bias_correction=True. Units: eps in [g]^2."""
    return {**plain(rho, eps), "unbias": 1 / (1 - rho**t)}


@variant(scale_by_centered_rms)
def scale_by_centered_rms_corrected(t, rho: Fraction = 0.9, eps=1e-8, initial_accumulator: NonNegative = 0.0):
    """optax 0.2.8, scale_by_stddev with bias_correction=True, eps_in_sqrt=False. Units: eps in [g]."""
    return {**plain(rho, eps), "unbias": 1 / (1 - rho**t)}


@variant(scale_by_centered_rms_inside)
def scale_by_centered_rms_inside_corrected(t, rho: Fraction = 0.9, eps=1e-8, initial_accumulator: NonNegative = 0.0):
    """optax 0.2.8, scale_by_stddev with bias_correction=True. Units: eps in [g]^2."""
    return {**plain(rho, eps), "unbias": 1 / (1 - rho**t)}
