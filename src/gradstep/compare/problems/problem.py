"""The form of a problem: the start of a run from a seed, the loss, and the level that counts as solved."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from gradstep.errors import GradstepValueError
from gradstep.text import Named

Split = Literal["train", "validation", "test"]
Tier = Literal["easy", "middle", "hard"]
TIERS: tuple[Tier, ...] = ("easy", "middle", "hard")
NOISY = 3  # the patience of targets on minibatches, whose noise moves a loss from one evaluation to the next
Values = dict[str, float]
Family = Literal["linear models", "images", "text", "reconstruction", "physics and control", "formulas", "your own"]


@dataclass(frozen=True)
class Target:
    """The level that a run has to reach.

    Attributes
    ----------
    metric
        ``"accuracy"`` (a fraction; reached from below) or ``"loss"`` (reached from above).
    level
        The value to reach.
    split
        The data it is measured on; never the test data, which only the final figures use.
    patience
        Evaluations in a row that must meet it, so that a noisy metric does not reach it by chance: the target is
        reached at the first of them.
    easy, hard
        Levels below and above it, by which a report sees whether its height decides; None where there are none.
        ``level`` is the middle one of the three, and the only one that chooses hyperparameters.
    """

    metric: Literal["accuracy", "loss"]
    level: float
    split: Literal["train", "validation"]
    patience: int = 1
    easy: float | None = None
    hard: float | None = None

    def at(self, tier: Tier) -> "Target | None":
        """Return the target with another of its levels; None where it has no such level."""
        level = {"easy": self.easy, "middle": self.level, "hard": self.hard}[tier]
        return None if level is None else replace(self, level=level)

    def met(self, value: float) -> bool:
        """Return True if ``value`` of the metric reaches the level; NaN never does."""
        return value >= self.level if self.metric == "accuracy" else value <= self.level

    def __str__(self) -> str:
        return f"accuracy ≥ {100 * self.level:g} %" if self.metric == "accuracy" else f"loss ≤ {self.level:g}"


@dataclass
class Task:
    """One run's own copy of a problem, made from a seed. Two tasks of one seed are equal in every bit.

    Attributes
    ----------
    params
        Nest of NumPy arrays that the optimizer updates in place; the two functions read them.
    batches
        Batches without end, drawn from the seed alone.
    value_and_grad
        ``batch -> (loss, gradients)``: mean loss over the batch, and a nest shaped like ``params``.
    evaluate
        ``split -> {"loss": ...}``, with ``"accuracy"`` (a fraction) where the problem has classes.
    """

    params: Any
    batches: Iterator[Any]
    value_and_grad: Callable[[Any], tuple[float, Any]]
    evaluate: Callable[[Split], Values]


@dataclass(frozen=True)
class Problem:
    """A problem as it is listed; ``begin(seed)`` starts a run of it.

    Attributes
    ----------
    name, summary, source, size
        One line each: what it is called, what is trained, where the data come from, and how many there are.
    target
        The level that counts as solved; None where nobody has settled one.
    steps, every
        Updates in a run, and between two evaluations.
    scale
        The learning rate that fits by order of magnitude, for each unit a learning rate can have: ``"theta/g"``
        (about one over the largest curvature) and ``"theta"`` (a small part of the way to go). Searches are
        centred on it.
    begin
        ``seed -> Task``. Loads the data on first use.
    decades
        How far apart the lowest and the highest rate are that are searched around the scale.
    exact
        Whether it is a formula: nothing is held back, and every split shows the same value.
    needs
        The module that its data come with, where that is not Python itself.
    family
        Problems that are alike, which reports show together.
    """

    name: str
    summary: str
    source: str
    size: str
    target: Target | None
    steps: int
    every: int
    scale: Mapping[str, float]
    begin: Callable[[int], Task]
    decades: float = 3.0
    exact: bool = False
    needs: str | None = None
    family: Family = "your own"

    @property
    def goal(self) -> str:
        """The target in words: ``validation accuracy ≥ 95 %``."""
        if self.target is None or math.isnan(self.target.level):
            return ""
        return f"{prefix(self.target.split, self.exact)}{self.target}"

    @property
    def levels(self) -> str:
        """The target in words with its other levels: ``loss ≤ 0.001 (0.01, 0.0001)``."""
        found = self.target
        if found is None or found.easy is None or found.hard is None:
            return self.goal
        return f"{self.goal} ({found.easy:g}, {found.hard:g})"


def labelled(name: str, options: Mapping[str, float], usual: Mapping[str, float]) -> str:
    """Return the label of a problem with options: the name, and those that are not as usual."""
    return str(Named(name, tuple(sorted((key, float(x)) for key, x in options.items() if x != usual[key]))))


def size_option(problem: str, key: str, value: float, most: int = 100_000, least: int = 1) -> int:
    """Return an option that is a size, a whole number from ``least`` to ``most``.

    Raises
    ------
    GradstepValueError
        When it is none.
    """
    if not (least <= value <= most and value == int(value)):
        raise GradstepValueError(f"problem {problem}: {key} must be an integer in {least} to {most}, not {value:g}.")
    return int(value)


def prefix(split: Split, exact: bool) -> str:
    """Return ``"validation "`` and so on, to stand in front of a metric; nothing for an exact problem."""
    return "" if exact else "training " if split == "train" else f"{split} "


def minibatches(n: int, size: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of ``size`` of ``n`` examples, without end: each epoch a new order, without its odd last batch."""
    rng = np.random.default_rng([seed, n, size])
    while True:
        order = rng.permutation(n)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]
