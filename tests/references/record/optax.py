"""optax with 64-bit JAX: parameters in float64, state by the fields of its named tuples."""

import sys
from pathlib import Path

if __name__ == "__main__":  # this folder has a file of the library's own name: look in tests/ instead
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))

from importlib import import_module
from typing import Any

import jax
import numpy as np
import optax

from references.cases import Arrays, Case, Problem, Trajectory, curvature, loss
from references.record.common import main


def run(case: Case, task: Problem) -> Trajectory:
    """State is a path such as ``0/mu/a``; ``about["form"]`` says of which tuples it is made (see :func:`form`)."""
    with jax.enable_x64(True):
        given = case.given()
        if case.constructor == "sophia":
            given["hessian_diagonal_fn"] = optax.GradientTransformationExtraArgs(optax.init_empty_state, _curvature)
        tx = getattr(import_module(case.library), case.constructor)(**given)
        params = jax.tree.map(jax.numpy.asarray, task.start)
        own = tx.init(params)
        about = {"form": form(own)}
        theta, state = [_arrays(params)], []
        for k, grads in enumerate(task.grads):
            more = {"value": loss(k)} if case.constructor in ("momo", "polyak_sgd") else {}
            updates, own = tx.update(jax.tree.map(jax.numpy.asarray, grads), own, params, **more)
            params = optax.apply_updates(params, updates)
            theta.append(_arrays(params))
            state.append(dict(_leaves(own)))
        return Trajectory(theta, state, about)


def _curvature(grads: Any, own: Any, params: Any = None, **_: Any) -> tuple[Any, Any]:
    return curvature(grads), own


def form(own: Any) -> Any:
    """Named tuples as ``[class, {field: form}]``, tuples as lists of forms, dicts as dicts, leaves as null."""
    if hasattr(own, "_fields"):
        return [type(own).__name__, {name: form(x) for name, x in own._asdict().items()}]
    if isinstance(own, tuple):
        return [form(x) for x in own]
    return {name: form(x) for name, x in own.items()} if isinstance(own, dict) else None


def _leaves(own: Any) -> list[tuple[str, np.ndarray]]:
    flat, _ = jax.tree_util.tree_flatten_with_path(own)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), np.asarray(x)) for path, x in flat]


def _arrays(params: Any) -> Arrays:
    return {name: np.asarray(x) for name, x in params.items()}


if __name__ == "__main__":
    for library in ("optax", "optax.contrib"):
        main(library, {"optax": (optax.__version__, "0.2.8"), "jax": (jax.__version__, "0.10.2")}, run)
