"""What libraries of torch's kind have in common: parameters on the CPU, and steps by ``opt.step()``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from references.cases import Arrays, Case, Problem, Trajectory

Make = Callable[..., torch.optim.Optimizer]


def stepped(make: Make, case: Case, task: Problem) -> Trajectory:
    """Run an optimizer; what it says of itself is its group.

    State is ``INDEX/NAME``, as in ``state_dict()["state"][INDEX][NAME]``; a scheduled lr is put into the group.
    """
    return _run(make, case, task, _state)


def followed(make: Make, case: Case, task: Problem) -> Trajectory:
    """Run an optimizer, as :func:`stepped`, with the numbers that it keeps in its group as ``group/NAME``.

    The default dtype is float64 meanwhile: it is that of the sums and other numbers which a library keeps in tensors.
    """
    with in_float64():
        done = _run(make, case, task, lambda opt: _state(opt) | _numbers(opt))
    (before,) = done.about["param_groups"]
    own = {key for key, x in done.state[-1].items() if _is_argument(key, x, before)}
    return Trajectory(
        done.theta, [{key: x for key, x in row.items() if key not in own} for row in done.state], done.about
    )


@contextmanager
def in_float64() -> Iterator[None]:
    """What torch makes without a dtype is of float64 meanwhile."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def _run(make: Make, case: Case, task: Problem, look: Callable[[Any], Arrays]) -> Trajectory:
    params = {name: torch.tensor(x) for name, x in task.start.items()}
    given = case.given()
    schedule = given["lr"] if callable(given.get("lr")) else None
    if schedule:
        given["lr"] = schedule(0)
    opt: Any = make(list(params.values()), **given)
    if "ScheduleFree" in case.constructor:
        opt.train()
    groups = opt.state_dict()["param_groups"]
    theta, state = [_arrays(params)], []
    for k, grads in enumerate(task.grads):
        if schedule:
            opt.param_groups[0]["lr"] = schedule(k)
        for name, x in params.items():
            x.grad = _sparse(grads[name]) if case.constructor == "SparseAdam" else torch.tensor(grads[name])
        opt.step()
        theta.append(_arrays(params))
        state.append(look(opt))
    return Trajectory(theta, state, {"param_groups": groups})


def _state(opt: torch.optim.Optimizer) -> Arrays:
    """By ``INDEX/NAME``; what stands beside the parameters by its name."""
    state = opt.state_dict()["state"]
    found = {f"{i}/{name}": x for i, own in state.items() if isinstance(own, dict) for name, x in own.items()}
    found |= {str(i): x for i, x in state.items() if not isinstance(x, dict)}
    return {key: _array(x) for key, x in found.items() if x is not None}


def _numbers(opt: torch.optim.Optimizer) -> Arrays:
    kinds = int, float, torch.Tensor
    return {f"group/{key}": _array(x) for key, x in opt.param_groups[0].items() if isinstance(x, kinds) and key != "lr"}


def _is_argument(key: str, x: NDArray[Any], before: dict[str, Any]) -> bool:
    """Return True for a number of a group that was there before the first step, and has not changed."""
    _, is_of_group, name = key.rpartition("group/")
    return bool(is_of_group and name in before and before[name] == x)


def _array(x: Any) -> NDArray[Any]:
    return np.array(x.numpy() if torch.is_tensor(x) else x)


def _sparse(g: NDArray[Any]) -> torch.Tensor:
    """Return a sparse gradient of which all rows are there."""
    return torch.sparse_coo_tensor(torch.arange(len(g))[None], torch.tensor(g), g.shape, check_invariants=True)


def _arrays(params: dict[str, torch.Tensor]) -> Arrays:
    return {name: x.detach().numpy().copy() for name, x in params.items()}
