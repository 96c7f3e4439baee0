"""A study: all runs of a spec, several at a time, and the table that comes of them.

Runs go to loky's processes, one thread each, and come back in the order of the spec. What an optimizer step costs is
measured afterwards, alone. Everything is in memory; :meth:`Study.save` writes it as JSON.
"""

import json
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from gradstep.compare.environment import environment
from gradstep.compare.problems import Problem, find_problem
from gradstep.compare.protocol import Contender, RunResult, Spec, Trial, run
from gradstep.compare.table import CRITERION, Row, make_row
from gradstep.files import write_text


@dataclass(frozen=True)
class Study:
    """The runs of a spec, in its order.

    Attributes
    ----------
    spec
        What was asked for.
    runs
        A result for each of ``spec.trials()``.
    step_us
        Microseconds of one optimizer step by label.
    environment
        Versions and machine.
    """

    spec: Spec
    runs: list[RunResult]
    step_us: dict[str, float]
    environment: dict[str, str]

    @cached_property
    def problem(self) -> Problem:
        """The problem that was run."""
        return find_problem(self.spec.problem)

    def runs_of(self, optimizer: str) -> list[RunResult]:
        """All runs of one optimizer, by its label."""
        return [r for r in self.runs if r.optimizer == optimizer]

    def table(self) -> list[Row]:
        """A row for each optimizer: fewest steps to the target first, then most hits, then lowest loss on its data."""
        rows = [make_row(c, self.runs_of(c.label), self.step_us[c.label]) for c in self.spec.contenders]
        return sorted(rows, key=lambda r: (r.steps_to_target.median, -r.hits, r.target_loss))

    def save(self, path: Path) -> None:
        """Write spec, runs and table as JSON (null for infinity), whole or not at all."""
        content = {
            "spec": asdict(self.spec),
            "target": self.problem.goal,
            "criterion": CRITERION,
            "environment": self.environment,
            "table": [asdict(row) for row in self.table()],
            "runs": [asdict(r) for r in self.runs],
        }
        write_text(path, to_json(content) + "\n")


def to_json(content: Any) -> str:
    """JSON on one line, with null for what is not finite."""

    def clean(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: clean(value) for key, value in x.items()}
        if isinstance(x, list | tuple):
            return [clean(value) for value in x]
        return None if isinstance(x, float) and not math.isfinite(x) else x

    return json.dumps(clean(content), allow_nan=False)


def run_study(spec: Spec, jobs: int | None = None, on_result: Callable[[RunResult], None] | None = None) -> Study:
    """Make every run of ``spec``.

    Parameters
    ----------
    spec
        From :func:`~gradstep.compare.protocol.make_spec`.
    jobs
        Processes; 1 runs in this one, None takes a process for each core.
    on_result
        Called here with each result, in the order of ``spec.trials()``.

    Notes
    -----
    The results depend on the spec alone, not on ``jobs``; the seconds in them do.
    """
    runs: list[RunResult] = []
    with closing(_results(spec, jobs or os.cpu_count() or 1)) as results:
        for result in results:
            runs.append(result)
            if on_result is not None:
                on_result(result)
    with _thread_pools(spec.problem).limit(limits=1):
        step_us = {c.label: _step_us(spec, c) for c in spec.contenders}
    return Study(spec, runs, step_us, environment())


def _results(spec: Spec, jobs: int) -> Generator[RunResult]:
    import joblib  # 0.2 s

    trials = spec.trials()
    parallel: Any = joblib.Parallel(n_jobs=min(jobs, len(trials)), return_as="generator")
    results: Generator[RunResult] | None = None
    before = set(threading.enumerate())
    try:
        if jobs > 1:
            resource_tracker.ensure_running()  # first: Python 3.11 unblocks SIGINT when it starts one
        with _interrupts_wait():
            results = parallel(joblib.delayed(_run_alone)(spec, trial) for trial in trials)
        assert results is not None  # noqa: S101 - for the type checker
        for result in results:  # noqa: UP028 - yield from would close them before the filter below
            yield result
    except BaseException:
        with _interrupts_wait(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # joblib's, that it cancels what nobody waits for
            if results is not None:
                results.close()  # kills workers that are still busy
            for thread in set(threading.enumerate()) - before:
                thread.join(timeout=5)  # joblib's threads give semaphores back: an exit before that is noisy
        raise


def _run_alone(spec: Spec, trial: Trial) -> RunResult:
    """A run on one thread: the bits do not depend on the cores, and runs side by side do not take them from another."""
    with _thread_pools(spec.problem).limit(limits=1):
        return run(spec, trial)


@cache
def _thread_pools(problem: str) -> Any:
    """The thread pools of this process, looked for after the problem has loaded the libraries that bring them."""
    import threadpoolctl

    find_problem(problem).begin(0)
    return threadpoolctl.ThreadpoolController()


def _step_us(spec: Spec, contender: Contender) -> float:
    """Microseconds of one optimizer step on the problem's own arrays: the quickest of 8 blocks of 50 steps.

    The quickest is what other programs disturb least. The learning rate is 0, which costs the same and goes nowhere.
    """
    task = find_problem(spec.problem).begin(spec.seeds[0])
    _, grads = task.value_and_grad(next(task.batches))
    optimizer = contender.optimizer(task.params, lr=0.0)
    blocks: list[float] = []
    for _ in range(8):
        started = time.perf_counter()
        for _ in range(50):
            optimizer.step(grads)
        blocks.append((time.perf_counter() - started) / 50)
    return 1e6 * min(blocks)


@contextmanager
def _interrupts_wait() -> Generator[None]:
    """Ctrl-C within is heard at the end, so that joblib is never left half started or half stopped.

    Processes that are started within inherit a blocked SIGINT: they never hear of Ctrl-C, and are stopped from here.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    heard: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))  # other threads may not block it
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if heard:
        raise KeyboardInterrupt
