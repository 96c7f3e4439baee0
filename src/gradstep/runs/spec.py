"""The specification of a run, kept beside it so that it can be resumed."""

import ast
import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from reprlib import repr as short
from typing import Any

import msgspec

from gradstep import schedules
from gradstep.compare.own_stage import is_file, own_rule
from gradstep.errors import GradstepError, GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.hyper import Hyper
from gradstep.form.rule import Rule, Stage, as_stage, lookup
from gradstep.loop import Run, lbfgs, stop
from gradstep.loop.lbfgs import method_of
from gradstep.loop.problem_file import OwnProblem
from gradstep.loop.user import UserFunction
from gradstep.naming import find
from gradstep.runs.shared import Processes, heard, shared
from gradstep.text import read_names

FORMAT = 1


@dataclass(frozen=True)
class Limits:
    """The limits of a run; None: no limit."""

    max_steps: int | None = None
    seconds: float | None = None
    max_evaluations: int | None = None
    grad_norm: float | None = None
    target: float | None = None
    plateau: int | None = None

    def over(self, earlier: "Limits") -> "Limits":
        """Return these limits, and the earlier ones where there is none."""
        mine = {f.name: x for f in fields(self) if (x := getattr(self, f.name)) is not None}
        return replace(earlier, **mine)

    def as_options(self, has_metrics: bool, processes: Processes) -> dict[str, Any]:
        """Return options of :class:`gradstep.Run`; signals end a run too, on all of the processes."""
        options = asdict(self)
        patience = options.pop("plateau")
        ends = heard(processes, options.pop("seconds")) if processes.size > 1 else stop.signals()
        plateaus = [] if patience is None else [stop.plateau(patience, metric="val/loss" if has_metrics else None)]
        return {**options, "stop": stop.any_of(ends, *plateaus)}


@dataclass(frozen=True)
class RunSpec:
    """The specification of a run.

    Attributes
    ----------
    problem
        ``FILE.py:NAME``, the file's path absolute.
    beside
        The file's path from the run's folder, for a folder that is copied or moved together with it.
    source_sha256
        Of the file when the run was begun.
    optimizer, lr
        As they were typed: ``adam:beta1=0.8``, or stages one after the other, separated by commas; ``0.01`` or a
        schedule, ``cosine(0.01, 1000)``.
    micro_batches
        How many batches a step takes the mean of; None: one, by which processes have nothing to share.
    """

    problem: str
    source_sha256: str
    optimizer: str
    lr: str | None
    limits: Limits
    seed: int
    on_nonfinite: str
    evaluate_every: int
    save_every: int | None
    save_seconds: float | None
    keep: int
    beside: str = ""
    micro_batches: int | None = None

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps({"format": FORMAT, **msgspec.to_builtins(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, path: Path) -> "RunSpec":
        """Return the spec of a text that :meth:`to_json` gave; ``path`` is for the message.

        Raises
        ------
        GradstepValueError
            When it is something else.
        """
        try:
            data: Any = json.loads(text)
            if data["format"] == FORMAT:
                return msgspec.convert(data, cls)
            error = f"its format is {data['format']}"
        except (ValueError, TypeError, KeyError, msgspec.ValidationError) as found:
            error = str(found)
        except RecursionError:
            error = "it is nested too deeply"
        raise GradstepValueError(f"{path} does not describe a run that this version can resume ({error}).")

    def at(self, folder: Path, shown: Path) -> "RunSpec":
        """Return the spec with the problem where it is now: beside the folder, as when it began, or where it was then.

        ``shown`` is the folder's path for the message.

        Raises
        ------
        GradstepValueError
            When it is in neither place.
        """
        file, _, name = self.problem.rpartition(":")
        places = [folder.resolve() / self.beside] if self.beside else []
        found = next((path.resolve() for path in [*places, Path(file)] if path.is_file()), None)
        if found is None:
            raise GradstepValueError(
                f"{file}, which was run here, is gone; name the file: gradstep run FILE.py:{name} --resume {shown}."
            )
        return self.of(f"{found}:{name}", folder)

    def of(self, problem: str, folder: Path) -> "RunSpec":
        """Return the spec with another file's problem, ``FILE.py:NAME``."""
        file, _, name = problem.rpartition(":")
        path = Path(file).resolve()
        return replace(self, problem=f"{path}:{name}", beside=_between(folder, path))

    def stage(self) -> Stage | lbfgs:
        """Return the optimizer's stage, or the method that it is.

        Raises
        ------
        GradstepValueError
            For unknown names and values out of range.
        """
        named = read_names(self.optimizer)
        if [one.name for one in named] == ["lbfgs"]:
            own = dict(named[0].values) | ({} if self.lr is None else {"lr": self.lr})
            method = method_of("lbfgs", {key: int(x) if float(x).is_integer() else x for key, x in own.items()})
            assert method is not None  # noqa: S101 - of that name
            return method
        if "maximize" in [one.name for one in named]:
            raise GradstepValueError("a run makes the value small; turn the function's sign instead of maximize.")
        lr = None if self.lr is None else read_hyper(self.lr)
        given: list[dict[str, Any]] = [dict(one.values) for one in named]
        stages = [_stage(one.name, own) for one, own in zip(named, given, strict=True)]
        moving = [k for k, one in enumerate(stages) if any(part.rule.kind == "rule" for part in one.parts)]
        if not moving:
            raise GradstepValueError(f"--optimizer {self.optimizer} has no rule, such as adam, after its stages.")
        if lr is not None:
            if len(moving) != 1 or "lr" in stages[moving[0]].parts[0].given:
                raise GradstepValueError("--lr is for the one rule in --optimizer, where it has no lr= of its own.")
            [k] = moving
            stages[k] = _stage(named[k].name, {**given[k], "lr": lr})
        return chain(*stages)

    def make(self, problem: OwnProblem, processes: Processes) -> Run:
        """Make the run at its beginning, on each of the processes.

        Raises
        ------
        GradstepValueError
            When there are several, and nothing that they could share.
        """
        if processes.size > 1 and self.micro_batches is None:
            raise GradstepValueError(
                f"{processes.size} processes share the batches of a step, and one has been asked for; begin a run with "
                f"--micro-batches, of which each step takes the mean, or start one process."
            )
        if self.micro_batches is not None and (processes.size, self.micro_batches) != (1, 1):
            problem = shared(problem, processes, self.micro_batches)
        batches = problem.batches
        if callable(batches):
            batches = UserFunction(batches, f"{problem.name}.batches", problem.path)
        return Run(
            problem.value_and_grad,
            problem.params,
            self.stage(),
            **self.limits.as_options(problem.evaluate is not None, processes),
            batches=batches,
            evaluate=problem.evaluate,
            rng=problem.rng,
            bounds=problem.bounds,
            project=problem.project,
            evaluate_every=self.evaluate_every,
            on_nonfinite=self.on_nonfinite,
            history=False,
        )


def _stage(name: str, hyper: dict[str, Any]) -> Stage:
    """Return the stage of a rule's name, or of ``FILE.py:NAME``."""
    made = own_rule(name)[0] if is_file(name) else lookup(name)
    if isinstance(made, Rule):
        return made(**hyper)
    if hyper:
        raise GradstepValueError(f"{name} is a chain, which has its numbers already; leave out {min(hyper)}=.")
    return as_stage(made)


def with_whole_paths(optimizer: str) -> str:
    """Return an optimizer as it was typed, with the whole path of a file of one's own: a run may go on elsewhere."""
    named = read_names(optimizer)
    if not any(is_file(one.name) for one in named):
        return optimizer
    whole = [
        replace(x, name=f"{own_rule(x.name)[1]}:{x.name.rpartition(':')[2]}") if is_file(x.name) else x for x in named
    ]
    return ",".join(map(str, whole))


def _between(folder: Path, file: Path) -> str:
    """Return the path from a folder to a file; empty where there is none, on another drive."""
    try:
        return os.path.relpath(file, folder.resolve())
    except ValueError:
        return ""


def read_hyper(text: str) -> Hyper:
    """Read a number, or a schedule as it is written in Python: ``warmup_cosine(0.01, steps=1000, warmup_steps=50)``.

    Raises
    ------
    GradstepValueError
        For anything else.
    """
    try:
        if (value := _value(ast.parse(text.strip(), mode="eval").body)) is not None:
            return value
    except GradstepError:
        raise
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        pass  # the last two: nested too deep
    raise GradstepValueError(
        f"--lr: cannot read {short(text)}: write a number, or a schedule such as cosine(0.01, 1000)."
    )


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        known = {name: getattr(schedules, name) for name in schedules.__all__ if name[0].islower()}
        for helper in ("from_json", "to_json"):
            del known[helper]
        make = find("unknown schedule", node.func.id, known)
        return make(*map(_value, node.args), **{str(word.arg): _value(word.value) for word in node.keywords})
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(map(_value, node.elts))
    return ast.literal_eval(node)
