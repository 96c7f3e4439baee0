"""Tensors of torch that have made the same steps, and the step that updates them in one pass."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, groupby
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import program
from gradstep.interop.row_steps import ROWS_ALONE, rows_suffice
from gradstep.interop.settings import Setting, Settings
from gradstep.interop.torch.local import (
    as_array,
    as_tensor,
    check_parameter,
    in_numpy,
    is_dtensor,
    is_whole,
    local,
    local_gradient,
    on_cuda,
    spread,
    torch,
)
from gradstep.interop.torch.rows import DENSE, Rows, as_rows, has_rows
from gradstep.interop.torch.state import STEP, converted, fitting, state_names
from gradstep.step import Own, Snapshot, Step


class Member(NamedTuple):
    """A parameter, the number of its group, its name in messages, and how often it is in its group."""

    group: int
    name: str
    value: Any
    times: int = 1


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
    rules
        The meaning of the groups' values.
    engine
        As the guest was asked for.

    Raises
    ------
    GradstepValueError, GradstepTypeError, NonFiniteError
        When a parameter cannot be optimized, or its state is of another stage or parameter.
    """

    def __init__(
        self,
        members: Sequence[Member],
        settings: Sequence[Setting],
        state: Mapping[Any, Any],
        rules: Settings,
        engine: str,
    ) -> None:
        self.members, self.rules = members, rules
        self.params = [x.value for x in members]
        self.names = [x.name for x in members]
        self.times = members[0].times
        self.spans = {k: len([*own]) for k, own in groupby(x.group for x in members)}
        self.is_spread = is_dtensor(self.params[0])
        self.is_host = in_numpy(local(self.params[0]))
        self._is_plain = self.is_host and not self.is_spread and rules.name != ROWS_ALONE
        self.is_low = any(x.dtype == torch.bfloat16 for x in self.params)
        self._is_memory = self.is_host and not self.is_spread and not self.is_low  # of which NumPy's arrays are views
        self.program = program(settings[members[0].group].stage)
        self.program.check_for_guest("torch's step", ["loss"], of_each=True)
        self._check_parameters()
        self.set_values(settings)
        order = [*self.spans]
        self.step = Step(
            self.program,
            dict(zip(self.names, self._arrays(), strict=True)),
            self.values,
            groups=[order.index(x.group) for x in members],
            engine="auto" if engine == "cuda" and not on_cuda(local(self.params[0])) else engine,
        )
        self._of_each = self.program.memory_of_each()
        first = self.program.memory() | self._of_each | {STEP: 0}
        self.numbers = {key: np.full(len(members), x) for key, x in first.items()}
        self.own = [self._own(k) for k in range(len(members))]
        self._take(state)
        self._kept = self._tensors()
        self._places, self._forms = self._lie(), self._look()

    def set_values(self, settings: Sequence[Setting]) -> None:
        """Take the hyperparameters of all groups from the next step on."""
        self.values: list[Any] = [settings[k].hyper for k in self.spans]

    def follow(self) -> bool:
        """Go on where the parameters lie now; false where their form or their state is another one."""
        state = self._tensors()
        if len(state) != len(self._kept) or not all(map(is_, state, self._kept)):
            return False
        for key, x in self.numbers.items():
            if x.tobytes() != self._written[key]:
                return False  # written in place, as by a checkpoint that is read into the state
        if (places := self._lie()) != self._places:
            if self._look() != self._forms:
                return False
            self.step.bind(self._arrays())
            self._places = places
        return True

    def moved(self, state: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return the state of the parameters that have another dtype or device now, in their new form."""
        numbers = [short for short, key in state_names(self.program).items() if key in self.numbers]
        pairs = zip(self.params, self._forms, self._look(), strict=True)
        return {x: converted(state.get(x, {}), x, numbers) for x, old, new in pairs if old != new}

    def gradients(self) -> "tuple[Any, ...] | Rows | None":
        """Return the gradients in order; None where one is missing, or some are sparse.

        Raises
        ------
        GradstepTypeError
            For sparse gradients of a rule that moves all elements.
        """
        found = [x.grad for x in self.params]
        if self._is_plain:
            try:
                return self._in_numpy(found)
            except (AttributeError, RuntimeError, TypeError):
                pass  # one is missing, has a graph, or is no plain memory: each is looked at
        if len({None if g is None else g.layout for g in found}) > 1 or found[0] is None:
            return None
        if found[0].layout is not torch.strided:
            if self._takes_rows():
                is_usual = self._is_memory and all(map(has_rows, found))
                return tuple(map(as_rows, found)) if is_usual else Rows(self.step, self.values, self._local(), found)
            found = [g.to_dense() for g in found]
        elif self.rules.name == ROWS_ALONE:
            text = f"{ROWS_ALONE} takes sparse gradients alone, and torch.Adam dense ones"
            raise GradstepTypeError(f"gradient {self.names[0]!r} is dense; {text}.")
        elif self.step.kind == "cuda" and not self.is_spread:
            return tuple(found)  # its engine reads addresses, and copies what does not lie as it counts
        dense = [
            local_gradient(name, g.detach(), x).resolve_conj().resolve_neg()
            for name, g, x in zip(self.names, found, self.params, strict=True)
        ]
        return self._in_numpy(dense) if self.is_host else tuple(dense)

    def parted(self) -> list[list[Member]]:
        """Return the members by whether they have a gradient, and of which layout: those with one first."""
        found: dict[Any, list[Member]] = {}
        for x in self.members:
            g = x.value.grad
            found.setdefault(None if g is None else g.layout, []).append(x)
        return sorted(found.values(), key=lambda own: own[0].value.grad is None)

    def rehearse(self, grads: "tuple[Any, ...] | Rows", policy: str, taken: Mapping[str, float]) -> None:
        """Do all of an update but the writing: its errors, and no change."""
        if isinstance(grads, Rows):
            grads.rehearse(self.values, policy, taken)
        else:
            self.step.rehearse(grads, self.values, policy, taken=taken)

    def update(
        self, grads: "tuple[Any, ...] | Rows", policy: str, taken: Mapping[str, float], times: int | None = None
    ) -> bool:
        """Make a step with these numbers, tell autograd of it, and count it; false where it was left out.

        Where a parameter is named several times it makes as many updates, or what is missing of them: ``times``.
        """
        if self.step.t == 0 and self._starts_at_parameters:
            self.step.reset(self.values)  # they may have been loaded since; torch makes a state in the first step too
        try:
            return all(self._updated(grads, policy, taken) for _ in range(times or self.times))
        finally:  # an interrupt may come out of a step that was made
            self.settle()

    def _updated(self, grads: "tuple[Any, ...] | Rows", policy: str, taken: Mapping[str, float]) -> bool:
        if isinstance(grads, Rows):
            return grads(self.values, policy, taken)
        if taken:
            return self.step.with_inputs(grads, self.values, policy, {}, taken)
        return self.step(grads, self.values, policy)

    def settle(self) -> None:
        """Count the update that has been made, if it has not been counted."""
        if self.step.t != self._counted:
            torch.autograd.graph.increment_version(self._local() if self.is_spread else self.params)
            self.count()

    def count(self) -> None:
        """Take the updates made, and the host's numbers, from the step."""
        self.numbers[STEP].fill(self.step.t)
        if self.program.remembers:
            for where, memory in zip(self._slices(), self.step.memory, strict=True):
                for key, x in memory.items():
                    self.numbers[key][where] = x
            own = self.step.own if self._of_each else {}
            for key in self._of_each:
                self.numbers[key][:] = [own[name].memory[key] for name in self.names]
        self._written = {key: x.tobytes() for key, x in self.numbers.items()}
        self._counted = self.step.t

    def _takes_rows(self) -> bool:
        """Return True where a step moves the rows of sparse gradients alone, false where these are made dense.

        Raises
        ------
        GradstepTypeError
            Where neither is so.
        """
        if self.rules.name == ROWS_ALONE or rows_suffice(self.program, self.values, self.step.t, self.step.memory):
            return True
        moving = [part.label for part in self.program.parts if part.rule.kind == "rule"]
        if {part.rule.name for part in self.program.parts} & DENSE:
            return False
        raise GradstepTypeError(
            f"gradient {self.names[0]!r} is sparse, and {' and '.join(moving) or self.rules.name} with these "
            f"hyperparameters moves all rows; make it dense, g.to_dense(), or use torch.SparseAdam, torch.Adagrad or "
            f"torch.SGD without weight_decay."
        )

    @cached_property
    def _starts_at_parameters(self) -> bool:
        """True where a slot, such as an average, begins at the parameter."""
        each = ((i, j) for i, own in enumerate(self.program.slots) for j in range(len(own)))
        return any(not isinstance(self.program.start(i, j, self.values[0]), float | int) for i, j in each)

    def _check_parameters(self) -> None:
        """Refuse parameters of whose memory this process has not what the program needs."""
        for name, x in zip(self.names, self.params, strict=True):
            check_parameter(name, x)
            if self.program.reduces and not is_whole(x):
                part = self.program.parts[self.program.first_pass or 0]
                raise GradstepValueError(
                    f"{part.label} looks at whole arrays or their norms, and of parameter {name!r}, a DTensor, this "
                    f"process has a shard; torch.nn.utils.clip_grad_norm_ knows of shards."
                )

    def _local(self) -> list[Any]:
        return [local(x) for x in self.params] if self.is_spread else self.params

    def _arrays(self) -> Sequence[Any]:
        """Return the parameters as the engine takes them."""
        return self._in_numpy([x.detach() for x in self._local()]) if self.is_host else self._local()

    def _in_numpy(self, tensors: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(map(as_array if self.is_low else torch.Tensor.numpy, tensors))

    def _lie(self) -> tuple[list[Any], list[Any], list[Any]]:
        """Return the addresses of parameters; torch reads what is written there while they are the same."""
        x = self._local()
        return [*map(torch.Tensor.data_ptr, x)], [*map(torch.Tensor.stride, x)], [p.shape for p in x]

    def _look(self) -> list[Any]:
        """Return what the state of each parameter depends on."""
        return [(x.dtype, x.device, x.shape, in_numpy(x)) for x in self._local()]

    def _tensors(self) -> list[Any]:
        """Return all tensors of the state; a user may have put others in their place."""
        return [*chain.from_iterable(map(dict[str, Any].values, self.state))]

    def _forms_of_state(self) -> list[frozenset[str]]:
        """Return the names of the state for each choice of switches."""
        return [frozenset(state_names(program(stage))) for stage in self.rules.stages()]

    def _slices(self) -> Iterator[slice]:
        """Generate the slice of each group's members."""
        begin = 0
        for n in self.spans.values():
            yield slice(begin, begin + n)
            begin += n

    def _own(self, k: int) -> dict[str, Any]:
        """Return the state of a member by the names of torch's users."""
        slots = self.step.slots[self.names[k]]
        numbers = {key: x[k : k + 1].reshape(()) for key, x in self.numbers.items()}
        return {short: as_tensor((numbers | slots)[key]) for short, key in state_names(self.program).items()}

    def _take(self, state: Mapping[Any, Any]) -> None:
        """Copy the state of those that have some; its numbers are the same within a group."""
        self.state: list[dict[str, Any]] = []
        names = state_names(self.program)
        for member, own in zip(self.members, self.own, strict=True):
            found = state.get(member.value)
            taken, beside = fitting(member.name, found, own, self._forms_of_state) if found else ({}, {})
            for key, y in taken.items():
                own[key].copy_(y)
            x = member.value
            self.state.append({k: y if names[k] in self.numbers else spread(y, x) for k, y in own.items()} | beside)
        memory = [{key: float(self.numbers[key][x][0]) for key in self.program.memory()} for x in self._slices()]
        each = [{key: float(self.numbers[key][k]) for key in self._of_each} for k in range(len(self.names))]
        own = {name: Own(memory=numbers) for name, numbers in zip(self.names, each, strict=True) if numbers}
        self.step.restore(Snapshot(int(self.numbers[STEP][0]), 0, memory, own))
        self.count()
