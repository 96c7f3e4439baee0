"""Curves as a small SVG, without a plotting library: what the examples draw with."""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 62, 120, 34, 38
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a67c00", "#56b4e9")
STYLE = (
    "text{font:13px sans-serif;fill:#222}.back{fill:#fff}.axis{stroke:#888}.level{stroke:#bbb}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.back{fill:#0d1117}.level{stroke:#444}}"
)


def draw(
    curves: Mapping[str, Sequence], title: str, x: str = "step", y: str = "", log: bool = False, levels: Sequence = ()
) -> None:
    """Write curves to the file that the command names (``python examples/vqe.py vqe.svg``); without a name do nothing.

    ``curves`` has numbers by name, which stand over 0, 1, 2, ..., or pairs (x, y); ``levels`` are pairs, drawn in grey.
    """
    if len(sys.argv) < 2:
        return
    pairs = {name: [p if hasattr(p, "__len__") else (k, p) for k, p in enumerate(own)] for name, own in curves.items()}
    points = [(a, math.log10(max(b, 1e-300)) if log else b) for own in pairs.values() for a, b in own]
    (left, right), (low, high) = ((min(side), max(side)) for side in zip(*points, strict=True))

    def place(point: Sequence[float]) -> str:
        a, b = point[0], math.log10(max(point[1], 1e-300)) if log else point[1]
        across = LEFT + (WIDTH - LEFT - RIGHT) * (a - left) / (right - left or 1)
        return f"{across:.1f},{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (b - low) / (high - low or 1):.1f}"

    def line(own: Sequence, more: str) -> str:
        thin = own[:: len(own) // 400 + 1]
        return f'<polyline fill="none" {more} points="{" ".join(map(place, [*thin, own[-1]]))}"/>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><title>{title}</title>']
    out += [f'<style>{STYLE}</style><rect class="back" width="{WIDTH}" height="{HEIGHT}"/>']
    inside = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'
    out.append(f'<clipPath id="inside"><rect {inside}/></clipPath>')
    out += [line(own, 'class="level" clip-path="url(#inside)"') for own in levels]
    at = 0.0
    for k, (name, own) in sorted(enumerate(pairs.items()), key=lambda entry: -entry[1][1][-1][1]):
        colour = COLOURS[k % len(COLOURS)]
        out.append(line(own, f'stroke="{colour}" stroke-width="2"'))
        at = max(at + 15, float(place(own[-1]).split(",")[1]))  # names do not lie on one another
        where = f'x="{WIDTH - RIGHT + 8}" y="{at + 4:.1f}"'
        out.append(f'<text {where} style="fill:{colour}">{name}</text>')
    out.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    ends = [f"{10**b:.3g}" if log else f"{b:.4g}" for b in (high, low)]
    words = [
        (LEFT - 6, TOP + 10, "end", ends[0]),
        (LEFT - 6, HEIGHT - BOTTOM, "end", ends[1]),
        (LEFT, 20, "start", title),
    ]
    words += [(LEFT, HEIGHT - 20, "start", f"{left:.4g}"), (WIDTH - RIGHT, HEIGHT - 20, "end", f"{right:.4g}")]
    words += [((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "middle", x), (LEFT - 6, HEIGHT / 2, "end", y)]
    out += [f'<text x="{a}" y="{b}" text-anchor="{anchor}">{text}</text>' for a, b, anchor, text in words]
    Path(sys.argv[1]).write_text("\n".join([*out, "</svg>\n"]), "utf-8")
