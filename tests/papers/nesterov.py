"""Nesterov's accelerated gradient. Sutskever et al. 2013 (ICML), eq. 3-4; Bengio et al. 2012, arXiv:1212.0901, eq. 7.

Sutskever et al., with phi for their theta and epsilon the learning rate:

    v_{t+1}   = mu v_t - epsilon grad f(phi_t + mu v_t)     (3)
    phi_{t+1} = phi_t + v_{t+1}                             (4)

Named differences
- The parameter that is kept and shown is the look-ahead point theta_t = phi_t + mu v_t, where the gradient is taken
  (Bengio et al.). Nothing but the name of the point changes: since v_{t+1} - mu v_t = -epsilon g_t,

      theta_{t+1} = phi_t + v_{t+1} + mu v_{t+1} = theta_t - mu v_t + v_{t+1} + mu v_{t+1}
                  = theta_t + mu v_{t+1} - epsilon g_t.

  With v_0 = 0 both start alike. The code below keeps the paper's two variables.
- mu is constant; the paper raises it over training: a schedule's business.
"""

from mpmath import mpf

from .exact import exact

CITATION = "Sutskever, Martens, Dahl & Hinton 2013 (ICML), equations 3-4; look-ahead point: arXiv:1212.0901, equation 7"
DEFAULTS = {
    "lr": 1e-2,  # Keras' SGD (the paper tunes it)
    "momentum": 0.9,  # a value of mu_max that the paper tries, and the custom (torch and Keras default to 0)
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, momentum):
    epsilon, mu = lr, momentum
    phi, v = theta0, mpf(0)
    for g in gradients:  # taken at phi + mu v
        v = mu * v - epsilon * g
        phi = phi + v
        yield phi + mu * v
