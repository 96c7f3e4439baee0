"""Recorded states put into our optimizers, by the functions that take the libraries' own states."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import gradstep as gs
from references.cases import SHAPES, Arrays, Case, Trajectory

Put = Callable[[gs.Optimizer, Arrays, int], None]  # a state, and the number of updates made


def putting(case: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    """What puts a recorded state into an optimizer of this case, and what has to hold meanwhile."""
    return LOADABLE[case.library](case, theirs)


def _torch(_: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    def put(opt: gs.Optimizer, state: Arrays, t: int) -> None:
        own: dict[int, dict[str, Any]] = {k: {} for k in range(len(SHAPES)) if state}
        for key, x in state.items():
            index, _, name = key.partition("/")
            own[int(index)][name] = x
        state_dict = {"state": own, "param_groups": theirs.about["param_groups"]}
        gs.interop.torch.load_state(opt, state_dict, list(SHAPES), t=t)

    return put, nullcontext()


def _optax(_: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    def put(opt: gs.Optimizer, state: Arrays, t: int) -> None:
        gs.interop.optax.load_state(opt, _formed(theirs.about["form"], state), list(SHAPES), t=t)

    return put, nullcontext()


def _formed(form: Any, state: Mapping[str, Any], path: str = "") -> Any:
    """The nest of named tuples that ``references.record.optax.form`` described, with its arrays."""
    if form is None:
        return state[path.rstrip("/")]
    if isinstance(form, dict):
        return {name: _formed(x, state, f"{path}{name}/") for name, x in form.items()}
    if form and isinstance(form[0], str):
        kind, fields = form
        return NamedTuple(kind, [(name, Any) for name in fields])(**_formed(fields, state, path))
    return tuple(_formed(x, state, f"{path}{k}/") for k, x in enumerate(form))


def _keras(case: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    from references.record.keras import built, floats

    with floats(case.dtype):
        like, _variables = built(case, theirs.theta[0])

    def put(opt: gs.Optimizer, state: Arrays, _t: int) -> None:
        for variable, x in zip(like.variables, state.values(), strict=True):
            variable.assign(x)
        gs.interop.keras.load_state(opt, like, list(SHAPES))

    return put, floats(case.dtype)


def _mlx(case: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    import mlx.core as mx
    import mlx.optimizers

    like = getattr(mlx.optimizers, case.constructor)(**case.given())
    like.init({name: mx.array(x) for name, x in theirs.theta[0].items()})

    def put(opt: gs.Optimizer, state: Arrays, _t: int) -> None:
        like.state["step"] = mx.array(state["step"])
        for name in SHAPES:
            like.state[name] = {
                key.removeprefix(f"{name}/"): mx.array(x) for key, x in state.items() if key.startswith(f"{name}/")
            }
        gs.interop.mlx.load_state(opt, like, list(SHAPES))

    return put, nullcontext()


def of_torchs_kind(theirs: Trajectory, state: Arrays) -> dict[str, Any]:
    """The state dict that was recorded in arrays, numbers of its group and what stands beside the parameters."""
    (group,) = theirs.about["param_groups"]
    group, own = dict(group), dict[Any, Any]()
    for key, x in state.items():
        place, _, name = key.rpartition("/")
        if place == "group":
            group[name] = x
        elif place:
            own.setdefault(int(place), {})[name] = x
        else:
            own[name] = x
    return {"state": own, "param_groups": [group]}


def _other(case: Case, theirs: Trajectory) -> tuple[Put, AbstractContextManager[Any]]:
    def put(opt: gs.Optimizer, state: Arrays, t: int) -> None:
        like = of_torchs_kind(theirs, state)
        getattr(gs.interop, case.library).load_state(opt, like, list(SHAPES), kind=case.constructor, t=t)

    return put, nullcontext()


LOADABLE = {
    "torch": _torch,
    "optax": _optax,
    "optax.contrib": _optax,
    "keras": _keras,
    "mlx": _mlx,
    "timm": _other,
    "pytorch_optimizer": _other,
}  # of TF1 is none
