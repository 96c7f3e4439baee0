"""NAdam. Dozat 2016, Incorporating Nesterov Momentum into Adam (ICLR workshop), Algorithm 2.

    m_t     = mu_t m_{t-1} + (1 - mu_t) g_t
    n_t     = nu n_{t-1} + (1 - nu) g_t^2
    mhat_t  = mu_{t+1} m_t / (1 - prod_{i=1}^{t+1} mu_i) + (1 - mu_t) g_t / (1 - prod_{i=1}^{t} mu_i)
    nhat_t  = nu n_t / (1 - nu^t)
    theta_t = theta_{t-1} - alpha_t mhat_t / (sqrt(nhat_t) + epsilon)

with the warming schedule mu_t = mu (1 - 0.5 * 0.96^(t/250)). Here mu is beta1, nu is beta2, 1/250 is momentum_decay.

Named differences
- The factor nu in nhat_t is taken for a misprint: nhat_t = n_t / (1 - nu^t), as in Adam, which the method starts from.
- alpha_t is constant: a schedule's business.

As in the paper, mu_t (not the constant beta1, as in torch and Keras) is the decay rate of m_t.
"""

from mpmath import fprod, mpf, sqrt

from .exact import exact

CITATION = "Dozat 2016, Incorporating Nesterov Momentum into Adam (ICLR workshop), Algorithm 2"
DEFAULTS = {
    "lr": 2e-3,  # torch (the paper tunes it)
    "beta1": 0.9,  # torch (Adam's)
    "beta2": 0.999,  # the paper's experiments (nu)
    "eps": 1e-8,  # the paper's experiments
    "momentum_decay": 0.004,  # the paper's 1/250
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, momentum_decay):
    alpha, nu = lr, beta2
    theta, m, n = theta0, mpf(0), mpf(0)
    mu = [beta1 * (1 - mpf("0.5") * mpf("0.96") ** (t * momentum_decay)) for t in range(len(gradients) + 2)]
    for t, g in enumerate(gradients, 1):
        m = mu[t] * m + (1 - mu[t]) * g
        n = nu * n + (1 - nu) * g**2
        m_hat = mu[t + 1] * m / (1 - fprod(mu[1 : t + 2])) + (1 - mu[t]) * g / (1 - fprod(mu[1 : t + 1]))
        n_hat = n / (1 - nu**t)
        theta = theta - alpha * m_hat / (sqrt(n_hat) + eps)
        yield theta
