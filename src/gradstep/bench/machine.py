"""The machine, as it stands in a file of results, and who else is at work on it."""

import os
import platform
from pathlib import Path


def machine() -> dict[str, str]:
    """Name -> what it is."""
    return {"processor": processor(), "cores": str(cores())}


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Its name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


class Others:
    """The share of the machine's cores that other programs and a hypervisor take, from now on."""

    def __init__(self) -> None:
        self.start = _seconds()

    def share(self) -> float | None:
        """From 0 to 1, of all cores; None where the system does not tell."""
        end = _seconds()
        if self.start is None or end is None:
            return None
        busy, passed, own = (b - a for a, b in zip(self.start, end, strict=True))
        return min(max((busy - own) / passed, 0.0), 1.0) if passed else 0.0


def _seconds() -> tuple[float, float, float] | None:
    """Return seconds of all cores: busy or stolen, in all, and this process's own."""
    try:
        ticks = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return None
    idle = ticks[3] + ticks[4]
    per_second = os.sysconf("SC_CLK_TCK")
    return (sum(ticks) - idle) / per_second, sum(ticks) / per_second, sum(os.times()[:2])
