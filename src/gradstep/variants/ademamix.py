"""AdEMAMix as its paper prints the growth of beta3: without what the authors' code adds to a logarithm.

Shapes: theta, g, m1, m2, v alike.   Units: [g] = loss/[theta]; m1, m2 in [g]; v in [g]^2; lr in [theta]; eps in [g];
the betas and alpha are pure numbers; alpha_steps, beta3_steps are numbers of updates.
"""

import math

from gradstep.rule import Fraction, NonNegative, variant
from gradstep.rules.ademamix import ademamix, scalars


def half_life(beta):
    return math.log(0.5) / math.log(beta) if beta else 0.0


@variant(ademamix)
def ademamix_paper(t, lr=1e-3, beta1=0.9, beta2=0.999, beta3: Fraction = 0.9999, alpha: NonNegative = 5.0, eps=1e-8,
                   alpha_steps: NonNegative = 0.0, beta3_steps: NonNegative = 0.0):
    """Pagliardini et al. 2024, arXiv:2409.03137, section 3, and pytorch_optimizer 4.1.0. Units as ademamix."""
    out = scalars(t, lr, beta1, beta2, beta3, alpha, eps, alpha_steps)
    if t >= beta3_steps:
        return out
    share = t / beta3_steps
    slow = 0.5 ** (1 / ((1 - share) * half_life(beta1) + share * half_life(beta3))) if beta1 or beta3 else 0.0
    slow = min(slow, beta3)  # where beta3 is below beta1
    return {**out, "slow": slow, "rest3": 1 - slow}
