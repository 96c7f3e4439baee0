"""Ray's cluster, joined or started here."""

import os
import re
import signal
import socket
from collections.abc import Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from gradstep.compare.clusters.dispatch import ClusterError
from gradstep.compare.clusters.parcel import Parcel
from gradstep.compare.clusters.worker import make, versions
from gradstep.compare.making import TRIES
from gradstep.compare.record import Made, PlannedRun
from gradstep.compare.signals import is_main
from gradstep.errors import GradstepError
from gradstep.text import sentence


@contextmanager
def ray_cluster(address: str | None, jobs: int, parcel: Parcel | None, wait: float) -> Generator["RayCluster"]:
    """Give a cluster within the block.

    Parameters
    ----------
    address
        ``HOST:PORT``, ``ray://HOST:PORT`` or ``auto``; None: ``RAY_ADDRESS``, or else one of this machine alone.
    jobs
        How many runs that makes at a time.
    parcel
        Files that the runs need.
    wait
        Seconds for an answer.

    Raises
    ------
    ClusterError
        When there is none at the address.
    GradstepError
        When the package is missing.
    """
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise GradstepError(f"backend ray: {error.name} is missing; pip install 'gradstep[ray]'.") from error
    address = address or os.environ.get("RAY_ADDRESS") or None
    if found := re.fullmatch(r"(?:ray://)?([^/]+):(\d+)", address or ""):
        _probe(found[1], int(found[2]), address or "", wait)  # ray itself would try for minutes
    how: dict[str, Any] = {"address": address} if address else {"num_cpus": jobs, "include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM) if is_main() else None
    is_ours = not ray.is_initialized()
    try:
        if is_ours:
            ray.init(**how, log_to_driver=False, logging_level="CRITICAL")
    except Exception as error:  # ray raises its base where a node is too slow to start
        done = f"can be reached at {address}" if address else "could be started on this machine"
        raise ClusterError(f"no cluster of ray {done} ({sentence(error)})") from error
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)  # ray has one of its own
    try:
        yield RayCluster(ray, address or "ray on this machine", parcel, wait)
    finally:
        if is_ours:
            ray.shutdown()


def _probe(host: str, port: int, address: str, wait: float) -> None:
    try:
        socket.create_connection((host, port), timeout=wait).close()
    except OSError as error:
        raise ClusterError(f"no cluster of ray can be reached at {address} ({sentence(error)})") from error


class RayCluster:
    """A driver of ray's, as :class:`~gradstep.compare.clusters.dispatch.Cluster` says."""

    def __init__(self, ray: Any, where: str, parcel: Parcel | None, wait: float) -> None:
        self.ray, self.where, self.wait = ray, where, wait
        self.asked = ray.put(versions())
        self.parcel = parcel and ray.put(parcel)
        self.make = ray.remote(num_cpus=1, max_retries=TRIES)(make)
        found = re.fullmatch(r"([^/]+):(\d+)", ray.get_runtime_context().gcs_address or "")
        self.head = (found[1], int(found[2])) if found else None

    def submit(self, todo: PlannedRun) -> Hashable:
        """Hand a run out."""
        return self.make.remote(todo, self.parcel, self.asked)

    def finished(self, handles: Iterable[Hashable], seconds: float) -> list[tuple[Hashable, Made | Exception]]:
        """Return what is finished."""
        try:
            first, others = self.ray.wait(list(handles), num_returns=1, timeout=seconds)
            more = self.ray.wait(others, num_returns=len(others), timeout=0)[0] if first and others else []
            return [(ref, self._result(ref)) for ref in (*first, *more)]
        except ConnectionError as error:
            raise self._lost() from error

    def _result(self, ref: Any) -> Made | Exception:
        try:
            return self.ray.get(ref, timeout=self.wait)
        except self.ray.exceptions.RayTaskError as error:
            return error.cause if isinstance(error.cause, Exception) else error
        except self.ray.exceptions.RayError as error:
            return error

    def workers(self) -> Mapping[str, int]:
        """Return the processors of each node."""
        try:
            if self.head is not None:
                socket.create_connection(self.head, timeout=self.wait).close()  # ray would end this process
            nodes = [node for node in self.ray.nodes() if node["Alive"]]
        except OSError as error:
            raise self._lost() from error
        slots = {f"{x['NodeManagerAddress']}:{x['NodeManagerPort']}": int(x["Resources"].get("CPU", 0)) for x in nodes}
        return {name: n for name, n in slots.items() if n}

    def _lost(self) -> ClusterError:
        return ClusterError(f"the connection to {self.where} was lost")

    def give_up(self, handles: Iterable[Hashable]) -> None:
        """Cancel what was handed out."""
        for ref in handles:
            self.ray.cancel(ref)
