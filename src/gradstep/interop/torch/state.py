"""State of a parameter in the guest: its names, what fits, and how it goes over to another form of the parameter."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from gradstep.array.namespaces import compute_dtype
from gradstep.errors import GradstepValueError
from gradstep.form.chain import Program
from gradstep.interop.torch.local import local, torch

STEP = "step"  # torch's name for the number of updates, which its optimizers count for each parameter


def state_names(made: Program) -> dict[str, str]:
    """Return the name in torch of each slot and host number, with its whole name: ``{"m": "adam.m", "step": "step"}``.

    The label is left out where one stage alone keeps anything.
    """
    kept = [(part.label, key) for part in made.parts for key in (*part.rule.state, *part.rule.memory)]
    is_short = len({label for label, _ in kept}) == 1 and all(key != STEP for _, key in kept)
    return {key if is_short else f"{label}.{key}": f"{label}.{key}" for label, key in kept} | {STEP: STEP}


def fitting(
    name: str, found: Any, own: Mapping[str, Any], forms: Callable[[], Collection[frozenset[str]]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of a state that a parameter's own ones take, and those that are kept beside them.

    A group's switches may have been turned since: SGD's momentum, Adam's amsgrad. Then an entry goes to the one with
    the same last name (``"v"`` to ``"scale_by_rms.v"``), what is new begins, and what has no place is kept beside.

    Parameters
    ----------
    name
        Of the parameter, in messages.
    found
        The state.
    own
        The parameter's own state, local tensors.
    forms
        Gives the names of the whole state for each choice of switches of this optimizer.

    Raises
    ------
    GradstepValueError
        When something is missing, unknown, or of another shape or dtype.
    """
    there = {str(key) for key in found} if isinstance(found, Mapping) else set[str]()
    keys = {key: key for key in own if key in there}
    if there != set(own):
        known = forms()
        if not (any(form <= there for form in known) and there <= {key for form in known for key in form}):
            names = ", ".join(sorted(there)) or repr(found)
            raise GradstepValueError(
                f"state of {name!r} is {names}; this optimizer keeps {', '.join(sorted(own))}; "
                f"gs.interop.torch.load_state(opt, state_dict) takes that of torch's own optimizers."
            )
        by_last = {_last(key): key for key in there - own.keys()}
        keys |= {key: by_last[_last(key)] for key in own.keys() - keys.keys() if _last(key) in by_last}
        if set(keys) == {STEP} and len(own) > 1:
            keys = {}  # nothing has been kept, so nothing has been counted for what begins
    taken = {key: local(torch.as_tensor(found[k])) for key, k in keys.items()}
    for key, y in taken.items():
        _check(f"state of {name!r}: {key}", y, own[key], is_count=key == STEP)
    return taken, {key: found[key] for key in there - set(keys.values()) - own.keys()}


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _check(what: str, y: Any, x: Any, *, is_count: bool) -> None:
    is_number = is_count and y.numel() == 1 and y.dtype != torch.bool
    is_whole = is_number and float(y).is_integer() and float(y) >= 0
    if y.shape != x.shape or (y.dtype != x.dtype and not is_whole):
        raise GradstepValueError(f"{what} is {y.dtype}{list(y.shape)}, and must be {x.dtype}{list(x.shape)}.")
    if is_count and not is_whole:
        raise GradstepValueError(f"{what} is {float(y)}, and must be a number of updates.")


def converted(state: Mapping[str, Any], x: Any, numbers: Collection[str]) -> dict[str, Any]:
    """Return the state of a parameter that has been given another dtype or device, in the new form.

    Where no update has been made it is empty: all begins anew, as in torch, which makes it in the first step.
    ``numbers`` are the names of what is no array of the parameter's.
    """
    if not state or float(state.get(STEP, 0)) == 0:
        return {}
    dtype = x.dtype if x.is_complex() else getattr(torch, compute_dtype(local(x), "parameter"))
    return {key: y if key in numbers else y.to(dtype=dtype, device=x.device) for key, y in state.items()}
