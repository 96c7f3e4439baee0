"""Records of a study, as plain data that goes to JSON and back: runs, timings, the spec, its problems.

``as_json`` of any of these is a dict that :func:`json.dumps` takes; ``from_json`` of its class is the inverse. Numbers
that are not finite stay numbers in it (``NaN``, ``Infinity``), as Python writes and reads them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self

import msgspec

from gradstep.compare.problems.problem import Problem, Split, Target, prefix
from gradstep.errors import GradstepValueError

Phase = Literal["tune", "eval", "health"]
PHASES: tuple[Phase, ...] = ("tune", "eval", "health")
Ruleset = Literal["tuned", "defaults"]
Search = Literal["quasi", "halving", "tpe"]
Tune = Literal["lr", "decay", "all"]
FORMAT = 2
SEARCH_SEEDS = 10_000  # between the first seeds of two searches
NAMES = ("problems", "optimizers")
COUNTS = ("seeds", "trials", "tuning_seeds", "searches")
# Fields of a spec that have something for some of its labels, in words.
OF_LABELS = {"goals": "target", "sources": "file", "stages": "file"}


class _Plain:
    """Fields of plain values, to a dict and back."""

    def as_json(self) -> dict[str, Any]:
        """Return all fields by name."""
        # By name: msgspec leaves a default out of what it made itself and found nothing for.
        return {key: msgspec.to_builtins(getattr(self, key)) for key in (f.name for f in fields(self))}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the record of a dict that :meth:`as_json` gave; keys that it does not know are left out.

        Raises
        ------
        msgspec.ValidationError
            For a field that is missing or of another type; the message says which.
        """
        return msgspec.convert(data, cls)


@dataclass(frozen=True)
class Source(_Plain):
    """The file of a problem of one's own. Where it lies does not make another study; what it says does.

    ``scale`` has the items of the problem's, as it was measured when the study began; ``rate`` is the name of an
    optimizer's learning rate, for those who read the study where the file is not.
    """

    path: str
    sha256: str
    scale: tuple[tuple[str, float], ...] = ()
    rate: str | None = None


@dataclass(frozen=True)
class RunKey:
    """The place of a run in its study.

    Attributes
    ----------
    problem, optimizer
        Their labels in the spec.
    phase
        ``"tune"`` chooses hyperparameters, ``"eval"`` judges them with other seeds, ``"health"`` looks at the steps.
    trial
        Number of the trial in its search: its hyperparameters are a function of both, or TPE's choice.
    seed
        Of the initial parameters and the batches; nothing else is random. Each search has seeds of its own.
    """

    problem: str
    optimizer: str
    phase: Phase
    trial: int
    seed: int

    @property
    def key(self) -> tuple[str, str, Phase, int, int]:
        """The five fields that tell a run from all others of its study."""
        return self.problem, self.optimizer, self.phase, self.trial, self.seed

    @property
    def search(self) -> int:
        """The number of the search that it belongs to."""
        return self.seed // SEARCH_SEEDS


@dataclass(frozen=True)
class PlannedRun(RunKey):
    """One run to be made: the settings on which its numbers depend.

    Attributes
    ----------
    hyper
        Hyperparameters by name, beside those that the label holds.
    source
        The problem's file, where it is the user's own.
    stage
        The optimizer's file, where it is the user's own.
    steps
        Updates; None: the problem's own number.
    split
        The data of the problem's target: the run is evaluated on them.
    until
        The update at which it is stopped, one of an evaluation; None: it makes all steps.
    """

    hyper: dict[str, float]
    source: Source | None
    stage: Source | None
    steps: int | None
    split: Split
    until: int | None = None

    @property
    def is_own(self) -> bool:
        """True where code of the user's is run, which may end its process."""
        return self.source is not None or self.stage is not None


@dataclass(frozen=True)
class RunRecord(RunKey, _Plain):
    """One training, made. Its place in the study comes first: see :class:`RunKey`.

    Attributes
    ----------
    hyper
        The hyperparameters that were chosen for it, by name; all others are as the label says, or defaults.
    steps
        Numbers of updates at which it was evaluated, from 0; the values below stand beside them.
    batch_loss
        Mean loss of the batches since the evaluation before; at 0 that of the first batch.
    loss, accuracy
        On the data of the problem's target; ``accuracy`` is empty where there are no classes.
    final
        Loss, and accuracy where there is one, on test data after the last step; empty for a run that did not get there.
    diverged
        The update at which a loss or gradient was no longer finite, or the loss beyond all bounds, or None.
    error
        One sentence, where the problem's own code raised something or the run killed its process; else None.
    stopped
        The update at which a search by halving stopped it, or None. It is the beginning of the run that is not stopped.
    health
        ``"grad_norm"``, ``"update_ratio"`` (norm of the change over norm of the parameters), ``"rate"`` (norm of the
        change over norm of the gradient) and ``"unmoved"`` (share of numbers with a gradient that stayed as they were)
        of the last step before each evaluation, so one value fewer than ``steps`` has; empty but in the health phase.
    seconds
        Wall time of the run, evaluations included. The only value that differs from one time to the next.
    """

    hyper: dict[str, float]
    steps: list[int]
    batch_loss: list[float]
    loss: list[float]
    accuracy: list[float]
    final: dict[str, float]
    diverged: int | None = None
    error: str | None = None
    stopped: int | None = None
    health: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    seconds: float = 0.0

    @property
    def curve(self) -> tuple[tuple[float, ...], ...]:
        """All that was evaluated of it: runs with equal curves did the same."""
        return tuple(self.steps), tuple(self.loss), tuple(self.accuracy), tuple(self.batch_loss)

    @property
    def finished(self) -> bool:
        """True for a run that made all of its steps: neither lost nor stopped."""
        return not self.lost and self.stopped is None

    @property
    def lost(self) -> bool:
        """True for a run that diverged or was broken off by an error."""
        return self.diverged is not None or self.error is not None


@dataclass(frozen=True)
class Made:
    """A run, and the versions and machine that made it; None: those of this process."""

    run: RunRecord
    environment: dict[str, str] | None = None


@dataclass(frozen=True)
class Timing(_Plain):
    """The cost of a step, measured with nothing beside it, on one thread.

    Attributes
    ----------
    step_us, optimizer_us
        Microseconds of a whole step (gradient and optimizer), and of the optimizer's part alone.
    state_bytes
        Of the optimizer's state, for each parameter.
    """

    problem: str
    optimizer: str
    step_us: float
    optimizer_us: float
    state_bytes: float

    @property
    def numbers(self) -> tuple[float, float, float]:
        """All three."""
        return self.step_us, self.optimizer_us, self.state_bytes


@dataclass(frozen=True)
class Session(_Plain):
    """Versions and machine that made runs of a study.

    Attributes
    ----------
    environment
        As :func:`gradstep.environment.environment` gives them.
    runs
        How many of the runs that the study shows.
    """

    environment: dict[str, str]
    runs: int


@dataclass(frozen=True)
class Goal:
    """A target, and where its level comes from.

    Attributes
    ----------
    origin
        ``"frozen"`` (in the package, from tuned baselines), ``"problem"`` (by the problem's definition), ``"given"``
        (on the command line), or ``"study: NAME"``: what that optimizer's runs reached here.
    patience, easy, hard
        As in :class:`~gradstep.compare.problems.Target`.
    by, left_out
        The baselines of a level in the package, and those that set none here, because they compete.
    compete
        True where all baselines compete, so that none could be left out.
    """

    metric: Literal["accuracy", "loss"]
    level: float
    split: Literal["train", "validation"]
    origin: str
    patience: int = 1
    easy: float | None = None
    hard: float | None = None
    by: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    compete: bool = False

    @property
    def target(self) -> Target:
        """The target itself."""
        return Target(self.metric, self.level, self.split, self.patience, self.easy, self.hard)


@dataclass(frozen=True)
class ProblemInfo(_Plain):
    """A problem in words and numbers, kept in the study, which can then be read where the problem cannot be made.

    Attributes
    ----------
    label
        Its name in the spec.
    summary, source, size
        As :class:`~gradstep.compare.problems.Problem` has them.
    steps, every
        Updates in a run of this study, and between two evaluations.
    exact
        True where nothing is held back, so that every split shows the same value.
    family
        Problems that are alike; empty in a study of before there were families.
    """

    label: str
    summary: str
    source: str
    size: str
    steps: int
    every: int
    exact: bool
    family: str = ""

    @classmethod
    def of(cls, problem: Problem, steps: int | None) -> "ProblemInfo":
        """Return those of a problem, in runs of so many steps (None: its own number)."""
        own = problem
        return cls(own.name, own.summary, own.source, own.size, steps or own.steps, own.every, own.exact, own.family)

    def prefix(self, split: Split) -> str:
        """Return the words of a split in front of a metric: see :func:`~gradstep.compare.problems.problem.prefix`."""
        return prefix(split, self.exact)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a study, by the names that ``compare``, ``gradstep compare`` and a spec have for them.

    Attributes
    ----------
    ruleset
        ``"tuned"``, or ``"defaults"``: one trial, as each optimizer comes.
    trials, tuning_seeds
        Trials of each optimizer on each problem, and seeds (1000, 1001, ...) of each trial. No tuning: 1 and 0.
    searches
        How often this is done anew, with points moved and seeds of its own (10000 further each time).
    seeds
        Number of paired seeds (0, 1, ...) that judge the best trial of each search.
    search
        ``"quasi"``: trial k is point k of a stored table; ``"halving"``: so it is, and trials that are behind are
        stopped; ``"tpe"``: Optuna's sampler chooses.
    eta, rungs
        Of halving: one of ``eta`` trials goes on, to ``eta`` times the steps; and how many lengths there are at most,
        that of the whole run among them. Without it they have their defaults.
    tune
        ``"lr"``; ``"decay"``: weight decay too; ``"all"``: all hyperparameters that have a declared space.
    steps
        Updates in a run; None: each problem's own number.
    shard
        ``"2/5"``: of the five parts of a study the second, which has every fifth search of an optimizer on a problem;
        None: all of it.
    """

    ruleset: Ruleset = "tuned"
    trials: int = 5
    tuning_seeds: int = 1
    searches: int = 1
    seeds: int = 6
    search: Search = "quasi"
    eta: int = 3
    rungs: int = 3
    tune: Tune = "lr"
    steps: int | None = None
    shard: str | None = None

    @property
    def share(self) -> tuple[int, int]:
        """The number of its shard, from 1, and how many there are."""
        return (1, 1) if self.shard is None else read_shard(self.shard)

    def effective(self) -> dict[str, Any]:
        """Return the options by name; those that mean nothing beside the others have the values that say so."""
        own = {f.name: getattr(self, f.name) for f in fields(Options)}
        if self.ruleset == "defaults":
            own |= {"trials": 1, "tuning_seeds": 0, "searches": 1, "search": "quasi", "tune": "lr"}
        return own if own["search"] == "halving" else own | {"eta": Options.eta, "rungs": Options.rungs}

    def arguments(self) -> list[str]:
        """Return the options as words of the command line, nothing left to defaults."""
        halving = ["eta", "rungs"] * (self.search == "halving")
        tuning = ["trials", "tuning_seeds", "searches", "search", *halving, "tune"]
        tuning = ["ruleset"] if self.ruleset == "defaults" else tuning
        names = ["seeds", *tuning, *(name for name in ("steps", "shard") if getattr(self, name) is not None)]
        return [f"--{name.replace('_', '-')} {getattr(self, name)}" for name in names]


def read_shard(text: str) -> tuple[int, int]:
    """Return the two numbers of ``"2/5"``.

    Raises
    ------
    GradstepValueError
        For anything but K/N with K from 1 to N.
    """
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text)
    k, n = map(int, found.groups()) if found else (1, 0)
    if k > n:
        raise GradstepValueError(f"shard must be K/N with K from 1 to N, such as 2/5, not {text!r}.")
    return k, n


@dataclass(frozen=True, kw_only=True)
class Spec(Options, _Plain):
    """The settings on which the numbers of a study depend: its options, and the fields below.

    It is the set of runs that it asks for. A study may ask for more of them, or for fewer, or in another order, as long
    as :meth:`differences` finds nothing that would give a run other numbers.

    Attributes
    ----------
    problems, optimizers
        Labels, as they are written on the command line: ``"quadratic:condition=1000"``, ``"line.py:loss"``; ``"adam"``,
        ``"momentum:momentum=0.95"``, ``"keras.RMSprop"``.
    goals
        By problem; none where the runs of the study are to settle it.
    sources, stages
        By problem, and by optimizer, the files of those that are the user's own.
    version
        Of Gradstep.
    """

    problems: tuple[str, ...]
    optimizers: tuple[str, ...]
    goals: dict[str, Goal]
    sources: dict[str, Source]
    version: str
    stages: dict[str, Source] = field(default_factory=dict[str, Source])

    def as_json(self) -> dict[str, Any]:
        """Return all fields by name, and the format's number."""
        first = {"format": FORMAT, "problems": self.problems, "optimizers": self.optimizers}
        return {**first, **super().as_json()}

    def identity(self) -> dict[str, Any]:
        """Return what tells this study from all others: everything but the paths of files."""
        data = self.as_json()
        return {**data, **{kind: {key: x["sha256"] for key, x in data[kind].items()} for kind in ("sources", "stages")}}

    @property
    def sha256(self) -> str:
        """The hash of the identity as JSON in one spelling: the name of the study."""
        return hashlib.sha256(json.dumps(self.identity(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def differences(self, other: "Spec") -> list[str]:
        """Return all by which runs of the two cannot be compared, in a few words: ``steps (20, not 30)``.

        Numbers of seeds, trials and searches, names and their order are no difference; but Optuna's trials depend on
        the number of all, and on the seeds that chose before. Halving asks for the beginnings of the runs of a search
        without it.
        """
        free = {"format", "shard", "seeds", "searches", *NAMES, *OF_LABELS}
        if "tpe" not in (self.search, other.search):
            free |= {"trials", "tuning_seeds", *_HALVING}
        mine, theirs = self.identity(), other.identity()
        unlike = [key for key in mine if key not in free and mine[key] != theirs[key]]
        out = [f"{key} ({_short(mine[key])}, not {_short(theirs[key])})" for key in unlike]
        for key, what in OF_LABELS.items():
            for label in [x for name in NAMES for x in getattr(self, name) if x in getattr(other, name)]:
                told = _unlike(getattr(self, key).get(label), getattr(other, key).get(label))
                out += [] if told is None else [f"{what} of {label} ({told})"]
        return out

    def joined(self, other: "Spec") -> "Spec":
        """Return the spec of one study that asks for all runs of two between which there are no differences.

        Where the two are not halved alike, it is not halved.
        """
        most: dict[str, Any] = {key: max(getattr(self, key), getattr(other, key)) for key in COUNTS}
        names: dict[str, Any] = {key: (*dict.fromkeys(getattr(self, key) + getattr(other, key)),) for key in NAMES}
        own: dict[str, Any] = {key: {**getattr(other, key), **getattr(self, key)} for key in OF_LABELS}
        is_alike = all(getattr(self, key) == getattr(other, key) for key in _HALVING)
        whole = {} if is_alike else {"search": "quasi", "eta": Options.eta, "rungs": Options.rungs}
        return replace(self, **most, **names, **own, **whole, shard=None)

    def begun_as(self, whole: "Spec") -> "Spec":
        """Return the spec with what ``whole`` has measured of files that both have: the scales of its problems."""
        known = {
            label: replace(source, scale=whole.sources[label].scale) if label in whole.sources else source
            for label, source in self.sources.items()
        }
        return replace(self, sources=known)


_HALVING = ("search", "eta", "rungs")


def _unlike(a: "Goal | Source | None", b: "Goal | Source | None") -> str | None:
    """Return by what targets or files are not the same, None where they are; paths make no difference."""
    if isinstance(a, Source) and isinstance(b, Source):
        if a.sha256 != b.sha256:
            return f"{a.sha256[:8]}, not {b.sha256[:8]}"
        scales = [", ".join(f"{x:g} {unit}" for unit, x in source.scale) or "none" for source in (a, b)]
        return None if a.scale == b.scale else f"scale {scales[0]}, not {scales[1]}"
    return None if a == b else f"{_told(a)}, not {_told(b)}"


def _told(found: "Goal | Source | None") -> str:
    if isinstance(found, Goal):
        without = f" without {', '.join(found.left_out)}" if found.left_out else ""
        return f"{found.target} on {found.split} data{_levels(found)}, {found.origin}{without}"
    return "settled by the study" if found is None else found.sha256[:8]


def _levels(found: Goal) -> str:
    """Return what else tells two targets apart: how long they are to be held, and the levels below and above."""
    held = f", held for {found.patience}" if found.patience > 1 else ""
    other = [f"{tier} {x:g}" for tier, x in (("easy", found.easy), ("hard", found.hard)) if x is not None]
    return f"{held} ({', '.join(other)})" if other else held


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_short(x)}" for key, x in value.items()) or "none"
    return "each problem's own" if value is None else str(value)[:40]
