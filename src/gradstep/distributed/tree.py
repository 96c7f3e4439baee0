"""A sum of K arrays in one order, whoever adds which of them: a balanced binary tree over their numbers 0 to K - 1.

Neighbours are added in pairs, then pairs of pairs; a node without a right neighbour goes up unchanged. A process that
has the numbers of a range adds up its maximal aligned parts, each a node of the tree, and whoever has the nodes of all
ranges adds these up. :class:`Counter` does either, and the whole sum in one process: like the digits of a binary number
it holds at most one node of each size, so that no more than log2 K + 1 arrays are kept.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
Node = tuple[int, int]  # the first of its numbers, and how many a whole node of its height has: a power of two


def share(k: int, size: int, rank: int) -> range:
    """Return the numbers, of ``k``, of one of ``size`` processes; none where there are more processes than numbers."""
    return range(rank * k // size, (rank + 1) * k // size)


def nodes(numbers: range) -> list[Node]:
    """Return the nodes that a range of numbers is made of: its maximal aligned parts, in order."""
    out: list[Node] = []
    first = numbers.start
    while first < numbers.stop:
        size = 1
        while first % (2 * size) == 0 and first + 2 * size <= numbers.stop:
            size *= 2
        out.append((first, size))
        first += size
    return out


class Counter(Generic[T]):
    """Adds up nodes that come in the order of their numbers, as soon as both halves of a larger one are there.

    Parameters
    ----------
    add
        ``add(left, right)`` returns the sum; it may write it into either.

    Attributes
    ----------
    held
        The nodes that wait for a right neighbour, each with what it holds.
    """

    def __init__(self, add: Callable[[T, T], T]) -> None:
        self._add = add
        self.held: list[tuple[Node, T]] = []

    def take(self, x: T, node: Node) -> None:
        """Take the next node."""
        first, size = node
        while self.held and self.held[-1][0] == (first - size, size) and first % (2 * size) == size:
            first, x, size = first - size, self._add(self.held.pop()[1], x), 2 * size
        self.held.append(((first, size), x))

    def total(self) -> T:
        """Return the sum of all numbers from 0 on; afterwards nothing is held."""
        (_, x) = self.held.pop()
        while self.held:
            x = self._add(self.held.pop()[1], x)
        return x


def expected(k: int, size: int) -> list[Sequence[Node]]:
    """Return the nodes that each of ``size`` processes sends of a sum of ``k`` arrays."""
    return [nodes(share(k, size, rank)) for rank in range(size)]


def mean_of(sums: Sequence[float], k: int, size: int) -> float:
    """Return the mean of ``k`` numbers, from the sums of the nodes that ``size`` processes have, by rank."""
    counter = Counter[float](lambda x, y: x + y)
    for node, x in zip((node for own in expected(k, size) for node in own), sums, strict=True):
        counter.take(x, node)
    return counter.total() / k
