"""NAdam whose mean decays by beta1: torch's NAdam, torch/optim/nadam.py.

    mu_t    = beta1 (1 - 0.5 * 0.96^(t momentum_decay))
    m_t     = m_{t-1} + (1 - beta1) (g_t - m_{t-1})
    v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = theta_{t-1} - lr (1 - mu_t) / (1 - prod_{i=1}^{t} mu_i) g_t / (sqrt(vhat_t) + eps)
                          - lr mu_{t+1} / (1 - prod_{i=1}^{t+1} mu_i) m_t / (sqrt(vhat_t) + eps)

The paper has mu_t in the place of beta1 in m_t. Keras 3.15's Nadam, keras/src/optimizers/nadam.py, is this rule with
momentum_decay = 1, lr = 1e-3 and eps = 1e-7.

Named differences
- 0.96 is the decimal number, as in the paper, and not the double next to it.
- torch keeps the product of the mu_i in its default dtype, float32 unless told otherwise; here it is exact.
- Keras makes lr, beta1 and beta2 float32, then computes with them in the dtype of the parameter; here they are exact.
"""

from mpmath import fprod, mpf, sqrt

from .exact import exact

CITATION = "torch 2.13, torch/optim/nadam.py, _single_tensor_nadam"
DEFAULTS = {
    "lr": 2e-3,  # torch, as all five
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "momentum_decay": 4e-3,
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, momentum_decay):
    theta, m, v = theta0, mpf(0), mpf(0)
    mu = [beta1 * (1 - mpf("0.5") * mpf("0.96") ** (t * momentum_decay)) for t in range(len(gradients) + 2)]
    for t, g in enumerate(gradients, 1):
        m = m + (1 - beta1) * (g - m)
        v = beta2 * v + (1 - beta2) * g**2
        denominator = sqrt(v / (1 - beta2**t)) + eps
        theta = theta - lr * (1 - mu[t]) / (1 - fprod(mu[1 : t + 1])) * g / denominator
        theta = theta - lr * mu[t + 1] / (1 - fprod(mu[1 : t + 2])) * m / denominator
        yield theta
