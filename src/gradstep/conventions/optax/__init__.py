"""The optimizers of optax 0.2.8: its arguments, its defaults, its numbers; those of optax.contrib in ``contrib``.

A dtype for the accumulator is refused (``gs.Optimizer(..., state_dtype="bfloat16")`` rounds without drift), and so is a
mask (``groups={"*.bias": {"weight_decay": 0.0}}`` goes by name). Weight decay is decoupled but in ``adadelta``,
``dog``, ``dowg``, ``madgrad`` and ``schedule_free_sgd``.
"""

from gradstep.conventions.library import refusing
from gradstep.conventions.optax import alias
from gradstep.conventions.optax import contrib as contrib
from gradstep.conventions.optax.alias import *  # noqa: F403 - all that optax itself has is there

__all__: list[str] = []
__all__ += alias.__all__

_NO_RULE = "there is no such rule here"
ABSENT = {
    "fromage": _NO_RULE,
    "lbfgs": 'it is a method of a run: gs.minimize(..., method="lbfgs")',
    "noisy_sgd": "its noise is drawn by JAX",
    "optimistic_adam": _NO_RULE,
    "optimistic_adam_v2": _NO_RULE,
    "optimistic_gradient_descent": _NO_RULE,
    "rprop": "in optax 0.2.8 each of its steps is taken one update late; gs.rprop takes them at once",
}
__getattr__ = refusing(__name__, ABSENT)
