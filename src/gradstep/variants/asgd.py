"""Averaged SGD as torch has it: the rate of a step is computed at the end of the one before.

Shapes: theta, g, average alike.   Units: [g] = loss/[theta]; average in [theta]; lr in [theta]/[g]; lambd in
[g]/[theta]; alpha is a pure number; t0 is a number of updates.
"""

from gradstep.rule import NonNegative, variant
from gradstep.rules.asgd import asgd


@variant(asgd, memory={"eta": 0.0, "mu": 1.0})
def asgd_torch(t, eta, mu, lr=1e-2, lambd: NonNegative = 1e-4, alpha: NonNegative = 0.75, t0: NonNegative = 1e6):
    """torch 2.13, ASGD: with the lr that the step before had, the first one aside. Units as asgd."""
    rate = eta if t > 1 else lr
    return dict(rate=rate, shrink=lambd * rate, share=mu,
                eta=lr / (1 + lambd * lr * t) ** alpha, mu=1 / max(1.0, t - t0))
