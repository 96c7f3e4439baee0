"""The exponential average of the parameters as Keras and TensorFlow have it.

Shapes: theta, average alike.   Units: average in [theta]; decay is a pure number.
"""

from gradstep.rule import Fraction, variant
from gradstep.stages.ema import ema


@variant(ema)
def ema_after_first(t, decay: Fraction = 0.99):
    """Keras 3.15, use_ema=True: what :func:`gradstep.ema` is, but for the parameters before the first step."""
    return dict(rest=1 - decay if t > 1 else 1.0)


@variant(ema)
def ema_warmed_tf(t, decay: Fraction = 0.9999):
    """TensorFlow, tf.train.ExponentialMovingAverage with num_updates=t: its decay is min(decay, (1 + t) / (10 + t))."""
    return dict(rest=1 - min(decay, (1 + t) / (10 + t)))
