"""AdEMAMix with the paper's own growth of beta3, and pytorch_optimizer 4.1.0's (optimizer/ademamix.py).

ademamix.py's, but for what stands in its last line there: f(beta) = ln(1/2) / ln(beta) - 1. In logarithms, as section 3
of the paper has it, beta3(t) = min(exp(ln beta1 ln beta3 / ((1 - t/T) ln beta3 + (t/T) ln beta1)), beta3).

Named difference: where beta1 is zero, so that ln beta1 is none, it is the limit for small beta1.
"""

from mpmath import exp, log, mpf, sqrt

from . import ademamix
from .exact import exact

CITATION = "Pagliardini et al. 2024, arXiv:2409.03137, section 3"
DEFAULTS = ademamix.DEFAULTS


def grown(beta1, beta3, share):
    if beta3 == 0:
        return mpf(0)
    if beta1 == 0:
        return exp(log(beta3) / share)
    return exp(log(beta1) * log(beta3) / ((1 - share) * log(beta3) + share * log(beta1)))


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, beta3, alpha, eps, alpha_steps, beta3_steps):
    theta, m1, m2, nu = theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        alpha_t = alpha * min(1, t / alpha_steps) if alpha_steps else alpha
        beta3_t = min(grown(beta1, beta3, t / beta3_steps), beta3) if t < beta3_steps else beta3
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = beta3_t * m2 + (1 - beta3_t) * g
        nu = beta2 * nu + (1 - beta2) * g**2
        theta = theta - lr * (m1 / (1 - beta1**t) + alpha_t * m2) / (sqrt(nu / (1 - beta2**t)) + eps)
        yield theta
