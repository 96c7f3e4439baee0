"""keras.optimizers, in float32 and in float64: the parameters' dtype and Keras' own float type, both."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":  # this folder has a file of the library's own name: look in tests/ instead
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))
    os.environ["KERAS_BACKEND"] = "jax"  # on NumPy, Keras 3.15 rounds to float32 within its operations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import keras
import numpy as np

from references.cases import Arrays, Case, Problem, Trajectory
from references.record.common import main


def run(case: Case, task: Problem) -> Trajectory:
    """State is ``INDEX/NAME`` of ``optimizer.variables``: the place by which Keras saves it, and its name."""
    with floats(case.dtype):
        opt, params = built(case, task.start)
        theta, state = [_arrays(params)], []
        for grads in task.grads:
            opt.apply([keras.ops.convert_to_tensor(g, dtype=case.dtype) for g in grads.values()])
            theta.append(_arrays(params))
            state.append({f"{i}/{_name(x)}": _array(x) for i, x in enumerate(opt.variables)})
        return Trajectory(theta, state)


def built(case: Case, start: Arrays) -> tuple[Any, list[Any]]:
    """Keras' optimizer, and the variables that it is built for; within :func:`floats`."""
    params = [keras.Variable(x, dtype=case.dtype, name=name) for name, x in start.items()]
    opt = getattr(keras.optimizers, case.constructor)(**case.given(_schedule), name="optimizer")
    opt.build(params)
    return opt, params


@contextmanager
def floats(dtype: str) -> Iterator[None]:
    """Keras' own floats, and JAX's, are of this dtype."""
    usual = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        # On NumPy, the global norm of a gradient of zeros divides by it.
        with _bits_of_jax(dtype), np.errstate(divide="ignore"):
            yield
    finally:
        keras.config.set_floatx(usual)


def _bits_of_jax(dtype: str) -> AbstractContextManager[Any]:
    if keras.backend.backend() != "jax":
        return nullcontext()
    import jax

    return jax.enable_x64(dtype == "float64")


def _schedule(base: float, rate: float) -> Any:
    return keras.optimizers.schedules.InverseTimeDecay(base, decay_steps=1, decay_rate=rate)


def _name(x: Any) -> str:
    # Nadam's product is a variable without a name of its own, which Keras numbers through the process.
    return "variable" if x.name.startswith("variable") else x.name


def _array(x: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(x))


def _arrays(params: list[Any]) -> Arrays:
    return {x.name: _array(x) for x in params}


if __name__ == "__main__":
    import jax

    main("keras", {"keras": (keras.__version__, "3.15.1"), "jax": (jax.__version__, "0.10.2")}, run)
