"""Weight decay: in the gradient, apart from it, and with other rates or for some elements only."""

from gradstep.rule import NonNegative, shared, stage
from gradstep.vocabulary import maximum, minimum, sign, where


def coupled(weight_decay=1e-4):
    return dict(weight_decay=weight_decay)


@stage(coupled, units={"weight_decay": "g/theta"})
def l2(theta, g, weight_decay):
    """The gradient of weight_decay/2 |theta|^2 added to g, before the rule: Loshchilov & Hutter 2019, arXiv:1711.05101.

    Units: weight_decay in [g]/[theta].
    """
    g = g + weight_decay * theta
    return theta, g


def decoupled(lr=shared, weight_decay=1e-2):
    return dict(shrink=lr * weight_decay)


@stage(decoupled)
def decay(theta, g, shrink):
    """Theta shrunk by lr * weight_decay, apart from the gradient: Loshchilov & Hutter 2019, arXiv:1711.05101.

    lr is the one of the chain's rule. Units: lr * weight_decay is a pure number.
    """
    theta = theta - shrink * theta
    return theta, g


def corrected(top, lr=shared, weight_decay=1e-2):
    top = max(top, lr)
    return dict(top=top, shrink=lr * (lr / top) * weight_decay if top else 0.0)


@stage(corrected, memory={"top": 0.0})
def corrected_decay(theta, g, shrink):
    """Theta shrunk by lr^2 / top * weight_decay, with top the largest lr so far: Defazio 2025, arXiv:2506.02285, AdamC.

    As the rate falls, the norms of weights stay as they are. Units: lr * weight_decay is a pure number.
    """
    theta = theta - shrink * theta
    return theta, g


@stage(decoupled, wraps=True)
def cautious_decay(before, theta, g, shrink):
    """The decay of theta where the step of the rule before goes towards zero as well: HeavyBall 3.2.1.

    It comes behind the rule. Chen et al. 2025, arXiv:2510.12402. Units: lr * weight_decay is a pure number.
    """
    theta = where(sign(before - theta) * before > 0.0, theta - shrink * before, theta)
    return theta, g


def threshold(lr=shared, l1: NonNegative = 1e-4):
    return dict(low=-lr * l1, high=lr * l1)


@stage(threshold, units={"l1": "theta"})
def l1_decay(theta, g, low, high):
    """Theta moved towards zero by lr * l1, and no further: the proximal step of l1 |theta|, behind the rule.

    Duchi & Singer 2009 (JMLR 10), FOBOS. Units: lr * l1 in [theta].
    """
    theta = theta - minimum(maximum(theta, low), high)
    return theta, g
