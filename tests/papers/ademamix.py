"""AdEMAMix. Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1, with the warm-ups of the authors' code.

    m1_t    = beta1 m1_{t-1} + (1 - beta1) g_t
    m2_t    = beta3(t) m2_{t-1} + (1 - beta3(t)) g_t
    nu_t    = beta2 nu_{t-1} + (1 - beta2) g_t^2
    theta_t = theta_{t-1} - eta (m1_t / (1 - beta1^t) + alpha(t) m2_t) / (sqrt(nu_t / (1 - beta2^t)) + epsilon)

    alpha(t) = alpha t / T_alpha                 where t < T_alpha, else alpha
    beta3(t) = (1/2)^(1 / (h(t) + 1))            where t < T_beta3, else beta3
    h(t)     = (1 - t / T_beta3) f(beta1) + (t / T_beta3) f(beta3),   f(beta) = ln(1/2) / ln(beta + 1e-8) - 1

T_alpha and T_beta3 are alpha_steps and beta3_steps; zero is no warm-up. m2 is not corrected for its start.

Named differences
- f has 1e-8 beside beta, as the authors' pytorch/ademamix.py; the paper's formula, in logarithms, has not.
- No decay (lambda = 0).
"""

from mpmath import log, mpf, sqrt

from .exact import exact

CITATION = "Pagliardini et al. 2024, arXiv:2409.03137, Algorithm 1"
DEFAULTS = {
    "lr": 1e-3,  # the authors' code, as the betas and eps
    "beta1": 0.9,
    "beta2": 0.999,
    "beta3": 0.9999,
    "alpha": 5.0,  # the authors' optax file (their torch file has 2)
    "eps": 1e-8,
    "alpha_steps": 0,
    "beta3_steps": 0,
}


def half_life(beta):
    return log(mpf(0.5)) / log(beta + mpf(1e-8)) - 1


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, beta3, alpha, eps, alpha_steps, beta3_steps):
    theta, m1, m2, nu = theta0, mpf(0), mpf(0), mpf(0)
    for t, g in enumerate(gradients, 1):
        alpha_t, beta3_t = alpha, beta3
        if t < alpha_steps:
            alpha_t = alpha * t / alpha_steps
        if t < beta3_steps:
            a = t / beta3_steps
            beta3_t = mpf(0.5) ** (1 / ((1 - a) * half_life(beta1) + a * half_life(beta3) + 1))
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = beta3_t * m2 + (1 - beta3_t) * g
        nu = beta2 * nu + (1 - beta2) * g**2
        theta = theta - lr * (m1 / (1 - beta1**t) + alpha_t * m2) / (sqrt(nu / (1 - beta2**t)) + eps)
        yield theta
