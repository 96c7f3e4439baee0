"""The host's half of a step, in float64: hyperparameters, ``t`` and sums over the gradients to scalars."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter
from typing import Any

from gradstep.errors import NonFiniteError, ScalarError
from gradstep.form.chain import Program, Row, Sums
from gradstep.form.declaration import parameters
from gradstep.form.rule import Part
from gradstep.naming import as_float

Measure = Callable[[int, list[Row]], Sums]
Memory = dict[str, float]
Cohort = tuple[int, tuple[int, ...]]  # a group, and for each part the t at which its state began


class Host:
    """Computes the scalars of each step from the values of the hyperparameters.

    Parameters
    ----------
    program
        What is run.
    values
        The hyperparameters of each group by flat name.
    rows
        The cohort of each row of scalars; with a reduction over each tensor a row is a tensor.
    extremes
        The smallest positive and the largest number of the narrowest compute dtype: scalars are rounded to it.
    cohorts
        Parameters that have the host's memory together: of one group, whose state began at one t. Left out: each group
        is one, from the beginning.

    Raises
    ------
    ScalarError
        When a stage's bound lets gradients through that are too large for what follows it.
    """

    def __init__(
        self,
        program: Program,
        values: Sequence[Mapping[str, float]],
        rows: Sequence[int],
        extremes: tuple[float, float],
        cohorts: Sequence[Cohort] | None = None,
    ) -> None:
        self.program, self.rows, self.largest = program, rows, extremes[1]
        if cohorts is None:
            cohorts = [(group, (0,) * len(program.parts)) for group in range(len(values))]
        self.parts: list[list[_Scalars]] = []  # of each stage: for each group and beginning that there is
        self.places: list[list[int]] = []  # of each stage: which of them each cohort has
        for i, (part, keys) in enumerate(zip(program.parts, program.keys, strict=True)):
            each = [(group, began[i]) for group, began in cohorts]
            found = {key: k for k, key in enumerate(dict.fromkeys(each))}
            self.parts.append([_Scalars(part, keys, extremes, group, began) for group, began in found])
            self.places.append([found[key] for key in each])
        self.bounding = [i for i, part in enumerate(program.parts) if part.rule.bounds is not None]
        is_usual = len(cohorts) == len(rows) == 1 and not program.reduces
        is_usual = is_usual and all(own.needs_t_at_most for (own, *_) in self.parts)
        self.plain = [own for (own, *_) in self.parts] if is_usual else None
        self.taken: Mapping[str, float] = dict.fromkeys(program.takes, 1.0)  # numbers that come with the step
        self.refresh(values)

    def refresh(self, values: Sequence[Mapping[str, float]]) -> None:
        """Go on with other values of the same hyperparameters.

        Raises
        ------
        ScalarError
            When a stage's bound lets gradients through that are too large for what follows it.
        """
        for i in self.bounding:
            _check_bound(self.program, i, values, self.largest)
        for part in self.parts:
            for scalars in part:
                scalars.refresh(values[scalars.group])
        self.values = values

    def take(self, numbers: Mapping[str, float]) -> None:
        """Let the next update have these numbers, which come with the step.

        Raises
        ------
        NonFiniteError
            When one is not finite, whatever the policy for gradients: scalars are made of it.
        """
        for name, x in numbers.items():
            if not math.isfinite(x):
                raise NonFiniteError(f"{name} is {x}; nothing was changed.")
        self.taken = numbers

    def table(self, t: int, memory: Sequence[Memory], measure: Measure) -> tuple[list[Row], Sequence[Memory]]:
        """The scalars of update ``t`` = 1, 2, ..., stage by stage.

        Parameters
        ----------
        memory
            The host numbers of each cohort before it. Nothing is changed.
        measure
            ``(part, rows so far) -> sums`` of each tensor, or of all where they are summed together, and of
            each that is measured; asked of the engine. A row has the stage's early numbers, and zeros for its others.
            Of a rule of whole arrays it is asked when all of its numbers are known, and runs it.

        Returns
        -------
        table, memory
            For each row the scalars of each part, in their order; for each cohort the memory after the step.

        Raises
        ------
        NonFiniteError
            When a sum is not finite.
        ScalarError
            When a scalar is not finite or too large for the dtype, or ``eps`` too small for it.
        """
        if self.plain is not None:  # the usual case, at once
            row: Row = []
            for part in self.plain:
                row.append(part.at(t))
            return [row], memory
        table: list[Row] = [[] for _ in self.rows]
        after = [dict(x) for x in memory] if self.program.remembers else memory
        for i, part in enumerate(self.parts):
            places = self.places[i]
            if not part or part[0].needs_t_at_most:  # none: all is frozen
                each = [own.at(t) for own in part]
                for row, cohort in zip(table, self.rows, strict=True):
                    row.append(each[places[cohort]])
            elif self.program.rules[i].over == "tensor":
                totals = self._totals(i, t, memory, table, measure)
                for row, numbers in zip(table, self._scalars(i, t, memory, after, self.rows, totals), strict=True):
                    row.append(numbers)
            elif len(places) == len(self.rows) == 1:  # the usual case, at once
                (total,) = self._totals(i, t, memory, table, measure)
                numbers, new = part[0](t, memory[0], total)
                if new:
                    after[0].update(new)
                table[0].append(numbers)
            else:
                total, cohorts = self._totals(i, t, memory, table, measure), range(len(places) if self.rows else 0)
                each = self._scalars(i, t, memory, after, cohorts, total * len(cohorts))
                for row, cohort in zip(table, self.rows, strict=True):
                    row.append(each[cohort])
            if self.program.rules[i].whole:
                measure(i, table)
        return table, after

    def _scalars(
        self,
        i: int,
        t: int,
        memory: Sequence[Memory],
        after: Sequence[Memory],
        cohorts: Iterable[int],
        totals: Sequence[tuple[float, ...]],
    ) -> list[tuple[float, ...]]:
        """Return a stage's scalars for each of some cohorts with its sums; what it remembers goes into ``after``."""
        part, places = self.parts[i], self.places[i]
        if len(part) == 1 < len(totals):  # the usual case, at once
            cohorts = list(cohorts)
            each = part[0].of_each(t, [memory[cohort] for cohort in cohorts], totals)
            if each is not None:
                out, new = each
                for cohort, own in zip(cohorts, new, strict=False):  # there are none where it remembers nothing
                    after[cohort].update(own)
                return out
        known: dict[Any, tuple[tuple[float, ...], Memory]] = {}
        out = []
        for cohort, sums in zip(cohorts, totals, strict=True):
            own, before = part[places[cohort]], memory[cohort]
            case = places[cohort], sums, *[before[place] for _, place in own.memory]
            if case not in known:
                known[case] = own(t, before, sums)
            numbers, new = known[case]
            if new:
                after[cohort].update(new)
            out.append(numbers)
        return out

    def _totals(
        self, i: int, t: int, memory: Sequence[Memory], table: list[Row], measure: Measure
    ) -> list[tuple[float, ...]]:
        """Return the numbers that a step brings a stage: for each row, or once where they are not of each tensor."""
        part = self.program.parts[i]
        taken = tuple([self.taken[key] for key in part.rule.takes])
        if not part.rule.measure:
            return [taken]
        if part.rule.early is not None:
            each = zip(self.places[i], memory, strict=True)
            early = [self.parts[i][place].early(t, before) for place, before in each]
            table = [[*row, early[cohort]] for row, cohort in zip(table, self.rows, strict=True)]
        sums = measure(i, table)
        if not all(map(math.isfinite, chain.from_iterable(sums))):
            raise _not_finite(part, sums)
        return [(*own, *taken) for own in sums]


_NONE: Memory = {}


def _picker(keys: tuple[str, ...]) -> Callable[[Mapping[str, float]], tuple[float, ...]]:
    """Takes the values of ``keys`` out of a dict."""
    return itemgetter(*keys) if len(keys) > 1 else lambda numbers: tuple([numbers[key] for key in keys])


class _Scalars:
    """One stage's scalars with one group's hyperparameters: called with ``t``, the memory and what the step brings.

    The rule counts from the t at which its state ``began``.
    """

    def __init__(
        self, part: Part, keys: Mapping[str, str], extremes: tuple[float, float], group: int, began: int
    ) -> None:
        self.part, self.keys, self.group, self.began = part, keys, group, began
        self.least, self.largest = extremes[0] / 2, extremes[1]
        self.numbers = part.rule.numbers
        self.pick = _picker(self.numbers)
        self.memory = [(key, f"{part.label}.{key}") for key in part.rule.memory]
        self.scalars, self.asks = part.rule.scalars, part.rule.arguments
        self.asks_early = () if part.rule.early is None else parameters(part.rule.early)
        self.eps = self.numbers.index("eps") if "eps" in self.numbers else None
        self.per_step = part.rule.per_step
        self.late = self.numbers[len(part.rule.early_numbers) :]
        self.needs_t_at_most = not self.memory and not self.per_step and "t" not in self.asks[1:]
        self.asks_t = "t" in self.asks
        self.flat = [keys[key] for key in self.asks if key in keys]
        self.values: Mapping[str, float] = {}
        self.hyper: dict[str, float] = {}
        self.rest: tuple[float, ...] = ()
        self.constant: tuple[float, ...] | None = None  # where it asks for nothing that changes

    def refresh(self, values: Mapping[str, float]) -> None:
        """Go on with other values, by flat name."""
        self.values, self.constant = values, None
        if self.needs_t_at_most:
            self.rest = tuple([values[key] for key in self.flat])
        else:
            self.hyper = {key: values[flat] for key, flat in self.keys.items()}

    def __call__(
        self, t: int, memory: Mapping[str, float], found: tuple[float, ...]
    ) -> tuple[tuple[float, ...], Memory]:
        """Return the scalars in the rule's order, and the memory after the step."""
        known = self._known(t, memory)
        known.update(zip(self.per_step, found, strict=True))
        out: dict[str, Any] = {}
        if self.part.rule.early is not None:
            out = self._asked(t, self.part.rule.early, tuple([known[key] for key in self.asks_early]))
            known |= out
        out = out | self._asked(t, self.scalars, tuple([known[key] for key in self.asks]))
        after = {place: as_float(out[key]) for key, place in self.memory} if self.memory else _NONE
        return self._checked(t, out, after), after

    def of_each(
        self, t: int, memory: Sequence[Memory], totals: Sequence[tuple[float, ...]]
    ) -> tuple[list[tuple[float, ...]], list[Memory]] | None:
        """Return what a call for each of several sums gives, and the memory of each; None: it has to be called.

        The memory is one for all, or one for each. What is the same for all is asked once, and nothing is checked
        twice; where something is wrong, a call says what.
        """
        rule, n = self.part.rule, len(totals)
        varying = {*self.per_step, *rule.memory} if self.memory else {*self.per_step}
        if not varying.intersection(self.asks) or (rule.early is not None and varying.intersection(self.asks_early)):
            return None
        columns = dict(zip(self.per_step, zip(*totals, strict=True), strict=True))
        for key, place in self.memory:
            columns[key] = tuple([own[place] for own in memory])
        known: dict[str, Any] = {**self.hyper, "t": t - self.began}
        try:
            if rule.early is not None:
                known |= rule.early(*[known[key] for key in self.asks_early])
            rows = list(map(self.scalars, *[columns.get(key) or repeat(known[key], n) for key in self.asks]))
            first = tuple([known[key] for key in rule.early_numbers])
            late = list(zip(*[map(itemgetter(key), rows) for key in self.late], strict=True)) or [()] * n
            if not math.hypot(*first, *chain.from_iterable(late)) <= self.largest:
                return None
        except (ArithmeticError, ValueError):
            return None
        out = [(*first, *own) for own in late]
        new = [{place: as_float(row[key]) for key, place in self.memory} for row in rows] if self.memory else []
        if not all(map(math.isfinite, chain.from_iterable(own.values() for own in new))):
            return None
        if self.eps is not None and any(own[self.eps] <= self.least for own in out):
            return None
        return out, new

    def early(self, t: int, memory: Mapping[str, float]) -> tuple[float, ...]:
        """Return the numbers that are known before the sums, and zeros for the others."""
        assert self.part.rule.early is not None  # noqa: S101 - only such stages are asked
        known = self._known(t, memory)
        out = self._asked(t, self.part.rule.early, tuple([known[key] for key in self.asks_early]))
        return tuple(as_float(out[key]) if key in self.part.rule.early_numbers else 0.0 for key in self.numbers)

    def _known(self, t: int, memory: Mapping[str, float]) -> dict[str, Any]:
        known: dict[str, Any] = {**self.hyper, "t": t - self.began}
        for key, place in self.memory:
            known[key] = memory[place]
        return known

    def at(self, t: int) -> tuple[float, ...]:
        """The scalars of a stage that needs no more than t."""
        if self.constant is not None:
            return self.constant
        out = self._asked(t, self.scalars, (t - self.began, *self.rest) if self.asks_t else self.rest)
        numbers = self._checked(t, out, _NONE)
        if not self.asks_t:
            self.constant = numbers
        return numbers

    def _asked(self, t: int, function: Callable[..., dict[str, Any]], values: tuple[Any, ...]) -> dict[str, Any]:
        try:
            return function(*values)
        except (ArithmeticError, ValueError) as error:  # math's words for what has no value: 1/0, log(0)
            name = "early" if function is self.part.rule.early else "scalars"
            raise ScalarError(
                f"{self.part.label}: {name}() failed at update {t} with {self._given()}: {error}."
            ) from error

    def _checked(self, t: int, out: dict[str, Any], after: Memory) -> tuple[float, ...]:
        """The scalars in the rule's order, if they are numbers of the dtype, and the memory of float64."""
        numbers = self.pick(out)
        try:
            is_within = math.hypot(*numbers) <= self.largest  # where it is, so is each of them
        except OverflowError:  # an integer beyond all floats
            is_within = False
        if not is_within:
            self._check_range(t, dict(zip(self.numbers, numbers, strict=True)), self.largest)
        if after and not math.isfinite(sum(after.values())):
            self._check_range(t, after, sys.float_info.max)
        if self.eps is not None and numbers[self.eps] <= self.least:
            raise ScalarError(
                f"{self.part.label}: eps = {numbers[self.eps]} at update {t} is 0 in the parameters' dtype; "
                f"make it larger."
            )
        return numbers

    def _given(self) -> dict[str, float]:
        """Return the hyperparameters by the rule's names, for messages."""
        return {key: self.values[flat] for key, flat in self.keys.items()}

    def _check_range(self, t: int, numbers: Mapping[str, float], largest: float) -> None:
        for key, number in numbers.items():
            x = as_float(number)
            if not abs(x) <= largest:
                raise ScalarError(
                    f"{self.part.label}: the scalar {key.rpartition('.')[2]} is {x} at update {t} with "
                    f"{self._given()}; nothing was changed."
                )


def _check_bound(program: Program, i: int, values: Sequence[Mapping[str, float]], largest: float) -> None:
    flat, limit = program.keys[i][program.rules[i].bounds or ""], program.limit(largest, i + 1)
    if top := max((own[flat] for own in values if own[flat] > limit), default=None):
        raise ScalarError(
            f"{program.parts[i].label}: {flat} = {top} lets gradients through that are too large for what follows "
            f"in the parameters' dtype; make it at most {limit:.3g}."
        )


def _not_finite(part: Part, sums: Sums) -> NonFiniteError:
    """The error for the first sum that is not finite, where one is."""
    name = next(name for own in sums for name, x in zip(part.rule.measure, own, strict=True) if not math.isfinite(x))
    which = "over the gradients" if name == "total" else name
    return NonFiniteError(f"{part.label}: the sum {which} is not finite; nothing was changed.")
