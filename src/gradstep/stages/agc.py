"""Adaptive clipping: each unit's gradient to a share of that unit's weights. Brock et al. 2021, arXiv:2102.06171, (3).

It comes before the rule, and the paper leaves the last layer out: give that a group of its own. A unit is what one
output is computed from: the last axis counts outputs in gradstep.nn, Keras and Flax, the first in torch. An array of
one axis is one unit. What is within its bound stays as it is, bit for bit.

Shapes: theta, g alike, of any number of axes.   Units: floor in [theta]; clip in [g]/[theta].
"""

from gradstep.rule import Positive, stage
from gradstep.vocabulary import columns, maximum, mean, rows, sqrt, where


def scalars(clip: Positive = 0.01, floor: Positive = 1e-3):
    return dict(clip=clip, floor=floor)


def clipped(g, length, weights, clip, floor):
    most = clip * maximum(weights, floor)
    return g * where(length > most, most / maximum(length, most), 1.0)


def of_columns(x):
    return sqrt(rows(x) * mean(x * x, "rows"))


def of_rows(x):
    return sqrt(columns(x) * mean(x * x, "columns"))


@stage(scalars, whole=True, folds="last", power=2, units={"floor": "theta", "clip": "g/theta"})
def agc_columns(theta, g, clip, floor):
    """Adaptive gradient clipping by units along the last axis: gradstep.nn, Keras, Flax. Brock et al. 2021, (3).

    A unit's gradient is cut to the norm clip max(|theta|, floor). Units: floor in [theta]; clip in [g]/[theta].
    """
    g = clipped(g, of_columns(g), of_columns(theta), clip, floor)
    return theta, g


@stage(scalars, whole=True, folds="first", power=2, units={"floor": "theta", "clip": "g/theta"})
def agc_rows(theta, g, clip, floor):
    """Adaptive gradient clipping by units along the first axis: torch. Brock et al. 2021, arXiv:2102.06171, (3).

    A unit's gradient is cut to the norm clip max(|theta|, floor). Units: floor in [theta]; clip in [g]/[theta].
    """
    g = clipped(g, of_rows(g), of_rows(theta), clip, floor)
    return theta, g
