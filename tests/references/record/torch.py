"""torch.optim on the CPU: parameters in float64, state by the names of ``state_dict()``."""

import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # this folder has a file of the library's own name: look in tests/ instead
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray

from references.cases import SHAPES, Arrays, Case, Problem, Trajectory
from references.record.common import main


def run(case: Case, task: Problem) -> Trajectory:
    """State is ``INDEX/NAME``, as in ``state_dict()["state"][INDEX][NAME]``; a scheduled lr is put into the group."""
    params = [_tensor(case, task.start[name]) for name in SHAPES]
    given = case.given()
    schedule = given["lr"] if callable(given.get("lr")) else None
    if schedule:
        given["lr"] = schedule(0)
    opt = getattr(torch.optim, case.constructor)(params, **given)
    (group,) = opt.state_dict()["param_groups"]
    theta, state = [_arrays(params)], []
    for k, grads in enumerate(task.grads):
        if schedule:
            opt.param_groups[0]["lr"] = schedule(k)
        for x, g in zip(params, grads.values(), strict=True):
            x.grad = _sparse(g) if case.constructor == "SparseAdam" else _tensor(case, g)
        opt.step()
        theta.append(_arrays(params))
        state.append(
            {
                f"{i}/{name}": _shaped(i, x.numpy() if torch.is_tensor(x) else x)
                for i, own in opt.state_dict()["state"].items()
                for name, x in own.items()
                if x is not None
            }
        )
    return Trajectory(theta, state, {"param_groups": [group]})


def _tensor(case: Case, x: NDArray[Any]) -> torch.Tensor:
    """Return a tensor, for Muon as a matrix: it refuses all else."""
    return torch.tensor(x if case.constructor != "Muon" else x.reshape(len(x), -1))


def _shaped(index: int, x: Any) -> NDArray[Any]:
    """Return an array of state in the shape of its parameter, where Muon has it as a column."""
    shape = list(SHAPES.values())[index]
    return np.array(x).reshape(shape) if np.shape(x) == (*shape, 1) else np.array(x)


def _sparse(g: NDArray[Any]) -> torch.Tensor:
    """Return a sparse gradient of which all rows are there."""
    return torch.sparse_coo_tensor(torch.arange(len(g))[None], torch.tensor(g), g.shape, check_invariants=True)


def _arrays(params: list[torch.Tensor]) -> Arrays:
    return {name: x.numpy().reshape(SHAPES[name]).copy() for name, x in zip(SHAPES, params, strict=True)}


if __name__ == "__main__":
    main("torch", {"torch": (torch.__version__, "2.13.0")}, run)
