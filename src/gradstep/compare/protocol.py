"""The protocol: what is run, so that every optimizer gets the same trials from the same starts on the same batches.

Each optimizer is run at every learning rate of its own short grid and with every seed. A seed settles the initial
parameters and the batches, and nothing else is random: runs of one seed are paired. Learning rates are chosen on
training or validation data (:mod:`gradstep.compare.table`); test data give the final figures alone.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.naming import Named, read_names
from gradstep.compare.problems import Problem, Task, find_problem
from gradstep.compare.statistics import steps_to_target
from gradstep.errors import GradstepValueError, NonFiniteError
from gradstep.hyper import checked
from gradstep.naming import unknown
from gradstep.optimizer import Optimizer
from gradstep.rule import Rule, lookup, registry

DEFAULT_OPTIMIZERS = "sgd,momentum,nesterov,adagrad,rmsprop,adadelta,adam,adamax,adamw"
BEYOND = 1e6  # times the first loss (and 1): a run that gets there has diverged
GRID = (-2, -1, 0, 1, 2)  # half decades around the centre
# A grid's centre is the problem's scale for the unit of the rule's lr, times this factor where one is known ...
FACTORS = {
    "momentum": 0.3,  # velocity builds up to lr / (1 - momentum), if the gradient does not turn
    "nesterov": 0.3,
    "adagrad": 10.0,  # steps shrink with the root of the step number
    "rmsprop": 0.3,  # its steps do not shrink near the end
    "adamax": 2.0,  # the paper's default is twice Adam's
}
# ... but this rule finds the problem's scale itself, slowly: its default is 1 on all of them.
OWN_CENTRE = {"adadelta": 3.0}


@dataclass(frozen=True)
class Contender:
    """An optimizer in the comparison: a rule's name with the hyperparameters that are held, and its learning rates."""

    named: Named
    lrs: tuple[float, ...]

    @property
    def label(self) -> str:
        """As it is written: ``adam``, ``momentum:momentum=0.95``."""
        return str(self.named)

    def optimizer(self, params: Any, lr: float) -> Optimizer:
        """The optimizer itself, over ``params``."""
        hyper: dict[str, Any] = {**dict(self.named.values), "lr": lr}
        return Optimizer(params, lookup(self.named.name)(**hyper))


@dataclass(frozen=True)
class Spec:
    """All that settles the numbers of a study."""

    problem: str
    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    steps: int

    def trials(self) -> list["Trial"]:
        """Every run of the study, optimizer by optimizer."""
        return [Trial(c, lr, seed) for c in self.contenders for lr in c.lrs for seed in self.seeds]

    @property
    def command(self) -> str:
        """The command line that makes this study again, nothing left to defaults."""
        optimizers = ",".join(c.label for c in self.contenders)
        return (
            f"gradstep compare {self.problem} --optimizers {optimizers} --seeds {len(self.seeds)} --steps {self.steps}"
        )


@dataclass(frozen=True)
class Trial:
    """One run to be made."""

    contender: Contender
    lr: float
    seed: int


@dataclass(frozen=True)
class RunResult:
    """One run that was made.

    Attributes
    ----------
    optimizer, lr, seed
        The trial.
    steps
        Numbers of updates at which it was evaluated, from 0; the values below stand beside them.
    batch_loss
        Mean loss of the batches since the evaluation before; at 0 that of the first batch.
    loss, accuracy
        On the data of the problem's target; ``accuracy`` is empty where there are no classes.
    to_target
        Updates until the target was first seen; infinite for a miss, and for a run that diverged later on.
    final
        Loss, and accuracy where there is one, on test data after the last step; empty for a run that diverged.
    diverged
        The update at which a loss or gradient was no longer finite, or the loss beyond all bounds, or None.
    seconds
        Wall time of the run, evaluations included. The only value that differs from one time to the next.
    """

    optimizer: str
    lr: float
    seed: int
    steps: list[int]
    batch_loss: list[float]
    loss: list[float]
    accuracy: list[float]
    to_target: float
    final: dict[str, float]
    diverged: int | None
    seconds: float


def make_spec(problem: str, optimizers: str = DEFAULT_OPTIMIZERS, seeds: int = 3, steps: int | None = None) -> Spec:
    """The study of one problem, with everything that can be wrong in it found before the first run.

    Parameters
    ----------
    problem
        A problem's name, with options as ``quadratic:condition=1000``.
    optimizers
        Rules, comma-separated, with hyperparameters as ``momentum:momentum=0.95``. A given ``lr`` takes the
        place of the grid.
    seeds
        How many seeds: 0, 1, ...
    steps
        Updates in a run, or the problem's own number.

    Raises
    ------
    GradstepValueError
        For an unknown problem, option, rule or hyperparameter, and for any number out of range.
    """
    found = find_problem(problem)
    contenders = tuple(_contender(named, found) for named in read_names(optimizers))
    steps = found.steps if steps is None else steps
    if seeds < 1 or steps < 1:
        raise GradstepValueError(f"seeds and steps must be 1 or more, not {seeds} and {steps}.")
    return Spec(found.name, contenders, tuple(range(seeds)), steps)


def grid(rule: Rule, problem: Problem) -> tuple[float, ...]:
    """Five learning rates, two a decade, around the one that fits by order of magnitude."""
    default = rule.defaults["lr"]
    assert isinstance(default, float)  # noqa: S101 - rules declare numbers, checked when they register
    unit = rule.units.get("lr", "")
    centre = OWN_CENTRE.get(rule.name) or problem.scale.get(unit, default) * FACTORS.get(rule.name, 1.0)
    middle = round(2 * math.log10(centre))
    return tuple(half_decade(middle + offset) for offset in GRID)


def half_decade(k: int) -> float:
    """The root of 10**k to one digit: 1e-3, 3e-3, 1e-2, ... for k = -6, -5, -4."""
    return float(f"{3 if k % 2 else 1}e{k // 2}")


def run(spec: Spec, trial: Trial) -> RunResult:
    """Make one run. A run that diverges ends there, which is recorded; nothing is raised for it."""
    problem = find_problem(spec.problem)
    task = problem.begin(trial.seed)
    record = _Record(problem, task)
    started = time.perf_counter()
    with np.errstate(all="ignore"):  # overflow is what diverging runs do
        diverged = _train(spec, trial, task, record)
        final = {} if diverged is not None else _floats(task.evaluate("test"))
    metric = record.accuracy if problem.target.metric == "accuracy" else record.loss
    missed = diverged is not None
    return RunResult(
        optimizer=trial.contender.label,
        lr=trial.lr,
        seed=trial.seed,
        steps=record.steps,
        batch_loss=record.batch_loss,
        loss=record.loss,
        accuracy=record.accuracy,
        to_target=math.inf if missed else steps_to_target(record.steps, metric, problem.target),
        final=final,
        diverged=diverged,
        seconds=time.perf_counter() - started,
    )


class _Record:
    """The curves of a run while it is made."""

    def __init__(self, problem: Problem, task: Task) -> None:
        self.problem, self.task = problem, task
        self.steps: list[int] = []
        self.batch_loss: list[float] = []
        self.loss: list[float] = []
        self.accuracy: list[float] = []

    def add(self, step: int, batch_losses: list[float]) -> bool:
        """Evaluate after ``step`` updates; False, and nothing recorded, when the loss tells that the run diverged."""
        values = _floats(self.task.evaluate(self.problem.target.split))
        if self.lost(values["loss"]):
            return False
        self.steps.append(step)
        self.batch_loss.append(math.fsum(batch_losses) / len(batch_losses))
        self.loss.append(values["loss"])
        if "accuracy" in values:
            self.accuracy.append(values["accuracy"])
        return True

    def lost(self, loss: float) -> bool:
        """Whether a loss is not finite, or so far above the first that the run will not come back."""
        return not math.isfinite(loss) or (len(self.loss) > 0 and loss > BEYOND * (1 + abs(self.loss[0])))


def _floats(values: Mapping[str, float]) -> dict[str, float]:
    """As JSON knows them, whatever NumPy type a problem gives."""
    return {key: float(x) for key, x in values.items()}


def _train(spec: Spec, trial: Trial, task: Task, record: _Record) -> int | None:
    """All updates of a run; the update at which it diverged, or None."""
    optimizer = trial.contender.optimizer(task.params, trial.lr)
    losses: list[float] = []
    for step in range(spec.steps):
        loss, grads = task.value_and_grad(next(task.batches))
        losses.append(float(loss))
        if record.lost(losses[-1]):
            return step
        if step % record.problem.every == 0:
            if not record.add(step, losses):
                return step
            losses.clear()
        try:
            optimizer.step(grads)
        except NonFiniteError:
            return step
    return None if record.add(spec.steps, losses or [record.batch_loss[-1]]) else spec.steps


def _contender(named: Named, problem: Problem) -> Contender:
    if named.name not in registry():
        raise unknown("unknown optimizer", named.name, registry())
    rule = registry()[named.name]
    for key, value in named.values:
        if key not in rule.defaults:
            raise unknown(f"{rule.name}: unknown hyperparameter", key, rule.defaults)
        checked(key, value, rule.name)
    lr = dict(named.values).get("lr")
    return Contender(named, grid(rule, problem) if lr is None else (lr,))
