"""Memory: what is free, and what a step takes for a while. Where Linux's /proc is missing, nothing is known."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")


def free_bytes() -> int | None:
    """Bytes that this process may still take: the machine's, or its control group's if that has fewer."""
    lines = _lines(_PROC / "meminfo")
    if "MemAvailable" not in lines:
        return None
    free = _kilobytes(lines["MemAvailable"])
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = ((group / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return min(free, int(limit) - int(used))
    except (OSError, ValueError):  # no such group, or "max"
        return free


def peak_extra(step: Callable[[], object]) -> int | None:
    """Bytes by which the process grew at most while ``step`` ran, to about 0.1 MB; the system counts in pages."""
    gc.collect()
    _give_back()
    try:
        (_PROC / "self/clear_refs").write_text("5")  # the high-water mark falls to what is held now
        before = _kilobytes(_lines(_PROC / "self/status")["VmRSS"])
        step()
        return max(0, _kilobytes(_lines(_PROC / "self/status")["VmHWM"]) - before)
    except (OSError, KeyError):
        return None


def _give_back() -> None:
    """Have the C library return what is free, or a step would take it from there unseen."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def _lines(path: Path) -> dict[str, str]:
    try:
        return dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    except OSError:
        return {}


def _kilobytes(text: str) -> int:
    return 1024 * int(text.split()[0])
