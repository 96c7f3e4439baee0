"""A study: its runs, and the numbers that follow from them."""

import math
import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gradstep.compare.contender import Contender, kept_contender
from gradstep.compare.content import Content
from gradstep.compare.evidence.statistics import median, steps_to_target
from gradstep.compare.evidence.statistics.ecdf import FINEST
from gradstep.compare.halving import cut, ended, rungs, serves
from gradstep.compare.problems import Target
from gradstep.compare.problems.targets import SHARES, in_most, rounded_up
from gradstep.compare.protocol import is_asked, parts, totals, trials_of
from gradstep.compare.record import PHASES, SEARCH_SEEDS, Goal, ProblemInfo, RunRecord, Session, Spec, Timing
from gradstep.compare.show.views import Ecdf, Profile, Table
from gradstep.compare.store import Reader
from gradstep.text import counted, read_names

Axis = Literal["steps", "gradients", "seconds"]
TARGET_BASELINES = ("nesterov", "adamw", "nadam")  # the best of them gives the target of a problem that has none
CRITERION = (
    "the fewest steps to the target (median over the tuning seeds; a miss, and a run that diverged, is infinite), and "
    "of those the lowest loss after the last step, on the target's data"
)


class Views(Protocol):
    """The functions behind those methods of a study that show it: :mod:`gradstep.compare.show.notebook` has them."""

    def table(self, study: "Study", /) -> Table:
        """Return the table of a study."""
        ...

    def profile(self, study: "Study", axis: Axis, /) -> Profile:
        """Return the profiles of a study."""
        ...

    def ecdf(self, study: "Study", axis: Axis, /) -> Ecdf:
        """Return the run-time distributions of a study."""
        ...

    def report(self, study: "Study", path: Path, static: bool, /) -> None:
        """Write the report of a study."""
        ...


@dataclass(frozen=True)
class Study:
    """The runs of a spec, finished or not, in the order of the spec.

    Attributes
    ----------
    spec
        The settings of the study.
    problem_info
        Each problem in words and numbers, by label.
    runs, timings
        Runs and timings that have been made; of a problem's gradients the quickest time counts for all its optimizers.
    sessions
        Versions and machines that made the runs, and how many each.
    notes
        Sentences on what was found wrong before the first run.
    folder
        Where it is kept, or None.
    views
        Loads the functions that show a study, with the first view. :mod:`gradstep.compare` sets it: this module is
        below those functions, and knows none of them.
    """

    views: ClassVar["staticmethod[[], Views]"]

    spec: Spec
    problem_info: dict[str, ProblemInfo]
    runs: list[RunRecord]
    timings: list[Timing]
    sessions: Sequence[Session]
    notes: list[str]
    folder: Path | None = None

    @classmethod
    def of(cls, content: Content, folder: Path | None = None) -> Self:
        """Return the study of a store's content."""
        spec = content.spec
        places = {pair: k for k, pair in enumerate((p, o) for p in spec.problems for o in spec.optimizers)}
        timings = with_one_gradient([t for t in content.timings if (t.problem, t.optimizer) in places])
        every = cls(
            spec,
            {label: content.problem_info[label] for label in spec.problems},
            content.runs,
            sorted(timings, key=lambda t: places[t.problem, t.optimizer]),
            [],
            content.notes,
            folder,
        )
        runs = sorted(
            every._counting(),
            key=lambda r: (places[r.problem, r.optimizer], PHASES.index(r.phase), r.search, r.trial, r.seed),
        )
        made = Counter(content.made_with[run.key] for run in runs)
        sessions = [Session(content.environments[name], n) for name, n in made.items()]
        return replace(every, runs=runs, sessions=sessions or [Session(content.environment, 0)])

    def _counting(self) -> list[RunRecord]:
        """Those of its runs that the spec asks for; judging ones where all trials are made, of the best of them."""
        asked = set(parts(self.spec))
        own = [
            run
            for run in self.runs
            if (run.problem, run.optimizer, run.search) in asked
            and is_asked(self.spec, self.contenders[run.optimizer], run)
        ]
        tuned = replace(self, runs=[run for run in own if run.phase == "tune"])
        standing = {part: tuned.standing(*part) for part in asked}
        halved = self.spec.search == "halving"
        chosen = replace(
            self,
            runs=[
                cut(run, until)
                for run in tuned.runs
                for until in [standing[run.problem, run.optimizer, run.search][0][run.trial]]
                if halved or serves(run, until)
            ],
        )
        best = {part: chosen.best_trial(*part) for part, (_, is_settled) in standing.items() if is_settled}
        judged = [
            run
            for run in own
            if run.phase != "tune" and best.get((run.problem, run.optimizer, run.search)) == run.trial
        ]
        return chosen.runs + judged

    def standing(self, problem: str, optimizer: str, search: int) -> tuple[dict[int, int | None], bool]:
        """Return how far each trial of a search goes, as far as its runs tell; and whether all of that is made.

        By trial, the update at which it is stopped, None for all steps; empty where there is nothing to choose.
        """
        spec, card = self.spec, self.problem_info[problem]
        trials = trials_of(spec, self.contenders[optimizer])
        runs, left = self.tuning(problem, optimizer, search), list(range(trials if trials > 1 else 0))
        until: dict[int, int | None] = {}
        for stop, n in rungs(spec, len(left), card.steps, card.every):
            left = left[:n]
            until |= dict.fromkeys(left, stop)
            worth = self._worth(problem, [ended(run, stop) for run in runs if run.trial in left and serves(run, stop)])
            if len(worth) < len(left):
                return until, False
            left.sort(key=lambda k: (worth[k], k))
        return until, True

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The study in a folder, as far as it has come; nothing is changed.

        Raises
        ------
        GradstepValueError
            When there is none, or it is damaged.
        """
        return cls.of(Reader(Path(folder)).read(), Path(folder))

    @property
    def problems(self) -> tuple[str, ...]:
        """Labels, in the order of the spec."""
        return self.spec.problems

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Labels, in the order of the spec."""
        return self.spec.optimizers

    @cached_property
    def contenders(self) -> dict[str, Contender]:
        """The optimizers by label, in the order of the spec."""
        stages = self.spec.stages
        named = read_names(",".join(self.optimizers), words=True)
        return {str(x): kept_contender(x, stages.get(str(x))) for x in named}

    @cached_property
    def total(self) -> dict[str, int]:
        """The number of runs of each optimizer in the finished study, on all problems."""
        return {
            label: sum(n for (_, optimizer), n in self.asked.items() if optimizer == label) for label in self.optimizers
        }

    @cached_property
    def asked(self) -> dict[tuple[str, str], int]:
        """The number of runs of each problem and optimizer in the finished study; of a shard, where it has some."""
        return totals(self.spec, self.contenders)

    @property
    def finished(self) -> bool:
        """True when all runs and timings are there that are asked for."""
        timed = {(timing.problem, timing.optimizer) for timing in self.timings}
        to_time = {(problem, optimizer) for problem, optimizer, search in parts(self.spec) if search == 0}
        return len(self.runs) == sum(self.total.values()) and to_time <= timed

    @cached_property
    def _versions(self) -> dict[str, Counter[str]]:
        """Of each thing that a session names, its versions with the number of their runs."""
        out: dict[str, Counter[str]] = {}
        for name in dict.fromkeys(key for session in self.sessions for key in session.environment):
            found = out[name] = Counter[str]()
            for session in self.sessions:
                found[session.environment.get(name, "not told")] += session.runs
        return out

    @property
    def made_with(self) -> dict[str, str]:
        """Versions and machine in words; where sessions differ, each with the number of its runs."""
        return {
            name: " and ".join(f"{x} ({counted(n, 'run')})" if len(found) > 1 else x for x, n in found.items())
            for name, found in self._versions.items()
        }

    @property
    def mixture(self) -> str | None:
        """A sentence on versions or machines that differ between its runs; None where they are the same."""
        mixed = [f"{name} {self.made_with[name]}" for name, found in self._versions.items() if len(found) > 1]
        return f"the runs were made with {'; '.join(mixed)}: the last digits may differ by that." if mixed else None

    @cached_property
    def _by_pair(self) -> dict[tuple[str, str, str], list[RunRecord]]:
        out: dict[tuple[str, str, str], list[RunRecord]] = {}
        for run in self.runs:
            out.setdefault((run.problem, run.optimizer, run.phase), []).append(run)
        return out

    def runs_of(self, problem: str, optimizer: str) -> list[RunRecord]:
        """Return all runs of an optimizer on a problem, of all phases."""
        return [run for phase in PHASES for run in self._by_pair.get((problem, optimizer, phase), [])]

    def tuning(self, problem: str, optimizer: str, search: int | None = None) -> list[RunRecord]:
        """The runs by which its hyperparameters were chosen, by trial and seed; none where nothing was to be chosen.

        Of one search, or (None) of all.
        """
        found = self._by_pair.get((problem, optimizer, "tune"), [])
        return found if search is None else [run for run in found if run.search == search]

    def evaluated(self, problem: str, optimizer: str) -> list[RunRecord]:
        """The runs that judge it, by search and seed."""
        return self._by_pair.get((problem, optimizer, "eval"), [])

    def varies(self, problem: str) -> bool:
        """Return False where runs of other seeds are the same in each number: that problem has no randomness."""
        curves: dict[tuple[str, int], set[int]] = {}
        for label in self.optimizers:
            for run in self.evaluated(problem, label):
                curves.setdefault((label, run.search), set()).add(hash(run.curve))
        return self.spec.seeds == 1 or any(len(found) > 1 for found in curves.values())

    def health(self, problem: str, optimizer: str) -> RunRecord | None:
        """The run whose steps were looked at."""
        return next(iter(self._by_pair.get((problem, optimizer, "health"), [])), None)

    def learning_rate(self, run: RunRecord) -> float:
        """The learning rate of a run, searched, by default or held by its label; NaN where it has none."""
        one = self.contenders[run.optimizer]
        return {**one.held, **run.hyper}.get(one.rate or "", math.nan)

    def timing(self, problem: str, optimizer: str) -> Timing | None:
        """Return the cost of an optimizer's step on a problem, or None.

        Optimizers with equal runs do the same, and clocks have noise: they have that of the quickest.
        """
        return self._costs.get((problem, optimizer))

    @cached_property
    def _costs(self) -> dict[tuple[str, str], Timing]:
        alike: dict[object, list[Timing]] = {}
        for t in self.timings:
            curves = tuple(run.curve for run in self.evaluated(t.problem, t.optimizer))
            alike.setdefault((t.problem, curves or t.optimizer), []).append(t)
        out: dict[tuple[str, str], Timing] = {}
        for found in alike.values():
            least = min(found, key=lambda t: (math.isnan(t.step_us), t.step_us))
            for t in found:
                cost = replace(t, step_us=least.step_us, optimizer_us=least.optimizer_us)
                out[t.problem, t.optimizer] = cost
        return out

    def best_trial(self, problem: str, optimizer: str, search: int = 0) -> int:
        """The trial of a search that is best by :data:`CRITERION`, of equals the first; of those that are complete.

        Without a target that was settled before the study, the loss alone decides.
        """
        worth = self.worth(problem, optimizer, search)
        return min(worth, key=lambda k: (worth[k], k), default=0)

    def worth(self, problem: str, optimizer: str, search: int = 0) -> dict[int, tuple[float, float]]:
        """Return the worth of each trial of a search by :data:`CRITERION`: the less, the better."""
        return self._worth(problem, self.tuning(problem, optimizer, search))

    def _worth(self, problem: str, runs: Sequence[RunRecord]) -> dict[int, tuple[float, float]]:
        trials: dict[int, list[RunRecord]] = {}
        for run in runs:
            trials.setdefault(run.trial, []).append(run)
        goal = self.spec.goals.get(problem)
        return {
            k: (
                math.inf if goal is None else median([to_target(run, goal.target) for run in runs]),
                median([final_loss(run) for run in runs]),
            )
            for k, runs in trials.items()
            if len(runs) == self.spec.tuning_seeds
        }

    def goal(self, problem: str) -> Goal:
        """The target of a problem and where it comes from.

        Where none was settled before, it is what the best baseline among the optimizers (or else the best of all) has
        after half of its steps in three of four of its runs (:func:`after`); the easy and the hard level are what that
        one has after a quarter and at the end. The level is NaN, and never met, as long as there are no such runs, or
        where none of them came down by then.
        """
        return self._goals[problem]

    @cached_property
    def _goals(self) -> dict[str, Goal]:
        return {problem: self.spec.goals.get(problem) or self._settled(problem) for problem in self.problems}

    def _settled(self, problem: str) -> Goal:
        if self.spec.shard is not None:
            return Goal("loss", math.nan, "train", "study: its shards settle it together")
        baselines = [label for label, one in self.contenders.items() if one.named.name in TARGET_BASELINES]
        runs = {label: self.evaluated(problem, label) for label in baselines or self.optimizers}
        reached = {label: in_most([after(SHARES["middle"], run) for run in own]) for label, own in runs.items() if own}
        best = min(reached, key=lambda label: reached[label], default="")
        start = min((run.loss[0] for run in runs.get(best, []) if run.loss), default=math.nan)
        least = FINEST * start if start > 0 else -math.inf
        level = max(reached.get(best, math.inf), least)
        if not level < start:
            return Goal("loss", math.nan, "train", "study: nothing finite was reached")
        easy, hard = (in_most([after(SHARES[tier], run) for run in runs[best]]) for tier in ("easy", "hard"))
        levels = rounded_up(max(easy, level) if easy < start else level), rounded_up(max(min(hard, level), least))
        return Goal("loss", rounded_up(level), "train", f"study: {best}", 1, *levels)

    def target(self, problem: str) -> Target:
        """The target of a problem."""
        return self.goal(problem).target

    def times(self, axis: Axis = "steps") -> NDArray[np.float64]:
        """Return the steps, gradients or seconds to the target.

        Parameters
        ----------
        axis
            ``"steps"``, ``"gradients"`` (evaluations of the gradient: one a step, for all that there is here) or
            ``"seconds"`` (steps times the seconds of one).

        Returns
        -------
        array of shape (problems, optimizers, runs)
            The runs are the seeds of the first search, then those of the second, and so on. Infinity for a miss, NaN
            where a run is missing (or, of seconds, the time of its step).
        """
        out = self.steps_to({problem: self.target(problem) for problem in self.problems})
        units = [[self.unit(axis, problem, optimizer) for optimizer in self.optimizers] for problem in self.problems]
        return out * np.reshape(units, (*out.shape[:2], 1))

    def unit(self, axis: Axis, problem: str, optimizer: str) -> float:
        """Return what a step is on an axis: 1, or its seconds; NaN where it has not been timed."""
        if axis != "seconds":
            return 1.0
        timing = self.timing(problem, optimizer)
        return math.nan if timing is None else timing.step_us / 1e6

    def steps_to(self, targets: Mapping[str, Target]) -> NDArray[np.float64]:
        """Return the steps to these targets of problems, in their order, with the other axes of :meth:`times`."""
        runs = self.spec.searches * self.spec.seeds
        out = np.full((len(targets), len(self.optimizers), runs), np.nan)
        for i, (problem, target) in enumerate(targets.items()):
            for j, optimizer in enumerate(self.optimizers):
                for run in self.evaluated(problem, optimizer):
                    k = run.search * self.spec.seeds + run.seed % SEARCH_SEEDS
                    out[i, j, k] = to_target(run, target)
        return out

    def table(self) -> Table:
        """A row for each optimizer, the best first: see :func:`gradstep.compare.evidence.table.make_table`."""
        return self.views().table(self)

    def profile(self, axis: Axis = "steps") -> Profile:
        """The performance profile of its complete problems: see :class:`gradstep.compare.show.views.Profile`."""
        return self.views().profile(self, axis)

    def ecdf(self, axis: Axis = "steps") -> Ecdf:
        """The run-time distribution of its complete problems: see :class:`gradstep.compare.show.views.Ecdf`."""
        return self.views().ecdf(self, axis)

    def _repr_html_(self) -> str:
        return self.table().html

    def report(self, path: str | Path, static: bool = False) -> None:
        """Write the report there: one HTML file that opens with the network off; ``static`` has pictures for charts."""
        self.views().report(self, Path(path), static)

    @property
    def command(self) -> str:
        """The command line that makes this study again, nothing left to defaults."""
        spec = self.spec
        problems = [
            shlex.quote(f"{source.path}:{p.rpartition(':')[2]}") if (source := spec.sources.get(p)) else p
            for p in self.problems
        ]
        words = ["gradstep compare", *problems, f"--optimizers {','.join(self.optimizers)}", *spec.arguments()]
        given = {f"{goal.metric}={goal.level!r}" for goal in spec.goals.values() if goal.origin == "given"}
        return " ".join([*words, *(f"--target {text}" for text in given)])


def with_one_gradient(timings: Sequence[Timing]) -> list[Timing]:
    """The timings with each problem's quickest gradient: its cost does not depend on the optimizer, the noise does."""
    costs: dict[str, float] = {}
    for t in timings:
        costs[t.problem] = min(costs.get(t.problem, math.inf), t.step_us - t.optimizer_us)
    return [replace(t, step_us=t.optimizer_us + costs[t.problem]) for t in timings]


def to_target(run: RunRecord, target: Target) -> float:
    """Updates until the target was first seen; infinite for a miss, and for a run that did not make all its steps."""
    if not run.finished:
        return math.inf
    return steps_to_target(run.steps, run.accuracy if target.metric == "accuracy" else run.loss, target)


def final_loss(run: RunRecord) -> float:
    """The loss after the last step on the data of the target; infinite for a run that did not make all its steps."""
    return run.loss[-1] if run.finished else math.inf


def after(share: float, run: RunRecord) -> float:
    """The loss after a share of the steps: the median of the last five evaluations up to there, the start left out.

    Infinite for a run that did not make all its steps.
    """
    if not run.finished:
        return math.inf
    until = max(2, bisect_right(run.steps, run.steps[-1] * share))
    return median(run.loss[max(1, until - 5) : until])
