"""NovoGrad as NVIDIA's code and timm have it: gradients of zero at the start are not counted.

Shapes: theta, g, m alike.   Units: [g] = loss/[theta]; eps in [g]; m is a pure number; lr in [theta]; weight_decay in
1/[theta]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import variant
from gradstep.rules.novograd import novograd
from gradstep.vocabulary import sqrt


@variant(novograd)
def novograd_timm(length, v, lr=1e-3, beta1=0.95, beta2=0.98, eps=1e-8, weight_decay=0.0):
    """timm 1.0.31, NvNovoGrad: the average starts at the first gradient that is not zero. Units as novograd."""
    v = beta2 * v + (1 - beta2) * length if v > 0 else length
    return dict(v=v, lr=lr, beta1=beta1, scale=1 / (sqrt(v) + eps), weight_decay=weight_decay)
