"""Averages of the parameters, behind the rule; ``opt.averaged()`` reads them.

Each is the same update, average + rest (theta - average), with a rest of its own. In this form a parameter that stands
still is its own average, to the last bit: decay and 1 - decay, rounded one by one, do not add up to one. A rest of 1 is
where an average begins.

Shapes: theta, average alike.   Units: average in [theta]; decay, gamma, power are pure numbers; start, every are
numbers of updates.
"""

from typing import Annotated

from gradstep.rule import Domain, Fraction, NonNegative, Positive, stage, variant
from gradstep.vocabulary import where

Start = Annotated[float, Domain(0.0, whole=True)]
Every = Annotated[float, Domain(1.0, whole=True)]


def scalars(decay: Fraction = 0.999):
    return dict(rest=1 - decay)


def read(theta, average):
    return average


@stage(scalars, state="average", start={"average": "theta"}, read=read,
       symbols={"average": r"\bar{\theta}", "decay": r"\alpha"})
def ema(theta, g, average, rest):
    """The exponential average that starts at the first parameters. Kingma & Ba 2015, arXiv:1412.6980, section 7.2.

    So it needs no correction. Units: decay is a pure number.
    """
    average = where(rest < 1.0, average + rest * (theta - average), theta)
    return theta, g, average


@variant(ema)
def ema_corrected(t, decay: Fraction = 0.999):
    """The exponential average with Adam's correction. Kingma & Ba 2015, arXiv:1412.6980, sections 3 and 7.2.

    The theta of update i weighs decay^(t - i), and the weights add up to 1. Units: decay is a pure number.
    """
    return dict(rest=(1 - decay) / (1 - decay**t))


@variant(ema)
def ema_warmed(t, decay: Fraction = 0.9999, gamma: Positive = 1.0, power: NonNegative = 2 / 3):
    """The exponential average that begins with short memory: timm 1.0.31, ModelEmaV3 with use_warmup.

    Its decay is 1 - (1 + n / gamma)^-power after n updates, and ``decay`` at most. Units: pure numbers.
    """
    return dict(rest=1 - min(decay, 1 - (1 + (t - 1) / gamma) ** -power))


@variant(ema)
def swa(t, start: Start = 0.0, every: Every = 1.0):
    """The equal average of theta at each ``every``-th update behind ``start``. Izmailov et al. 2018, arXiv:1803.05407.

    Algorithm 1; until the first of these updates it is theta itself. Units: start, every are numbers of updates.
    """
    count = (t - start) // every
    is_now = (t - start) % every == 0
    return dict(rest=1.0 if count < 1 else 1 / count if is_now else 0.0)


@variant(ema)
def polynomial_average(t, gamma: NonNegative = 8.0):
    """The average that forgets at the pace of t. Shamir & Zhang 2013, arXiv:1212.1824, section 4, which DoG takes.

    The theta of update i weighs about i^gamma; a gamma of 0 makes all equal. Units: gamma is a pure number.
    """
    return dict(rest=(gamma + 1) / (gamma + t))
