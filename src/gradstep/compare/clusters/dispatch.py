"""The lead's loop: runs handed to a cluster, a few ahead for each worker, and taken back as they are finished."""

import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from typing import Protocol

from gradstep.compare.record import Made, PlannedRun
from gradstep.errors import GradstepError
from gradstep.text import sentence

WAIT = 30.0  # seconds
AHEAD = 3  # runs handed out for each that is made at a time
OFTEN = 1.0  # seconds from one look at the cluster to the next


class ClusterError(GradstepError):
    """A cluster that cannot be had, or is lost. What is finished is kept, and the same command goes on.

    ``said`` is the sentence without its full stop.
    """

    def __init__(self, said: str) -> None:
        super().__init__(f"{said}.")
        self.said = said


class Cluster(Protocol):
    """The five things that a cluster is asked for."""

    where: str

    def submit(self, todo: PlannedRun) -> Hashable:
        """Hand a run out, and return a handle of it."""
        ...

    def finished(self, handles: Iterable[Hashable], seconds: float) -> list[tuple[Hashable, Made | Exception]]:
        """Return what is finished by now, or within so many seconds: a run, or what was raised in place of it."""
        ...

    def workers(self) -> Mapping[str, int]:
        """Return how many runs each worker makes at a time; ClusterError when nobody can tell."""
        ...

    def give_up(self, handles: Iterable[Hashable]) -> None:
        """Let go of what was handed out, without a wait."""
        ...


class Lead:
    """The lead of a cluster, which makes again what a worker that is gone had.

    Parameters
    ----------
    cluster
        Who makes the runs.
    jobs
        How many may be under way; None: as many as there are workers for, and a few ahead.
    wait
        Seconds without any worker after which the cluster is given up.
    tell
        Hears where it is, and of its workers whenever they are others than before.
    """

    def __init__(
        self, cluster: Cluster, jobs: int | None, wait: float, tell: Callable[[str, Mapping[str, int]], None]
    ) -> None:
        self.cluster, self.jobs, self.wait, self.tell = cluster, jobs, wait, tell
        self.workers: Mapping[str, int] = {}

    def make(self, planned: Iterable[PlannedRun]) -> Generator[Made]:
        """Yield runs, each as soon as it is finished.

        Raises
        ------
        ClusterError
            When the cluster is lost, has no workers, or one of them cannot make runs.
        """
        left, pending = deque(planned), dict[Hashable, PlannedRun]()
        looked, there = -OFTEN, time.monotonic()
        try:
            while left or pending:
                if (now := time.monotonic()) - looked >= OFTEN:
                    self._look()
                    looked = now
                if self.workers:
                    there = now
                elif now - there > self.wait:
                    raise ClusterError(f"{self.cluster.where} has had no workers for {self.wait:g} s")
                most = self.jobs or AHEAD * max(1, sum(self.workers.values()))
                while left and len(pending) < most:
                    todo = left.popleft()
                    pending[self.cluster.submit(todo)] = todo
                for handle, got in self.cluster.finished(pending, OFTEN):
                    todo = pending.pop(handle)
                    if isinstance(got, Exception):
                        raise _told(got, self.cluster, todo) from got
                    yield got
        finally:
            self.cluster.give_up(pending)

    def _look(self) -> None:
        found = self.cluster.workers()
        if found != self.workers:
            self.tell(self.cluster.where, found)
        self.workers = found


def _told(error: Exception, cluster: Cluster, todo: PlannedRun) -> GradstepError:
    """Return the error for something other than a run that a worker gave."""
    if isinstance(error, GradstepError):
        return error if isinstance(error, ClusterError) else ClusterError(str(error).rstrip("."))
    return ClusterError(
        f"a worker of {cluster.where} could not make a run of {todo.optimizer} on {todo.problem} "
        f"({type(error).__name__}: {sentence(error)})"
    )
