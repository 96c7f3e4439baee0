"""Tables for the terminal, and the words in them."""

from collections.abc import Mapping, Sequence

from gradstep.bench.contenders import OURS
from gradstep.bench.results import Measured, Result
from gradstep.bench.storage_errors import StorageError
from gradstep.bench.work import BYTES

DISTURBED = 0.03  # of the cores' time
Lines = tuple[list[str], list[list[str]]]  # headings, and the cells under them
HEADINGS = ("contender", "µs/step", "quartiles", "/ gradstep", "GB/s", "of stream", "bytes/param", "peak extra")
CALL = "µs/call"  # one column more on a device


def title(result: Result) -> str:
    """Return the measurement in a line."""
    tensors = f"{result.tensors} tensor{'s' * (result.tensors != 1)}"
    stream = "" if result.stream_gb_per_s is None else f"; stream {digits(result.stream_gb_per_s)} GB/s"
    where = f" on {result.device}" if result.device else ""
    return f"{result.work}, {result.size} {result.dtype}{where}: {tensors}, {result.elements:,} elements{stream}"


def headings(result: Result) -> tuple[str, ...]:
    """Return the headings of a result's table."""
    return (*HEADINGS, CALL) if result.device else HEADINGS


def remarks(results: Sequence[Result]) -> list[str]:
    """Return sentences on contenders that were not measured, each once, and on other programs that disturbed."""
    skipped = dict.fromkeys(who for result in results for who in result.skipped)
    lines = [f"not measured: {who.contender}: {who.reason}" for who in skipped]
    took = max((result.others or 0.0 for result in results), default=0.0)
    if took >= DISTURBED:
        part = f"{'up to ' * (len(results) > 1)}{100 * took:.0f} %"
        lines.append(f"other programs took {part} of the cores meanwhile: measure again when all is quiet")
    return lines


def cells(row: Measured) -> tuple[str, ...]:
    """A row's cells, in the order of :func:`headings`."""
    own = (
        row.contender,
        digits(row.us),
        f"{digits(row.low_us)} to {digits(row.high_us)}",
        f"{row.ratio:.2f}",
        digits(row.gb_per_s),
        "-" if row.of_stream is None else f"{100 * row.of_stream:.0f} %",
        f"{row.bytes_per_parameter:.4g}",
        "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.1f} MB",
    )
    return own if row.call_us is None else (*own, digits(row.call_us))


def ratios(results: Sequence[Result]) -> Lines:
    """A row for each rule at one size: what its step takes, that beside Adam's, and each peer's time over ours.

    Where Adam is not among them, in its place stands the memory that our step took for a while, in arrays of the size
    of the largest.
    """
    peers = dict.fromkeys(row.contender for result in results for row in result.rows if row.contender != OURS)
    times = {x.work: {row.contender: row for row in x.rows} for x in results}
    adam = times.get("adam")
    spare = {x.work: _in_arrays(x, times[x.work][OURS].peak_bytes) for x in results}
    rows: list[list[str]] = []
    for rule, own in times.items():
        beside = spare.get(rule, "-") if adam is None else f"{own[OURS].us / adam[OURS].us:.2f}"
        rows.append([rule, digits(own[OURS].us), beside, *(f"{own[p].ratio:.2f}" if p in own else "-" for p in peers)])
    return ["rule", "µs/step", "/ adam" if adam else "peak extra", *(f"{peer} / ours" for peer in peers)], rows


def _in_arrays(result: Result, peak: int | None) -> str:
    size = result.largest * BYTES[result.dtype]
    return "-" if peak is None else f"{peak / size:.1f} arrays"


def curves(results: Sequence[Result], slopes: Mapping[str, float]) -> Lines:
    """Microseconds a step of each contender at each size, and the slope at the end."""
    rows: list[list[str]] = []
    for name in slopes:
        times = [{row.contender: digits(row.us) for row in result.rows}.get(name, "-") for result in results]
        rows.append([name, *times, f"{slopes[name]:.2f}"])
    return ["µs/step", *(str(result.size) for result in results), "slope"], rows


def errors(found: Sequence[StorageError]) -> Lines:
    """A row for each way to store."""
    rows = [[e.variant, f"{e.largest:.1e}", f"{e.rms:.1e}", f"{e.bytes_per_parameter:.4g}"] for e in found]
    return ["stored as", "largest", "RMS", "bytes/param"], rows


def digits(x: float) -> str:
    """Three digits, never with an exponent."""
    if x >= 100:
        return f"{x:,.0f}"
    return f"{x:.1f}" if x >= 10 else f"{x:.2f}"
