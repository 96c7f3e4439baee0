"""Noise in the gradient. Neelakantan et al. 2015, arXiv:1511.06807, section 3.

It comes before the rule. Its variance is eta / t^gamma. What is drawn is a function of the optimizer's ``seed``, the
update, the parameter's name and the place in it, so that a resumed run goes on with the same numbers, on any engine and
any number of threads.

Shapes: theta, g, z alike.   Units: eta in [g]^2; gamma is a pure number; z is a standard normal number.
"""

from gradstep.rule import NonNegative, stage
from gradstep.vocabulary import sqrt


def scalars(t, eta: NonNegative = 0.01, gamma: NonNegative = 0.55):
    return dict(deviation=sqrt(eta) / t ** (gamma / 2))


@stage(scalars, random="z", units={"eta": "g*g"},
       symbols={"deviation": r"\sigma"},
       exceptions={"odd_symmetry": "what is drawn does not know the gradient's sign"})
def gradient_noise(theta, g, z, deviation):
    g = g + deviation * z
    return theta, g
