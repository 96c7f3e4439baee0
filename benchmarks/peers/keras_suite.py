"""Keras's own tests of its optimizers, on torch or JAX (KERAS_BACKEND); they are in its wheel.

CHECKOUT may be the folder of site-packages. Gradients of JAX's sparse layers are tested on JAX alone.
"""

from typing import Any

from peers.suite import Expected, Suite

PAGE = "docs/migrating/keras.md"
_WORDS = "a value is refused here too, in other words"
NAMES = ("sgd", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "adamax", "nadam")
OTHERS = ("optimizer", "optimizer_sparse", "loss_scale_optimizer", "multi_optimizer")
CALLBACKS = ("swap_ema_weights", "learning_rate_scheduler", "reduce_lr_on_plateau", "model_checkpoint")


def swap() -> None:
    """Replace Keras's constructors that are known here, where its tests take them from."""
    from importlib import import_module

    import keras
    from keras.src import optimizers

    import gradstep as gs

    for name in gs.conventions.keras.__all__:
        guest = _guest(gs, name)
        globals()[name] = guest  # Keras and pickle look it up here
        for module in (keras.optimizers, optimizers, import_module(f"keras.src.optimizers.{name.lower()}")):
            setattr(module, name, guest)
        optimizers.ALL_OBJECTS_DICT[name.lower()] = guest


def _guest(gs: Any, name: str) -> type:
    import keras

    from peers.plugin import counted

    own = gs.interop.keras.Optimizer
    takes = list(getattr(gs.conventions.keras, name).takes)

    def __init__(self: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        own.__init__(self, f"keras.{name}", **{**dict(zip(takes, args, strict=False)), **given})

    def get_config(self: Any) -> Any:
        return {key: x for key, x in own.get_config(self).items() if key != "rule"}

    def __new__(cls: Any, *_: Any, **__: Any) -> Any:  # noqa: N807
        return object.__new__(cls)  # Keras's own looks for the class of that name for torch

    body = {"__init__": counted(__init__), "__new__": __new__, "get_config": get_config, "__module__": __name__}
    return keras.saving.register_keras_serializable("peers")(type(name, (own,), body))


SUITE = Suite(
    files=[f"keras/src/optimizers/{x}_test.py" for x in (*NAMES, *OTHERS)]
    + [f"keras/src/callbacks/{x}_test.py" for x in CALLBACKS],
    swap=swap,
    packages=("keras", "torch"),
    options=("--noconftest", "--continue-on-collection-errors"),
    expected=(
        Expected("", "does not match .*(momentum must be finite|weight_decay must be a number)", _WORDS),
        Expected("test_build_with_empty_var_list", "_u_product", "it reads a private variable of Keras's Nadam"),
    ),
)
