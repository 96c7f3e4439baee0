"""tf.compat.v1.train, eagerly on the CPU: parameters in float32, state by the names of slots."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_ENABLE_ONEDNN_OPTS": "0"}

from typing import Any

import numpy as np
import tensorflow as tf

from references.cases import Arrays, Case, Problem, Trajectory
from references.record.common import main


def run(case: Case, task: Problem) -> Trajectory:
    """State is ``NAME/SLOT``, as in ``get_slot(NAME, SLOT)``, and Adam's two powers by their own names.

    A scheduled learning rate is a function without arguments, which the library calls at every step.
    """
    params = [tf.Variable(x, name=name) for name, x in task.start.items()]
    made = 0
    given = case.given()
    schedule = given["learning_rate"] if callable(given.get("learning_rate")) else None
    if schedule:
        given["learning_rate"] = lambda: schedule(made)
    opt = getattr(tf.compat.v1.train, case.constructor)(**given)
    theta, state = [_arrays(params)], []
    for made, grads in enumerate(task.grads):  # noqa: B007 - read by the schedule
        opt.apply_gradients([(tf.constant(g), x) for g, x in zip(grads.values(), params, strict=True)])
        theta.append(_arrays(params))
        state.append(dict(_state(opt, params)))
    return Trajectory(theta, state)


def _state(opt: Any, params: list[Any]) -> list[tuple[str, np.ndarray]]:
    slots = [
        (f"{_name(x)}/{slot}", opt.get_slot(x, slot).numpy().copy()) for x in params for slot in opt.get_slot_names()
    ]
    shared = [(_name(x), x.numpy()) for x in opt.variables() if _name(x).startswith("beta")]
    return slots + shared


def _name(x: Any) -> str:
    return x.name.partition(":")[0]


def _arrays(params: list[Any]) -> Arrays:
    return {_name(x): x.numpy().copy() for x in params}


if __name__ == "__main__":
    main("tf1", {"tensorflow": (tf.__version__, "2.21.0")}, run)
