"""The files that runs need, carried to a worker on whose host they do not lie."""

import ast
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from gradstep.compare.problems.own import unchanged
from gradstep.compare.record import PlannedRun, Source
from gradstep.errors import GradstepValueError
from gradstep.files import write_all, write_whole
from gradstep.loop.problem_file import read

MOST_BYTES = 200 * 2**20
UNCARRIED = {"__pycache__", ".git"}


@dataclass(frozen=True)
class Parcel:
    """Files as they lie here, by their place below one folder, so that all of them find one another elsewhere.

    Attributes
    ----------
    root
        The folder that has them all, and the current folder.
    here
        The current folder, from there.
    files
        Each one's place from there, with ``/`` between names, and its bytes; in the order of the places.
    """

    root: str
    here: str
    files: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, sources: Iterable[Source], more: Sequence[Path] = (), here: Path | None = None) -> "Parcel":
        """Return the files of a study's own problems and rules, the modules beside them that these import, and more.

        Parameters
        ----------
        sources
            The study's own files.
        more
            Files, and folders with all that is in them, which no import tells of: data.
        here
            The current folder; None: that of this process.

        Raises
        ------
        ChangedError
            When one of the sources is not what it was.
        GradstepValueError
            For files that are not there, and for more than 200 MiB.
        """
        here = (here or Path.cwd()).resolve()
        found: dict[Path, bytes] = {}
        for source in sources:
            path = Path(source.path)
            content = found[path] = read(path)
            unchanged(path, content, source.sha256)
            found |= {module: read(module) for module in imported(path, content)}
        for path in more:
            found |= {one: read(one) for one in _walked(path)}
        if (size := sum(map(len, found.values()))) > MOST_BYTES:
            raise GradstepValueError(
                f"the files for the workers have {size / 2**20:.0f} MiB, and at most {MOST_BYTES / 2**20:.0f} are "
                f"carried; put them where all workers see them, and name them by that path."
            )
        try:
            root = Path(os.path.commonpath([here, *(path.parent for path in found)]))
        except ValueError as error:
            raise GradstepValueError(f"the files for the workers have no folder in common: {error}.") from None
        files = sorted((path.relative_to(root).as_posix(), content) for path, content in found.items())
        return cls(str(root), here.relative_to(root).as_posix(), tuple(files))

    @cached_property
    def sha256(self) -> str:
        """The hash of all of it: equal for equal files in equal places."""
        found = hashlib.sha256(f"{self.root}\0{self.here}\0".encode())
        for name, content in self.files:
            found.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode())
        return found.hexdigest()

    def is_at_home(self) -> bool:
        """Return True where each file lies at its own path, to the byte: this host, or one that shares its files."""
        root = Path(self.root)
        return (root / self.here).is_dir() and all(_is(root / name, content) for name, content in self.files)

    def unpack(self, folder: Path) -> None:
        """Write the files below an empty folder."""
        (folder / self.here).mkdir(parents=True, exist_ok=True)
        for name, content in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, partial(write_all, data=content), lasting=False)

    def moved(self, todo: PlannedRun, folder: Path) -> PlannedRun:
        """Return a run with its files below a folder into which the parcel was unpacked."""

        def there(source: Source | None) -> Source | None:
            return source and replace(source, path=str(folder / Path(source.path).relative_to(self.root)))

        return replace(todo, source=there(todo.source), stage=there(todo.stage))


def unpacked(parcel: Parcel) -> Path:
    """Return the folder below which a parcel's files lie on this host; unpacked at most once in a process."""
    if parcel.sha256 not in _folders:
        if parcel.is_at_home():
            return Path(parcel.root)
        made = tempfile.TemporaryDirectory(prefix="gradstep-")  # goes with this process
        parcel.unpack(Path(made.name))
        _folders[parcel.sha256] = made
    return Path(_folders[parcel.sha256].name).resolve()


_folders: dict[str, tempfile.TemporaryDirectory[str]] = {}


def imported(path: Path, content: bytes, seen: frozenset[Path] = frozenset()) -> set[Path]:
    """Return the modules in a file's folder that it imports, those that they import, and packages with all in them."""
    found: set[Path] = set()
    for name in _names(content):
        module, package = path.parent / f"{name}.py", path.parent / name
        if module.is_file():
            found.add(module)
        elif package.is_dir() and any(package.rglob("*.py")):
            found |= set(_walked(package))
    for module in found - seen - {path}:
        if module.parent == path.parent:
            found |= imported(module, read(module), seen | found | {path})
    return found


def _names(content: bytes) -> set[str]:
    """The first parts of the names of all modules that some code imports, wherever it does."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return set()  # whoever imports it is told
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _walked(path: Path) -> Iterator[Path]:
    """Yield a file, or all files in a folder, by paths whose folders are resolved, as those of problem files are."""
    path = path.parent.resolve() / path.name
    if path.is_dir():
        for one in sorted(path.iterdir()):
            if one.name not in UNCARRIED:
                yield from _walked(one)
    elif path.is_file():
        yield path
    else:
        raise GradstepValueError(f"there is no file {path}, which the workers are to get.")


def _is(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False
