"""State from and to torch's own optimizers, for the guest as for an optimizer of ours: bucket by bucket."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.state import torch as state
from gradstep.interop.state.common import step_parts
from gradstep.interop.torch.bucket import Bucket
from gradstep.interop.torch.buckets import Buckets, sorted_out
from gradstep.interop.torch.state import STEP

Indices = Mapping[Any, Any]  # of each parameter, its number in a state dict


def load_state(
    opt: Any, state_dict: Mapping[str, Any], names: Iterable[str] | None = None, *, t: int | None = None
) -> None:
    """Take the state of a torch optimizer: its arrays and its count. Parameters and hyperparameters stay as they are.

    Parameters
    ----------
    opt
        A :class:`gradstep.Optimizer` of the rule that ``gs.conventions.torch`` gives for that optimizer, or a guest,
        ``gs.interop.torch.Optimizer``. What the hyperparameters there were is not looked at: give them here, as there.
    state_dict
        As ``torch_optimizer.state_dict()`` gives it.
    names
        For an optimizer of ours, the dotted names of torch's parameters, in torch's order; left out: the parameters
        here in their order, all or those that are not frozen. What is frozen here is left out of the state. A guest
        has torch's parameters in torch's order; one that has made no step there begins here.
    t
        The updates made, where torch does not count them (SGD): needed if a schedule follows them; else left out,
        the count here stays, but is 1 at least.

    Raises
    ------
    GradstepValueError
        When the optimizer there is of a kind, or has a state, that the rule here does not have; when a parameter has
        no state there, or another count than others of an optimizer of ours; for other shapes, numbers that are not
        finite, below zero where they cannot be, or not in the dtype here. Nothing has been changed.
    GradstepTypeError
        When ``state_dict`` is no such thing.
    """
    take(opt, state_dict, names, t)


def take(opt: Any, state_dict: Mapping[str, Any], names: Iterable[str] | None, t: int | None, kind: Any = None) -> None:
    """Take a state dict as :func:`load_state` does; of another library ``kind`` says what it keeps."""
    if not _is_guest(opt):
        state.load_state(opt, state_dict, names, t=t, kind=kind)
        return
    buckets: Buckets = opt.buckets()
    indices = _indices(buckets, state_dict, names)
    theirs = state_dict["state"]
    begun = [p for p, k in indices.items() if any(x is not None for x in theirs.get(k, {}).values())]
    begun = begun or [*indices]  # it keeps nothing, or must be refused
    counts = {p: {STEP: theirs.get(indices[p], {}).get(STEP, _updates(t, buckets.state[p][STEP]))} for p in begun}
    kept: dict[Any, Any] = defaultdict(dict)
    for members in sorted_out(buckets.groups, buckets.settings, counts, buckets.engine):
        if own := [x for x in members if x.value in counts]:
            made, first = Bucket(own, buckets.settings, {}, buckets.rules, buckets.engine), own[0].value
            is_counted = STEP in theirs.get(indices[first], {})
            own_t = t if is_counted else counts[first][STEP]
            parts = step_parts(made.step, made.values)
            state.load_state(parts, _part(state_dict, made, indices), t=own_t, kind=kind)
            made.count()
            kept.update(zip(made.params, made.state, strict=True))
    opt.go_on_from(kept)


def dump_state(opt: Any, like: Mapping[str, Any], names: Iterable[str] | None = None) -> dict[str, Any]:
    """The state here as a state dict for ``torch_optimizer.load_state_dict``; hyperparameters are those of ``like``.

    torch converts what it loads to the dtype of its parameters; give it those that are here.

    Parameters
    ----------
    opt
        As for :func:`load_state`.
    like
        As ``torch_optimizer.state_dict()`` gives it, before its first step or after any.
    names
        As for :func:`load_state`. What is frozen here stays as it is there.

    Returns
    -------
    dict
        New; all its tensors are new.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        As from :func:`load_state`.
    """
    return give(opt, like, names)


def give(opt: Any, like: Mapping[str, Any], names: Iterable[str] | None, kind: Any = None) -> dict[str, Any]:
    """Give a state dict as :func:`dump_state` does; ``kind`` as for :func:`take`."""
    if not _is_guest(opt):
        return state.dump_state(opt, like, names, kind=kind)
    buckets: Buckets = opt.buckets()
    indices = _indices(buckets, like, names)
    parts = [
        state.dump_state(step_parts(each.step, each.values), _part(like, each, indices), kind=kind)
        for each in buckets.each
    ]
    return {**like, "state": {k: own for part in parts for k, own in part["state"].items()}}


def _is_guest(opt: Any) -> bool:
    return hasattr(opt, "go_on_from")


def _updates(t: int | None, own: Any) -> int:
    return max(int(own), 1) if t is None else t  # their arrays come from an update


def _indices(buckets: Buckets, state_dict: Any, names: Iterable[str] | None) -> Indices:
    if names is not None:
        raise GradstepTypeError(
            "names are of an optimizer of ours; gs.interop.torch.Optimizer has the parameters in torch's order."
        )
    there = [k for group in state.groups_of(state_dict) for k in group["params"]]
    here = [p for group in buckets.groups for p in group["params"]]
    if len(there) != len(here):
        raise GradstepValueError(
            f"state of torch: it has {len(there)} parameters, and this optimizer {len(here)}; make it of the same ones."
        )
    return dict(zip(here, there, strict=True))


def _part(state_dict: Mapping[str, Any], bucket: Bucket, indices: Indices) -> dict[str, Any]:
    """Return the part of a state dict that belongs to a bucket's parameters, in their order."""
    own = [indices[p] for p in bucket.params]
    groups: Sequence[Any] = [
        {**group, "params": found}
        for group in state_dict["param_groups"]
        if (found := [k for k in own if k in group["params"]])
    ]
    return {"state": {k: x for k, x in state_dict["state"].items() if k in own}, "param_groups": groups}
