"""FTRL as Keras and TensorFlow have it, with a learning_rate_power of -1/2.

Shapes: theta, g, n, z alike.   Units: [g] = loss/[theta]; z, beta, l1 in [g]; n in [g]^2; lr in [theta]; l2, shrinkage
in [g]/[theta].
"""

from gradstep.rule import NonNegative, Positive, rule
from gradstep.rules.ftrl import ftrl
from gradstep.vocabulary import maximum, minimum, sqrt


def scalars(lr: Positive = 1e-3, beta: NonNegative = 0.0, l1: NonNegative = 0.0, l2: NonNegative = 0.0,
            shrinkage: NonNegative = 0.0, initial_accumulator: Positive = 0.1):
    return dict(inverse=1 / lr, offset=beta / lr + 2 * l2, high=l1, low=-l1, shrink=2 * shrinkage)


@rule(scalars, state="n z", nonnegative="n", start={"n": "initial_accumulator"}, power=2,
      units={"lr": "theta", "beta": "g", "l1": "g", "l2": "g/theta", "shrinkage": "g/theta",
             "initial_accumulator": "g*g"}, exceptions=ftrl.exceptions)
def ftrl_keras(theta, g, n, z, inverse, offset, high, low, shrink):
    """Keras 3.15, Ftrl: n starts above zero, l2 counts twice, and shrinkage is in z alone."""
    grown = n + g * g
    z = z + g + shrink * theta - (sqrt(grown) - sqrt(n)) * inverse * theta
    theta = (minimum(maximum(z, low), high) - z) / (sqrt(grown) * inverse + offset)
    return theta, g, grown, z
