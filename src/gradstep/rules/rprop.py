"""Rprop. Riedmiller & Braun 1993 (ICNN), as iRprop-: Igel & Hüsken 2003, Neurocomputing 50, Algorithm 4, and torch.

Each element has a step size of its own, which grows while the sign of the gradient stays and shrinks where it
changes; there the element stays for one update. Signs are compared, so that a product of small gradients cannot
vanish. lr is the size before the first update, and nothing afterwards.

Shapes: theta, g, last, size alike.   Units: [g] = loss/[theta]; last is a pure number; size, lr, least, most in
[theta].
"""

from gradstep.rule import Fraction, Positive, rule
from gradstep.vocabulary import maximum, minimum, sign, where


def scalars(lr=1e-2, shrink: Fraction = 0.5, grow: Positive = 1.2, least: Positive = 1e-6, most: Positive = 50.0):
    return dict(shrink=shrink, grow=grow, least=least, most=most)


@rule(scalars, state="last size", nonnegative="size", start={"size": "lr"},
      units={"lr": "theta", "least": "theta", "most": "theta"},
      exceptions={"zero_rate_keeps_theta": "lr is the first size alone, and sizes have a least"})
def rprop(theta, g, last, size, shrink, grow, least, most):
    now = sign(g)
    agree = now * last
    size = minimum(maximum(where(agree > 0.0, grow * size, where(agree < 0.0, shrink * size, size)), least), most)
    now = where(agree < 0.0, 0.0 * now, now)
    theta = theta - now * size
    return theta, g, now, size
