"""The work that is measured: sizes, and the rule or chain with its dtype."""

import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.errors import GradstepValueError
from gradstep.form.rule import LISTED, Rule, registry
from gradstep.naming import find

QUICK = "1x100,10x1000,148x1000,1000x100,1x1e5,1x1e6"
FULL = f"{QUICK},1x1e7,1x5e7,148x840000"
LARGE = "148x1000,1000x1000,1x1e6,148x840000,1x1e8"  # for a device
MATRICES = "24x768x768+12x768x3072"  # those of a transformer of 12 layers: attention, and a half of each feed-forward
BYTES = {"float32": 4, "float64": 8, "bfloat16": 2}
MAX_NORM, DECAY = 1.0, 0.999  # of the chain


@dataclass(frozen=True)
class Size:
    """A number of tensors of one shape, and perhaps more of another beside them.

    Attributes
    ----------
    number
        Of tensors of this shape.
    shape
        The elements of one with one axis, or its sides.
    beside
        The others.
    """

    number: int
    shape: int | tuple[int, ...]
    beside: "Size | None" = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of each tensor."""
        own = self.shape if isinstance(self.shape, tuple) else (self.shape,)
        return [own] * self.number + (self.beside.shapes if self.beside else [])

    @property
    def tensors(self) -> int:
        """Their number."""
        return len(self.shapes)

    @property
    def elements(self) -> int:
        """Elements in all."""
        return sum(map(math.prod, self.shapes))

    @property
    def largest(self) -> int:
        """Elements of the largest tensor."""
        return max(map(math.prod, self.shapes))

    @property
    def has_matrices(self) -> bool:
        """True where a tensor has more than one axis."""
        return any(len(shape) > 1 for shape in self.shapes)

    def __str__(self) -> str:
        sides = self.shape if isinstance(self.shape, tuple) else (self.shape,)
        own = "x".join([str(self.number), *map(_digits, sides)])
        return own if self.beside is None else f"{own}+{self.beside}"


def _digits(n: int) -> str:
    short = f"{n:.0e}".replace("e+0", "e").replace("e+", "e")
    return short if n >= 100_000 and float(short) == n else str(n)


def read_sizes(text: str) -> tuple[Size, ...]:
    """The sizes in a comma-separated text; ``1x100,148x1e6`` holds two, ``2x768x768+1x768x3072`` one, of matrices.

    Raises
    ------
    GradstepValueError
        For what is no size, a size of nothing, or the same size twice.
    """
    found: list[Size] = []
    for entry in (part.strip() for part in text.split(",")):
        size: Size | None = None
        for one in reversed(re.split(r"\+(?=\d+x)", entry)):  # the plus of 1e+6 is no other tensor's
            match = re.fullmatch(r"(\d+)((?:x\d+(?:\.\d+)?(?:e\+?\d{1,2})?)+)", one.strip(), flags=re.ASCII)
            number, sides = (int(match[1]), [float(x) for x in match[2][1:].split("x")]) if match else (0, [])
            if not number or not all(side >= 1 and side.is_integer() for side in sides):
                raise GradstepValueError(
                    f"cannot read the size {entry!r}: write tensors x elements, such as 148x1000 or 1x1e6, or of "
                    "matrices, 24x768x768+12x768x3072."
                )
            size = Size(number, int(sides[0]) if len(sides) == 1 else tuple(map(int, sides)), size)
        if size is None or size in found:
            raise GradstepValueError(f"the size {size} is given twice; leave one out.")
        found.append(size)
    return tuple(found)


@dataclass(frozen=True)
class Work:
    """The work of every contender.

    Attributes
    ----------
    rule
        A rule's name.
    dtype
        Of parameters and gradients: ``float32``, ``float64`` or ``bfloat16``.
    chain
        Whether the gradients are clipped by their global norm before the rule, and the parameters averaged after it.
    seed
        Of parameters and gradients.
    threads
        For Gradstep and for what runs on torch; None: what each takes by itself.
    """

    rule: str = "adam"
    dtype: str = "float32"
    chain: bool = False
    seed: int = 0
    threads: int | None = None
    rules: Any = field(default_factory=registry, repr=False, compare=False)

    def __post_init__(self) -> None:
        if extras := find("unknown rule", self.rule, self.rules, LISTED).extras:
            raise GradstepValueError(
                f"{self.rule} takes {extras[0]} beside the gradient, and gradients alone are timed."
            )
        find("unknown dtype", self.dtype, BYTES)

    @cached_property
    def declared(self) -> Rule:
        """The rule itself."""
        return self.rules[self.rule]

    @property
    def hyper(self) -> dict[str, float]:
        """The rule's hyperparameters; everyone gets these numbers."""
        return {key: float(value) for key, value in self.declared.defaults.items() if isinstance(value, int | float)}

    @property
    def slots(self) -> int:
        """Arrays that the method keeps for each parameter."""
        return len(self.declared.state) + self.chain

    def kept(self, shape: tuple[int, ...]) -> int:
        """Elements that the method keeps for a parameter of this shape."""
        rule = self.declared
        return sum(math.prod(rule.slot_shape(key, shape)) for key in rule.state) + self.chain * math.prod(shape)

    def __str__(self) -> str:
        return f"clip_by_global_norm + {self.rule} + ema" if self.chain else self.rule


def numbers(work: Work, size: Size, stream: int) -> list[NDArray[Any]]:
    """Standard normal arrays; ``stream`` tells the parameters (0) from the sets of gradients (1, 2, ...).

    For bfloat16 they are float32, which each contender rounds to its library's own type.
    """
    dtype: Any = np.float64 if work.dtype == "float64" else np.float32
    rng = np.random.default_rng([work.seed, stream])
    return [rng.standard_normal(shape, dtype) for shape in size.shapes]
