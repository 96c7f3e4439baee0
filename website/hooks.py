"""What MkDocs calls: pages that are made from the registry, files from elsewhere in the repository, and the navigation.

Nothing that is generated is written into the repository.
"""

import logging
import posixpath
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from website import live, pages, wasm  # noqa: E402 - the folder is nowhere installed

_LOG = logging.getLogger("mkdocs.hooks.website")
# Files outside of docs/ that are pages, by their address in the site.
MOVED = {
    "reliability.md": "RELIABILITY.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "contributing.md": "CONTRIBUTING.md",
    "architecture.md": "ARCHITECTURE.md",
}
_LINK = re.compile(r"(\]\()([^)#:\s]+)((?:#[^)\s]*)?\))")


@cache
def generated() -> dict[str, str]:
    """Return the text of all generated pages by address."""
    return pages.every(runs=wasm.can_link())


def on_config(config: Any) -> Any:
    """Put generated pages and folders of ``docs`` where the navigation names them, and all other pages at ``*``."""
    named = set(re.findall(r"[\w/.-]+\.md", str(config.nav)))
    rest = sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in named)
    config.nav = _expanded(config.nav, rest)
    return config


def _expanded(items: list[Any], rest: list[str]) -> list[Any]:
    """Return entries of the navigation; where the value of one is a folder it has all pages of that."""
    out: list[Any] = []
    for item in items:
        ((title, value),) = item.items()
        if isinstance(value, list):
            out.append({title: _expanded(value, rest)})
        elif value.endswith(".md"):
            out.append(item)
        else:
            own = rest if value == "*" else _pages_of(value)
            out += [{title: own}] if own else []
    return out


def _pages_of(folder: str) -> list[str]:
    """Return the pages of a folder, the first one that stands for it."""
    found = [name for name in generated() if posixpath.dirname(name) == folder]
    found += [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs" / folder).glob("*.md")]
    return sorted(found, key=lambda name: (not name.endswith(("/index.md", "/README.md")), name))


def on_files(files: Files, config: Any) -> Files:
    """Add what is generated, and what lies elsewhere in the repository."""
    for name, text in generated().items():
        files.append(File.generated(config, name, content=text))
    for name, path in MOVED.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text("utf-8")))
    for path in sorted((ROOT / "examples").rglob("*.py")):  # pages lead to them
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for asset in sorted((ROOT / "website/assets").iterdir()):
        files.append(File.generated(config, f"assets/{asset.name}", abs_src_path=str(asset)))
    if wasm.can_link():
        files.append(File.generated(config, "assets/rules.js", content=live.script()))
    else:
        _LOG.info("No %s in PATH (Debian has it as lld): rules are drawn and don't run in the browser.", wasm.LINKER)
        files.append(File.generated(config, "assets/rules.js", content="// Built without a linker for WebAssembly.\n"))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Lead links as they are on GitHub to where the site has the file; code that it has not is named without a link."""
    here = page.file.src_uri
    source = MOVED.get(here, f"docs/{here}")
    known = {path: name for name, path in MOVED.items()}

    def led(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        if path in known:
            target = known[path]
        elif path.startswith(("docs/", "examples/")):
            target = path.removeprefix("docs/")
        else:
            return f"](#{_OUTSIDE}"
        return found[1] + posixpath.relpath(target, posixpath.dirname(here) or ".") + found[3]

    text = _LINK.sub(led, markdown)
    return re.sub(rf"\[([^\]]*)\]\(#{_OUTSIDE}", r"\1", text)


def on_post_page(output: str, page: Any, config: Any) -> str:  # noqa: ARG001 - as MkDocs calls it
    """Give the theme's dialog of the search a name, for readers who don't see it."""
    return output.replace('role="dialog"', 'role="dialog" aria-label="Search"')


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for the page of addresses that there are not."""
    return on_post_page(output_content, template_name, config)


_OUTSIDE = "outside-of-the-site"
