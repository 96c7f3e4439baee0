"""A stage of a user's own file as an optimizer to compare: ``FILE.py:NAME``, a rule or a chain."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gradstep.compare.problems.own import unchanged
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.rule import Rule, Stage, lookup, unlisted
from gradstep.loop.problem_file import read, run, split
from gradstep.naming import unknown

if TYPE_CHECKING:
    from gradstep.conventions.constructor import Constructor


def is_file(name: str) -> bool:
    """Return True for the name of an optimizer that names a file."""
    return ".py:" in name or name.endswith(".py")


def own_constructor(text: str, sha256: str | None = None) -> "tuple[Constructor[...], Path, str]":
    """Return the constructor that a file's rule or stage is, whose arguments are its hyperparameters; path and hash.

    Parameters
    ----------
    text
        ``FILE.py:NAME``.
    sha256
        What the file must be.

    Raises
    ------
    ChangedError
        When it is another.
    GradstepValueError, GradstepTypeError, UserCodeError
        When there is no such file or name, the file raises something, or the name is of no rule and no stage.
    """
    from gradstep.conventions.constructor import Constructor

    path, name = split(text)
    source = read(path)
    found = unchanged(path, source, sha256)
    module = _module(path, source)
    label = f"{path.name}:{name}"
    stages = [key for key, x in vars(module).items() if isinstance(x, Rule | Stage) and not key.startswith("_")]
    if not name:
        raise GradstepValueError(
            f"{path.name} needs a name after it, of a rule or a chain: {', '.join(stages) or 'none'}."
        )
    if not hasattr(module, name):
        raise unknown(f"{path.name} has no", name, stages)
    thing = getattr(module, name)
    if not isinstance(thing, Rule | Stage):
        raise GradstepTypeError(
            f"{label} must be a rule or a chain, such as gs.chain(...), not {type(thing).__name__}."
        )
    made = Constructor.of_rule(thing) if isinstance(thing, Rule) else Constructor.of_stage(label, thing)
    return made, path, found


def look_at_stage(text: str) -> None:
    """Run a file of optimizers; errors as :func:`own_constructor`."""
    own_constructor(text)


def stand_in(owner: str, rate: str | None, held: Iterable[str]) -> "Constructor[...]":
    """Return a constructor that has the name of a rate and of what is held, and makes nothing of them."""
    from gradstep.conventions.constructor import Argument, Constructor

    takes = {key: Argument(key, 1.0, becomes=(key,)) for key in held}
    if rate is not None:
        takes[rate] = Argument(rate, 1.0, becomes=("lr",))
    return Constructor(owner, takes, lambda **_: lookup("sgd")())


@cache
def _module(path: Path, source: bytes) -> ModuleType:
    """The file as a module, run once in a process; its rules are known here alone."""
    with unlisted():
        return run(path, source)
