"""The optimizers of TensorFlow 1, ``tf.compat.v1.train`` of TensorFlow 2.21: their arguments, defaults and numbers.

``use_locking`` says how TensorFlow writes its variables, and ``name`` names its graph's nodes: both mean nothing here.
"""

from typing import Any

from gradstep import rules, variants
from gradstep.conventions.common import chained, ignored, is_zero, number, rate
from gradstep.errors import GradstepValueError
from gradstep.rule import Stage

__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "RMSPropOptimizer",
]


def GradientDescentOptimizer(learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> Stage:
    """``tf.compat.v1.train.GradientDescentOptimizer``."""
    ignored("tf1.GradientDescentOptimizer", use_locking=use_locking)
    return rules.sgd(lr=rate("tf1.GradientDescentOptimizer", learning_rate))


def MomentumOptimizer(
    learning_rate: Any,
    momentum: float,
    use_locking: bool = False,
    name: str = "Momentum",
    use_nesterov: bool = False,
) -> Stage:
    """``tf.compat.v1.train.MomentumOptimizer``: the learning rate stands outside of the accumulator."""
    ignored("tf1.MomentumOptimizer", use_locking=use_locking)
    made = variants.unfolded_nesterov if use_nesterov else variants.unfolded_momentum
    return made(lr=rate("tf1.MomentumOptimizer", learning_rate), momentum=number(momentum))


def AdagradOptimizer(
    learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False, name: str = "Adagrad"
) -> Stage:
    """``tf.compat.v1.train.AdagradOptimizer``: no eps, for the sums start above zero.

    Raises
    ------
    GradstepValueError
        As TensorFlow, for sums that do not.
    """
    ignored("tf1.AdagradOptimizer", use_locking=use_locking)
    start = number(initial_accumulator_value)
    if is_zero(start):
        raise GradstepValueError("tf1.AdagradOptimizer: initial_accumulator_value must be above 0, as in TensorFlow.")
    return variants.adagrad_without_eps(lr=rate("tf1.AdagradOptimizer", learning_rate), initial_accumulator=start)


def RMSPropOptimizer(
    learning_rate: Any,
    decay: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-10,
    use_locking: bool = False,
    centered: bool = False,
    name: str = "RMSProp",
) -> Stage:
    """``tf.compat.v1.train.RMSPropOptimizer``: the mean square starts at 1, epsilon inside of the root."""
    ignored("tf1.RMSPropOptimizer", use_locking=use_locking)
    lr = rate("tf1.RMSPropOptimizer", learning_rate)
    made = variants.scale_by_centered_rms_inside if centered else variants.scale_by_rms_inside
    scaled = made(rho=number(decay), eps=number(epsilon), initial_accumulator=1.0)
    step = rules.sgd(lr=lr) if is_zero(momentum) else rules.momentum(lr=lr, momentum=number(momentum))
    return chained(scaled, step)


def AdadeltaOptimizer(
    learning_rate: Any = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adadelta",
) -> Stage:
    """``tf.compat.v1.train.AdadeltaOptimizer``."""
    ignored("tf1.AdadeltaOptimizer", use_locking=use_locking)
    return rules.adadelta(lr=rate("tf1.AdadeltaOptimizer", learning_rate), rho=number(rho), eps=number(epsilon))


def AdamOptimizer(
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adam",
) -> Stage:
    """``tf.compat.v1.train.AdamOptimizer``: epsilon on the root before its correction ("epsilon hat")."""
    ignored("tf1.AdamOptimizer", use_locking=use_locking)
    hyper = dict(beta1=number(beta1), beta2=number(beta2), eps=number(epsilon))
    return variants.adam_eps_hat(lr=rate("tf1.AdamOptimizer", learning_rate), **hyper)
