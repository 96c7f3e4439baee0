"""Problem files: ``FILE.py:NAME``, a Python file and the function or object in it that is to be optimized."""

import ast
import hashlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gradstep.array.namespaces import compute_dtype, duplicate, refuse_masked
from gradstep.array.tree import flatten, is_array
from gradstep.errors import GradstepError, GradstepTypeError, GradstepValueError
from gradstep.loop.user import Objective, UserFunction, kind, raised
from gradstep.naming import unknown

NAMES = ("params", "value_and_grad", "batches", "evaluate", "rng", "bounds", "project")
WANTED = "a function f(params) -> (value, gradients), or an object or class with params and value_and_grad"


@dataclass(frozen=True)
class OwnProblem:
    """The content of a problem file.

    Attributes
    ----------
    name, path
        ``NAME`` and the file, resolved.
    params
        The initial parameters: a nest of arrays, copies of the user's own.
    value_and_grad
        ``value_and_grad(params)``, or ``value_and_grad(params, batch)`` where there are batches, gives the value as a
        float, and the gradients.
    batches
        Whatever the file has under this name, as it is; ``None`` where it has nothing.
    rng
        The random generator that the user's functions draw from, or a dict of several by name; ``None`` where the file
        has none. Its state is to be saved with a run.
    evaluate
        ``evaluate(params)`` gives a number, or a dict of names and numbers; ``None`` where the file has none.
    source_sha256
        Of the file's bytes.
    bounds, project
        As :class:`gradstep.Run` takes them; None where the file has none.
    misspelt
        Names that mean nothing here and are like one that does, each with that.
    unused
        Other names to which the file gives data that neither Gradstep nor the file itself reads: a setting that its
        author may believe to be heard.
    """

    name: str
    path: Path
    params: Any
    value_and_grad: Callable[..., tuple[float, Any]]
    batches: Any
    rng: Any
    evaluate: Callable[[Any], Any] | None
    source_sha256: str
    bounds: Any = None
    project: Callable[[Any], Any] | None = None
    misspelt: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()


class Opened(NamedTuple):
    """A file that was run: its path and bytes, and what it has under the name that was asked for."""

    path: Path
    name: str
    source: bytes
    module: ModuleType
    thing: Any


def opened(text: str, more: tuple[type, ...] = ()) -> Opened:
    """Run the file of ``FILE.py:NAME``, and return it with what it has under that name; errors as :func:`load`.

    Where no name is given the error names objects of the types ``more`` too.
    """
    path, name = split(text)
    source = read(path)
    module = run(path, source)
    return Opened(path, name, source, module, find(module, path, name, more))


def load(text: str, seed: int = 0) -> OwnProblem:
    """Run a problem file and return its problem ``NAME``.

    The folder of the file stays importable, at the head of ``sys.path``, as under ``python FILE.py``.

    Parameters
    ----------
    text
        ``FILE.py:NAME``. ``NAME`` is a function ``f(params) -> (value, gradients)``, whose initial parameters are
        ``f.params`` or else ``params`` of the file; or an object with ``params`` and ``value_and_grad``, and perhaps
        ``batches``, ``evaluate``, ``rng``, ``bounds`` and ``project``; or a class of such objects. ``params`` is an
        array, a nest of arrays, or a function that makes it.
    seed
        What a class and a function ``params`` are given if they take it.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        When there is no such file or name, or what it has is of the wrong kind.
    UserCodeError
        When the file, its class or its ``params`` raises something.
    """
    return problem_of(opened(text), seed)


def problem_of(found: Opened, seed: int = 0) -> OwnProblem:
    """Return the problem that a file has; parameters and errors as :func:`load`."""
    path, name, source, module, thing = found
    where = f"{path.name}:{name}"
    if isinstance(thing, type):
        thing = UserFunction(thing, where, path)(**_seed(thing, seed))
    own = get(thing, "value_and_grad", where, path)
    if not callable(thing if own is None else own):
        refuse(thing, own, where)
    function, called = (thing, name) if own is None else (own, f"{name}.value_and_grad")
    params = get(thing, "params", where, path)
    if params is None and own is None:
        params = getattr(module, "params", None)
    evaluate = get(thing, "evaluate", where, path)
    if evaluate is not None and not callable(evaluate):
        raise GradstepTypeError(f"{where}: evaluate must be a function of the parameters, not {kind(evaluate)}.")
    project = get(thing, "project", where, path)
    if project is not None and not callable(project):
        raise GradstepTypeError(f"{where}: project must be a function of the parameters, not {kind(project)}.")
    return OwnProblem(
        name,
        path,
        initial(params, where, path, seed, at_top=own is None),
        Objective(function, called, path),
        get(thing, "batches", where, path),
        generators(get(thing, "rng", where, path) or (getattr(module, "rng", None) if own is None else None), where),
        None if evaluate is None else UserFunction(evaluate, f"{name}.evaluate", path),
        hashlib.sha256(source).hexdigest(),
        get(thing, "bounds", where, path),
        None if project is None else UserFunction(project, f"{name}.project", path),
        (like := misspelt(thing)),
        unused(thing, source, [name for name, _ in like]),
    )


def misspelt(thing: Any) -> tuple[tuple[str, str], ...]:
    """Return an object's names that are like one of a problem which it does not have, each with that."""
    names = [name for name in dir(thing) if not name.startswith("_")]
    missing = [name for name in NAMES if name not in names]
    like = ((name, get_close_matches(name, missing, 1, 0.75)) for name in names if name not in NAMES)
    return tuple((name, found[0]) for name, found in like if found)


def unused(thing: Any, source: bytes, told: Sequence[str]) -> tuple[str, ...]:
    """Return an object's names, but those ``told`` of, to which the source assigns data and which it never reads."""
    assigned: set[str] = set()
    used = {*NAMES, "seed", *told}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name):
                (used if isinstance(node.ctx, ast.Load) else assigned).add(name)
            case ast.AugAssign(target=ast.Attribute(attr=name)):
                used.add(name)
            case ast.Name(id=name, ctx=ast.Load()) | ast.Constant(value=str(name)):  # also getattr(self, "name")
                used.add(name)
            case ast.ClassDef():
                assigned.update(name for line in node.body for name in _assigned(line))
            case _:
                pass
    names = (name for name in sorted(assigned - used) if not name.startswith("_"))
    return tuple(name for name in names if name in dir(thing) and _is_data(inspect.getattr_static(thing, name, None)))


def _is_data(x: Any) -> bool:
    return not callable(x) and not inspect.isdatadescriptor(x)


def _assigned(line: ast.stmt) -> Iterator[str]:
    if isinstance(line, ast.Assign | ast.AnnAssign):
        yield from (x.id for x in ast.walk(line) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store))


def generators(rng: Any, where: str) -> Any:
    """Return ``rng`` if it is a random generator of NumPy or a dict of them, None if it is something else.

    Raises
    ------
    GradstepTypeError
        For a generator of another kind, whose state is not saved.
    """
    named = rng.values() if isinstance(rng, dict) else [rng]
    for one in named:
        if isinstance(one, np.random.RandomState | np.random.BitGenerator | random.Random):
            raise GradstepTypeError(
                f"{where}: rng must be a numpy.random.Generator, or a dict of them, whose state is saved with a run, "
                f"not {type(one).__name__}; write numpy.random.default_rng(seed)."
            )
    return rng if named and all(isinstance(one, np.random.Generator) for one in named) else None


def split(text: str) -> tuple[Path, str]:
    r"""Split ``FILE.py:NAME``; the last colon divides them, for a path may have one too (``C:\x.py:f``).

    Raises
    ------
    GradstepValueError
        When there is no name, or no such Python file.
    """
    file, colon, name = text.rpartition(":")
    if not colon or "/" in name or "\\" in name or name.endswith(".py"):
        file, name = text, ""
    if not file:
        raise GradstepValueError(f"{text!r} names no file; write FILE.py:NAME.")
    path = Path(file).resolve()
    if path.is_dir():
        raise GradstepValueError(f"{file} is a folder; write FILE.py:NAME.")
    if not path.is_file():
        raise GradstepValueError(f"there is no file {file}; write FILE.py:NAME, with a path from {Path.cwd()}.")
    if path.suffix != ".py":
        raise GradstepValueError(f"{file} is no Python file; write FILE.py:NAME, where FILE.py ends in .py.")
    return path, name


def read(path: Path) -> bytes:
    """Return the file's bytes.

    Raises
    ------
    GradstepValueError
        When it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise GradstepValueError(f"cannot read {path}: {error.strerror or error}.") from error


class _Bytes(SourceFileLoader):
    """Loader of the bytes that were read, whatever the file holds by now; bytecode is neither read nor written."""

    def __init__(self, name: str, path: str, source: bytes) -> None:
        super().__init__(name, path)
        self.source = source

    def get_data(self, path: str) -> bytes:  # noqa: ARG002
        return self.source

    def path_stats(self, path: str) -> dict[str, Any]:
        raise OSError(path)


class WithinFileError(GradstepValueError):
    """An error of a file that begins, while it is run, what would run it again."""


_running: list[Path] = []


def run(path: Path, source: bytes) -> ModuleType:
    """Run the file as a module, under a name that no other module has.

    Raises
    ------
    GradstepValueError
        When it, or a file that it imports, is not Python.
    UserCodeError
        When it raises something.
    """
    module_name = f"_gradstep_problem_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_Bytes(module_name, str(path), source))
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - for a loader is given
    module = importlib.util.module_from_spec(spec)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    before = sys.modules.get(module_name)
    sys.modules[module_name] = module
    _running.append(path)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        if before is None:
            del sys.modules[module_name]
        else:
            sys.modules[module_name] = before
        if isinstance(error, SyntaxError):
            file = Path(error.filename).name if error.filename else path.name
            line = f", line {error.lineno}" if error.lineno else ""
            raise GradstepValueError(f"{file}{line}: {type(error).__name__}: {error.msg}.") from error
        if isinstance(error, Exception | SystemExit) and not isinstance(error, WithinFileError):
            raise raised(path.name, error, path) from error
        raise
    finally:
        _running.pop()
    return module


def refuse_within_a_file(what: str) -> None:
    """Refuse to begin ``what`` while a file of the user's is run: each of its processes would run the file again.

    Raises
    ------
    WithinFileError
        Naming the file.
    """
    if _running:
        raise WithinFileError(
            f'{_running[-1].name} begins {what} while it is run: put that under if __name__ == "__main__":.'
        )


def find(module: ModuleType, path: Path, name: str, more: tuple[type, ...] = ()) -> Any:
    """Return the module's attribute of that name.

    Raises
    ------
    GradstepValueError
        When it has nothing there; the error tells what else there is.
    """
    known = candidates(module)
    known += [key for key, x in vars(module).items() if isinstance(x, more) and key[0] != "_" and key not in known]
    if name and hasattr(module, name):
        return getattr(module, name)
    if known and name:
        raise unknown(f"{path.name} has no", name, known)
    if known:
        raise GradstepValueError(
            f"{path.name} needs a name after it: {' or '.join(f'{path.name}:{k}' for k in known)}."
        )
    missing = f"no {name!r}, and nothing else" if name else "nothing"
    raise GradstepValueError(f"{path.name} has {missing} that could be optimized; write {WANTED}.")


def candidates(module: ModuleType) -> list[str]:
    """Return the names in a module that could be problems."""
    return [name for name, thing in vars(module).items() if not name.startswith("_") and _may_be(thing, name, module)]


def _may_be(thing: Any, name: str, module: ModuleType) -> bool:
    if isinstance(thing, ModuleType) or is_array(thing):
        return False
    try:
        if callable(getattr(thing, "value_and_grad", None)):
            return True
        function = inspect.isroutine(thing) and thing.__module__ == module.__name__ and name != "params"
        return function and (hasattr(thing, "params") or hasattr(module, "params"))
    except Exception:  # noqa: BLE001, RUF100 - an object may raise anything when it is asked
        return False


def _seed(function: Any, seed: int) -> dict[str, int]:
    """Return the seed as a keyword argument for a function that takes it."""
    try:
        taken = inspect.signature(function).parameters.get("seed")
    except (TypeError, ValueError):
        return {}
    return {"seed": seed} if taken is not None and taken.kind is not taken.POSITIONAL_ONLY else {}


def get(thing: Any, name: str, where: str, path: Path) -> Any:
    """Return an attribute of a user's object, which may be a property that raises; None where there is none."""
    return UserFunction(getattr, f"{where}: {name}", path)(thing, name, None)


def refuse(thing: Any, own: Any, where: str) -> None:
    """Raise the error that says what is missing for a problem.

    Raises
    ------
    GradstepTypeError
        Always.
    """
    if own is not None:
        raise GradstepTypeError(f"{where}: value_and_grad must be a function of the parameters, not {kind(own)}.")
    if hasattr(thing, "params"):
        raise GradstepTypeError(f"{where} has params and no value_and_grad; give it value_and_grad(params).")
    raise GradstepTypeError(f"{where} is {kind(thing)}, and must be {WANTED}.")


def initial(params: Any, where: str, path: Path, seed: int, at_top: bool) -> Any:
    """Return a copy of the initial parameters; ``params`` may be a function that makes them.

    Raises
    ------
    GradstepTypeError
        For anything but arrays of floats.
    GradstepValueError
        When there are none.
    """
    if params is None:
        place_of = "as an attribute, or at the top of the file" if at_top else "as an attribute or method"
        raise GradstepValueError(f"{where} has no params; give the initial parameters, {place_of}.")
    if callable(params) and not is_array(params):
        params = UserFunction(params, f"{where}: params", path)(*_first(params, seed), **_seed(params, seed))
    try:
        nest, leaves = flatten(params)
        for leaf_name, x in zip(nest.names, leaves, strict=True):
            compute_dtype(x, leaf_name)
            refuse_masked(f"parameter {leaf_name!r}", x)
    except GradstepError as error:
        raise type(error)(f"{where}: {error}") from None
    if not leaves:
        raise GradstepValueError(f"{where}: params holds no array.")
    return nest.build([duplicate(x) for x in leaves])


def _first(function: Any, seed: int) -> tuple[int, ...]:
    """Return the seed as the only argument for a function that takes one under another name."""
    if _seed(function, seed):
        return ()
    try:
        inspect.signature(function).bind(seed)
    except (TypeError, ValueError):
        return ()
    return (seed,)
