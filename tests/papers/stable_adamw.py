"""StableAdamW. Wortsman et al. 2023 (NeurIPS), arXiv:2304.13013, Algorithm 2, for one array: a list of numbers.

    beta1hat = beta1 (1 - beta1^(t-1)) / (1 - beta1^t),   beta2hat likewise
    v_t      = beta1hat v_{t-1} + (1 - beta1hat) g_t
    u_t      = beta2hat u_{t-1} + (1 - beta2hat) g_t^2
    RMS_t    = sqrt(mean(g_t^2 / max(u_t, epsilon^2)))
    eta_t    = alpha_t / max(1, RMS_t)
    theta_t  = theta_{t-1} - eta_t lambda theta_{t-1} - eta_t v_t / (sqrt(u_t) + epsilon)

Named difference
- alpha_t is constant.
"""

from mpmath import mpf, sqrt

from .exact import exact, ratio

CITATION = "Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2"
DEFAULTS = {
    "lr": 1e-3,  # the custom of AdamW (the paper's experiments warm it up)
    "beta1": 0.9,  # the paper's experiments
    "beta2": 0.99,  # optimi (the paper compares values)
    "eps": 1e-8,  # AdamW's
    "weight_decay": 1e-2,  # optimi
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, weight_decay):
    theta, v, u = theta0, [mpf(0)] * len(theta0), [mpf(0)] * len(theta0)
    for t, g in enumerate(gradients, 1):
        beta1_hat = beta1 * (1 - beta1 ** (t - 1)) / (1 - beta1**t)
        beta2_hat = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
        v = [beta1_hat * a + (1 - beta1_hat) * b for a, b in zip(v, g, strict=True)]
        u = [beta2_hat * a + (1 - beta2_hat) * b**2 for a, b in zip(u, g, strict=True)]
        rms = sqrt(sum(ratio(b**2, max(a, eps**2)) for a, b in zip(u, g, strict=True)) / len(g))
        eta = lr / max(1, rms)
        theta = [
            x - eta * weight_decay * x - eta * ratio(a, sqrt(b) + eps) for x, a, b in zip(theta, v, u, strict=True)
        ]
        yield theta
