"""Tables of which nothing is cut: columns that do not fit go on beneath the others, after the first column again."""

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradstep.cli.spelling import fits, spelt

_GAP, _EDGES = 2, 2  # characters from one column to the next, and at both ends together
_NARROW = 16  # characters to which a column of text may be narrowed, if its words allow it

Rows = Sequence[Sequence[str]]


def print_table(
    screen: Console,
    headings: Sequence[str],
    rows: Rows,
    *,
    texts: Sequence[str] = (),
    left: Sequence[str] = (),
    styles: Sequence[str | None] | None = None,
    name_style: str | None = None,
) -> None:
    """Print a table, in as many blocks as the screen's width asks for.

    Parameters
    ----------
    screen, headings, rows
        Where to, and what.
    texts
        Headings of columns whose words may go on in the next line; no other cell is broken.
    left
        Headings of columns that begin at the left, beside the first and ``texts``.
    styles
        Of each row. ``name_style`` is that of the first column.
    """
    if not fits(screen.encoding):  # before it is measured: a letter may be several
        headings, rows = [spelt(x) for x in headings], [[spelt(x) for x in row] for row in rows]
        texts, left = [spelt(x) for x in texts], [spelt(x) for x in left]
    for columns in blocks(headings, rows, texts, screen.width):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for k, wide in zip(columns, widths(headings, rows, texts, columns, screen.width), strict=True):
            is_left = k == 0 or headings[k] in texts or headings[k] in left
            table.add_column(
                Text(headings[k]),
                justify="left" if is_left else "right",
                style=name_style if k == 0 else None,
                overflow="fold",  # of one cell that is wider than the screen
                width=wide,
            )
        for row, style in zip(rows, styles or [None] * len(rows), strict=True):
            table.add_row(*(Text(row[k]) for k in columns), style=style)
        screen.print(table)


def blocks(headings: Sequence[str], rows: Rows, texts: Sequence[str], width: int) -> list[list[int]]:
    """Return the columns of each block, by number; each begins with the first, so that a row keeps its name."""
    wide = [_width(headings, rows, k, heading in texts) for k, heading in enumerate(headings)]
    out, used = [[0]], wide[0] + _EDGES
    for k in range(1, len(wide)):
        if used + _GAP + wide[k] > width and len(out[-1]) > 1:
            out.append([0])
            used = wide[0] + _EDGES
        out[-1].append(k)
        used += _GAP + wide[k]
    return out


def widths(headings: Sequence[str], rows: Rows, texts: Sequence[str], columns: Sequence[int], width: int) -> list[int]:
    """Return the width of each column of a block: what is left goes to texts, and what is too much comes off a name."""
    wide = [_width(headings, rows, k, headings[k] in texts) for k in columns]
    left = width - _EDGES - _GAP * (len(wide) - 1) - sum(wide)
    if left < 0:
        wide[0] = max(1, wide[0] + left)
    for place, k in enumerate(columns):
        more = max(0, min(left, _width(headings, rows, k, False) - wide[place]))
        wide[place] += more
        left -= more
    return wide


def _width(headings: Sequence[str], rows: Rows, k: int, is_text: bool) -> int:
    """The width that a column needs: that of its widest cell, or of a text's longest word."""
    cells = [headings[k], *(row[k] for row in rows)]
    natural = max(1, *map(cell_len, cells))
    if not is_text:
        return natural
    return min(natural, max([_NARROW, *(cell_len(word) for cell in cells for word in cell.split())]))
