"""The cut of the state among processes: ranges of the numbers, between blocks of 4096, or whole arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gradstep.array.reduction import BLOCK


class Piece(NamedTuple):
    """The elements from ``begin`` to ``end`` of an array, in C order, by its number."""

    array: int
    begin: int
    end: int


@dataclass(frozen=True)
class Kind:
    """An array as it is cut.

    Attributes
    ----------
    size
        Its number of elements.
    weight
        Bytes of state for each.
    is_whole
        Whether one process must have all of it.
    """

    size: int
    weight: int
    is_whole: bool


def cut(kinds: Sequence[Kind], parts: int) -> list[list[Piece]]:
    """Return the pieces of each of so many processes: at most one of an array, in the order of the arrays.

    Arrays that stay whole go to whoever has least, the heaviest first; the others, laid end to end, are cut so that all
    have as much, to half a block at either end.
    """
    out: list[list[Piece]] = [[] for _ in range(parts)]
    load = [0] * parts
    whole = [k for k, x in enumerate(kinds) if x.is_whole]
    for k in sorted(whole, key=lambda k: (-kinds[k].size * kinds[k].weight, k)):
        rank = load.index(min(load))
        load[rank] += kinds[k].size * kinds[k].weight
        out[rank].append(Piece(k, 0, kinds[k].size))
    rest = [k for k, x in enumerate(kinds) if not x.is_whole]
    rooms = _rooms(load, sum(kinds[k].size * kinds[k].weight for k in rest))
    ends = _cuts(kinds, rest, rooms)
    first, begin = 0, 0
    for rank, (last, end) in enumerate(ends):
        for j in range(first, min(last + 1, len(rest))):
            x = kinds[rest[j]]
            to = end if j == last else x.size
            if to > begin or (x.size == 0 and j < last):
                out[rank].append(Piece(rest[j], begin, to))
            begin = 0 if j < last else to
        first = last
    return [sorted(own) for own in out]


def _rooms(load: Sequence[int], more: int) -> list[float]:
    """Return how much each takes of what is left, so that all have as much, as far as that can be."""
    room = [0.0] * len(load)
    ordered = sorted(range(len(load)), key=lambda rank: (load[rank], rank))
    for count in range(len(load), 0, -1):
        level = (more + sum(load[rank] for rank in ordered[:count])) / count
        if level >= load[ordered[count - 1]]:
            for rank in ordered[:count]:
                room[rank] = level - load[rank]
            break
    return room


def _cuts(kinds: Sequence[Kind], rest: Sequence[int], rooms: Sequence[float]) -> list[tuple[int, int]]:
    """Return where each process's range ends: the place of an array in ``rest``, and an element of it."""
    out: list[tuple[int, int]] = []
    j, before, wanted = 0, 0, 0.0
    for room in rooms[:-1]:
        wanted += room
        while j < len(rest) and before + kinds[rest[j]].size * kinds[rest[j]].weight <= wanted:
            before += kinds[rest[j]].size * kinds[rest[j]].weight
            j += 1
        if j == len(rest):
            out.append((j, 0))
            continue
        x = kinds[rest[j]]
        blocks = round((wanted - before) / x.weight / BLOCK)
        out.append((j, min(blocks * BLOCK, x.size)))
    return [*out, (len(rest), 0)]
