"""Prints the oldest dependencies that pyproject.toml allows, as pip's constraints: ``numpy==2.0``, ..."""

import re
import tomllib
from pathlib import Path

EXTRAS = ("fast", "compare", "data", "low")


def oldest(pyproject: Path) -> dict[str, str]:
    """Return by name of a package its lower bound, of the package itself and the extras that the command line takes."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(x for extra in EXTRAS for x in project["optional-dependencies"][extra])]
    return dict(
        re.fullmatch(r"([\w-]+)>=([\d.]+)", text).groups() for text in wanted
    )  # all have one, and no other form


if __name__ == "__main__":
    for name, version in oldest(Path(__file__).resolve().parents[1] / "pyproject.toml").items():
        print(f"{name}=={version}")  # noqa: T201
