"""Dask's scheduler and its workers, wherever these are."""
# Types are checked where dask may be installed or not; its own annotations leave out what it documents.
# pyright: reportPrivateImportUsage=false, reportArgumentType=false

import logging
import queue
import warnings
from collections.abc import Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from gradstep.compare.clusters.dispatch import ClusterError
from gradstep.compare.clusters.parcel import Parcel
from gradstep.compare.clusters.worker import make, same, versions
from gradstep.compare.record import Made, PlannedRun
from gradstep.errors import GradstepError
from gradstep.text import sentence

NO_PAGE: dict[str, Any] = {"dashboard_address": None}
LEAST = 11.0  # seconds of silence of a connection: dask takes no fewer


@contextmanager
def dask_cluster(address: str | None, jobs: int, parcel: Parcel | None, wait: float) -> Generator["DaskCluster"]:
    """Give a cluster within the block.

    Parameters
    ----------
    address
        Of the scheduler; None: ``DASK_SCHEDULER_ADDRESS``, or else so many processes of this machine.
    jobs
        How many these are.
    parcel
        Files that the runs need.
    wait
        Seconds for an answer.

    Raises
    ------
    ClusterError
        When no scheduler answers.
    GradstepError
        When the package is missing.
    """
    for package in ("dask", "distributed"):  # dask names the second in words alone
        try:
            import_module(package)
        except ImportError as error:
            raise GradstepError(f"backend dask: {package} is missing; pip install 'gradstep[dask]'.") from error
    import dask.config  # pyright: ignore[reportMissingImports]
    from dask.distributed import Client, LocalCluster  # pyright: ignore[reportMissingImports]

    for name in ("distributed", "distributed.client", "distributed.scheduler"):
        logging.getLogger(name).setLevel(logging.INFO)  # what it has to tell comes as an error
    address = address or dask.config.get("scheduler-address", None)
    limits = {"distributed.comm.timeouts.connect": wait, "distributed.comm.timeouts.tcp": max(wait, LEAST)}
    with dask.config.set(limits), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on versions: those that matter are compared by each worker
        try:
            own = None if address else LocalCluster(n_workers=jobs, threads_per_worker=1, **NO_PAGE)
            client = Client(own or address, timeout=wait, set_as_default=False)
        except (OSError, ValueError, TypeError, TimeoutError) as error:
            raise ClusterError(
                f"no scheduler of dask answers at {address} within {wait:g} s ({sentence(error)})"
            ) from error
        try:
            yield DaskCluster(client, address or "dask on this machine", parcel, wait)
        finally:
            with suppress(OSError):  # a link that is cut lets no farewell through
                client.close(timeout=min(wait, 5.0))
            if own is not None:
                own.close(timeout=wait)


class DaskCluster:
    """A client of a scheduler, as :class:`~gradstep.compare.clusters.dispatch.Cluster` says."""

    def __init__(self, client: Any, where: str, parcel: Parcel | None, wait: float) -> None:
        self.client, self.where, self.wait = client, where, wait
        self.asked, self.ended = versions(), queue.SimpleQueue[Any]()
        # A result, not a scattered value: dask makes it again when the worker that holds it is gone.
        self.parcel = parcel and client.submit(same, parcel, pure=False)

    def submit(self, todo: PlannedRun) -> Hashable:
        """Hand a run out."""
        if self.client.status != "running":
            raise self._lost()
        future = self.client.submit(make, todo, self.parcel, self.asked, pure=False)
        future.add_done_callback(self.ended.put)
        return future

    def finished(self, handles: Iterable[Hashable], seconds: float) -> list[tuple[Hashable, Made | Exception]]:
        """Return what is finished."""
        out: list[tuple[Hashable, Made | Exception]] = []
        with suppress(queue.Empty):
            future = self.ended.get(timeout=seconds)
            while True:
                if future in handles:
                    try:
                        out.append((future, self._result(future)))
                    except TimeoutError:  # its worker went with it: it is made again
                        self.ended.put(future)
                        break  # there is a look at the workers between
                future = self.ended.get_nowait()
        return out

    def _result(self, future: Any) -> Made | Exception:
        if future.status == "error":
            return future.exception(timeout=self.wait)
        return future.result(timeout=self.wait) if future.status == "finished" else self._lost()

    def workers(self) -> Mapping[str, int]:
        """Return the threads of each worker."""
        try:
            if self.client.status != "running":
                raise self._lost()
            return dict(self.client.sync(self.client.scheduler.ncores, callback_timeout=self.wait))
        except (OSError, TimeoutError) as error:
            raise self._lost() from error

    def _lost(self) -> ClusterError:
        return ClusterError(f"the connection to {self.where} was lost")

    def give_up(self, handles: Iterable[Any]) -> None:
        """Let go of what was handed out: a scheduler forgets what nobody waits for."""
        for future in handles:
            future.release()
