"""The graph of imports: files, rooms, floors and circles.

``python tests/rooms.py [SOURCE]`` prints them as Markdown; with ``--draw`` it draws the floors into docs/floors.svg.

A room is a top-level module or package of ``gradstep``. An arrow is an import, also one inside a function. A floor is
the length of the longest way down; a circle is a set of files, or rooms, each of which reaches all others.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

Graph = Mapping[str, AbstractSet[str]]


def module_of(path: Path, source: Path) -> str:
    """Return the dotted name of a file beneath ``source``."""
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, modules: AbstractSet[str]) -> Iterator[tuple[str, bool]]:
    """Yield each imported module, and True where that happens on import of the file, False inside a function."""
    inner = {x for f in ast.walk(tree) if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for x in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node not in inner) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = f"{node.module}."
            for name in node.names:
                deeper = whole + name.name
                yield (deeper if deeper in modules else node.module), node not in inner


class Source:
    """The files of a source tree, parsed.

    Attributes
    ----------
    trees
        Syntax trees by dotted name.
    imports
        By dotted name, pairs of :func:`imports`, of other packages too.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted((folder / "gradstep").rglob("*.py"))
        self.trees = {module_of(path, folder): ast.parse(path.read_text("utf-8")) for path in paths}
        self.imports = {name: list(imports(tree, self.trees.keys())) for name, tree in self.trees.items()}

    @property
    def files(self) -> Graph:
        """Arrows between our own files, those inside functions among them."""
        return {
            name: {x for x, _ in found if x in self.trees and x != name} for name, found in sorted(self.imports.items())
        }

    @property
    def rooms(self) -> Graph:
        """Arrows between rooms."""
        out: dict[str, set[str]] = {}
        for name, others in self.files.items():
            out.setdefault(room(name), set()).update(room(x) for x in others if room(x) != room(name))
        return out


def room(module: str) -> str:
    """Return the room of a file: ``gradstep.rules`` for ``gradstep.rules.adam``."""
    return ".".join(module.split(".")[:2])


def circles(graph: Graph) -> list[list[str]]:
    """Return the strongly connected sets of more than one node, sorted (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    out: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            found = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(found) > 1:
                out.append(sorted(found))

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return sorted(out)


def floors(graph: Graph) -> list[list[str]]:
    """Return the nodes by floor, the lowest first; those of a circle stand on one floor."""
    home = {node: node for node in graph}
    for circle in circles(graph):
        home |= dict.fromkeys(circle, circle[0])
    below: dict[str, set[str]] = {node: set() for node in home.values()}
    for node, others in graph.items():
        below[home[node]] |= {home[x] for x in others} - {home[node]}
    height: dict[str, int] = {}

    def up(node: str) -> int:
        if node not in height:
            height[node] = 1 + max(map(up, sorted(below[node])), default=-1)
        return height[node]

    out: list[list[str]] = [[] for _ in range(1 + max(map(up, sorted(below)), default=-1))]
    for node in sorted(graph):
        out[height[home[node]]].append(node)
    return out


def report(source: Source) -> str:
    """Return the counts, the floors from the top with the arrows of each room, and the circles, as Markdown."""
    files, rooms = source.files, source.rooms
    stories = floors(rooms)
    of_files, of_rooms = circles(files), circles(rooms)
    out = ["| files | rooms | arrows between rooms | floors | circles of files | circles of rooms |", "|" + "---|" * 6]
    counts = len(files), len(rooms), sum(map(len, rooms.values())), len(stories), len(of_files), len(of_rooms)
    out += ["| " + " | ".join(map(str, counts)) + " |", "", "| floor | room | uses |", "|---|---|---|"]
    for k, names in reversed(list(enumerate(stories))):
        out += [f"| {k} | {_short(name)} | {' '.join(map(_short, sorted(rooms[name]))) or '-'} |" for name in names]
    told = [f"Circle of {len(x)} files: {' '.join(x)}" for x in of_files]
    told += [f"Circle of {len(x)} rooms: {' '.join(x)}" for x in of_rooms]
    return "\n".join([*out, "", *(told or ["No circle."])])


def picture(source: Source) -> str:
    """Return the floors as an SVG, the highest at the top: each room a box, whose title says what it uses."""
    rooms = source.rooms
    stories = list(reversed(floors(rooms)))
    wide, high, gap = 130, 34, 8
    width = 60 + max(len(names) for names in stories) * (wide + gap)
    height = len(stories) * (high + gap) + gap
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        ' font-family="sans-serif" font-size="13">',
        "<title>Rooms of the source by floor: each uses only what lies below it</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for k, names in enumerate(stories):
        y = gap + k * (high + gap)
        out.append(f'<text x="14" y="{y + 22}" fill="#666666">{len(stories) - 1 - k}</text>')
        for j, name in enumerate(names):
            x = 46 + j * (wide + gap)
            uses = " ".join(map(_short, sorted(rooms[name]))) or "nothing"
            out.append(f"<g><title>{_short(name)} uses {uses}</title>")
            out.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="5" fill="#e8eef7" stroke="#8aa4c8"/>')
            out.append(
                f'<text x="{x + wide / 2:g}" y="{y + 22}" text-anchor="middle" fill="#1c2b41">{_short(name)}</text></g>'
            )
    return "\n".join([*out, "</svg>", ""])


def _short(name: str) -> str:
    return name.removeprefix("gradstep.")


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    arguments = [x for x in sys.argv[1:] if x != "--draw"]
    source = Source(Path(arguments[0]) if arguments else root / "src")
    if "--draw" in sys.argv:
        (root / "docs" / "floors.svg").write_text(picture(source), "utf-8")
    else:
        sys.stdout.write(report(source) + "\n")
