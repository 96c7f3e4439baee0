"""LaProp as pytorch_optimizer has it: eps is added before the correction, and a second one inside of the root.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m, lr in [theta]; v, eps_root in [g]^2; eps in [g]; the betas
are pure numbers.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, c, lr=4e-4, beta1=0.9, beta2=0.999, eps=1e-15, eps_root: NonNegative = 1e-15):
    c = beta1 * c + (1 - beta1) * lr
    return dict(c=c, rate=lr / c if c else 0.0, share=(1 - beta1) * lr * sqrt(1 - beta2**t), beta1=beta1,
                eps=eps, eps_root=eps_root, beta2=beta2, rest2=1 - beta2)


@rule(scalars, state="m v", nonnegative="v", memory={"c": 0.0}, power=2,
      units={"lr": "theta", "eps": "g", "eps_root": "g*g"})
def laprop_eps_hat(theta, g, m, v, rate, share, beta1, eps, eps_root, beta2, rest2):
    """pytorch_optimizer 4.1.0, LaProp. Units as laprop, and eps_root in [g]^2."""
    v = beta2 * v + rest2 * (g * g)
    m = beta1 * m + share * g / (sqrt(v + eps_root) + eps)
    theta = theta - rate * m
    return theta, g, m, v
