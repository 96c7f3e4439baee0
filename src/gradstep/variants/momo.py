"""MoMo as optax has it: with a decay, and without a step where its average is next to nothing.

Shapes: theta, g, d alike; loss is a number.   Units: [g] = loss/[theta]; d in [g]; lr in [theta]/[g]; f_min in loss;
weight_decay in [g]/[theta]; beta is a pure number.
"""

from gradstep.rule import rule
from gradstep.rules.momo import Finite, ahead, along, averages, squared

LEAST = 2.0**-52  # of a squared norm that is divided by


def scalars(along, length, ahead, loss, level, base, beta, rest, lr=1.0, f_min: Finite = 0.0, weight_decay=0.0):
    level = beta * level + rest * loss
    base = beta * base + rest * along
    grown = 1 + lr * weight_decay
    gap = max(0.0, grown * (level - f_min - base) + ahead)
    return dict(level=level, base=base, rate=min(lr, gap / length) if length > LEAST else 0.0,
                shrink=lr * weight_decay / grown)


@rule(scalars, takes="loss", early=averages, reduce={"along": along, "length": squared, "ahead": ahead}, over="all",
      state="d", memory={"level": 0.0, "base": 0.0}, power=2,
      units={"loss": "theta*g", "lr": "theta/g", "f_min": "theta*g", "weight_decay": "g/theta"},
      exceptions={"smaller_state": "the step is as long as a small difference of sums says, with d in them",
                  "first_step_descends": "the decay pulls towards zero, whatever the gradient"})
def momo_optax(theta, g, d, beta, rest, rate, shrink):
    """optax 0.2.8, contrib.momo: the line is of the decayed parameters; no step where |d| is below 2^-26."""
    d = beta * d + rest * g
    theta = theta - shrink * theta - rate * d
    return theta, g, d
