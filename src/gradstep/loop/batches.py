"""Mini-batches without state: batch number k is a function of the seed and k."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.tree import flatten
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.loop.user import kind
from gradstep.naming import is_whole, whole


class Batches:
    """Batch number k = 0, 1, ... without end: every epoch goes once through the data, in an order of its own.

    Parameters
    ----------
    data
        An array, or a nest of arrays, whose first axes are equally long; or a number of examples: then a batch is the
        array of their indices.
    size
        Examples of a batch. An epoch's last examples that make no whole batch are left out, others each time.
    seed
        Of the orders. They depend on nothing but it and the number of the epoch, not on NumPy's version.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For lengths that differ, or a size that is not in 1 to their number.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> batches = gs.Batches({"x": np.arange(6.0), "y": np.arange(6)}, size=2, seed=0)
    >>> len(batches(0)["x"]), len(batches)
    (2, 3)
    """

    def __init__(self, data: Any, size: int, seed: int = 0) -> None:
        self.size, self.seed = whole("Batches: size", size, least=1), whole("Batches: seed", seed)
        if is_whole(data):
            self.examples, self._nest, self._leaves = int(data), None, []
        else:
            self._nest, self._leaves = flatten(data)
            lengths = {len(x) if x.ndim else 0 for x in self._leaves}
            if len(lengths) != 1:
                raise GradstepValueError(
                    f"Batches: the arrays must have first axes of one length, not {sorted(lengths)}."
                )
            (self.examples,) = lengths
        if self.size > self.examples:
            raise GradstepValueError(f"Batches: size is {size}, and there are {self.examples} examples.")
        self._orders: dict[int, NDArray[np.intp]] = {}  # of the last two epochs that were asked for

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.examples // self.size

    def __call__(self, k: int) -> Any:
        """Return batch number ``k``: the nest of ``data`` with the chosen examples alone."""
        epoch, place = divmod(whole("Batches: the number of a batch", k), len(self))
        chosen = self._order(epoch)[place * self.size : (place + 1) * self.size]
        return chosen if self._nest is None else self._nest.build([x[chosen] for x in self._leaves])

    def _order(self, epoch: int) -> NDArray[np.intp]:
        if epoch not in self._orders:
            self._orders = {**dict([*self._orders.items()][-1:]), epoch: self._new_order(epoch)}
        return self._orders[epoch]

    def _new_order(self, epoch: int) -> NDArray[np.intp]:
        # Raw words of a bit generator never change between versions of NumPy, its permutations may.
        words = np.random.PCG64(np.random.SeedSequence([self.seed, epoch])).random_raw(self.examples)
        return np.argsort(words, kind="stable")


class UsedUpError(GradstepValueError):
    """Raised where there are no more batches."""


class Cursor:
    """A series of batches, which is a function of their number or an iterable: ``cursor(k)`` is batch number ``k``.

    What can only be iterated over gives them in order, each as often as it is asked for until the next one is; it is
    begun again and gone through up to the place, where a run goes on.
    """

    def __init__(self, batches: Callable[[int], Any] | Iterable[Any]) -> None:
        if isinstance(batches, Mapping | str) or not (callable(batches) or isinstance(batches, Iterable)):
            raise GradstepTypeError(
                f"batches must be gs.Batches(data, size), a function of the batch's number, or an iterable, "
                f"not {kind(batches)}."
            )
        self._batches = batches
        self._rest: Iterator[Any] | None = None
        self._held: tuple[int, Any] | None = None  # the last one from an iterator, with its number

    def move(self, k: int) -> None:
        """Move to the place at which batch number ``k`` is the next one.

        Raises
        ------
        GradstepValueError
            When they come from an iterator that has been used, which cannot begin again.
        """
        if callable(self._batches):
            return
        if self._rest is not None and isinstance(self._batches, Iterator):
            raise GradstepValueError(
                "batches: an iterator cannot go back; hand in gs.Batches, or a function of the batch's number."
            )
        self._rest, self._held = islice(iter(self._batches), k, None), None

    def __call__(self, k: int) -> Any:
        """Return batch number ``k``.

        Raises
        ------
        UsedUpError
            When there is none.
        """
        try:
            if callable(self._batches):
                return self._batches(k)
            if self._held is None or self._held[0] != k:
                self._rest = iter(self._batches) if self._rest is None else self._rest
                self._held = (k, next(self._rest))
        except StopIteration:
            raise UsedUpError("the batches are used up.") from None
        return self._held[1]
