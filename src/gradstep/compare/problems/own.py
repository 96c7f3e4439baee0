"""A problem file as a problem to compare on: ``FILE.py:NAME``, the same object that ``gradstep run`` takes."""

import contextlib
import hashlib
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.array.tree import flatten
from gradstep.compare.problems.problem import Problem, Split, Task, Values
from gradstep.errors import GradstepError, GradstepValueError, NonFiniteError
from gradstep.gradient_check import first_look
from gradstep.loop.batches import Cursor, UsedUpError
from gradstep.loop.evaluation import Functions
from gradstep.loop.problem_file import OwnProblem, load, read, split
from gradstep.loop.user import Handed, UserFunction

STEPS, EVERY = 500, 10
DECADES = 4.0  # of learning rates: what is measured at one point may be far from what fits the whole way
METRICS = {"loss": "val/loss", "accuracy": "val/accuracy"}  # under the names that a run gives them
HELD = 10  # batches whose mean value stands for the loss, where the file evaluates nothing


class ChangedError(GradstepValueError):
    """A problem file is no longer what it was when the study began: its runs could not be compared."""


def is_own(text: str) -> bool:
    """Return True for a text that names a file rather than a problem of Gradstep's."""
    file = text.rpartition(":")[0] or text
    return text.endswith(".py") or file.endswith(".py") or "/" in file or "\\" in file


@dataclass(frozen=True)
class Sight:
    """A problem file at first sight: all that a plan needs of it, so that nothing of it runs where the plan is made.

    Attributes
    ----------
    path, name
        The file, resolved, and the name in it.
    sha256
        Of the file's bytes.
    count
        Numbers in all parameters.
    on_batches
        True where the file has batches.
    wrong
        A sentence on a gradient that is wrong; None where nothing is to be said.
    scale
        As a problem has it, measured at the first point; empty where nothing could be measured.
    """

    path: str
    name: str
    sha256: str
    count: int
    on_batches: bool
    wrong: str | None = None
    scale: Mapping[str, float] = field(default_factory=dict[str, float])


def look(text: str) -> Sight:
    """Run a problem file and evaluate it once, and return what was seen; errors as :func:`own_problem`."""
    sight = _sight(own := _quietly(load, text, 0))
    return replace(sight, wrong=wrong_gradient(own), scale=_scale(own))


def _sight(own: OwnProblem) -> Sight:
    for name, x in (("bounds", own.bounds), ("project", own.project)):
        if x is not None:
            raise GradstepValueError(
                f"{own.name}: a comparison knows no {name}, and optimizers would leave them; leave {name} out of the "
                f"file, or make runs of it: gradstep run {own.path}:{own.name}."
            )
    count = sum(math.prod(x.shape) for x in flatten(own.params)[1])
    return Sight(str(own.path), own.name, own.source_sha256, count, own.batches is not None)


def own_problem(text: str, sha256: str | None = None) -> tuple[Problem, OwnProblem]:
    """The problem that a file defines, and what the file says for seed 0.

    Its loss is what ``evaluate`` calls ``loss`` (or gives as its one number); without it the value itself, on the whole
    or the first batches. Nothing is held back, and nobody has settled a target or a scale.

    Parameters
    ----------
    text
        ``FILE.py:NAME``.
    sha256
        What the file must be.

    Raises
    ------
    GradstepValueError, GradstepTypeError, UserCodeError
        As :func:`gradstep.loop.problem_file.load`.
    """
    _unchanged(text, sha256)
    first = _quietly(load, text, 0)
    return described(_sight(first)), first


def described(sight: Sight) -> Problem:
    """Return the problem of a file that was seen; the file is run when a run of it begins."""
    text, file = f"{sight.path}:{sight.name}", Path(sight.path).name

    def begin(seed: int) -> Task:
        _unchanged(text, sight.sha256)
        return _task(_quietly(load, text, seed), lambda: _quietly(load, text, seed))

    return Problem(
        name=f"{file}:{sight.name}",
        summary="your own function" + (" on batches" if sight.on_batches else ""),
        source=file,
        size=f"{sight.count} parameters",
        target=None,
        steps=STEPS,
        every=EVERY,
        scale=sight.scale,
        decades=DECADES,
        begin=begin,
        exact=True,
    )


def wrong_gradient(own: OwnProblem) -> str | None:
    """One sentence where a gradient is wrong or not finite at the first point, on the first batch; None otherwise."""
    try:
        batch: dict[str, Any] = {} if own.batches is None else {"batch": _cursor(own)(0)}
        found = _quietly(first_look, own.value_and_grad, own.params, rng=own.rng, **batch)
    except NonFiniteError as error:
        return f"{own.path.name}:{own.name} at the first point: {error}"
    except (GradstepError, SystemExit):
        return None  # what is wrong here will be told of its runs
    if not found.wrong:
        return None
    one = len(found.wrong) == 1
    return (
        f"the gradient{'' if one else 's'} of {', '.join(found.wrong)} in {own.path.name}:{own.name} "
        f"{'is' if one else 'are'} wrong at the first point; gradstep check {_path(own.path)}:{own.name} shows how."
    )


def _scale(own: OwnProblem) -> dict[str, float]:
    """Return the learning rates that fit by order of magnitude, by unit, from gradients at the first point; or nothing.

    For ``theta/g`` it is one over the curvature along the gradient; for ``theta``, a tenth of that step in root mean
    square. Where the curvature can't be told (no two gradients at one point are alike, or they don't change), both are
    for first steps of a hundredth of the parameters' root mean square, or of 1 where that is less.
    """
    batch = () if own.batches is None else (_quietly(_cursor(own), 0),)
    nest, leaves = flatten(own.params)
    start = [to_numpy(x).astype(np.float64) for x in leaves]

    def gradient(along: list[Any], length: float) -> list[Any]:
        moved = [
            (x - length * d).astype(to_numpy(own_x).dtype) for x, d, own_x in zip(start, along, leaves, strict=True)
        ]
        handed = Handed(nest, moved)
        grads = handed.gradients(_quietly(own.value_and_grad, handed(), *batch)[1])
        return [to_numpy(g).astype(np.float64) for g in nest.leaves(grads, "gradients")]

    try:
        with np.errstate(all="ignore"):
            first = gradient(start, 0.0)
            again = gradient(start, 0.0)
            count = math.fsum(x.size for x in start)
            size, length = _norm(start) / math.sqrt(count), _norm(first)
            if not 0 < length < math.inf:
                return {}
            reach = 1e-3 * math.sqrt(count) * max(size, 1e-3) / length
            change = _norm([a - b for a, b in zip(gradient(first, reach), first, strict=True)])
            curvature = change / (reach * length)
            is_told = all(map(np.array_equal, first, again)) and 1e-8 * length < change < math.inf
            rate = 1 / curvature if is_told else 0.01 * max(size, 1.0) * math.sqrt(count) / length
    except (GradstepError, SystemExit, TypeError, ValueError):
        return {}  # what is wrong here will be told of its runs
    found = {"theta/g": rate, "theta": (0.1 if is_told else 1.0) * rate * length / math.sqrt(count)}
    return {key: float(f"{x:.0e}") for key, x in found.items()}


def _norm(arrays: list[Any]) -> float:
    return math.sqrt(math.fsum(float(np.vdot(x, x).real) for x in arrays))


def _path(path: Path) -> str:
    """A path as one would write it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _unchanged(text: str, sha256: str | None) -> None:
    """Refuse a file that is not what it was, before it is run."""
    if sha256 is not None:
        path, _ = split(text)
        unchanged(path, read(path), sha256)


def unchanged(path: Path, source: bytes, sha256: str | None) -> str:
    """Return the hash of a file's bytes, which must be this one, where there is one.

    Raises
    ------
    ChangedError
        When it is another.
    """
    found = hashlib.sha256(source).hexdigest()
    if sha256 not in (None, found):
        raise ChangedError(f"{path} has changed since the study was begun; compare in another folder (--out).")
    return found


def _quietly(function: Any, *arguments: Any, **keywords: Any) -> Any:
    """Return the function's result; output of the user's code goes to stderr, because stdout may be JSON."""
    with _aside:
        return function(*arguments, **keywords)


class _Aside:
    """Blocks in which stdout is stderr; of several threads they may overlap, and the last that ends puts it back."""

    def __init__(self) -> None:
        self.lock, self.blocks = threading.Lock(), 0

    def __enter__(self) -> None:
        with self.lock:
            if not self.blocks:
                self.before, sys.stdout = sys.stdout, sys.stderr
            self.blocks += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.blocks -= 1
            if not self.blocks:
                sys.stdout = self.before


_aside = _Aside()


def _cursor(own: OwnProblem) -> Cursor:
    batches = own.batches
    return Cursor(UserFunction(batches, f"{own.name}.batches", own.path) if callable(batches) else batches)


def _batches(own: OwnProblem) -> Iterator[Any]:
    """Batches without end: those that are used up begin again, where they can."""
    cursor, k = _cursor(own), 0
    while True:
        try:
            yield cursor(k)
        except UsedUpError:
            if not k or isinstance(own.batches, Iterator):
                raise GradstepValueError(
                    f"{own.name}.batches were used up after {k}; give a list, or a function of the number."
                ) from None
            cursor.move(0)
            k = 0
        else:
            k += 1


def _task(own: OwnProblem, again: Callable[[], OwnProblem]) -> Task:
    """One run's own copy; ``again()`` loads another, whose batches are evaluated and not used up."""
    params = own.params
    if own.batches is None:
        batches: Iterator[Any] = iter(lambda: (), None)
    else:
        batches = ((batch,) for batch in _batches(own))

    handed = Handed(*flatten(params))

    def value_and_grad(batch: tuple[Any, ...]) -> tuple[float, Any]:
        value, grads = _quietly(own.value_and_grad, handed(), *batch)
        return value, handed.gradients(grads)

    def value() -> float:
        return math.fsum(value_and_grad(batch)[0] for batch in held) / len(held)

    def evaluate(_: Split) -> Values:
        given = _quietly(measure, handed())
        found = {name: given[key] for name, key in METRICS.items() if key in given}
        return found if "loss" in found else {"loss": value(), **found}

    measure = Functions(own.value_and_grad, own.evaluate, 1).measure
    held = _held(own, again)
    return Task(params, batches, value_and_grad, evaluate)


def _held(own: OwnProblem, again: Callable[[], OwnProblem]) -> list[tuple[Any, ...]]:
    """The first batches, or nothing in place of them where there are none."""
    if own.batches is None:
        return [()]
    cursor = _cursor(own if callable(own.batches) else again())
    held: list[tuple[Any, ...]] = []
    with contextlib.suppress(UsedUpError):
        while len(held) < HELD:
            held.append((cursor(len(held)),))
    if not held:
        raise GradstepValueError(f"{own.name}.batches has no batch.")
    return held
