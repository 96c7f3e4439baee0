"""``gradstep bench``: the time of a step, beside its peers."""

import json as jsons
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradstep.cli.common import console, named_optimizer, require, say, writable_file
from gradstep.cli.info import OPTIONAL
from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError
from gradstep.form.rule import Rule

if TYPE_CHECKING:
    from gradstep.bench import Device, Kind, Result, Size, Work

RULES_AT, RULES_BESIDE = "148x1000,1x1e7", "pytorch_optimizer,torch-foreach,torch-float32,optax"
SIZES_HELP = (
    "Comma-separated tensors x elements, 148x1000,1x1e6; matrices are 2x768x768+1x768x3072. Default: six up to 1x1e6; "
    "for a rule of whole arrays 24x768x768+12x768x3072."
)
RULES_HELP = (
    "A line for each rule: those by elements and by sums at 148x1000,1x1e7, those of whole arrays at "
    "24x768x768+12x768x3072; with --sizes each at those that are of its kind."
)
DEVICE_HELP = (
    "cpu, or cuda: torch's tensors on the GPU, beside torch's own optimizers, by the device's clock; "
    "default sizes 148x1000,1000x1000,1x1e6,148x840000,1x1e8."
)
PAUSE_HELP = (
    "Seconds before each contender's turn: torch's workers spin for a while after a step and would take a core "
    "from the next."
)


def bench(
    sizes: Annotated[str | None, typer.Option(help=SIZES_HELP)] = None,
    full: Annotated[bool, typer.Option("--full", help="The large sizes too: 1x1e7, 1x5e7, 148x840000.")] = False,
    rule: Annotated[str, typer.Option(help="A rule's name, your own FILE.py:NAME, or all.")] = "adam",
    rules: Annotated[
        bool,
        typer.Option("--rules", help=RULES_HELP),
    ] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="The whole phase: clip by global norm, the rule, average of parameters.")
    ] = False,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Instead: time against elements, tensors and threads, with slopes.")
    ] = False,
    errors: Annotated[
        bool, typer.Option("--errors", help="Instead: what 16-bit parameters and 16- or 8-bit state cost in accuracy.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="float32, float64 or bfloat16.")] = "float32",
    peers: Annotated[
        str | None, typer.Option(help="Comma-separated contenders or libraries: torch-fused,optax. Default: all.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="For the turns of one size; at least three rounds.")] = 8.0,
    pause: Annotated[float, typer.Option(min=0.0, help=PAUSE_HELP)] = 0.03,
    device: Annotated[str, typer.Option(help=DEVICE_HELP)] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of Gradstep and torch. Default: what each takes by itself.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of parameters, gradients and the order of turns.")] = 0,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write everything there.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the curves there, as SVG.")] = None,
) -> None:
    """Measure an optimizer step side by side with other libraries' in one process; print a table for each size."""
    require("rich", *["matplotlib"] * (plot is not None))
    from gradstep.bench import FULL, KINDS, LARGE, MATRICES, ON_DEVICE, QUICK, Work, choose, read_sizes
    from gradstep.form.rule import registry

    if not (math.isfinite(seconds) and math.isfinite(pause)):
        raise typer.BadParameter("--seconds and --pause must be finite.")
    if full + scaling + errors + (sizes is not None) > 1:
        raise typer.BadParameter("--sizes, --full, --scaling and --errors exclude one another.")
    names = [rule]
    if rule == "all" or rules:
        names = [name for name, x in registry().items() if x.module.startswith("gradstep.rules.") and not x.extras]
    known = registry()
    if ".py" in rule:
        known[rule] = own_rule(rule)
    works = [Work(name, dtype, chain, seed, threads, known) for name in names]
    if device not in ("cpu", "cuda"):
        raise typer.BadParameter(f"--device is cpu or cuda, not {device}.")
    if device == "cuda":
        if scaling or errors or threads is not None:
            raise typer.BadParameter("--device cuda goes without --scaling, --errors and --threads.")
        works = on_device(works)
    is_whole = len(works) == 1 and works[0].declared.whole
    usual = LARGE if device == "cuda" else MATRICES if is_whole else QUICK
    at = RULES_AT if device == "cuda" else f"{RULES_AT},{MATRICES}"
    chosen = read_sizes(sizes or (at if rules else FULL if full else usual))
    beside = "torch" if device == "cuda" else RULES_BESIDE
    kinds = choose(beside if rules and peers is None else peers, ON_DEVICE if device == "cuda" else KINDS)
    if scaling + errors and len(works) > 1:
        raise typer.BadParameter("--scaling and --errors take one rule.")
    if rules and (scaling or errors or plot is not None or rule != "adam"):
        raise typer.BadParameter("--rules has a line for each: leave out --rule, --scaling, --errors and --plot.")
    if errors and (plot is not None or dtype != "float32"):
        raise typer.BadParameter("--errors draws nothing, and takes dtypes of its own.")
    files = [path for path in (json, plot) if path is not None]
    for path in files:
        writable_file(path)
    card = found_device() if device == "cuda" else None
    if errors:
        content, figure = inaccuracies(works[0])
    elif rules:
        content, figure = in_lines(works, chosen, kinds, seconds, pause, card)
    elif scaling:
        content, figure = grown(works[0], kinds, seconds, pause)
    else:
        content, figure = compared(works, chosen, kinds, seconds, pause, card)
    settings = {"seconds": seconds, "pause": pause, "seed": seed, "threads": threads}
    save({"settings": settings, **content}, figure, json, plot)


def own_rule(name: str) -> "Rule":
    """Return the rule of a file of the user's own."""
    found = named_optimizer(name)
    if not isinstance(found, Rule):
        raise GradstepTypeError(f"{name} is a chain, and a rule is timed; --chain times one around it.")
    return found


def on_device(works: "Sequence[Work]") -> "list[Work]":
    """Return the works that a device does: rules of whole arrays are left out, and one alone is refused."""
    found = [work for work in works if not work.declared.whole]
    if not found:
        raise GradstepValueError(f"{works[0].rule} sees whole arrays, which no kernel on a device runs.")
    return found


def found_device() -> "Device":
    """Return the CUDA device, or say in one sentence why there is none."""
    from gradstep.bench.device import cuda

    return cuda()


def compared(
    works: "Sequence[Work]",
    sizes: "Sequence[Size]",
    kinds: "Sequence[Kind]",
    seconds: float,
    pause: float,
    device: "Device | None",
) -> tuple[dict[str, Any], Any]:
    """Each work at each size, each shown as soon as it is there: what goes into the file, and what draws it."""
    from gradstep.bench import measure
    from gradstep.bench.figure import against_size

    results: list[Result] = []
    for work in works:
        for size in sizes:
            results.append(measure(work, size, kinds, seconds, pause, device))
            show(results[-1])
    return {"results": [asdict(result) for result in results]}, lambda: against_size(results)


def in_lines(
    works: "Sequence[Work]",
    sizes: "Sequence[Size]",
    kinds: "Sequence[Kind]",
    seconds: float,
    pause: float,
    device: "Device | None",
) -> tuple[dict[str, Any], Any]:
    """A line for each rule, and a table for each size: what goes into the file; nothing is drawn."""
    from gradstep.bench import measure
    from gradstep.bench.tables import ratios

    screen = console()
    results: list[Result] = []
    for size in sizes:
        here: list[Result] = []
        for work in (x for x in works if x.declared.whole == size.has_matrices):
            try:
                here.append(measure(work, size, kinds, seconds, pause, device))
            except NonFiniteError as error:  # gradients are random: a rule that finds its rate may run away on them
                say(f"{work} at {size} is left out: {error}")
        where = "" if device is None else f" on {device.name}"
        screen.print(f"{size} {works[0].dtype}{where}: time of a step", style="bold")
        table(*ratios(here))
        remark(here)
        screen.print()
        results += here
    return {"results": [asdict(result) for result in results]}, None


def show(result: "Result") -> None:
    """The table of one size, and who is not in it."""
    from gradstep.bench.tables import cells, headings, title

    screen = console()
    screen.print(title(result), style="bold", soft_wrap=True)
    if result.rows:
        table(headings(result), [cells(row) for row in result.rows])
    remark([result])
    screen.print()


def table(headings: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    """Print a table, Gradstep's row in bold."""
    from gradstep.bench.contenders import OURS
    from gradstep.cli.tables import print_table

    print_table(console(), headings, rows, styles=["bold" if row[0] == OURS else None for row in rows])


def remark(results: "Sequence[Result]") -> None:
    """Print the remarks beneath a table."""
    from gradstep.bench.tables import remarks

    for line in remarks(results):
        console().print(line, soft_wrap=True)


def grown(work: "Work", kinds: "Sequence[Kind]", seconds: float, pause: float) -> tuple[dict[str, Any], Any]:
    """Time against elements, tensors and threads: what goes into the file, and what draws it."""
    from gradstep.bench import figure
    from gradstep.bench.machine import cores
    from gradstep.bench.scaling import ELEMENTS, TENSORS, THREADED, measure_all, slopes, speedups
    from gradstep.bench.tables import curves, digits

    screen = console()
    axes: dict[str, list[Result]] = {}
    exponents: dict[str, dict[str, float]] = {}
    for name, sizes in (("elements", ELEMENTS), ("tensors", TENSORS)):
        axes[name] = measure_all(work, sizes, kinds, seconds, pause)
        exponents[name] = slopes(axes[name], lambda r, name=name: float(getattr(r, name)))
        screen.print(f"{work} {work.dtype} against {name}; slope over the upper decade", style="bold")
        table(*curves(axes[name], exponents[name]))
        remark(axes[name])
        screen.print()
    gains = speedups(work, THREADED, cores(), seconds, pause)
    screen.print(f"{work} {work.dtype} on 1 to {cores()} threads", style="bold")
    rows = [
        [gain.contender, gain.size, str(n), digits(us), f"{factor:.2f}"]
        for gain in gains
        for n, us, factor in zip(gain.threads, gain.us, gain.speedup, strict=True)
    ]
    table(["contender", "size", "threads", "µs/step", "speed-up"], rows)
    content = {key: [asdict(result) for result in results] for key, results in axes.items()}
    threads = [asdict(gain) for gain in gains]
    return {**content, "slopes": exponents, "threads": threads}, lambda: figure.scaling(
        axes["elements"], axes["tensors"], gains
    )


def inaccuracies(work: "Work") -> tuple[dict[str, Any], None]:
    """Print the accuracy that each way to store costs; return it for the file."""
    from gradstep.bench.storage_errors import STEPS, storage_errors
    from gradstep.bench.tables import errors

    found = storage_errors(work)
    screen = console()
    screen.print(f"{work}: distance from float64 over length of path, {STEPS} updates", style="bold")
    table(*errors(found))
    return {"errors": [asdict(error) for error in found]}, None


def save(content: dict[str, Any], draw: Any, json: Path | None, plot: Path | None) -> None:
    """Write the files that were asked for, each whole or not at all."""
    from gradstep.bench.machine import machine
    from gradstep.environment import environment, version
    from gradstep.files import write_text

    if json is not None:
        versions = {name: found for name in OPTIONAL if (found := version(name))}
        head = {
            "command": " ".join(["gradstep", *sys.argv[1:]]),
            "environment": {**environment(), **machine(), **versions},
        }
        write_text(json, jsons.dumps({**head, **content}, indent=1) + "\n")
    if plot is not None:
        write_text(plot, draw())
    if written := [str(path) for path in (json, plot) if path is not None]:
        console().print(f"wrote {' and '.join(written)}", soft_wrap=True)
