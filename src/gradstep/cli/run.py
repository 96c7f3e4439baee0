"""``gradstep run``: optimize a function of one's own, in a folder from which the run can be resumed."""

import contextlib
import json
import signal
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradstep.cli.common import WRONG, complain, require, say, tell_names
from gradstep.cli.started import processes
from gradstep.errors import GradstepError, GradstepValueError

if TYPE_CHECKING:
    from gradstep.cli.run_progress import PlainLines
    from gradstep.loop import Run
    from gradstep.loop.problem_file import OwnProblem
    from gradstep.runs import Folder, Limits, Processes, RunSpec

Problem = Annotated[
    str | None,
    typer.Argument(metavar="FILE.py:NAME", help="A function, object or class in a file.", show_default=False),
]


def run(
    context: typer.Context,
    problem: Problem = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="A rule, adam:lr=0.01,beta1=0.8, or your FILE.py:NAME; stages before it: clip_by_norm:max_norm=1,adam."
        ),
    ] = None,
    lr: Annotated[
        str | None, typer.Option(help="The rule's learning rate: 0.01, or a schedule: 'cosine(0.01, steps=1000)'.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=0, help="Updates. Default: 1000, without the next two.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Time, those before a resumption among it.")] = None,
    max_evaluations: Annotated[int | None, typer.Option(min=1, help="Calls of the function.")] = None,
    grad_norm: Annotated[float | None, typer.Option(min=0.0, help="End at a gradient of at most that norm.")] = None,
    target: Annotated[float | None, typer.Option(help="End where the value is at most that.")] = None,
    plateau: Annotated[
        int | None, typer.Option(min=1, help="End after so many evaluations (of evaluate, if there is one) no better.")
    ] = None,
    on_nonfinite: Annotated[str, typer.Option(help="stop, or skip such a batch; 100 in a row end the run.")] = "stop",
    seed: Annotated[int, typer.Option(min=0, help="Handed to the problem's class or params, if they take it.")] = 0,
    evaluate_every: Annotated[int, typer.Option(min=1, help="Steps from one call of evaluate to the next.")] = 100,
    micro_batches: Annotated[
        int | None,
        typer.Option(min=1, help="Batches of which a step takes the mean; the processes of mpiexec share them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/NAME.")] = None,
    save_every: Annotated[int | None, typer.Option(min=1, help="Steps from one checkpoint to the next.")] = None,
    save_seconds: Annotated[float, typer.Option(min=0.0, help="Seconds from one checkpoint to the next.")] = 30.0,
    keep: Annotated[int, typer.Option(min=1, help="Checkpoints that are kept.")] = 2,
    resume: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Go on with the run in that folder, exactly.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines on stdout, and nothing else.")] = False,
) -> int:
    """Optimize your own function; Ctrl-C or SIGTERM end it with a checkpoint, and --resume goes on."""
    require("rich", "plotly", "jinja2")
    from gradstep.cli.run_progress import progress
    from gradstep.runs import Limits

    limits = Limits(max_steps, seconds, max_evaluations, grad_norm, target, plateau)
    stdout = sys.stdout
    with contextlib.ExitStack() as held:
        if json:  # what the user's code prints goes elsewhere
            held.enter_context(contextlib.redirect_stdout(sys.stderr))
        group = processes()
        if resume is not None and (given := _given(context, "problem", "resume", "json", *limits.__dict__)):
            raise GradstepValueError(f"--resume goes on with the run as it was; leave out {' and '.join(given)}.")
        if resume is None and problem is None:
            raise GradstepValueError("give a problem as FILE.py:NAME, or --resume FOLDER.")
        settings = {
            "optimizer": "adam" if optimizer is None else optimizer,
            "lr": lr,
            "seed": seed,
            "on_nonfinite": on_nonfinite,
            "evaluate_every": evaluate_every,
            "save_every": save_every,
            "save_seconds": save_seconds,
            "keep": keep,
            "micro_batches": micro_batches,
        }
        with group.together():
            if resume is not None:
                folder, spec, own, made = _existing(resume, problem, limits, group, held)
            else:
                folder, spec, own, made = _new(str(problem), out, limits, settings, group, held)
        tell_names(own)
        try:
            with group.together():
                shown = None
                if group.rank == 0:
                    shown = held.enter_context(progress(folder, spec, made, stdout if json else None, group.size))
                return _ended(folder, spec, own, made, shown, group)
        except (Exception, SystemExit) as error:
            if group.rank or (told := _told(error, folder, own, made, resume is None)) is None:
                raise
            raise told from error


def _ended(
    folder: "Folder", spec: "RunSpec", own: "OwnProblem", made: "Run", shown: "PlainLines | None", group: "Processes"
) -> int:
    """Make the run to its end, on all processes; process 0, which shows it, writes the folder. The exit code."""
    from gradstep.runs import sha256

    if shown is None:
        for _ in made:
            pass
    else:
        _run(folder, spec, made, shown)
    metrics = dict(made.evaluated.metrics if made.evaluated is not None else {}) or made.metrics()
    told = [json.loads(text) for text in group.meet("the end", json.dumps([made.signal, sha256(made.params)]))]
    if any(sha != told[0][1] for _, sha in told):
        raise GradstepError("the processes have come to other parameters; their processors or packages differ.")
    code = _code(made, next((number for number, _ in told if number is not None), None))
    if shown is not None:
        shown.end(*_report(folder, own, made, metrics))
        if made.unsaved is not None:
            code = complain(f"not saved: {folder.shown}: {made.unsaved.strerror or made.unsaved}.")
    return int(group.first("the exit code", lambda: str(code)))


def _code(made: "Run", number: int | None) -> int:
    """Return the exit code of a run that has ended, where a signal has ended it by that one's number."""
    kind = None if made.reason is None else made.reason.kind
    if kind == "signal":
        return 128 + (number or signal.SIGTERM)
    return WRONG if kind == "non-finite" else 0


def _given(context: typer.Context, *allowed: str) -> list[str]:
    """Return the options on the command line that are not allowed there."""
    sources = {name: context.get_parameter_source(name) for name in context.params if name not in allowed}
    typed = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    return ["a problem" if name == "problem" else f"--{name.replace('_', '-')}" for name in typed]


def _new(
    problem: str,
    out: Path | None,
    limits: "Limits",
    settings: dict[str, Any],
    group: "Processes",
    held: contextlib.ExitStack,
) -> "tuple[Folder, RunSpec, OwnProblem, Run]":
    from gradstep.loop.problem_file import load
    from gradstep.runs import Folder, Limits, RunSpec
    from gradstep.runs.spec import with_whole_paths

    if settings["on_nonfinite"] not in ("stop", "skip"):
        raise GradstepValueError(f"--on-nonfinite must be stop or skip, not {settings['on_nonfinite']!r}.")
    start = Path.cwd()  # the problem may change it
    settings["optimizer"] = with_whole_paths(settings["optimizer"])
    own = load(problem, settings["seed"])
    endless = limits.max_steps is None and limits.seconds is None and limits.max_evaluations is None
    limits = limits.over(Limits(max_steps=1000)) if endless else limits
    spec = RunSpec(f"{own.path}:{own.name}", own.source_sha256, limits=limits, **settings)
    made = spec.make(own, group)
    _compare(spec, own, made, group)
    if group.rank:
        return Folder(Path()), spec, own, made
    folder = held.enter_context(Folder.new(out, own.name, start))
    spec = spec.of(spec.problem, folder.path)
    folder.begin(spec)
    return folder, spec, own, made


def _existing(
    path: Path, problem: str | None, limits: "Limits", group: "Processes", held: contextlib.ExitStack
) -> "tuple[Folder, RunSpec, OwnProblem, Run]":
    """The run of a folder where it stood last; new limits, and a new place of the problem, replace the old ones."""
    from dataclasses import replace

    from gradstep.checkpoint import load as load_checkpoint
    from gradstep.files import move_over
    from gradstep.loop.files import Checkpoints
    from gradstep.loop.problem_file import load
    from gradstep.runs import Folder, RunSpec

    folder = Folder(path) if group.rank else held.enter_context(Folder.existing(path))
    before = RunSpec.from_json(group.first("run.json", lambda: folder.spec().to_json()), folder.spec_file)
    spec = before.at(folder.path, folder.shown) if problem is None else before.of(problem, folder.path)
    spec = replace(spec, limits=limits.over(before.limits))
    own = load(spec.problem, spec.seed)
    if spec.problem != before.problem:
        say(f"the run was begun with {before.problem}; it goes on with {spec.problem}.")
    made = spec.make(own, group)
    found = Checkpoints(folder.checkpoint, None, None, spec.keep, _tell).newest() if group.rank == 0 else None
    file = group.first("the checkpoint", lambda: "" if found is None else str(found[1]))
    if file:
        made.take(load_checkpoint(file) if found is None else found[0], file)
    _compare(spec, own, made, group)
    if group.rank == 0 and found is not None:
        move_over(found[1], folder.checkpoint)  # over a damaged one, which must not become the one before
    if own.source_sha256 != spec.source_sha256:
        say(f"{own.path} is not as it was when the run was begun; it goes on with what the file says now.")
        spec = replace(spec, source_sha256=own.source_sha256)
    if group.rank == 0 and spec != before:
        folder.begin(spec)
    return folder, spec, own, made


def _compare(spec: "RunSpec", own: "OwnProblem", made: "Run", group: "Processes") -> None:
    """Refuse processes that would not make the same run."""
    from dataclasses import replace

    import numpy as np

    import gradstep
    from gradstep.runs import sha256

    group.compare(
        {
            "version of Gradstep or NumPy": f"{gradstep.__version__} {np.__version__}",
            "problem file": own.source_sha256,
            "set of options": replace(spec, problem="", beside="").to_json(),
            "start, which depends on more than the seed,": f"{made.t} {sha256(made.params)}",
        }
    )


def _run(folder: "Folder", spec: "RunSpec", made: "Run", shown: "PlainLines") -> None:
    """Make all steps, each of which is in the history before a checkpoint knows of it."""
    from gradstep.loop.files import Checkpoints
    from gradstep.text import counted

    checkpoints = Checkpoints(folder.checkpoint, spec.save_every, spec.save_seconds, spec.keep, cache(_tell))
    checkpoints.written(made.t)

    with folder.history(made.evaluations) as history:
        if history.damaged:
            lines = f"{history.damaged} line{' is' if history.damaged == 1 else 's are'}"
            say(f"{folder.shown / 'history.jsonl'}: {lines} damaged, and left as found; all others are there.")

        if history.torn.lines:
            lines = f"{counted(history.torn.lines, 'damaged line')} ({counted(history.torn.bytes, 'byte')})"
            say(f"{folder.shown / 'history.jsonl'}: cut off at its end: {lines}.")
        if (missing := made.t - history.lines) > 0:  # a step is a line, also where several make one update
            steps = f"{missing} of {made.t} steps {'is' if missing == 1 else 'are'}"
            say(f"{folder.shown / 'history.jsonl'}: {steps} missing; what is said of the beginning is of the others.")

        def write(path: Path, keep: int) -> None:
            history.flush()
            made.save(path, keep=keep)

        try:
            shown.start()
            for step in made:
                history.add(step)
                shown.step(step)
                if checkpoints.is_due(made.t):
                    made.unsaved = checkpoints.write(made.t, write)
        finally:  # also after an error: the run stands where it was evaluated last
            made.unsaved = checkpoints.write(made.t, write)


def _tell(message: str, _stacklevel: int) -> None:
    say(message)


def _report(folder: "Folder", own: "OwnProblem", made: "Run", metrics: dict[str, float]) -> Any:
    """Write the result and the report; what is said at the end."""
    from gradstep.files import write_text
    from gradstep.runs import findings, summarize, write_report
    from gradstep.text import to_json

    summary = summarize(made, folder.rows())
    summary.metrics = metrics
    warnings = findings(summary)
    if made.unsaved is not None:
        warnings.insert(0, _unsaved(made.unsaved))
    try:
        write_text(folder.result_file, to_json({**summary.as_json(), "warnings": warnings}) + "\n")
        write_report(folder, f"{own.path.name}:{own.name}", summary, warnings, folder.report_file)
    except OSError as error:
        if made.unsaved is None:
            made.unsaved = error
            warnings.insert(0, _unsaved(error))
    return summary, warnings


def _unsaved(error: OSError) -> str:
    return f"not saved: {error.strerror or error}."


def _told(error: BaseException, folder: "Folder", own: "OwnProblem", made: "Run", is_new: bool) -> GradstepError | None:
    """The error of a run in one sentence, with what became of the run; None where it is not the user's."""
    from gradstep.loop.user import place, raised

    if not isinstance(error, GradstepError):
        if not place(error, own.path):
            return None
        error = raised(own.name, error, own.path)
    if is_new and not made.t and not made.skipped:
        folder.discard()
        return error
    if made.unsaved is not None:
        return type(error)(f"{error} What was done could not be saved: {made.unsaved.strerror or made.unsaved}.")
    return type(error)(f"{error} What was done is saved: {folder.resume}")
