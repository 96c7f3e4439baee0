"""The optimizers of TensorFlow 1, ``tf.compat.v1.train`` of TensorFlow 2.21: their arguments, defaults and numbers.

``use_locking`` says how TensorFlow writes its variables, and ``name`` names its graph's nodes: both mean nothing here.
"""

from typing import Any

from gradstep import rules, variants
from gradstep.conventions.library import Library
from gradstep.errors import GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Stage

__all__ = [
    "AdadeltaOptimizer",
    "AdagradOptimizer",
    "AdamOptimizer",
    "GradientDescentOptimizer",
    "MomentumOptimizer",
    "RMSPropOptimizer",
]

constructor = Library(
    "tf1",
    becomes={
        "learning_rate": "lr",
        "decay": "rho",
        "epsilon": "eps",
        "initial_accumulator_value": "initial_accumulator",
    },
    told="momentum initial_accumulator_value",
    ignored="use_locking",
    labels="name",
)


@constructor
def GradientDescentOptimizer(learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> Stage:
    """``tf.compat.v1.train.GradientDescentOptimizer``."""
    return rules.sgd()


@constructor
def MomentumOptimizer(
    learning_rate: Any,
    momentum: float,
    use_locking: bool = False,
    name: str = "Momentum",
    use_nesterov: bool = False,
) -> Stage:
    """``tf.compat.v1.train.MomentumOptimizer``: the learning rate stands outside of the accumulator."""
    return chain(variants.unfolded_nesterov if use_nesterov else variants.unfolded_momentum)


@constructor
def AdagradOptimizer(
    learning_rate: Any, initial_accumulator_value: float = 0.1, use_locking: bool = False, name: str = "Adagrad"
) -> Stage:
    """``tf.compat.v1.train.AdagradOptimizer``: no eps, for the sums start above zero.

    Raises
    ------
    GradstepValueError
        As TensorFlow, for sums that do not.
    """
    if not initial_accumulator_value:
        raise GradstepValueError("tf1.AdagradOptimizer: initial_accumulator_value must be above 0, as in TensorFlow.")
    return variants.adagrad_without_eps()


@constructor
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
    scaled = variants.scale_by_centered_rms_inside if centered else variants.scale_by_rms_inside
    return chain(scaled(initial_accumulator=1.0), rules.momentum if momentum else rules.sgd)


@constructor
def AdadeltaOptimizer(
    learning_rate: Any = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adadelta",
) -> Stage:
    """``tf.compat.v1.train.AdadeltaOptimizer``."""
    return rules.adadelta()


@constructor
def AdamOptimizer(
    learning_rate: Any = 0.001,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    use_locking: bool = False,
    name: str = "Adam",
) -> Stage:
    """``tf.compat.v1.train.AdamOptimizer``: epsilon on the root before its correction ("epsilon hat")."""
    return variants.adam_eps_hat()
