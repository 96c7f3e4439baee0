"""Adagrad without epsilon: TensorFlow 1's AdagradOptimizer, tensorflow/python/training/adagrad.py, ApplyAdagrad.

    s_t     = s_{t-1} + g_t^2,   s_0 = initial_accumulator
    theta_t = theta_{t-1} - lr g_t / sqrt(s_t)

Named differences
- TensorFlow refuses an initial_accumulator that is not positive. Here it may be zero: 0/0, while every gradient so far
  was zero, is a zero step.
- TensorFlow makes lr a float32 before it takes on the dtype of the parameter; here it is exact.
"""

from mpmath import sqrt

from .exact import exact, ratio

CITATION = "TensorFlow 1, tf.compat.v1.train.AdagradOptimizer (TensorFlow 2.21, tensorflow/python/training/adagrad.py)"
DEFAULTS = {
    "lr": 1e-3,  # the custom (TensorFlow has no default; its docstring's example)
    "initial_accumulator": 0.1,  # TensorFlow
}


@exact(DEFAULTS)
def trajectory(theta0, gradients, *, lr, initial_accumulator):
    theta, s = theta0, initial_accumulator
    for g in gradients:
        s = s + g**2
        theta = theta - lr * ratio(g, sqrt(s))
        yield theta
