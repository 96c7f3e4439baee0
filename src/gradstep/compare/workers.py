"""Runs made several at a time: by loky's processes or another backend of joblib's, or by a cluster of dask or ray."""

import os
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from gradstep.compare.clusters.dask_cluster import dask_cluster
from gradstep.compare.clusters.dispatch import WAIT, Lead
from gradstep.compare.clusters.parcel import Parcel
from gradstep.compare.clusters.ray_cluster import ray_cluster
from gradstep.compare.making import alone, tried
from gradstep.compare.processes import end_with
from gradstep.compare.record import Made, PlannedRun, RunRecord, Source
from gradstep.compare.signals import deferred_signals
from gradstep.errors import GradstepValueError
from gradstep.text import sentence

HANDED_OUT = 3  # runs for each worker, at most, that joblib has handed out before it needs them
FEW = 4  # runs for each worker of a backend that gives all results at once
MOST_JOBS = 1024
LOKY = "loky"
OURS = (LOKY, "multiprocessing")  # backends whose processes belong to this one
CLUSTERS = {"dask": dask_cluster, "ray": ray_cluster}

Make = Callable[[list[PlannedRun]], Iterator[Made]]


def hush(where: str, slots: Mapping[str, int]) -> None:
    """Do nothing with what is told of workers."""


class Workers:
    """Processes that make runs.

    Parameters
    ----------
    jobs
        How many at a time; None: a process for each core, or all that a cluster has. One: in this process, with the
        ordinary backend; but runs with a file of the user's in another one, since they may end it.
    backend
        ``"dask"``, ``"ray"``, or one of joblib's: ``"loky"``, ``"threading"``, ... The numbers are the same.
    address
        Of a cluster; None: what the environment names, or else one of this machine.
    files
        Files and folders that a cluster's workers get beside the study's own files and what these import.
    wait
        Seconds without an answer, or without a worker, after which a cluster is given up.

    Raises
    ------
    GradstepValueError
        For a number out of range, and for what only a cluster can use without one.
    """

    def __init__(
        self,
        jobs: int | None = None,
        backend: str = LOKY,
        address: str | None = None,
        files: Sequence[Path] = (),
        wait: float = WAIT,
    ) -> None:
        if jobs is not None and not 1 <= jobs <= MOST_JOBS:
            raise GradstepValueError(f"jobs must be 1 to {MOST_JOBS}, not {jobs}.")
        if not 0 < wait < float("inf"):
            raise GradstepValueError(f"wait must be a number of seconds above 0, not {wait}.")
        if backend not in CLUSTERS and (given := [name for name, x in (("address", address), ("files", files)) if x]):
            raise GradstepValueError(
                f"{' and '.join(given)} {'is' if given == ['address'] else 'are'} for a cluster: backend dask or ray, "
                f"not {backend}."
            )
        self.asked, self.jobs, self.backend = jobs, jobs or os.cpu_count() or 1, backend
        self.address, self.files, self.wait, self.here = address, files, wait, Path.cwd()

    @contextmanager
    def at_work(
        self, sources: Iterable[Source] = (), tell: Callable[[str, Mapping[str, int]], None] = hush
    ) -> Generator[Make]:
        """Give a function that makes runs within the block, and yields each as soon as it is finished.

        Runs whose process was killed are made again, each alone, so that one which kills its process is known;
        after so many tries that is its result.

        Parameters
        ----------
        sources
            The study's own files, which a cluster's workers get.
        tell
            Hears where a cluster is and which workers it has.
        """
        import joblib  # 0.2 s

        if self.backend in CLUSTERS:
            parcel = Parcel.of(found, self.files, self.here) if (found := list(sources)) else None
            with CLUSTERS[self.backend](self.address, self.jobs, parcel, self.wait) as cluster:
                yield Lead(cluster, self.asked, self.wait, tell).make
            return
        if self.jobs == 1 and self.backend == LOKY:
            yield lambda planned: (Made(tried(todo) if todo.is_own else alone(todo)) for todo in planned)
            return
        with ExitStack() as held:
            try:
                held.enter_context(joblib.parallel_config(backend=self.backend, **_settings(self.backend)))
            except (ValueError, ImportError, TypeError) as error:
                raise GradstepValueError(f"backend {self.backend}: {sentence(error)}.") from error
            yield lambda planned: map(Made, self._make(planned))

    def _make(self, planned: list[PlannedRun]) -> Generator[RunRecord]:
        from joblib.externals.loky.process_executor import BrokenProcessPool

        while planned:
            todo, left = planned, {run.key: run for run in planned}
            suspects = planned = []
            try:
                for run in self._together(todo):
                    del left[run.key]
                    yield run
            except BrokenProcessPool:
                # Whichever was at fault is among those that had been handed out: the first that are left.
                planned = list(left.values())
                suspects, planned = planned[: HANDED_OUT * self.jobs], planned[HANDED_OUT * self.jobs :]
            for todo in suspects:
                yield tried(todo)

    def _together(self, planned: list[PlannedRun]) -> Generator[RunRecord]:
        import joblib

        # One run at a time, so that each is kept as soon as it is finished.
        settings: dict[str, Any] = {"n_jobs": min(self.jobs, max(2, len(planned))), "batch_size": 1}
        try:
            parallel: Any = joblib.Parallel(**settings, return_as="generator_unordered")
        except ValueError:  # a backend that gives all results at once: it gets few at a time
            parallel = joblib.Parallel(**settings)
            for k in range(0, len(planned), FEW * self.jobs):
                yield from parallel(joblib.delayed(alone)(todo) for todo in planned[k : k + FEW * self.jobs])
            return
        results: Generator[RunRecord] | None = None
        before = set(threading.enumerate())
        try:
            if self.backend == LOKY:
                resource_tracker.ensure_running()  # first: Python 3.11 unblocks SIGINT when it starts one
            with deferred_signals():
                results = parallel(joblib.delayed(alone)(todo) for todo in planned)
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


def _settings(backend: str) -> dict[str, Any]:
    """Return joblib's settings: its processes end with this one, however that ends; libraries there have one thread."""
    watched = {"initializer": end_with, "initargs": (os.getpid(),)} if backend in OURS else {}
    return watched | ({"inner_max_num_threads": 1} if backend == LOKY else {})
