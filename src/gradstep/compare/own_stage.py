"""A stage of a user's own as an optimizer: ``FILE.py:NAME``, a rule or a chain; the name that such an object has."""

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from gradstep.compare.problems.own import unchanged
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.rule import Rule, Stage, lookup, registry, unlisted
from gradstep.loop.problem_file import read, run, split
from gradstep.naming import is_real, unknown
from gradstep.text import Named

if TYPE_CHECKING:
    from gradstep.conventions.constructor import Constructor


def is_file(name: str) -> bool:
    """Return True for the name of an optimizer that names a file."""
    return ".py:" in name or name.endswith(".py")


def own_constructor(text: str, sha256: str | None = None) -> "tuple[Constructor[...], Path, str]":
    """Return the constructor that a file's rule or stage is, whose arguments are its hyperparameters; path and hash.

    Parameters and errors are those of :func:`own_rule`.
    """
    from gradstep.conventions.constructor import Constructor

    thing, path, found = own_rule(text, sha256)
    label = f"{path.name}:{text.rpartition(':')[2]}"
    made = Constructor.of_rule(thing) if isinstance(thing, Rule) else Constructor.of_stage(label, thing)
    return made, path, found


def own_rule(text: str, sha256: str | None = None) -> tuple[Rule | Stage, Path, str]:
    """Return a file's rule or stage, the file's path and its hash.

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
    return thing, path, found


def label_of(thing: Rule | Stage) -> str:
    """Return the label by which a study knows a rule or chain: ``adam:beta1=0.8``, or ``FILE.py:NAME``.

    The processes that make runs have nothing but labels and files: so an object of a user's own must be what a file has
    at its top, under some name.

    Raises
    ------
    GradstepValueError
        For one that is in no file, as one typed at a prompt or in a notebook's cell.
    """
    if isinstance(thing, Rule) and registry(None).get(thing.name) is thing and thing.module.startswith("gradstep."):
        return thing.name
    if isinstance(thing, Stage) and len(thing.parts) == 1:
        [part] = thing.parts
        of_the_library = registry(None).get(part.rule.name) is part.rule and part.rule.module.startswith("gradstep.")
        if of_the_library and part.name is None and all(map(is_real, part.given.values())):
            return str(Named(part.rule.name, tuple(sorted((key, float(x)) for key, x in part.given.items()))))  # pyright: ignore[reportArgumentType]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None) or ""
        if file.endswith(".py") and not module.__name__.startswith("gradstep."):
            for key, x in list(vars(module).items()):
                if x is thing:
                    return f"{file}:{key}"
    kind = "rule" if isinstance(thing, Rule) else "chain"
    shown = thing.name if isinstance(thing, Rule) else repr(thing)
    raise GradstepValueError(
        f"the {kind} {shown} is in no file, and the processes that make runs have only files: name it at the top "
        f"of a file, and import it from there or write FILE.py:NAME (in a notebook, %%writefile FILE.py)."
    )


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
