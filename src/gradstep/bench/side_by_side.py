"""One size measured: everybody side by side, and the rows that come of it."""

import gc
import logging
import textwrap
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gradstep.bench.clock import PAUSE, Runner, rounds
from gradstep.bench.contenders import STREAMS, STREAMS_ON_DEVICE, Kind, UnavailableError
from gradstep.bench.device import Device
from gradstep.bench.machine import Others
from gradstep.bench.memory import free_bytes, peak_extra
from gradstep.bench.numbers import gigabytes_per_second, moved, ratio, summary
from gradstep.bench.plan import batches, sets_of
from gradstep.bench.results import Measured, Result, Skipped
from gradstep.bench.work import Size, Work, numbers


@dataclass
class _Measured:
    """A runner's turns and bytes, when its arrays are gone."""

    turns: list[float]
    calls: list[float]
    ratio: float
    moved: int
    held: int
    peak: int | None


def measure(
    work: Work, size: Size, kinds: Sequence[Kind], seconds: float, pause: float = PAUSE, device: Device | None = None
) -> Result:
    """Measure a size.

    Parameters
    ----------
    work, size
        What each contender does.
    kinds
        Who takes part; the first is the one that ratios refer to. If memory does not hold them all, there are several
        batches, each with the first.
    seconds
        For all turns, apart from what is prepared; three rounds are made in any case.
    pause
        Seconds before each turn.
    device
        Where the contenders' arrays lie; None: with the CPU.
    """
    first, *others = [kind for kind in kinds if kind.rules is None or work.rule in kind.rules]
    moving = STREAMS if device is None else STREAMS_ON_DEVICE
    streams = [] if work.declared.whole else [moving]  # what products and decompositions take is no matter of memory
    free = free_bytes() if device is None else device.free()
    groups, skipped = batches(work, size, [first, *streams, *others], free)
    found: dict[str, _Measured] = {}
    disturbed: list[float | None] = []
    for group in groups:
        measured, failed, others_took = _side_by_side(work, size, group, seconds / len(groups), pause, device)
        skipped += failed
        disturbed.append(others_took)
        if first.name in found:  # it is in every batch
            more = measured.pop(first.name)
            found[first.name].turns += more.turns
            found[first.name].calls += more.calls
        found |= measured
    others_took = max((x for x in disturbed if x is not None), default=None)
    return _result(work, size, found, skipped, others_took, "" if device is None else device.name)


def _side_by_side(
    work: Work, size: Size, kinds: Sequence[Kind], seconds: float, pause: float, device: Device | None
) -> tuple[dict[str, _Measured], list[Skipped], float | None]:
    """One batch, all of whose arrays are gone at the end; who failed; what other programs took."""
    runners: dict[str, Runner] = {}
    bytes_of: dict[str, tuple[int, int, int | None]] = {}
    sets: dict[str, list[Any]] = {}
    skipped: list[Skipped] = []
    start = numbers(work, size, stream=0)
    for kind in kinds:
        try:
            runner = _runner(work, size, kind, start, sets, device)
        except Exception as error:  # a peer may fail in its own way; the others go on without it
            if kind is kinds[0]:
                raise
            skipped.append(Skipped(kind.name, _line(error)))
            continue
        runners[kind.name] = runner
        parameters, kept = runner.contender.held()
        bytes_of[kind.name] = moved(parameters, parameters, kept, work.chain), 2 * parameters + kept, _peak(runner)
    del start
    others = Others()
    rounds(list(runners.values()), seconds, pause, work.seed)
    took = others.share()
    first = runners[kinds[0].name].turns
    measured = {
        name: _Measured(r.turns, r.calls, ratio(r.turns, first), *bytes_of[name]) for name, r in runners.items()
    }
    return measured, skipped, took


def _runner(
    work: Work, size: Size, kind: Kind, start: Any, sets: dict[str, list[Any]], device: Device | None
) -> Runner:
    gc.collect()
    with _quiet():
        contender = kind.make(work, start)
    if kind.arrays not in sets:
        sets[kind.arrays] = [contender.gradients(numbers(work, size, 1 + k)) for k in range(sets_of(work, size))]
    runner = Runner(kind.name, contender, sets[kind.arrays], device=device)
    runner.warm_up()
    return runner


@contextmanager
def _quiet() -> Generator[None]:
    """Libraries say on import which accelerators they miss."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _peak(runner: Runner) -> int | None:
    contender, grads = runner.contender, runner.sets[0]
    contender.begin()
    contender.attach(grads)
    step: Callable[[], object] = lambda: contender.step(grads)  # noqa: E731
    return peak_extra(step) if runner.device is None else runner.device.peak(step)


def _result(
    work: Work, size: Size, found: dict[str, _Measured], skipped: list[Skipped], others: float | None, device: str
) -> Result:
    stream = found.pop(STREAMS.name, None)
    reached = stream and gigabytes_per_second(stream.moved, summary(stream.turns).median)
    rows: list[Measured] = []
    for name, x in found.items():
        time = summary(x.turns)
        rate = gigabytes_per_second(x.moved, time.median)
        rows.append(
            Measured(
                contender=name,
                us=time.median,
                low_us=time.low,
                high_us=time.high,
                ratio=x.ratio,
                gb_per_s=rate,
                of_stream=reached and rate / reached,
                bytes_per_parameter=x.held / size.elements,
                peak_bytes=x.peak,
                turns_us=x.turns,
                call_us=summary(x.calls).median if x.calls else None,
            )
        )
    rows.sort(key=lambda row: row.us)
    form = str(work), str(size), work.dtype, size.tensors, size.elements, size.largest
    return Result(*form, reached, others, rows, skipped, device)


def _line(error: Exception) -> str:
    text = textwrap.shorten(str(error), 300)
    return text if isinstance(error, UnavailableError) else f"{type(error).__name__}: {text}"
