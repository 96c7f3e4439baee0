"""Exponential moving average of the parameters, after the rule: Kingma & Ba 2015, arXiv:1412.6980, section 7.2.

It starts at the first parameters, so it needs no bias correction. ``opt.averaged()`` reads it.
"""

from gradstep.rule import Fraction, stage


def scalars(decay: Fraction = 0.999):
    return dict(decay=decay, rest=1 - decay)


def read(theta, average):
    return average


@stage(scalars, state="average", start={"average": "theta"}, read=read,
       symbols={"average": r"\bar{\theta}", "decay": r"\alpha"})
def ema(theta, g, average, decay, rest):
    average = decay * average + rest * theta
    return theta, g, average
