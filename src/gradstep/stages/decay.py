"""Weight decay, coupled and decoupled. Loshchilov & Hutter 2019, arXiv:1711.05101, sections 1 and 2."""

from gradstep.rule import shared, stage


def coupled(weight_decay=1e-4):
    return dict(weight_decay=weight_decay)


@stage(coupled, units={"weight_decay": "g/theta"})
def l2(theta, g, weight_decay):
    """The gradient of weight_decay/2 |theta|^2 added to g, before the rule. Units: weight_decay in [g]/[theta]."""
    g = g + weight_decay * theta
    return theta, g


def decoupled(lr=shared, weight_decay=1e-2):
    return dict(shrink=lr * weight_decay)


@stage(decoupled)
def decay(theta, g, shrink):
    """Theta shrunk by lr * weight_decay, apart from the gradient; lr is the one of the chain's rule."""
    theta = theta - shrink * theta
    return theta, g
