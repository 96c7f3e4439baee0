"""Progress of steps: updates made, the host's memory, and the cohorts of parameters that have these in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from gradstep.form.chain import Program
from gradstep.step.host import Cohort

Memory = Sequence[Mapping[str, float]]  # of each group: {"nadam.product": 0.9}
Numbers = list[dict[str, float]]  # the host's memory of each cohort


class Own(NamedTuple):
    """The numbers of one parameter, where they are not those that its group shares.

    Attributes
    ----------
    began
        For each stage whose state was started anew, the t at that time: the stage counts its updates from there.
    memory
        The host's numbers, where the group has others, or none.
    """

    began: Mapping[str, int] = MappingProxyType({})
    memory: Mapping[str, float] = MappingProxyType({})


class Snapshot(NamedTuple):
    """The numbers that steps change besides arrays.

    Attributes
    ----------
    t
        Updates made.
    skipped
        Steps that did not happen because of a non-finite gradient.
    memory
        The host's numbers of each group.
    own
        Parameters that have numbers of their own, by name.
    """

    t: int = 0
    skipped: int = 0
    memory: Memory = ()
    own: Mapping[str, Own] = MappingProxyType({})


@dataclass(frozen=True)
class Cohorts:
    """Parameters sorted into cohorts: of one group, with state that began at one t, and with one memory on the host.

    Most often they are the groups. Where a rule keeps numbers for each parameter, each is one.

    Attributes
    ----------
    each
        The group of each cohort, and for each stage the t at which its state began.
    of
        The cohort of each parameter.
    firsts
        The first cohort of each group; None: the cohorts are the groups.
    since
        By parameter and stage, the t at which state began that did not begin at 0.
    """

    each: Sequence[Cohort]
    of: Sequence[int]
    firsts: Sequence[int] | None
    since: Mapping[str, Mapping[str, int]]

    @classmethod
    def sorted_out(
        cls, program: Program, names: Sequence[str], groups: Sequence[int], memory: Memory, own: Mapping[str, Own]
    ) -> "tuple[Cohorts, Numbers]":
        """Return the cohorts of parameters, and the memory of each.

        Parameters
        ----------
        names, groups
            Of the parameters.
        memory, own
            As in a :class:`Snapshot`.
        """
        parts, kept = program.parts, program.memory_of_each()
        zeros = (0,) * len(parts)
        if not own and not kept:
            return cls([(group, zeros) for group in range(len(memory))], groups, None, {}), [dict(x) for x in memory]
        found: list[tuple[Any, ...]] = []
        for k, (name, group) in enumerate(zip(names, groups, strict=True)):
            mine = own.get(name, Own())
            began = tuple([mine.began.get(part.label, 0) if part.rule.counts else 0 for part in parts])
            numbers = tuple(sorted((kept | dict(memory[group]) | dict(mine.memory)).items()))
            found.append((group, began, numbers, k if kept else 0))
        empty = [(group, zeros, tuple(memory[group].items()), 0) for group in {*range(len(memory))} - {*groups}]
        ordered = sorted(dict.fromkeys([*found, *empty]), key=lambda x: x[0])  # in a group, in the parameters' order
        places, owners = {x: k for k, x in enumerate(ordered)}, [x[0] for x in ordered]
        made = cls(
            [x[:2] for x in ordered],
            tuple([places[x] for x in found]),
            [owners.index(group) for group in range(len(memory))],
            {name: dict(x.began) for name, x in own.items() if any(x.began.values())},
        )
        return made, [dict(x[2]) for x in ordered]

    def shared(self, program: Program, numbers: Sequence[dict[str, float]]) -> Memory:
        """Return the memory of each group: that of its first cohort."""
        if self.firsts is None:
            return numbers
        keys = program.memory()
        return [{key: numbers[first][key] for key in keys} for first in self.firsts]

    def own(
        self, program: Program, names: Sequence[str], groups: Sequence[int], numbers: Sequence[dict[str, float]]
    ) -> dict[str, Own]:
        """Return the parameters that have numbers of their own; ``numbers`` is the memory of each cohort."""
        if self.firsts is None:
            return {}
        shared, out = self.shared(program, numbers), dict[str, Own]()
        for name, group, cohort in zip(names, groups, self.of, strict=True):
            memory = {key: x for key, x in numbers[cohort].items() if shared[group].get(key) != x}
            if memory or name in self.since:
                out[name] = Own(dict(self.since.get(name, {})), memory)
        return out
