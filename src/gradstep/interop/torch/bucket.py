"""Tensors of torch that have made the same steps, and the step that updates them in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, groupby
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from gradstep.array.storage import FORMATS
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program, program
from gradstep.interop.settings import Setting
from gradstep.step import Snapshot, Step

torch: Any = import_module("torch")  # type checkers would take this package's torch.py for it
STEP = "step"  # torch's name for the number of updates, which its optimizers count for each parameter


class Member(NamedTuple):
    """A parameter, the number of its group, and its name in messages."""

    group: int
    name: str
    value: Any


class Bucket:
    """Steps members that have the same number of updates behind them.

    Parameters
    ----------
    members
        In the order of their groups.
    settings
        Of each group by its number; those of the members have one stage.
    state
        Of each parameter that has any: it is copied.

    Raises
    ------
    GradstepValueError, GradstepTypeError, NonFiniteError
        When a parameter cannot be optimized, or its state is of another stage or parameter.
    """

    def __init__(self, members: Sequence[Member], settings: Sequence[Setting], state: Mapping[Any, Any]) -> None:
        self.members = members
        self.params = [x.value for x in members]
        self.names = [x.name for x in members]
        self.spans = {k: len([*own]) for k, own in groupby(x.group for x in members)}
        self.is_host = in_numpy(self.params[0])
        self.is_low = [x.dtype == torch.bfloat16 for x in self.params]
        self.program = program(settings[members[0].group].stage)
        self.program.check_for_guest("torch's step")
        self.set_values(settings)
        order = [*self.spans]
        self.step = Step(
            self.program,
            dict(zip(self.names, self._arrays(), strict=True)),
            self.values,
            groups=[order.index(x.group) for x in members],
        )
        self.numbers = {key: np.full(len(members), x) for key, x in (self.program.memory() | {STEP: 0}).items()}
        self.state = [self._own(k) for k in range(len(members))]
        self._kept = self._tensors()
        self._places, self._forms = self._lie(), self._look()
        self._take(state)

    def set_values(self, settings: Sequence[Setting]) -> None:
        """Take the hyperparameters of all groups from the next step on."""
        self.values: list[Any] = [settings[k].hyper for k in self.spans]

    def follow(self) -> bool:
        """Go on where the parameters lie now; false where their form or their state is another one."""
        state = self._tensors()
        if len(state) != len(self._kept) or not all(map(is_, state, self._kept)):
            return False
        if (places := self._lie()) != self._places:
            if self._look() != self._forms:
                return False
            self.step.bind(self._arrays())
            self._places = places
        return True

    def gradients(self) -> tuple[Any, ...] | None:
        """Return the gradients in order; None where one is missing.

        Raises
        ------
        GradstepTypeError
            For a sparse gradient.
        """
        found = [x.grad for x in self.params]
        if self.is_host:
            try:
                return self._in_numpy(found)
            except (AttributeError, RuntimeError, TypeError):
                pass  # one is missing, has a graph, or is no plain memory: each is looked at
        for name, g in zip(self.names, found, strict=True):
            if g is not None and g.layout is not torch.strided:
                raise GradstepTypeError(f"gradient {name!r} is sparse ({g.layout}); make it dense: g.to_dense().")
        if any(g is None for g in found):
            return None
        dense = [g.detach().resolve_conj().resolve_neg() for g in found]
        return self._in_numpy(dense) if self.is_host else tuple(dense)

    def parted(self) -> tuple[list[Member], list[Member]]:
        """Return the members that have a gradient, and those that have none."""
        some = [x for x in self.members if x.value.grad is not None]
        return some, [x for x in self.members if x.value.grad is None]

    def update(self, grads: tuple[Any, ...], policy: str) -> bool:
        """Make a step, tell autograd of it, and count it; false where it was left out."""
        try:
            return self.step(grads, self.values, policy)
        finally:  # an interrupt may come out of a step that was made
            self.settle()

    def settle(self) -> None:
        """Count the update that has been made, if it has not been counted."""
        if self.step.t != self._counted:
            torch.autograd.graph.increment_version(self.params)
            self.count()

    def count(self) -> None:
        """Take the updates made, and the host's numbers, from the step."""
        self.numbers[STEP].fill(self.step.t)
        if self.program.remembers:
            for where, memory in zip(self._slices(), self.step.memory, strict=True):
                for key, x in memory.items():
                    self.numbers[key][where] = x
        self._counted = self.step.t

    def _arrays(self) -> Sequence[Any]:
        """Return the parameters as the engine takes them."""
        return self._in_numpy([x.detach() for x in self.params]) if self.is_host else self.params

    def _in_numpy(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        if any(self.is_low):
            return tuple(map(as_array, tensors, self.is_low))
        return tuple(map(torch.Tensor.numpy, tensors))

    def _lie(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the addresses of parameters; torch reads what is written there while they are the same."""
        x = self.params
        return [*map(torch.Tensor.data_ptr, x)], [*map(torch.Tensor.stride, x)], [p.shape for p in x]

    def _look(self) -> list[Any]:
        """Return what the state of each parameter depends on."""
        return [(x.dtype, x.device, x.shape, in_numpy(x)) for x in self.params]

    def _tensors(self) -> list[Any]:
        """Return all tensors of the state; a user may have put others in their place."""
        return [*chain.from_iterable(map(dict[str, Any].values, self.state))]

    def _slices(self) -> Iterator[slice]:
        """Generate the slice of each group's members."""
        begin = 0
        for n in self.spans.values():
            yield slice(begin, begin + n)
            begin += n

    def _own(self, k: int) -> dict[str, Any]:
        """Return the state of a member, as torch's users see it."""
        slots = self.step.slots[self.names[k]]
        numbers = {key: x[k : k + 1].reshape(()) for key, x in self.numbers.items()}
        return {short: as_tensor((numbers | slots)[key]) for short, key in state_names(self.program).items()}

    def _take(self, state: Mapping[Any, Any]) -> None:
        """Copy the state of those that have some; its numbers are the same within a group."""
        for member, own in zip(self.members, self.state, strict=True):
            if found := state.get(member.value):
                check_state(member.name, found, own)
                for key, x in own.items():
                    x.copy_(torch.as_tensor(found[key]))
        memory = [{key: float(self.numbers[key][x][0]) for key in self.program.memory()} for x in self._slices()]
        self.step.restore(Snapshot(int(self.numbers[STEP][0]), 0, memory))
        self._counted = self.step.t


def in_numpy(x: Any) -> bool:
    """Return True where NumPy can share a tensor's memory: then the compiled engine runs on it."""
    is_known = x.dtype != torch.bfloat16 or find_spec("ml_dtypes") is not None
    return x.device.type == "cpu" and is_known and not x.is_conj() and not x.is_neg()


def as_array(x: Any, is_low: bool) -> Any:
    """Return the array that shares a tensor's memory; ``is_low`` says that it is of bfloat16, which torch hides."""
    return x.view(torch.int16).numpy().view(FORMATS["bfloat16"].dtype) if is_low else x.numpy()


def as_tensor(x: Any) -> Any:
    """Return the tensor that shares an array's memory."""
    return torch.from_numpy(x) if isinstance(x, np.ndarray) else x


def state_names(made: Program) -> dict[str, str]:
    """Return the name in torch of each slot and host number, with its whole name: ``{"m": "adam.m", "step": "step"}``.

    The label is left out where one stage alone keeps anything.
    """
    kept = [(part.label, key) for part in made.parts for key in (*part.rule.state, *part.rule.memory)]
    is_short = len({label for label, _ in kept}) == 1 and all(key != STEP for _, key in kept)
    return {key if is_short else f"{label}.{key}": f"{label}.{key}" for label, key in kept} | {STEP: STEP}


def check_state(name: str, found: Any, own: Mapping[str, Any]) -> None:
    """Refuse a state that is not like a member's own.

    Raises
    ------
    GradstepValueError
        When something is missing, unknown, or of another shape or dtype.
    """
    if not isinstance(found, Mapping) or set(found) != set(own):
        keys = ", ".join(sorted(map(str, found))) if isinstance(found, Mapping) else repr(found)
        raise GradstepValueError(
            f"state of {name!r} is {keys}; this optimizer keeps {', '.join(sorted(own))}; "
            f"gs.interop.torch.load_state(opt, state_dict) takes that of torch's own optimizers."
        )
    for key, x in own.items():
        y = torch.as_tensor(found[key])
        is_count = key == STEP and y.numel() == 1 and y.dtype != torch.bool and float(y) == max(0, int(y))
        if y.shape != x.shape or (y.dtype != x.dtype and not is_count):
            raise GradstepValueError(
                f"state of {name!r}: {key} is {y.dtype}{list(y.shape)}, and must be {x.dtype}{list(x.shape)}."
            )
