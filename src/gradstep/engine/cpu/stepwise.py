"""A chain with rules of whole arrays, one parameter after the other: what it computes is kept for one at a time.

All that may fail is done before the first parameter is written: gradients are looked at, plans made. An interrupt, or
memory that is not to be had, finds some parameters written and others not; the step then goes on from there.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradstep.array.memory import address, at_cache_line
from gradstep.array.storage import step_key
from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.plans import Memory, Plan, Run, Sweep
from gradstep.engine.eager import as_arrays
from gradstep.engine.normals import normals
from gradstep.engine.tensor import Tensor
from gradstep.form.chain import Row, drawn, reductions, wholes
from gradstep.form.rule import Rule


class Stepwise:
    """The rules of a program, some of them of whole arrays, for parameters in plain memory.

    Parameters
    ----------
    rules, tensors
        What is run, on which parameters: such as :meth:`runs` allows.
    lead
        ``(job, portions, elements) -> None``: does a job, on as many threads as it is worth.
    offer
        The address of the function that offers a core to other threads.
    """

    def __init__(
        self, rules: Sequence[Rule], tensors: Sequence[Tensor], lead: Callable[[int, int, int], object], offer: int
    ) -> None:
        self.rules, self.tensors, self.lead = rules, tensors, lead
        self.last = wholes(rules)[-1]  # with whose numbers all is known that a plan depends on
        self.plans: dict[Any, Plan] = {}
        # Those of one shape follow one another, and so use the same memory.
        self.order = sorted(range(len(tensors)), key=lambda k: (tensors[k].value.shape, k))
        self.words = at_cache_line(np.zeros(at.JOB_WORDS + at.LINE, np.int64))
        self.job = address(self.words)
        self.words[at.STRIDE] = self.words[at.PORTION_STRIDE] = 32
        self.words[at.SECOND], self.words[at.YIELD] = at.APPLY, offer
        self.todo: list[tuple[int, Plan, Row]] | None = None
        self.place = 0, 0  # the parameter that is at hand, and how many of its sweeps have written
        self.run: tuple[int, Run, int] | None = None  # what is computed of it, and how many sweeps were made until then
        self.memory = Memory()

    @staticmethod
    def runs(rules: Sequence[Rule], tensors: Sequence[Tensor]) -> bool:
        """Return whether a plan can be made of the rules, and all of the parameters are such as it is for.

        What is summed over arrays for a stage must be known before the first rule of whole arrays.
        """
        whole = [rules[i] for i in wholes(rules)]
        others = [rule for rule in rules if not rule.whole]
        if not whole or any(i > wholes(rules)[0] for i in reductions(rules)):
            return False
        if any(rule.random is not None or rule.every is not None or rule.inputs for rule in others):
            return False
        plain = all(x.layout is None and x.storage.dtype == x.dtype and x.value.dtype.kind == "f" for x in tensors)
        return plain and all(
            x.value.ndim >= max(rule.fewest for rule in whole)
            and {2} == {rule.as_seen("theta", x.value).ndim for rule in whole}
            and len({rule.as_seen("theta", x.value).shape for rule in whole}) == 1
            for x in tensors
        )

    def plan(self, table: Sequence[Row]) -> None:
        """Make ready for an update whose numbers are these, up to the last rule of whole arrays; nothing is written.

        Others do not ask which numbers are above zero.
        """
        todo: list[tuple[int, Plan]] = []
        for k in self.order:
            x = self.tensors[k]
            positive = tuple(
                tuple(n > 0 for n in table[x.row][i]) if rule.whole else (False,) * len(rule.numbers)
                for i, rule in enumerate(self.rules)
            )
            key = x.value.shape, x.dtype, positive
            if key not in self.plans:
                theta = self.whole.as_seen("theta", x.value)
                drawing = [rule for rule in self.rules if rule.whole and rule.random is not None]
                arrays = [theta, theta, *self.seen_slots(x), *[theta] * len(drawing)]
                self.plans[key] = Plan(self.rules, arrays, positive, x.dtype)
            todo.append((k, self.plans[key]))
        self.planned = todo

    @property
    def whole(self) -> Rule:
        """A rule of whole arrays: all of them see a parameter as the same matrix."""
        return self.rules[self.last]

    def seen_slots(self, x: Tensor) -> list[Any]:
        """Return the state of all rules as those of whole arrays see it."""
        out: list[Any] = []
        for rule, own in zip(self.rules, x.slots, strict=True):
            for name, y in zip(rule.state, own, strict=True):
                out.append(rule.as_seen(name, y) if rule.whole else self.whole.as_seen("theta", y))
        return out

    def begin(self, table: Sequence[Row], gradients: Sequence[int], values: Sequence[Any], seed: int, t: int) -> None:
        """Take all numbers, the addresses of the gradients and the plain arrays: from now on the update is made."""
        self.gradients, self.values, self.key = gradients, values, step_key(seed, t)
        self.run, self.place = None, (0, 0)
        self.todo = [(k, plan, table[self.tensors[k].row]) for k, plan in self.planned]

    def go(self) -> None:
        """Make the update, or the rest of it."""
        if self.todo is None:
            return
        with np.errstate(all="ignore"):
            while self.place[0] < len(self.todo):
                n = self.place[0]
                k, plan, row = self.todo[n]
                if self.run is None or self.run[0] != n:
                    run = self.computed(k, plan, row)
                    self.run = n, run, self.made
                _, run, made = self.run
                done = self.place[1]
                if done < len(plan.writes):
                    if self.made == made + done:  # else an interrupt came behind it
                        plan.writes[done](run)
                    self.place = n, done + 1
                    continue
                for old, x in plan.copies:
                    into = run.found[old]
                    into[...] = np.reshape(run.array(x), into.shape)
                is_last = n + 1 == len(self.todo) or self.todo[n + 1][1] is not plan
                self.place = n + 1, 0
                run.release()
                if is_last:
                    self.memory = Memory()

    def end(self) -> None:
        """Let go of everything."""
        self.todo, self.run, self.gradients, self.values, self.memory = None, None, (), (), Memory()

    @property
    def made(self) -> int:
        """The number of sweeps that have been made."""
        return int(self.words[at.APPLIED])

    def computed(self, k: int, plan: Plan, row: Row) -> Run:
        """Compute what a parameter becomes; nothing is written."""
        x = self.tensors[k]
        theta = np.asarray(self.values[k]).reshape(x.value.shape)
        g = _at(self.gradients[k], theta)
        seen = [self.whole.as_seen("theta", y) for y in (theta, g)] + self.seen_slots(x)
        for i in wholes(self.rules):
            rule = self.rules[i]
            seen += [rule.as_seen(str(rule.random), z) for z in drawn(rule, i, normals(x, self.key))]
        numbers = [n for own in as_arrays(row, theta, x.dtype) for n in own]
        leaves = [getattr(y, "column", y) for y in (*seen, *numbers)]
        run = Run(plan, leaves, self.memory, self.sweep)
        run.compute()
        return run

    def sweep(self, sweep: Sweep, words: Any) -> None:
        """Do a sweep over the memory that the words tell."""
        job = self.words
        job[at.TABLE], job[at.PORTIONS], job[at.FOUND] = address(sweep.chunks), address(sweep.portions), address(words)
        job[at.COUNT], job[at.FIRST] = len(sweep.portions), at.LOOK if sweep.is_sum else 0
        self.lead(self.job, len(sweep.portions), sweep.shape[0] * sweep.shape[1])


def _at(place: int, like: Any) -> Any:
    """Return an array of that shape and dtype at an address."""
    memory = (ctypes.c_char * like.nbytes).from_address(place)
    return np.frombuffer(memory, like.dtype).reshape(like.shape)
