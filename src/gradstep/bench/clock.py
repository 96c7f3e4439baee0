"""The clock: a contender's turn, and rounds of turns.

Everybody takes a turn in each round, in an order drawn anew, and a turn gives one value. Torch's OpenMP workers spin
for a while after each call and hold a core: so a pause comes before each turn. On a device, whose work goes on when a
call has returned, its own marks are the clock.
"""

import gc
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradstep.bench.contenders import Contender
from gradstep.bench.device import Device

PAUSE = 0.03  # s; long enough for libgomp's workers to fall asleep
WARM = 5000.0  # µs of steps that do not count: after a pause a core is slow for some milliseconds
TURN = 10_000.0  # µs of steps that count; one, if a step takes longer
LOOP_BELOW = 50.0  # µs: shorter steps are timed many at a time, for the clock itself takes some 0.05 µs
FEWEST_ROUNDS = 3
FAR_LONGER = 5  # times: a turn on a busy machine ends early
CALLS = 5  # of a turn on a device: calls whose own time is taken


@dataclass
class Runner:
    """A contender with its gradients, and what has been measured of it.

    Attributes
    ----------
    sets
        Prepared sets of gradients, which take turns.
    device
        Where it works; None: the CPU.
    step_us
        A first estimate, from :meth:`warm_up`.
    turns
        Microseconds a step of each turn.
    calls
        On a device, microseconds until a call returns when nothing is under way: the median of each turn.
    """

    name: str
    contender: Contender
    sets: Sequence[Any]
    step_us: float = 0.0
    turns: list[float] = field(default_factory=list[float])
    device: Device | None = None
    calls: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        self._cycle: Iterator[Any] = itertools.cycle(self.sets)

    def warm_up(self) -> None:
        """First steps: compile, allocate state, and see how long one takes."""
        self.contender.begin()
        self.step_us = min(self._singly(3)[1:])

    def turn(self) -> None:
        """Steps that do not count, at least one, and then those that do."""
        self.contender.begin()
        self._singly(int(WARM / self.step_us) or 1, WARM)
        steps = int(TURN / self.step_us) or 1
        us = self._loop(steps) if self.step_us < LOOP_BELOW else statistics.median(self._singly(steps, TURN))
        self.turns.append(us)
        self.step_us = min(self.step_us, us)  # the first steps may have been slow ones
        if self.device is not None:
            self.calls.append(self._call(self.device))

    def _singly(self, steps: int, about: float = math.inf) -> list[float]:
        """Each step by itself; gradients that a library keeps with its parameters are put there in between.

        Ends before all steps are done when that takes far longer than ``about`` so many microseconds.
        """
        clock, mark, step = time.perf_counter_ns, self._mark, self.contender.step
        last = clock() + FAR_LONGER * 1000 * about
        pairs: list[tuple[Any, Any]] = []
        for grads in itertools.islice(self._cycle, steps):
            self.contender.attach(grads)
            begin = mark()
            step(grads)
            pairs.append((begin, mark()))
            if clock() > last:
                break
        return self._us(pairs)

    def _loop(self, steps: int) -> float:
        """Run all steps."""
        step = self.contender.step
        rotating = list(itertools.islice(self._cycle, steps))
        self.contender.attach(rotating[0])
        begin = self._mark()
        for grads in rotating:
            step(grads)
        return self._us([(begin, self._mark())])[0] / steps

    def _call(self, device: Device) -> float:
        """The time until a call returns, on the host's clock."""
        clock, out = time.perf_counter_ns, list[int]()
        for grads in itertools.islice(self._cycle, CALLS):
            self.contender.attach(grads)
            device.wait()
            begin = clock()
            self.contender.step(grads)
            out.append(clock() - begin)
        return statistics.median(out) / 1000

    @property
    def _mark(self) -> Callable[[], Any]:
        return time.perf_counter_ns if self.device is None else self.device.mark

    def _us(self, pairs: Sequence[tuple[Any, Any]]) -> list[float]:
        return [(b - a) / 1000 for a, b in pairs] if self.device is None else self.device.us(pairs)


def rounds(runners: Sequence[Runner], seconds: float, pause: float, seed: int) -> None:
    """Rounds of turns until the time is over, at least three; without the garbage collector."""
    rng = np.random.default_rng(seed)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    end = time.monotonic() + seconds
    try:
        for done in itertools.count():
            if done >= FEWEST_ROUNDS and time.monotonic() >= end:
                return
            for k in rng.permutation(len(runners)):
                time.sleep(pause)
                runners[k].turn()
    finally:
        if collecting:
            gc.enable()
