"""One run made, on one thread: in this process, or in one apart that it may end."""

from collections.abc import Callable, Generator
from contextlib import chdir, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from gradstep.compare.one_thread import OneThread
from gradstep.compare.processes import EndedError, apart
from gradstep.compare.protocol import problem_of, train
from gradstep.compare.record import PlannedRun, RunRecord, Source
from gradstep.errors import GradstepError

TRIES = 3  # of a run that kills its process


def alone(todo: PlannedRun) -> RunRecord:
    """A run on one thread: the bits do not depend on the cores, and runs side by side do not take them from another.

    The next one begins in the folder in which this one began, whatever the problem changes to.
    """
    with chdir(Path.cwd()), on_one_thread(todo) as pools:
        run = train(todo)
        while pools.look():  # a library that the run has loaded had all cores until now
            run = train(todo)
        return run


def tried(todo: PlannedRun, call: Callable[..., RunRecord] = apart, *before: Any) -> RunRecord:
    """A run with a process to itself, tried again when that is killed.

    Parameters
    ----------
    todo
        The run.
    call
        Of a function and its arguments in the process, as :func:`~gradstep.compare.processes.apart`.
    before
        What is called there in place of :func:`alone`, and its arguments before the run.
    """
    function, *arguments = before or (alone,)
    how = ""
    for _ in range(TRIES):
        try:
            return call(function, *arguments, todo)
        except EndedError as error:
            how = error.how
    error = f"its process was ended {TRIES} times, by {how}."
    return RunRecord(*todo.key, todo.hyper, *([], [], [], [], {}), error=error)


@contextmanager
def on_one_thread(todo: PlannedRun) -> Generator[OneThread]:
    """Limit the thread pools of this process within the block, with those that the run's problem loads as it begins."""
    with OneThread() as pools:
        _load(todo.problem, todo.source)
        pools.look()
        yield pools


@cache
def _load(problem: str, source: Source | None) -> None:
    """Begin a run of a problem: its libraries are loaded then, and what is computed once for all runs is there."""
    with suppress(GradstepError, SystemExit):  # the run will tell
        problem_of(problem, source).begin(0)
