"""The work that is measured: sizes, and the rule or chain with its dtype."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.errors import GradstepValueError
from gradstep.form.rule import Rule, registry
from gradstep.naming import find

QUICK = "1x100,10x1000,148x1000,1000x100,1x1e5,1x1e6"
FULL = f"{QUICK},1x1e7,1x5e7,148x840000"
BYTES = {"float32": 4, "float64": 8, "bfloat16": 2}
MAX_NORM, DECAY = 1.0, 0.999  # of the chain


@dataclass(frozen=True)
class Size:
    """A number of tensors of equal size."""

    tensors: int
    each: int

    @property
    def elements(self) -> int:
        """Elements in all."""
        return self.tensors * self.each

    def __str__(self) -> str:
        each = f"{self.each:.0e}".replace("e+0", "e").replace("e+", "e")
        return f"{self.tensors}x{each if self.each >= 100_000 and float(each) == self.each else self.each}"


def read_sizes(text: str) -> tuple[Size, ...]:
    """The sizes in a comma-separated text; ``1x100,148x1e6`` holds two.

    Raises
    ------
    GradstepValueError
        For what is no size, a size of nothing, or the same size twice.
    """
    found: list[Size] = []
    for entry in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"(\d+)x(\d+(?:\.\d+)?(?:e\+?\d{1,2})?)", entry, flags=re.ASCII)
        size = Size(int(match[1]), int(float(match[2]))) if match else Size(0, 0)
        if match is None or not size.elements or size.each != float(match[2]):
            raise GradstepValueError(
                f"cannot read the size {entry!r}: write tensors x elements, such as 148x1000 or 1x1e6."
            )
        if size in found:
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
        if extras := find("unknown rule", self.rule, self.rules).extras:
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

    def __str__(self) -> str:
        return f"clip_by_global_norm + {self.rule} + ema" if self.chain else self.rule


def numbers(work: Work, size: Size, stream: int) -> list[NDArray[Any]]:
    """Standard normal arrays; ``stream`` tells the parameters (0) from the sets of gradients (1, 2, ...).

    For bfloat16 they are float32, which each contender rounds to its library's own type.
    """
    dtype: Any = np.float64 if work.dtype == "float64" else np.float32
    rng = np.random.default_rng([work.seed, stream])
    return [rng.standard_normal(size.each, dtype) for _ in range(size.tensors)]
