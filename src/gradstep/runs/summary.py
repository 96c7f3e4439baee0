"""Summary of a run that has ended or been interrupted."""

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.array.tree import flatten
from gradstep.checkpoint import Checkpoint, load
from gradstep.errors import CheckpointError, GradstepValueError
from gradstep.files import earlier
from gradstep.loop import Run
from gradstep.runs.folder import Folder, HistoryRow
from gradstep.text import duration, number

MOST = sys.float_info.max
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


class _History:
    """All of a history that a summary has, taken in one pass over its rows.

    Attributes
    ----------
    rows, last
        The number of rows, and the last one.
    t
        Updates made at the last row that says it; None where none does.
    curves
        By column, finite numbers alone.
    """

    def __init__(self, rows: Iterable[HistoryRow]) -> None:
        self.rows, self.last = 0, HistoryRow()
        self.t: int | None = None
        self.curves: dict[str, Curve] = {}
        self._clipped = 0
        for row in rows:
            self._add(row)

    def _add(self, row: HistoryRow) -> None:
        self.rows, self.last = self.rows + 1, row
        self._clipped += bool(row.get("clipped"))
        if type(row.get("t")) is not int:
            return
        self.t = row["t"]
        for key, x in row.items():
            if key not in _COUNTS and isinstance(x, int | float) and abs(x) <= MOST:
                curve = self.curves.setdefault(key, Curve())
                curve.steps.append(row["t"])
                curve.values.append(float(x))

    def column(self, key: str) -> list[float]:
        """Return the finite numbers of a column."""
        return self.curves[key].values if key in self.curves else []

    @property
    def clipped(self) -> float:
        """The share of steps that were clipped."""
        return self._clipped / max(1, self.rows)

    @property
    def blocked(self) -> float:
        """The share of bounded elements that a bound held."""
        return sum(self.column("blocked")) / max(1, self.rows)


def summarize(run: Run, rows: Iterable[HistoryRow]) -> Summary:
    """The summary of a run and its history."""
    history = _History(rows)
    ended = run.reason
    here = run.evaluated
    values = history.column("value")
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
        clipped=history.clipped,
        blocked=history.blocked,
        skipped=run.skipped / max(1, run.skipped + run.t),
        curves=history.curves,
        params_sha256=sha256(run.params),
    )


def recalled(folder: Folder) -> tuple[Summary, list[str]]:
    """The summary and the warnings of a run from its folder: one that was broken off has what is there.

    Raises
    ------
    GradstepValueError
        When there is nothing yet, or what it wrote is something else.
    """
    file, history = folder.result_file, _History(folder.rows())
    if not file.is_file():
        return _broken_off(folder, history), []
    try:
        told: Any = json.loads(file.read_bytes())
        if told["t"] < (history.t or 0):
            return _broken_off(folder, history), []  # it has been resumed since
        warnings = told.pop("warnings")
        told |= {x.name: math.nan for x in fields(Summary) if x.type is float and told[x.name] is None}
        return Summary(**told, curves=history.curves), warnings
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GradstepValueError(f"{file} cannot be read ({error}); {folder.resume} writes it anew.") from error


def _broken_off(folder: Folder, history: _History) -> Summary:
    """The summary of a run that was killed, crashed, or still runs: from its history, and its newest checkpoint.

    Raises
    ------
    GradstepValueError
        When it has made no step yet.
    """
    found = _newest(folder)
    if not history.rows and found is None:
        raise GradstepValueError(f"the run in {folder.shown} has made no step yet; {folder.resume} goes on with it.")
    end, values = history.last, history.column("value")
    best, best_t, best_by = _best(found, history.curves)
    t = next(x for x in (history.t, None if found is None else found.t, 0) if x is not None)
    saved = "no checkpoint" if found is None else f"its checkpoint is that of step {found.t}"
    return Summary(
        reason=f"It was broken off after step {t}, or still runs; {saved}",
        kind="broken off",
        t=t,
        evaluations=int(end.get("evaluations", 0)),
        seconds=float(end.get("seconds", 0.0)),
        skipped_steps=int(end.get("skipped", 0)),
        first=values[0] if values else math.nan,
        last=values[-1] if values else math.nan,
        best=best,
        best_t=best_t,
        best_by=best_by,
        metrics={},
        clipped=history.clipped,
        blocked=history.blocked,
        skipped=int(end.get("skipped", 0)) / max(1, history.rows),
        curves=history.curves,
        params_sha256="" if found is None else sha256(dict(found.params)),
    )


def _best(found: Checkpoint | None, curves: Mapping[str, Curve]) -> tuple[float, int | None, str]:
    """The best number of a checkpoint, or of the history where that has met a better one since; where, and its name."""
    best = found.metadata.get("best") if found is not None else None
    if not isinstance(best, dict):
        return math.nan, None, "value"
    kept: dict[str, Any] = best
    by = str(kept.get("by") or "value")
    known = [(float(kept.get("value", math.nan)), kept.get("t"))]
    if by in curves:
        known += [(x, t - 1) for t, x in zip(curves[by].steps, curves[by].values, strict=True)]  # before the step
    return *min(known, key=lambda one: one[0]), by


def _newest(folder: Folder) -> Checkpoint | None:
    """Load the newest checkpoint that can be read."""
    for path in (earlier(folder.checkpoint, k) for k in range(folder.spec().keep)):
        try:
            return load(path)
        except (OSError, CheckpointError):
            continue
    return None


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
