"""Kinds of torch's optimizers and their like: what each keeps, and where its state dicts have it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradstep.errors import GradstepValueError
from gradstep.interop.state.common import Places

Arrays = dict[str, Any]  # of a parameter, by their names there
Form = Callable[[Arrays, tuple[int, ...]], Arrays]  # to another form of what a parameter of some shape has
STEP = "step"


def as_it_is(found: Arrays, _shape: tuple[int, ...]) -> Arrays:
    """Return what a parameter has as it is."""
    return found


@dataclass(frozen=True)
class Kind:
    """One optimizer of a library.

    Attributes
    ----------
    there
        Its name, for errors: ``"torch.optim.Adam"``.
    places
        Where each rule's slots stand in the state of a parameter; ``"-"`` before a name: with signs turned.
    numbers
        Where the host's numbers stand: ``{"nadam_torch.product": "mu_product"}``.
    is_counted
        Whether it counts its updates.
    is_lazy
        Whether it makes its arrays of the first gradient, so that there are none before a step.
    only_with
        Options of a group without which it does not keep what is named: ``{"max_exp_avg_sq": "amsgrad"}``.
    options
        The options by which its groups are known.
    grouped
        The numbers, ``"step"`` among them, that stand in a group and not in the state of a parameter.
    forms
        What numbers and ``"step"`` are: ``"int"``, ``"float"``, ``"double"`` (a tensor in float64, which torch rounds
        to the parameters' dtype when it is loaded), ``"vector"`` (a tensor of one number), ``"index"`` (the same, of
        integers); where nothing is said a tensor in torch's default dtype.
    counter
        The key of the state, beside the parameters, that counts the updates of all.
    first
        Its count before the first step.
    unread
        What stands in the state of a parameter, is not taken, and is not read by the next step.
    here, back
        The arrays of a parameter in the form in which the slots here have them, and the other way round.
    added
        What its next step asks for beside what comes from here, from a group and the number of updates.
    differs
        Looks at what a parameter has, its group and the number of updates; says why they cannot be had, or nothing.
    """

    there: str
    places: Places
    numbers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_counted: bool = True
    is_lazy: bool = False
    only_with: Mapping[str, str] = field(default_factory=dict[str, str])
    options: frozenset[str] = frozenset()
    grouped: tuple[str, ...] = ()
    forms: Mapping[str, str] = field(default_factory=dict[str, str])
    counter: str = ""
    first: int = 0
    unread: tuple[str, ...] = ()
    here: Form = as_it_is
    back: Form = as_it_is
    added: Callable[[Mapping[str, Any], int], Arrays] = lambda _group, _t: {}
    differs: Callable[[Mapping[str, Any], Mapping[str, Any], int], str] = lambda _found, _group, _t: ""

    def gathered(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state dict in which each parameter's state has all that is known of it, also what its group has."""
        if not (self.grouped or self.counter):
            return dict(state_dict)
        groups, state = state_dict["param_groups"], state_dict["state"]
        has_arrays = any(x is not None for group in groups for k in group["params"] for x in state.get(k, {}).values())
        out: dict[Any, dict[str, Any]] = {}
        for group in groups:
            of_all = {key: group[key] for key in self.grouped if group.get(key) is not None}
            if self.counter and self.counter in state:
                of_all[STEP] = int(state[self.counter].item())
            for k in group["params"]:
                own = {key: x for key, x in state.get(k, {}).items() if x is not None}
                if own or not has_arrays:  # else it has made no step, whatever the others have
                    out[k] = own | of_all
        return {"state": out, "param_groups": groups}

    def spread(self, made: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state dict as the library has it, from one as :meth:`gathered` gives it.

        Raises
        ------
        GradstepValueError
            When parameters of a group have different numbers, or have made no step and those there have.
        """
        state: dict[Any, Any] = {k: dict(own) for k, own in made["state"].items()}
        groups = [dict(group) for group in like["param_groups"]]
        for group in groups:
            for key in self.grouped:
                values = [state[k].pop(key) for k in group["params"] if key in state.get(k, {})]
                if any(x != values[0] for x in values):
                    raise self._refused(f"{key} differs from parameter to parameter here, and a group has one there")
                if not values and (group.get(STEP) or 0) > self.first:
                    raise self._refused("its parameters have made steps, and those here none; make a new one there")
                group.update({key: values[0]} if values else {})
        if self.counter:
            counts = [own.pop(STEP) for own in state.values() if STEP in own]
            if any(x != counts[0] for x in counts):
                raise self._refused("parameters count different updates here, and there is one count there")
            if not counts and like["state"].get(self.counter):
                raise self._refused("its parameters have made steps, and those here none; make a new one there")
            state |= dict(zip([self.counter], counts, strict=False))
        return {
            **like,
            "state": {k: own for k, own in state.items() if k == self.counter or own},
            "param_groups": groups,
        }

    def _refused(self, why: str) -> GradstepValueError:
        return GradstepValueError(f"state of {self.there}: {why}. Nothing was changed.")
