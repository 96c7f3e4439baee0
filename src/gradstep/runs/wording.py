"""The words of a run's summary: the same in the terminal and in the report."""

import math
from collections.abc import Sequence

from gradstep.runs.summary import Summary


def facts(s: Summary) -> dict[str, str]:
    """What is said, line by line."""
    out = {
        "why it ended": ended(s),
        "steps": f"{s.t}",
        "evaluations": f"{s.evaluations}",
        "time": duration(s.seconds),
        "first value": number(s.first),
        "last value": number(s.last),
    }
    if s.best_t is not None:
        out[f"best {s.best_by}"] = f"{number(s.best)} at step {s.best_t}"
    out |= {key: number(x) for key, x in s.metrics.items()}
    for key, title in (("grad_norm", "last gradient norm"), ("update_ratio", "last update ratio"), ("lr", "last lr")):
        if key in s.curves:
            out[title] = number(s.curves[key].values[-1])
    shares = {"clipped": s.clipped, "skipped": s.skipped, "held by bounds": s.blocked}
    out |= {f"{key}": f"{x:.1%}" for key, x in shares.items() if x}
    return {**out, "parameters' SHA-256": s.params_sha256}


def ended(s: Summary) -> str:
    """Why a run ended, as a sentence."""
    return f"{s.reason.rstrip('.')}."


def number(x: float) -> str:
    """Six digits; a dash for what is not known."""
    return f"{x:.6g}" if math.isfinite(x) else "-" if math.isnan(x) else str(x)


def duration(seconds: float) -> str:
    """``12.3 s``, ``4 min 5 s``, ``2 h 3 min``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def is_wide(values: Sequence[float]) -> bool:
    """Whether numbers are to be shown on a logarithmic axis: all are positive, and they differ much."""
    return len(values) > 0 and min(values) > 0 and max(values) > 20 * min(values)
