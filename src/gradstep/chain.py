"""Chains of stages, and the program that a chain becomes: its hyperparameters by name, its slots, its scalars.

One pass of a chain is written once, in :func:`run`; every engine calls it with its own kind of operand.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.hyper import Hyper, at
from gradstep.rule import Part, Rule, Stage

Row = list[dict[str, Any]]  # the scalars of each part
Measure = Callable[[int, list[Row]], list[list[float]]]


def chain(*stages: Stage | Rule) -> Stage:
    """Stages one after the other, in one pass over memory; a chain is a stage again.

    Parameters
    ----------
    *stages
        Stages such as ``gs.clip_by_global_norm(1.0)`` and ``gs.adam(lr=1e-3)``, in the order in which they see the
        gradient and the parameters. A rule without parentheses stands for its defaults.

    Raises
    ------
    GradstepValueError
        When two stages have one label, or give one hyperparameter two values: ``name=`` keeps them apart.
    GradstepTypeError
        When something is no stage.
    """
    parts: list[Part] = []
    for x in stages:
        if not isinstance(x, Stage | Rule):
            raise GradstepTypeError(f"chain: {x!r} is no stage; write for example gs.adam(lr=1e-3).")
        parts += (x() if isinstance(x, Rule) else x).parts
    if not parts:
        raise GradstepValueError("chain: there must be at least one stage.")
    made = Stage(tuple(parts))
    _merge(made.parts)
    return made


def run(
    rules: Sequence[Rule], theta: Any, g: Any, state: Sequence[Sequence[Any]], row: Sequence[Mapping[str, Any]]
) -> tuple[Any, Any, list[list[Any]]]:
    """One pass of ``rules`` over operands of any kind: the new theta, the gradient that is left, the new state."""
    after: list[list[Any]] = []
    for rule, slots, numbers in zip(rules, state, row, strict=False):
        theta, g, *slots = rule.update(theta, g, *slots, **numbers)
        after.append(slots)
    return theta, g, after


@dataclass(frozen=True)
class Program:
    """A chain made ready to run: what all engines and the host agree on.

    Attributes
    ----------
    parts
        The stages in order.
    keys
        For each part, where each of its hyperparameters stands in ``hyper``.
    hyper
        All hyperparameters by their flat names: ``lr``, or ``name.lr`` for what a stage with ``name=`` was given.
    slots
        For each part, the names of its arrays: ``adam.m``.
    """

    parts: tuple[Part, ...]
    keys: tuple[Mapping[str, str], ...]
    hyper: Mapping[str, Hyper]
    slots: tuple[tuple[str, ...], ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the parts: what a kernel depends on, whatever the numbers."""
        return tuple(part.rule for part in self.parts)

    @property
    def over_tensor(self) -> bool:
        """Whether a scalar differs from tensor to tensor."""
        return any(part.rule.over == "tensor" for part in self.parts)

    def values(self, hyper: Mapping[str, Hyper], t: int) -> dict[str, float]:
        """The hyperparameters of the next update, when ``t`` updates have been made."""
        return {key: at(value, key, t, "hyperparameter") for key, value in hyper.items()}

    def memory(self) -> dict[str, float]:
        """The host numbers before the first step."""
        return {f"{p.label}.{key}": x for p in self.parts for key, x in p.rule.memory.items()}

    def limit(self, largest: float, first: int = 0) -> float:
        """The largest |g| that is safe for the parts from ``first`` on, in a dtype whose largest number is ``largest``.

        Beyond it some state could overflow. A part that bounds g takes any, and answers for what follows it.
        """
        limit = largest
        for part in self.parts[first:]:
            if part.rule.bounds:
                break
            if part.rule.kind == "rule":
                limit = min(limit, largest ** (1 / part.rule.power) / 1024)  # room for a thousand such squares, or more
        return limit

    def start(self, part: int, slot: int, values: Mapping[str, float]) -> float | str | Callable[..., Any]:
        """How a slot starts: a number, ``"theta"``, or a function of theta and the hyperparameters."""
        rule = self.parts[part].rule
        how = rule.start.get(rule.state[slot], 0.0)
        if isinstance(how, str) and how != "theta":
            return values[self.keys[part][how]]
        return how

    def scalars(
        self,
        t: int,
        hyper: Sequence[Mapping[str, float]],
        memory: Sequence[Mapping[str, float]],
        rows: Sequence[int],
        measure: Measure,
        extremes: tuple[float, float],
    ) -> tuple[list[Row], list[dict[str, float]]]:
        """The scalars of update ``t`` = 1, 2, ...: host functions and reductions, stage by stage.

        Parameters
        ----------
        hyper, memory
            Values for each group.
        rows
            The group of each row; with a reduction over each tensor a row is a tensor.
        measure
            ``(part, rows so far) -> block sums of each tensor``, asked of the engine.
        extremes
            The smallest positive and the largest number of the narrowest compute dtype: scalars are rounded to it.

        Returns
        -------
        table, memory
            For each row the scalars of each part; for each group the memory after the step. Nothing is changed.

        Raises
        ------
        NonFiniteError
            When a sum is not finite.
        ScalarError
            When a scalar is not finite or too large for the dtype, or ``eps`` too small for it.
        """
        table: list[Row] = [[] for _ in rows]
        after = [dict(x) for x in memory]
        for i, part in enumerate(self.parts):
            totals: list[float | None] = [None] * len(rows)
            if part.rule.measure is not None:
                blocks = measure(i, table)
                whole = None if part.rule.over == "tensor" else _total(part, [x for tensor in blocks for x in tensor])
                totals = [whole if whole is not None else _total(part, blocks[k]) for k in range(len(rows))]
            if part.rule.bounds is not None:
                self._check_bound(i, part.rule.bounds, hyper, extremes[1])
            known: dict[tuple[int, float | None], dict[str, float]] = {}
            for k, group in enumerate(rows):
                case = (group, totals[k])
                if case not in known:
                    mine = {key: hyper[group][flat] for key, flat in self.keys[i].items()}
                    numbers, new = _host(part, t, mine, memory[group], totals[k], extremes)
                    after[group].update(new)
                    known[case] = numbers
                table[k].append(known[case])
        return table, after

    def _check_bound(self, i: int, name: str, hyper: Sequence[Mapping[str, float]], largest: float) -> None:
        flat, limit = self.keys[i][name], self.limit(largest, i + 1)
        if top := max((values[flat] for values in hyper if values[flat] > limit), default=None):
            raise ScalarError(
                f"{self.parts[i].label}: {flat} = {top} lets gradients through that are too large for what follows "
                f"in the parameters' dtype; make it at most {limit:.3g}."
            )


@lru_cache(maxsize=256)
def program(stage: Stage) -> Program:
    """The program of a stage.

    Raises
    ------
    GradstepValueError
        When a hyperparameter has no value, or two.
    """
    hyper, keys = _merge(stage.parts)
    for part, mine in zip(stage.parts, keys, strict=True):
        for key, flat in mine.items():
            if flat not in hyper:
                raise GradstepValueError(
                    f"{part.label}: {key} has no value; give it here or in a rule of the same chain."
                )
    slots = tuple(tuple(f"{p.label}.{slot}" for slot in p.rule.state) for p in stage.parts)
    return Program(stage.parts, keys, hyper, slots)


def _merge(parts: Sequence[Part]) -> tuple[dict[str, Hyper], tuple[dict[str, str], ...]]:
    """Hyperparameters by flat name, and where each part finds its own: a bare name is shared through the chain."""
    labels = [p.label for p in parts]
    for label in labels:
        if labels.count(label) > 1:
            raise GradstepValueError(f"chain: two stages are called {label!r}; give one of them name=.")
    keys = tuple(
        {key: f"{p.name}.{key}" if p.name and key in p.given else key for key in p.rule.defaults} for p in parts
    )
    given: dict[str, tuple[str, Hyper]] = {}
    defaults: dict[str, tuple[str, Hyper]] = {}
    for part, mine in zip(parts, keys, strict=True):
        for key, flat in mine.items():
            if key in part.given:
                _agree(given, flat, part.label, part.given[key])
    for part, mine in zip(parts, keys, strict=True):
        for key, flat in mine.items():
            default = part.rule.defaults[key]
            if flat not in given and default is not None:
                _agree(defaults, flat, part.label, default)
    flats = dict.fromkeys(flat for mine in keys for flat in mine.values())
    values = {**defaults, **given}
    return {flat: values[flat][1] for flat in flats if flat in values}, keys


def _agree(known: dict[str, tuple[str, Hyper]], flat: str, label: str, value: Hyper) -> None:
    other, first = known.setdefault(flat, (label, value))
    if first != value:
        raise GradstepValueError(
            f"chain: {flat} is {first} in {other} and {value} in {label}, but a name is shared through a chain; "
            f"give it to one of them alone, or give one of them name=."
        )


def _total(part: Part, blocks: list[float]) -> float:
    try:
        total = math.fsum(blocks)
    except (OverflowError, ValueError):  # fsum's words for an infinite sum and for inf - inf
        total = math.inf
    if not math.isfinite(total):
        raise NonFiniteError(f"{part.label}: the sum over the gradients is not finite; nothing was changed.")
    return total


def _host(
    part: Part,
    t: int,
    hyper: Mapping[str, float],
    memory: Mapping[str, float],
    total: float | None,
    extremes: tuple[float, float],
) -> tuple[dict[str, float], dict[str, float]]:
    label, (smallest, largest) = part.label, extremes
    try:
        numbers, new = part.rule.host(t, hyper, {key: memory[f"{label}.{key}"] for key in part.rule.memory}, total)
    except (ArithmeticError, ValueError) as error:  # math's words for what has no value: 1/0, log(0)
        raise ScalarError(f"{label}: scalars() failed at update {t} with {dict(hyper)}: {error}.") from error
    for key, x in (*numbers.items(), *new.items()):
        if not abs(x) <= largest:
            raise ScalarError(
                f"{label}: the scalar {key} is {x} at update {t} with {dict(hyper)}; nothing was changed."
            )
        if key == "eps" and x <= smallest / 2:
            raise ScalarError(f"{label}: eps = {x} at update {t} is 0 in the parameters' dtype; make it larger.")
    return numbers, {f"{label}.{key}": x for key, x in new.items()}
