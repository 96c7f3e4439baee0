"""A curve as a row of bars."""

import math
from collections.abc import Sequence

from gradstep.runs.wording import is_wide

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 40


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """At most ``width`` bars from the least to the greatest of some values, by logarithms where a chart would."""
    shown = list(values)[:: -(-len(values) // width) or 1]
    if is_wide(shown):
        shown = [math.log(x) for x in shown]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return ""
    return "".join(BARS[min(len(BARS) - 1, int(len(BARS) * ((x - low) / span)))] for x in shown)
