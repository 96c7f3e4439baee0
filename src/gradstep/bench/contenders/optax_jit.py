"""optax under jit: parameters and state donated, so that XLA may write in place."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.bench.contenders.base import Arrays, Contender, known, load
from gradstep.bench.work import DECAY, MAX_NORM, Work


def _adam(h: dict[str, float]) -> dict[str, float]:
    return {"b1": h["beta1"], "b2": h["beta2"], **({"eps": h["eps"]} if "eps" in h else {})}


# Gradstep's name -> optax's, and its arguments from our hyperparameters; the first is always the learning rate.
RULES: dict[str, tuple[str, Callable[[dict[str, float]], dict[str, Any]]]] = {
    "sgd": ("sgd", lambda _: {}),
    "momentum": ("sgd", lambda h: {"momentum": h["momentum"]}),
    "nesterov": ("sgd", lambda h: {"momentum": h["momentum"], "nesterov": True}),
    "adagrad": ("adagrad", lambda h: {"initial_accumulator_value": 0.0, "eps": h["eps"]}),
    "rmsprop": ("rmsprop", lambda h: {"decay": h["rho"], "eps": h["eps"], "eps_in_sqrt": False}),
    "adadelta": ("adadelta", lambda h: {"rho": h["rho"], "eps": h["eps"]}),
    "adam": ("adam", _adam),
    "adamw": ("adamw", lambda h: {**_adam(h), "weight_decay": h["weight_decay"]}),
    "adamax": ("adamax", _adam),
    "amsgrad": ("amsgrad", _adam),
    "nadam": ("nadam", _adam),
    "radam": ("radam", _adam),
    **{name: (name, lambda _: {}) for name in ("adabelief", "adamaxw", "adan", "lamb", "lars", "lion", "nadamw")},
    **{name: (name, lambda _: {}) for name in ("rprop", "yogi")},
    **{name: (f"contrib.{name}", lambda _: {}) for name in ("ademamix", "adopt", "dog", "dowg", "madgrad", "prodigy")},
    **{name: (f"contrib.{name}", lambda _: {}) for name in ("schedule_free_adamw", "schedule_free_sgd")},
    "simplified_ademamix": ("contrib.simplified_ademamix", lambda _: {}),
    "dadapt_adam": ("contrib.dadapt_adamw", lambda _: {}),
    "adafactor": ("adafactor", lambda _: {}),
    "muon": ("contrib.muon", lambda _: {}),
    "sm3": ("sm3", lambda h: {"momentum": h["momentum"]}),
}


class OptaxJit(Contender):
    """``optax.apply_updates`` and the update in one jitted function over a tuple of arrays, waited for to the end."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        self.jax, optax = load("jax"), load("optax")
        name, arguments = known(RULES, work, "optax")
        if work.dtype == "float64":
            self.jax.config.update("jax_enable_x64", True)
        self.dtype = work.dtype
        rule = attrgetter(name)(optax)(work.hyper["lr"], **arguments(work.hyper))
        self.tx = optax.chain(optax.clip_by_global_norm(MAX_NORM), rule) if work.chain else rule

        def step(params: Any, state: Any, average: Any, grads: Any) -> tuple[Any, Any, Any]:
            updates, state = self.tx.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            if work.chain:
                average = optax.incremental_update(params, average, 1 - DECAY)
            return params, state, average

        self.jitted = self.jax.jit(step, donate_argnums=(0, 1, 2))
        params = self.gradients(arrays)
        # a copy: some states begin as the parameters themselves, and what is donated twice is refused
        state = self.jax.tree.map(lambda x: self.jax.numpy.array(x, copy=True), self.tx.init(params))
        self.carried = params, state, self.gradients(arrays) if work.chain else ()
        self.step = self.run

    def run(self, grads: Any) -> None:
        """A step, to its end."""
        self.carried = self.jitted(*self.carried, grads)
        self.jax.block_until_ready(self.carried)

    def gradients(self, arrays: Arrays) -> tuple[Any, ...]:
        """Arrays of JAX's own memory."""
        return tuple(self.jax.numpy.array(x, dtype=self.dtype, copy=True) for x in arrays)

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        return [np.asarray(x, np.float32 if self.dtype == "bfloat16" else None) for x in self.carried[0]]

    def held(self) -> tuple[int, int]:
        """Return the bytes of parameters and of arrays beside them."""
        params, state, average = self.carried
        return sum(x.nbytes for x in params), sum(x.nbytes for x in self.jax.tree.leaves((state, average)))
