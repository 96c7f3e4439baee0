"""Storage of one tensor of an optimizer, on which the engines agree."""

from dataclasses import dataclass
from functools import cached_property

LOW = ("float16", "bfloat16")
BLOCKS = ("signed8", "squares8", "sizes8")


@dataclass(frozen=True)
class Layout:
    """The storage of theta, its gradient and its state.

    Attributes
    ----------
    dtype
        The real dtype of theta and its gradient: float16, bfloat16, float32 or float64.
    slots
        For each array of the state the name of its format, or None where it is stored as it is computed.
    master
        Whether a float32 copy of theta is kept, from which theta is rounded.
    stochastic
        Whether theta is rounded at random.
    """

    dtype: str
    slots: tuple[str | None, ...]
    master: bool = False
    stochastic: bool = False

    @property
    def compute(self) -> str:
        """The dtype of all arithmetic."""
        return "float64" if self.dtype == "float64" else "float32"

    @cached_property
    def has_blocks(self) -> bool:
        """Return True for a slot that is stored in blocks that share a scale."""
        return any(name in BLOCKS for name in self.slots)

    @cached_property
    def noise(self) -> tuple[tuple[int, int] | None, ...]:
        """For theta and each slot, which draw of 32 random bits rounds it, and which half of that: 0 low, 1 high."""
        rounded = [self.stochastic, *(name is not None for name in self.slots)]
        out: list[tuple[int, int] | None] = []
        n = 0
        for wanted in rounded:
            out.append(divmod(n, 2) if wanted else None)
            n += wanted
        return tuple(out)

    @property
    def draws(self) -> int:
        """The number of random draws that an element needs."""
        return max((use + 1 for use, _ in filter(None, self.noise)), default=0)
