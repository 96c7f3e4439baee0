"""Averaged SGD. Polyak & Juditsky 1992, SIAM J. Control Optim. 30, as Bottou's code and torch have it.

The rate falls as lr (1 + lambd lr (t - 1))^-alpha. ``opt.averaged()`` reads the average of the parameters from update
t0 on; up to there it is the parameters themselves.

Shapes: theta, g, average alike.   Units: [g] = loss/[theta]; average in [theta]; lr in [theta]/[g]; lambd in
[g]/[theta]; alpha is a pure number; t0 is a number of updates.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import where


def scalars(t, lr=1e-2, lambd: NonNegative = 1e-4, alpha: NonNegative = 0.75, t0: NonNegative = 1e6):
    rate = lr / (1 + lambd * lr * (t - 1)) ** alpha
    return dict(rate=rate, shrink=lambd * rate, share=1 / max(1.0, t - 1 - t0))


def read(theta, average):
    return average


@rule(scalars, state="average", start={"average": "theta"}, read=read, units={"lr": "theta/g", "lambd": "g/theta"},
      symbols={"lambd": r"\lambda", "average": r"\bar{\theta}"},
      exceptions={"first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def asgd(theta, g, average, rate, shrink, share):
    theta = theta - shrink * theta
    theta = theta - rate * g
    average = where(share < 1.0, average + share * (theta - average), theta)
    return theta, g, average
