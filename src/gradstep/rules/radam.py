"""RAdam: rectified Adam. Liu et al. 2020, arXiv:1908.03265, Algorithm 2.

While the variance of the second moment is intractable (rho_t <= 4) the step is momentum with bias correction. eps,
which the paper does not have, is added to the corrected root, as in Adam. rho_t comes from the mean lag of the weights
in v, as the paper derives it: its closed form, a small difference of numbers near 2000, would lose three digits.

Shapes: theta, g, m, v alike.   Units: [g] = loss/[theta]; m in [g]; v in [g]^2; lr in [theta] once rectified and in
[theta]/[g] before (the paper's own mixture); eps in [g]; beta1, beta2 are pure numbers.
"""

from gradstep.rule import rule
from gradstep.vocabulary import sqrt, where


def rectification(t, weights, lags, beta2, threshold, included=False):
    weights, lags = weights + beta2 ** (t - 1), lags + t * beta2 ** (t - 1)
    rho_end = 2 / (1 - beta2) - 1
    rho = min(2 * lags / weights - 1, rho_end)
    rectified = rho > threshold or (included and rho == threshold > 4)
    r = sqrt((rho - 4) * (rho - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * rho)) if rectified else 0.0
    return weights, lags, r


def scalars(t, weights, lags, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    weights, lags, r = rectification(t, weights, lags, beta2, 4.0)
    return dict(weights=weights, lags=lags, rate=(r or 1.0) * lr / (1 - beta1**t), rectified=float(r > 0), eps=eps,
                beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2, unbias2=1 / sqrt(1 - beta2**t))


@rule(scalars, state="m v", nonnegative="v", memory={"weights": 0.0, "lags": 0.0}, power=2,
      units={"lr": "theta", "eps": "g"}, exceptions={"units": "lr changes its unit where the rule changes its branch"})
def radam(theta, g, m, v, rate, rectified, eps, beta1, rest1, beta2, rest2, unbias2):
    m = beta1 * m + rest1 * g
    v = beta2 * v + rest2 * (g * g)
    theta = theta - rate * where(rectified > 0.5, m / (unbias2 * sqrt(v) + eps), m)
    return theta, g, m, v
