"""Keras 3 on its torch backend: ``optimizer.apply(gradients, variables)``."""

import os
from typing import Any

from numpy.typing import NDArray

from gradstep.bench.contenders.base import Arrays, UnavailableError, known, load
from gradstep.bench.contenders.torch_optim import TorchStep
from gradstep.bench.work import DECAY, MAX_NORM, Work

# Gradstep's name -> Keras's, its argument -> ours, and fixed arguments.
_ADAM = {"learning_rate": "lr", "beta_1": "beta1", "beta_2": "beta2"}
RULES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "sgd": ("SGD", {"learning_rate": "lr"}, {}),
    "momentum": ("SGD", {"learning_rate": "lr", "momentum": "momentum"}, {}),
    "nesterov": ("SGD", {"learning_rate": "lr", "momentum": "momentum"}, {"nesterov": True}),
    "adagrad": ("Adagrad", {"learning_rate": "lr", "epsilon": "eps"}, {"initial_accumulator_value": 0.0}),
    "rmsprop": ("RMSprop", {"learning_rate": "lr", "rho": "rho", "epsilon": "eps"}, {}),
    "adadelta": ("Adadelta", {"learning_rate": "lr", "rho": "rho", "epsilon": "eps"}, {}),
    "adam": ("Adam", {**_ADAM, "epsilon": "eps"}, {}),
    "adamw": ("AdamW", {**_ADAM, "epsilon": "eps", "weight_decay": "weight_decay"}, {}),
    "adamax": ("Adamax", _ADAM, {}),
    "amsgrad": ("Adam", _ADAM, {"amsgrad": True}),
    "nadam": ("Nadam", {**_ADAM, "epsilon": "eps"}, {}),
}


class KerasApply(TorchStep):
    """Gradients are torch's tensors; all of ``optimizer.apply`` is timed."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        os.environ.setdefault("KERAS_BACKEND", "torch")
        self.keras = load("keras")
        if self.keras.backend.backend() != "torch":
            raise UnavailableError(f"Keras runs on {self.keras.backend.backend()} here; set KERAS_BACKEND=torch")
        self.variables = [self.keras.Variable(x, dtype=work.dtype) for x in arrays]
        super().__init__(work, [])
        self.step = lambda grads: self.optimizer.apply(grads, self.variables)

    def make(self, work: Work) -> Any:
        """The optimizer, built for its variables."""
        name, arguments, fixed = known(RULES, work, "Keras")
        if work.chain:
            fixed = fixed | {"global_clipnorm": MAX_NORM, "use_ema": True, "ema_momentum": DECAY}
        made = getattr(self.keras.optimizers, name)(**{key: work.hyper[x] for key, x in arguments.items()}, **fixed)
        made.build(self.variables)
        return made

    def attach(self, grads: list[Any]) -> None:
        """They are handed to the step."""

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        return [x.value.detach().float().numpy() if self.dtype.itemsize < 4 else x.numpy() for x in self.variables]

    def held(self) -> tuple[int, int]:
        """Return the bytes of parameters and of arrays beside them."""
        mine, kept = ([x.value for x in xs] for xs in (self.variables, self.optimizer.variables))
        return sum(x.nbytes for x in mine), sum(x.nbytes for x in kept)
