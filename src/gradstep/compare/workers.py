"""Runs made several at a time, by joblib: loky's processes, or whatever else its backends are."""

import os
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, chdir, contextmanager, suppress
from functools import cache
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from gradstep.compare.processes import EndedError, apart, end_with
from gradstep.compare.protocol import problem_of, train
from gradstep.compare.record import PlannedRun, RunRecord, Source
from gradstep.compare.signals import deferred_signals
from gradstep.errors import GradstepError, GradstepValueError

TRIES = 3  # of a run that kills its process
HANDED_OUT = 3  # runs for each worker, at most, that joblib has handed out before it needs them
FEW = 4  # runs for each worker of a backend that gives all results at once
MOST_JOBS = 1024
LOKY, THREADING = "loky", "threading"
OURS = (LOKY, "multiprocessing")  # backends whose processes belong to this one


class Workers:
    """Processes that make runs.

    Parameters
    ----------
    jobs
        How many at a time; None: a process for each core. One: in this process, with the ordinary backend; but runs
        with a file of the user's in another one, since they may end it.
    backend
        Of joblib: ``"loky"``, ``"threading"``, ``"dask"``, ``"ray"``, ... The numbers are the same.

    Raises
    ------
    GradstepValueError
        For a number out of range.
    """

    def __init__(self, jobs: int | None = None, backend: str = LOKY) -> None:
        if jobs is not None and not 1 <= jobs <= MOST_JOBS:
            raise GradstepValueError(f"jobs must be 1 to {MOST_JOBS}, not {jobs}.")
        self.jobs, self.backend = jobs or os.cpu_count() or 1, backend

    @contextmanager
    def at_work(self) -> Generator[Callable[[list[PlannedRun]], Generator[RunRecord]]]:
        """Give a function that makes runs within the block, and yields each as soon as it is finished.

        Runs whose process was killed are made again, each alone, so that one which kills its process is known;
        after so many tries that is its result.
        """
        import joblib  # 0.2 s

        if self.jobs == 1 and self.backend == LOKY:
            yield lambda planned: (self._apart(todo) if todo.is_own else _alone(todo) for todo in planned)
            return
        with ExitStack() as held:
            prepare(self.backend, held)
            try:
                held.enter_context(joblib.parallel_config(backend=self.backend, **_watched(self.backend)))
            except (ValueError, ImportError, TypeError) as error:
                reason = " ".join(str(error).split())[:200].rstrip(".")
                raise GradstepValueError(f"backend {self.backend}: {reason}.") from error
            yield self._make

    def _make(self, planned: list[PlannedRun]) -> Generator[RunRecord]:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        while planned:
            todo, left = planned, {run.key: run for run in planned}
            suspects = planned = []
            try:
                with self._limited(todo):
                    for run in self._together(todo):
                        del left[run.key]
                        yield run
            except BrokenProcessPool:
                # Whichever was at fault is among those that had been handed out: the first that are left.
                planned = list(left.values())
                suspects, planned = planned[: HANDED_OUT * self.jobs], planned[HANDED_OUT * self.jobs :]
            for todo in suspects:
                yield self._apart(todo)

    @contextmanager
    def _limited(self, planned: list[PlannedRun]) -> Generator[None]:
        """Keep the thread pools of this process at one thread while runs are made in it by threads.

        Each run has a limit of its own, and gives back at its end what it found: without this, all cores, while others
        are not at their end.
        """
        with ExitStack() as held:
            if self.backend == THREADING:
                for problem, source in dict.fromkeys((todo.problem, todo.source) for todo in planned):
                    held.enter_context(thread_pools(problem, source).limit(limits=1))
            yield

    def _apart(self, todo: PlannedRun) -> RunRecord:
        """A run with a process to itself, tried again when that is killed."""
        how = ""
        for _ in range(TRIES):
            try:
                return apart(_alone, todo)
            except EndedError as error:
                how = error.how
        error = f"its process was ended {TRIES} times, by {how}."
        return RunRecord(*todo.key, todo.hyper, *([], [], [], [], {}), error=error)

    def _together(self, planned: list[PlannedRun]) -> Generator[RunRecord]:
        import joblib

        # One run at a time, so that each is kept as soon as it is finished.
        settings: dict[str, Any] = {"n_jobs": min(self.jobs, max(2, len(planned))), "batch_size": 1}
        try:
            parallel: Any = joblib.Parallel(**settings, return_as="generator_unordered")
        except ValueError:  # a backend that gives all results at once: it gets few at a time
            parallel = joblib.Parallel(**settings)
            for k in range(0, len(planned), FEW * self.jobs):
                yield from parallel(joblib.delayed(_alone)(todo) for todo in planned[k : k + FEW * self.jobs])
            return
        results: Generator[RunRecord] | None = None
        before = set(threading.enumerate())
        try:
            if self.backend == LOKY:
                resource_tracker.ensure_running()  # first: Python 3.11 unblocks SIGINT when it starts one
            with deferred_signals():
                results = parallel(joblib.delayed(_alone)(todo) for todo in planned)
            assert results is not None  # noqa: S101 - for the type checker
            for result in results:  # noqa: UP028 - yield from would close them before the filter below
                yield result
        except BaseException:
            with deferred_signals(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib's, that it cancels what nobody waits for
                if results is not None:
                    results.close()  # kills workers that are still busy
                for thread in set(threading.enumerate()) - before:
                    thread.join(timeout=5)  # joblib's threads give semaphores back: an exit before that is noisy
            raise


def prepare(backend: str, held: ExitStack) -> None:
    """Prepare a backend for joblib.

    Raises
    ------
    GradstepError
        When its package is missing.
    """
    try:
        if backend == "dask":
            from distributed import Client  # pyright: ignore[reportMissingImports]

            held.enter_context(Client())  # of DASK_SCHEDULER_ADDRESS, or processes of this machine
        elif backend == "ray":
            from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

            register_ray()
    except ImportError as error:
        package = "dask[distributed]" if backend == "dask" else backend
        raise GradstepError(f"backend {backend}: {error.name} is missing; pip install '{package}'.") from error


def _watched(backend: str) -> dict[str, Any]:
    """Return the settings of joblib by which the processes of a backend end with this one, however that ends."""
    return {"initializer": end_with, "initargs": (os.getpid(),)} if backend in OURS else {}


def _alone(todo: PlannedRun) -> RunRecord:
    """A run on one thread: the bits do not depend on the cores, and runs side by side do not take them from another.

    The next one begins in the folder in which this one began, whatever the problem changes to.
    """
    with chdir(Path.cwd()), thread_pools(todo.problem, todo.source).limit(limits=1):
        return train(todo)


@cache
def thread_pools(problem: str, source: Source | None) -> Any:
    """The thread pools of this process, looked for after the problem has loaded the libraries that bring them."""
    import threadpoolctl

    with suppress(GradstepError, SystemExit):  # the run will tell
        problem_of(problem, source).begin(0)
    return threadpoolctl.ThreadpoolController()
