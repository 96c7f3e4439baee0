"""NAdam: Adam with Nesterov momentum. Dozat 2016 (ICLR workshop), Algorithm 2.

mu_t = beta1 (1 - 0.96^(t * momentum_decay) / 2) weighs momentum and gradient of step t; its product is kept as memory.
The factor nu that the paper prints in its estimate of v is taken for a misprint: every library leaves it out.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta]; eps in [g];
beta1, beta2, momentum_decay are pure numbers.
"""

from gradstep.rule import NonNegative, rule
from gradstep.vocabulary import sqrt


def scalars(t, product, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay: NonNegative = 0.004):
    mu, after = (beta1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (t, t + 1))
    product = product * mu
    return dict(product=product, mu=mu, rest=1 - mu, look=lr * after / (1 - product * after),
                now=lr * (1 - mu) / (1 - product), eps=eps,
                beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", memory={"product": 1.0}, power=2, units={"lr": "theta", "eps": "g"},
      symbols={"momentum_decay": r"\psi", "product": r"\Pi"})
def nadam(theta, g, m, v, mu, rest, look, now, eps, beta2, rest2, unbias2):
    m = mu * m + rest * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - (look * m + now * g) / (unbias2 * sqrt(v) + eps)
    return theta, g, m, v
