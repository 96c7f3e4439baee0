"""Results of a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skipped:
    """A contender that does not take part, and the reason."""

    contender: str
    reason: str


@dataclass(frozen=True)
class Measured:
    """The result of one contender.

    Attributes
    ----------
    contender
        Its name.
    us, low_us, high_us
        Microseconds of a step: median and quartiles over turns.
    ratio
        Its time over that of the first contender, Gradstep: the median over rounds.
    gb_per_s
        10^9 bytes that the step cannot but move, a second; see :func:`~gradstep.bench.numbers.moved`.
    of_stream
        That as a part of what the kernel reaches that only moves data; None where that was not measured.
    bytes_per_parameter
        Parameters, gradients and all that is kept beside them.
    peak_bytes
        By which the process grew during a step; None where the system does not tell.
    turns_us
        The value of each turn.
    call_us
        On a device, microseconds until a call returns when nothing is under way.
    """

    contender: str
    us: float
    low_us: float
    high_us: float
    ratio: float
    gb_per_s: float
    of_stream: float | None
    bytes_per_parameter: float
    peak_bytes: int | None
    turns_us: list[float]
    call_us: float | None = None


@dataclass(frozen=True)
class Result:
    """One size.

    Attributes
    ----------
    work, size, dtype
        The work, the size and the element type.
    tensors, elements, largest
        Their number, the number of elements in all of them, and that of the largest.
    stream_gb_per_s
        Of the kernel that only moves data.
    others
        Share of the machine's cores that other programs took meanwhile, 0 to 1; None where the system does not tell.
    rows
        The fastest first.
    skipped
        Contenders that did not take part.
    device
        The card on which it was measured; empty: the CPU.
    """

    work: str
    size: str
    dtype: str
    tensors: int
    elements: int
    largest: int
    stream_gb_per_s: float | None
    others: float | None
    rows: list[Measured]
    skipped: list[Skipped]
    device: str = ""
