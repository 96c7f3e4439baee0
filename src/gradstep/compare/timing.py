"""The cost of a step, measured alone, after all runs."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gradstep.array.tree import flatten
from gradstep.compare.making import on_one_thread
from gradstep.compare.processes import EndedError, apart
from gradstep.compare.protocol import problem_of, started
from gradstep.compare.record import PlannedRun, Timing
from gradstep.errors import GradstepError

BLOCKS = 8
SECONDS = 0.02  # of a block, at most about that
STEPS = 50  # of a block, at most


def measure(planned: PlannedRun, rate: str | None) -> Timing:
    """The timing of an optimizer on a problem, from the start of a run, on one thread; NaN where it cannot start.

    The quickest of a few blocks of steps is what other programs disturb least. The learning rate, whatever it is
    called, is 0, which costs the same and goes nowhere.
    """
    planned = replace(planned, hyper={**planned.hyper, rate: 0.0} if rate else planned.hyper)
    try:
        return apart(_timed, planned) if planned.is_own else _timed(planned)
    except EndedError:  # its runs tell why
        return _untimed(planned)


def _timed(planned: PlannedRun) -> Timing:
    try:
        with on_one_thread(planned), np.errstate(all="ignore"):
            return _measured(planned)
    except (GradstepError, SystemExit):
        return _untimed(planned)


def _untimed(planned: PlannedRun) -> Timing:
    return Timing(planned.problem, planned.optimizer, math.nan, math.nan, math.nan)


def _measured(planned: PlannedRun) -> Timing:
    problem = problem_of(planned.problem, planned.source)
    task = problem.begin(planned.seed)
    optimizer = started(planned, problem, task)
    batch = next(task.batches)
    loss, grads = task.value_and_grad(batch)
    gradient_us = _quickest(lambda: task.value_and_grad(batch))
    optimizer_us = _quickest(lambda: optimizer.step(grads, loss=float(loss)))
    count = sum(math.prod(x.shape) for x in flatten(task.params)[1])
    state = sum(x.nbytes for own in optimizer.state.values() for x in own.values())
    return Timing(planned.problem, planned.optimizer, gradient_us + optimizer_us, optimizer_us, state / max(1, count))


def _quickest(call: Callable[[], object]) -> float:
    """Return the microseconds of a call."""
    began = time.perf_counter()
    call()
    once = time.perf_counter() - began
    steps = max(1, min(STEPS, int(SECONDS / max(once, 1e-9))))
    blocks: list[float] = []
    for _ in range(BLOCKS):
        began = time.perf_counter()
        for _ in range(steps):
            call()
        blocks.append((time.perf_counter() - began) / steps)
    return 1e6 * min(blocks)
