"""Batches of contenders that fit into memory together."""

from collections.abc import Sequence

from gradstep.bench.contenders import Kind
from gradstep.bench.results import Skipped
from gradstep.bench.work import BYTES, Size, Work

MOST_SETS = 4  # of gradients
SETS_WITHIN = 2**26  # bytes of a set; of larger ones there are two
SHARE = 0.9  # of the free memory


def sets_of(work: Work, size: Size) -> int:
    """Return the number of sets of gradients that take turns."""
    return MOST_SETS if size.elements * BYTES[work.dtype] <= SETS_WITHIN else 2


def need(work: Work, size: Size, kinds: Sequence[Kind]) -> float:
    """Bytes that these contenders hold side by side while one steps; an estimate from above."""
    one = size.elements * BYTES[work.dtype]
    kept = sum(map(work.kept, size.shapes)) / size.elements
    own = sum(1 + kept + kind.spare for kind in kinds)
    gradients = sets_of(work, size) * len({kind.arrays for kind in kinds})
    # Beside them, while they are made: the first parameters, and a set of gradients on its way into a library.
    return one * (own + gradients) + 2 * size.elements * max(4, BYTES[work.dtype])


def batches(
    work: Work, size: Size, kinds: Sequence[Kind], free: float | None
) -> tuple[list[list[Kind]], list[Skipped]]:
    """Groups that fit, each with the first of all, and who does not fit even beside that one alone.

    Parameters
    ----------
    work, size
        What each does.
    kinds
        Who is to take part; the first is the one that all are compared with.
    free
        Bytes; None: nothing is known, and everybody fits.
    """
    room = float("inf") if free is None else SHARE * free
    first, *others = kinds
    groups: list[list[Kind]] = [[first]]
    skipped: list[Skipped] = []
    if need(work, size, [first]) > room:
        return [], [Skipped(kind.name, _reason(work, size, [kind], room)) for kind in kinds]
    for kind in others:
        if need(work, size, [*groups[-1], kind]) <= room:
            groups[-1].append(kind)
        elif need(work, size, [first, kind]) <= room:
            groups.append([first, kind])
        else:
            skipped.append(Skipped(kind.name, _reason(work, size, [first, kind], room)))
    return groups, skipped


def _reason(work: Work, size: Size, kinds: Sequence[Kind], room: float) -> str:
    beside = f" beside {kinds[0].name}" if len(kinds) > 1 else ""
    return f"needs {need(work, size, kinds) / 1e9:.3g} GB{beside}, and {room / 1e9:.3g} GB of memory may be used"
