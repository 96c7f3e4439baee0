"""Mini-batches without state: batch number k is a function of the seed and k."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.tree import flatten


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
        for name, value in {"size": size, "seed": seed}.items():
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise GradstepTypeError(f"Batches: {name} must be an integer, not {value!r}.")
        if isinstance(data, int | np.integer) and not isinstance(data, bool):
            self.examples, self._take = int(data), lambda chosen: chosen
        else:
            nest, leaves = flatten(data)
            lengths = {len(x) if x.ndim else 0 for x in leaves}
            if len(lengths) != 1:
                raise GradstepValueError(
                    f"Batches: the arrays must have first axes of one length, not {sorted(lengths)}."
                )
            (self.examples,) = lengths
            self._take: Callable[[Any], Any] = lambda chosen: nest.build([x[chosen] for x in leaves])
        if seed < 0:
            raise GradstepValueError(f"Batches: seed must not be negative, and is {seed}.")
        if not 1 <= size <= self.examples:
            raise GradstepValueError(
                f"Batches: size must be in 1 to {self.examples}, the number of examples, not {size}."
            )
        self.size, self.seed = int(size), int(seed)
        self._order = lru_cache(maxsize=2)(self._new_order)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self.examples // self.size

    def __call__(self, k: int) -> Any:
        """Batch number ``k``: the nest of ``data`` with the chosen examples alone."""
        epoch, place = divmod(k, len(self))
        return self._take(self._order(epoch)[place * self.size : (place + 1) * self.size])

    def _new_order(self, epoch: int) -> NDArray[np.intp]:
        # Raw words of a bit generator never change between versions of NumPy, its permutations may.
        words = np.random.PCG64(np.random.SeedSequence([self.seed, epoch])).random_raw(self.examples)
        return np.argsort(words, kind="stable")


class Cursor:
    """Batches in order, of whatever kind they are: a function of their number, or what one can iterate over.

    What can only be iterated over is begun again and gone through up to the place, where a run goes on.
    """

    def __init__(self, batches: Callable[[int], Any] | Iterable[Any]) -> None:
        if not callable(batches) and not isinstance(batches, Iterable):
            raise GradstepTypeError(
                f"batches must be gs.Batches, a function of the batch's number, or an iterable, not {batches!r}."
            )
        self._batches = batches
        self._rest: Iterator[Any] | None = None
        self.drawn = 0

    def move(self, drawn: int) -> None:
        """Stand where ``drawn`` batches have been drawn.

        Raises
        ------
        GradstepValueError
            When they come from an iterator that has been used, which cannot begin again.
        """
        if not callable(self._batches):
            if self._rest is not None and isinstance(self._batches, Iterator):
                raise GradstepValueError(
                    "batches: an iterator cannot go back; hand in gs.Batches, or a function of the batch's number."
                )
            self._rest = islice(iter(self._batches), drawn, None)
        self.drawn = drawn

    def draw(self) -> Any:
        """The next batch.

        Raises
        ------
        StopIteration
            When they are used up.
        """
        if callable(self._batches):
            batch = self._batches(self.drawn)
        else:
            if self._rest is None:
                self._rest = iter(self._batches)
            batch = next(self._rest)
        self.drawn += 1
        return batch
