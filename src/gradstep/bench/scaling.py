"""Growth of time with elements and with tensors, and its decrease with threads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from gradstep.bench.contenders import OURS, Kind
from gradstep.bench.contenders.ours import GradstepContender
from gradstep.bench.contenders.torch_optim import TorchOptim
from gradstep.bench.numbers import ratio, slope
from gradstep.bench.results import Result
from gradstep.bench.side_by_side import measure
from gradstep.bench.work import Size, Work

ELEMENTS = (*(Size(1, n * 10**k) for k in range(2, 7) for n in (1, 3)), Size(1, 10**7))
TENSORS = tuple(Size(n, 100) for n in (1, 3, 10, 30, 100, 300, 1000, 3000))
THREADED = (Size(1, 10**6), Size(1, 10**7))


@dataclass(frozen=True)
class Speedup:
    """One contender at one size.

    Attributes
    ----------
    contender, size
        Which.
    threads
        1, 2, ...
    us
        Microseconds a step on so many.
    speedup
        Time on one thread over that on so many: the median over rounds.
    """

    contender: str
    size: str
    threads: list[int]
    us: list[float]
    speedup: list[float]


def measure_all(work: Work, sizes: Sequence[Size], kinds: Sequence[Kind], seconds: float, pause: float) -> list[Result]:
    """A result for each size."""
    return [measure(work, size, kinds, seconds, pause) for size in sizes]


def slopes(results: Sequence[Result], place: Callable[[Result], float]) -> dict[str, float]:
    """Contender -> exponent of its time over the upper decade of ``place``; only who has a time at every size."""
    times: dict[str, list[float]] = {}
    for result in results:
        for row in result.rows:
            times.setdefault(row.contender, []).append(row.us)
    places = [place(result) for result in results]
    return {name: slope(places, us) for name, us in times.items() if len(us) == len(places)}


def speedups(work: Work, sizes: Sequence[Size], most: int, seconds: float, pause: float) -> list[Speedup]:
    """Gradstep and torch's fused step on 1, 2, ..., ``most`` threads, all of them side by side."""
    ways: Mapping[str, Callable[..., GradstepContender | TorchOptim]] = {
        OURS: GradstepContender,
        "torch-fused": partial(TorchOptim, way="fused"),
    }
    found: list[Speedup] = []
    for size in sizes:
        kinds = [
            Kind(f"{name} on {n}", partial(make, threads=n), "torch" if name != OURS else "numpy")
            for name, make in ways.items()
            for n in range(1, most + 1)
        ]
        rows = {row.contender: row for row in measure(work, size, kinds, seconds, pause).rows}
        for name in ways:
            counts = [n for n in range(1, most + 1) if f"{name} on {n}" in rows]
            turns = [rows[f"{name} on {n}"].turns_us for n in counts]
            if counts:
                gains = [ratio(turns[0], own) for own in turns]
                found.append(Speedup(name, str(size), counts, [rows[f"{name} on {n}"].us for n in counts], gains))
    return found
