"""Summary of a run that has ended or been interrupted."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.array.tree import flatten
from gradstep.errors import GradstepValueError
from gradstep.loop import Run
from gradstep.runs.folder import Folder, HistoryRow
from gradstep.text import duration, number

POINTS = 1000  # of a curve that is drawn: more would not be seen


@dataclass
class Curve:
    """Numbers by step, thinned out so that peaks and dips stay."""

    steps: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])

    def thinned(self) -> "Curve":
        """Return at most 2 * POINTS points: of each stretch of steps the least and the greatest."""
        n = len(self.steps)
        if n <= 2 * POINTS:
            return self
        out = Curve()
        for begin, end in pairwise(n * k // POINTS for k in range(POINTS + 1)):
            part = self.values[begin:end]
            low, high = (begin + part.index(f(part)) for f in (min, max))
            for k in sorted({low, high}):
                out.steps.append(self.steps[k])
                out.values.append(self.values[k])
        return out


@dataclass
class Summary:
    """The summary of a run.

    Attributes
    ----------
    reason, kind
        Why it ended: a sentence, and a word.
    first, last, best, best_t
        Values of the objective: at the beginning, at the end, the best and where; NaN where they are not known.
    clipped, blocked, skipped
        Shares: of steps that were clipped, of bounded elements that a bound held, of steps that did not happen.
    curves
        By column of the history, finite numbers alone.
    params_sha256
        Of all parameters, by name.
    """

    reason: str
    kind: str
    t: int
    evaluations: int
    seconds: float
    skipped_steps: int
    first: float
    last: float
    best: float
    best_t: int | None
    best_by: str
    metrics: dict[str, float]
    clipped: float
    blocked: float
    skipped: float
    curves: dict[str, Curve]
    params_sha256: str

    def as_json(self) -> dict[str, Any]:
        """Return everything but the curves; numbers that are not finite are None."""
        plain = {key: x for key, x in self.__dict__.items() if key != "curves"}
        return {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in plain.items()}


def summarize(run: Run, rows: Iterable[HistoryRow]) -> Summary:
    """The summary of a run and its history."""
    curves: dict[str, Curve] = {}
    steps = clipped = 0
    blocked = 0.0
    for row in rows:
        steps += 1
        clipped += bool(row.get("clipped"))
        blocked += row.get("blocked") or 0.0
        _add(curves, row)
    ended = run.reason
    here = run.evaluated
    values = curves["value"].values if "value" in curves else []
    return Summary(
        reason="It was broken off" if ended is None else ended.message,
        kind="broken off" if ended is None else ended.kind,
        t=run.t,
        evaluations=run.evaluations,
        seconds=run.seconds,
        skipped_steps=run.skipped,
        first=values[0] if values else math.nan if here is None else here.value,
        last=math.nan if here is None else here.value,
        best=run.best_value,
        best_t=run.best_t,
        best_by=run.best_by or "",
        metrics=dict(run.last_metrics),
        clipped=clipped / max(1, steps),
        blocked=blocked / max(1, steps),
        skipped=run.skipped / max(1, run.skipped + run.t),
        curves=curves,
        params_sha256=sha256(run.params),
    )


def recalled(folder: Folder) -> tuple[Summary, list[str]]:
    """The summary and the warnings of a run that has ended, from its folder.

    Raises
    ------
    GradstepValueError
        When it has not, or what it wrote is something else.
    """
    file = folder.result_file
    if not file.is_file():
        raise GradstepValueError(f"the run in {folder.shown} has not ended; {folder.resume} goes on with it.")
    curves: dict[str, Curve] = {}
    for row in folder.rows():
        _add(curves, row)
    try:
        told: Any = json.loads(file.read_text("utf-8"))
        warnings = told.pop("warnings")
        told |= {x.name: math.nan for x in fields(Summary) if x.type is float and told[x.name] is None}
        return Summary(**told, curves=curves), warnings
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GradstepValueError(f"{file} cannot be read ({error}); {folder.resume} writes it anew.") from error


def _add(curves: dict[str, Curve], row: HistoryRow) -> None:
    """Put the finite numbers of a row at the ends of their curves."""
    for key, x in row.items():
        if key not in _COUNTS and isinstance(x, int | float) and math.isfinite(x):
            curve = curves.setdefault(key, Curve())
            curve.steps.append(row["t"])
            curve.values.append(float(x))


def facts(s: Summary) -> dict[str, str]:
    """Return the summary in words, line by line: the same in the terminal and in the report."""
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
    """Return the reason for which a run ended, as a sentence."""
    return f"{s.reason.rstrip('.')}."


def sha256(params: Any) -> str:
    """One hash of all parameters: of their names, dtypes, shapes and bytes, sorted by name."""
    nest, leaves = flatten(params)
    arrays: Mapping[str, Any] = {name: to_numpy(x) for name, x in zip(nest.names, leaves, strict=True)}
    out = hashlib.sha256()
    for name in sorted(arrays):
        x = np.ascontiguousarray(arrays[name])
        out.update(f"{name} {x.dtype.str} {arrays[name].shape} ".encode())
        out.update(x.tobytes())
    return out.hexdigest()


_COUNTS = ("t", "seconds", "evaluations", "skipped", "clipped")
