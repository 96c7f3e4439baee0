"""Exponential moving average of the parameters, after the rule: Kingma & Ba 2015, arXiv:1412.6980, section 7.2.

It starts at the first parameters, so it needs no bias correction. ``opt.averaged()`` reads it. In this form a parameter
that stands still is its own average, to the last bit: decay and 1 - decay, rounded one by one, do not add up to one.
"""

from gradstep.rule import Fraction, stage
from gradstep.vocabulary import where


def scalars(decay: Fraction = 0.999):
    return dict(rest=1 - decay)


def read(theta, average):
    return average


@stage(scalars, state="average", start={"average": "theta"}, read=read,
       symbols={"average": r"\bar{\theta}", "decay": r"\alpha"})
def ema(theta, g, average, rest):
    average = where(rest < 1.0, average + rest * (theta - average), theta)
    return theta, g, average
