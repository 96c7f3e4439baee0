"""Adam's relatives in optax, each difference under its name: optax/_src/transform.py, scale_by_adam, _amsgrad, _radam.

    m_t     = (1 - beta1) g_t + beta1 m_{t-1}
    v_t     = (1 - beta2) g_t^2 + beta2 v_{t-1}
    mhat_t  = m_t / (1 - beta1^t)
    vhat_t  = v_t / (1 - beta2^t)
    theta_t = theta_{t-1} - lr mhat_t / (sqrt(vhat_t + eps_root) + eps)

Differences
- nesterov: mhat_t = beta1 m_t / (1 - beta1^(t+1)) + (1 - beta1) g_t / (1 - beta1^t).
- corrects_mean, corrects_square: where one is False, mhat_t = m_t, or vhat_t = v_t.
- keeps_maximum: vhat_t is the largest so far, after its correction.
- rectifies: with rho_inf = 2 / (1 - beta2) - 1 and rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t), the step is times
  r_t = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t)), and lr mhat_t where
  rho_t < threshold. Between 2 and 4, where a lower threshold would let it in, rho_t gives no real r_t (optax: nan).

Named difference of all
- optax computes beta^t, and 1 minus it, in float32 unless JAX is told to use float64; here they are exact. rho_t is a
  small difference of large numbers, and with beta2 = 0.999 optax's early steps are a percent off.
"""

from mpmath import mpf, sqrt

from .exact import exact

CITATION = "optax 0.2.8, optax/_src/transform.py"
DEFAULTS = {
    "lr": 1e-3,  # the custom (optax has no default)
    "beta1": 0.9,  # optax, as the next three
    "beta2": 0.999,
    "eps": 1e-8,
    "eps_root": 0.0,
}
RECTIFIED = {**DEFAULTS, "threshold": 5.0}  # optax


def relative(*, nesterov=False, corrects_mean=True, corrects_square=True, keeps_maximum=False, rectifies=False):
    """Return the trajectory of one of them."""

    @exact(RECTIFIED if rectifies else DEFAULTS)
    def trajectory(theta0, gradients, *, lr, beta1, beta2, eps, eps_root, threshold=None):
        theta, m, v, v_max = theta0, mpf(0), mpf(0), mpf(0)
        rho_inf = 2 / (1 - beta2) - 1
        for t, g in enumerate(gradients, 1):
            m = (1 - beta1) * g + beta1 * m
            v = (1 - beta2) * g**2 + beta2 * v
            m_hat = m / (1 - beta1**t) if corrects_mean else m
            if nesterov:
                m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
            v_hat = v / (1 - beta2**t) if corrects_square else v
            if keeps_maximum:
                v_hat = v_max = max(v_max, v_hat)
            rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
            if rectifies and rho < threshold:
                theta = theta - lr * m_hat
            else:
                r = sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) if rectifies else 1
                theta = theta - lr * r * m_hat / (sqrt(v_hat + eps_root) + eps)
            yield theta

    return trajectory
