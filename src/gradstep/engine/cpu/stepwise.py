"""A rule of whole arrays, one parameter after the other: what it computes is kept for one of them at a time.

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
from gradstep.form.chain import Row, drawn
from gradstep.form.rule import Rule


class Stepwise:
    """The one rule of a program, for parameters in plain memory.

    Parameters
    ----------
    rule, tensors
        What is run, on which parameters.
    lead
        ``(job, portions, elements) -> None``: does a job, on as many threads as it is worth.
    offer
        The address of the function that offers a core to other threads.
    """

    def __init__(
        self, rule: Rule, tensors: Sequence[Tensor], lead: Callable[[int, int, int], object], offer: int
    ) -> None:
        self.rule, self.tensors, self.lead = rule, tensors, lead
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
    def runs(rule: Rule, tensors: Sequence[Tensor]) -> bool:
        """Return whether all of the parameters are such as a plan is for."""
        plain = all(x.layout is None and x.storage.dtype == x.dtype and x.value.dtype.kind == "f" for x in tensors)
        return plain and all(x.value.ndim >= rule.fewest and rule.as_seen("theta", x.value).ndim == 2 for x in tensors)

    def plan(self, table: Sequence[Row]) -> None:
        """Make ready for an update with these numbers; nothing is written."""
        todo: list[tuple[int, Plan, Row]] = []
        for k in self.order:
            x, numbers = self.tensors[k], table[self.tensors[k].row][0]
            key = x.value.shape, x.dtype, tuple(n > 0 for n in numbers)
            if key not in self.plans:
                arrays = [self.rule.as_seen("theta", x.value)] * 2
                arrays += [self.rule.as_seen(name, y) for name, y in zip(self.rule.state, x.flat, strict=True)]
                arrays += [arrays[0]] * (self.rule.random is not None)
                self.plans[key] = Plan(self.rule, arrays, numbers, x.dtype)
            todo.append((k, self.plans[key], table[x.row]))
        self.planned = todo

    def begin(self, gradients: Sequence[int], values: Sequence[Any], seed: int, t: int) -> None:
        """Take the addresses of the gradients and the parameters' plain arrays: from now on the update is made."""
        self.gradients, self.values, self.key = gradients, values, step_key(seed, t)
        self.run, self.place = None, (0, 0)
        self.todo = self.planned

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
        named = [*zip(("theta", "g", *self.rule.state), (theta, g, *x.flat), strict=True)]
        named += [(str(self.rule.random), z) for z in drawn(self.rule, 0, normals(x, self.key))]
        seen = [self.rule.as_seen(name, y) for name, y in named]
        (numbers,) = as_arrays(row[:1], theta, x.dtype)
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
