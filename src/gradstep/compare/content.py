"""The content of a study's database, and what of two studies can be one."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gradstep.compare.halving import cut, longer
from gradstep.compare.protocol import MOST_SEARCHES, judging_seeds, tuning_seeds
from gradstep.compare.record import COUNTS, FORMAT, NAMES, ProblemInfo, RunKey, RunRecord, Spec, Timing
from gradstep.errors import GradstepValueError
from gradstep.text import counted

MOST = 10**6  # seeds, trials or tuning seeds of any study
Key = tuple[str, str, str, int, int]


@dataclass
class Content:
    """The content of a study so far.

    Attributes
    ----------
    spec
        The newest that was asked for.
    problem_info
        Each problem that was ever asked for, by label.
    environment
        Versions and machine of those who asked last.
    notes
        Sentences on what was found wrong before the first run.
    runs, timings
        All that were made, asked for by the newest spec or by an earlier one.
    format
        That of the file it is from.
    whole
        What all specs asked for together. None, when it is made: the one spec.
    environments
        Of all runs, by a name for each (:func:`name_of`).
    made_with
        By the key of each run the name of its environment.
    """

    spec: Spec
    problem_info: dict[str, ProblemInfo]
    environment: dict[str, str]
    notes: list[str]
    runs: list[RunRecord] = field(default_factory=list[RunRecord])
    timings: list[Timing] = field(default_factory=list[Timing])
    format: int = FORMAT
    whole: Spec = None  # type: ignore[assignment]
    environments: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    made_with: dict[Key, str] = field(default_factory=dict[Key, str])

    def __post_init__(self) -> None:
        self.whole = self.whole or self.spec.joined(self.spec)
        self.environments = self.environments or {name_of(self.environment): self.environment}
        self._places = {run.key: place for place, run in enumerate(self.runs)}

    def add(self, made: RunRecord | Timing, name: str) -> None:
        """Take a run or a timing in that was made with the environment of that name."""
        if isinstance(made, RunRecord):
            place = self._places.setdefault(made.key, len(self.runs))
            self.runs[place : place + 1] = [made]  # in the place of one that was stopped earlier
            self.made_with[made.key] = name
        else:
            self.timings.append(made)

    def differences(self, asked: "Content") -> list[str]:
        """Return all by which runs of two studies cannot be compared, in a few words each; none where both can be one.

        That is what their specs, problems and equal runs have, but not the seconds of these.
        """
        out = self.whole.differences(asked.whole)
        for label, card in asked.problem_info.items():
            mine = self.problem_info.get(label, card)
            if replace(mine, family=card.family) != card and not out:
                out.append(f"{label} ({mine.source}, {mine.size}; not {card.source}, {card.size})")
        there = {run.key: run for run in self.runs} if asked.runs else {}
        unequal = [run for run in asked.runs if run.key in there and not _agree(run, there[run.key])]
        if unequal:
            more = f", and {counted(len(unequal) - 1, 'run')} more" if len(unequal) > 1 else ""
            out.append(f"the numbers of {in_words(unequal[0])}{more}")
        return out

    def can_go_on_as(self, spec: Spec) -> bool:
        """Return True if the study can go on with what another spec asks for."""
        return self.format == FORMAT and not self.whole.differences(spec.begun_as(self.whole))

    def begun_as(self, whole: Spec) -> "Content":
        """Return what is asked for with the scales that were measured when the study of ``whole`` began."""
        return replace(self, spec=self.spec.begun_as(whole), whole=self.whole.begun_as(whole))

    def joined(self, asked: "Content") -> "Content":
        """Return one study of two without :meth:`differences`; what is asked for last is what ``asked`` asks for."""
        mine, theirs = ({run.key: run for run in content.runs} for content in (self, asked))
        new = {key for key, run in theirs.items() if key not in mine or longer(mine[key], run) is run}
        timed = {(timing.problem, timing.optimizer) for timing in self.timings}
        return Content(
            asked.spec,
            asked.problem_info | self.problem_info,
            asked.environment,
            asked.notes,
            [run for key, run in mine.items() if key not in new] + [theirs[key] for key in theirs if key in new],
            self.timings + [x for x in asked.timings if (x.problem, x.optimizer) not in timed],
            self.format,
            self.whole.joined(asked.whole),
            self.environments | asked.environments,
            asked.made_with | {key: name for key, name in self.made_with.items() if key not in new},
        )


def name_of(environment: Mapping[str, str]) -> str:
    """Return a name for versions and machine, by what they are."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]


def same(a: RunRecord, b: RunRecord) -> bool:
    """Return True for runs that are equal in all but their seconds; a NaN equals another here."""
    a, b = replace(a, seconds=0.0), replace(b, seconds=0.0)
    return a == b or json.dumps(a.as_json(), sort_keys=True) == json.dumps(b.as_json(), sort_keys=True)


def _agree(a: RunRecord, b: RunRecord) -> bool:
    """Return True for runs that are the same as far as both go."""
    return same(cut(a, b.stopped), cut(b, a.stopped))


def in_words(run: RunKey) -> str:
    """Return the place of a run in words: ``adam on quadratic (eval, trial 3, seed 0)``."""
    return f"{run.optimizer} on {run.problem} ({run.phase}, trial {run.trial}, seed {run.seed})"


def misfit(content: Content) -> str | None:
    """Return what in a study does not belong together, None where all does: rows are found by the names of specs."""
    for spec in (content.spec, content.whole):
        if (problem := _impossible(spec)) is not None:
            return problem
    whole = content.whole
    for key in NAMES:
        if missing := set(getattr(content.spec, key)) - set(getattr(whole, key)):
            return f"its spec names {_listed(missing)}, and all that was asked for has {_listed(getattr(whole, key))}"
    if whole.differences(content.spec) or any(getattr(content.spec, key) > getattr(whole, key) for key in COUNTS):
        return "its spec is no part of all that was asked for"
    if set(content.problem_info) != set(whole.problems):
        return f"it describes {_listed(content.problem_info)}, and its spec names {_listed(whole.problems)}"
    for row in (*content.runs, *content.timings):
        if row.problem not in whole.problems or row.optimizer not in whole.optimizers:
            what = "run" if isinstance(row, RunRecord) else "timing"
            return f"it has a {what} of {row.optimizer!r} on {row.problem!r}, which its spec does not name"
    for run in content.runs:
        seeds = (tuning_seeds if run.phase == "tune" else judging_seeds)(whole, run.search)
        if not 0 <= run.search < whole.searches or run.seed not in seeds or not 0 <= run.trial < whole.trials:
            return f"it has a run of seed {run.seed} and trial {run.trial}, which its spec does not ask for"
        if run.stopped is not None and (run.phase != "tune" or run.lost or run.steps[-1:] != [run.stopped]):
            return f"it has a run of {run.optimizer!r} on {run.problem!r} that was stopped where none is"
        n = len(run.steps)
        looks = [len(x) for x in run.health.values()]
        if {len(run.batch_loss), len(run.loss)} != {n} or len(run.accuracy) not in (0, n) or max(looks, default=0) > n:
            return f"a run of {run.optimizer!r} on {run.problem!r} has other counts of steps than of values"
        if content.made_with.get(run.key) not in content.environments:
            return f"it does not say what made a run of {run.optimizer!r} on {run.problem!r}"
    for t in content.timings:  # one that could not be made is NaN, in each of its numbers
        if len({math.isnan(x) for x in t.numbers}) > 1 or any(map(math.isinf, t.numbers)):
            return f"the timing of {t.optimizer!r} on {t.problem!r} is no number"
    return None


def _impossible(spec: Spec) -> str | None:
    counts = (spec.seeds, MOST), (spec.trials, MOST), (spec.searches, MOST_SEARCHES)
    possible = (
        spec.problems and spec.optimizers and 0 <= spec.tuning_seeds <= MOST and (spec.steps is None or spec.steps > 0)
    )
    try:
        spec.share  # noqa: B018 - a property that may refuse
    except GradstepValueError:
        possible = False
    if possible and all(1 <= n <= most for n, most in counts):
        return None
    return "its spec is of no study: nothing to compare, or seeds, trials or steps that cannot be"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"
