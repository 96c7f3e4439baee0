"""``gradstep show``: a rule as its author wrote it, and the equation that it is."""

import inspect
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from gradstep.cli.common import console
from gradstep.errors import GradstepValueError

if TYPE_CHECKING:
    from gradstep.form.rule import Rule

_SIZES = {"float32": 4, "float64": 8}


def show(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Rules, other stages, your own FILE.py:NAME, other libraries' constructors: torch.SGD:momentum=0.9.",
        ),
    ] = None,
    all_of_them: Annotated[
        bool, typer.Option("--list", help="A line for each rule and stage: state, bytes, kind, year, source.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The equation as LaTeX.")] = False,
) -> None:
    """Print a rule with source, equation, code, defaults, state; of several, torch.Adam too, what differs."""
    from gradstep.cli.common import named_optimizer
    from gradstep.cli.differences import Side, print_differences
    from gradstep.cli.listing import print_list
    from gradstep.conventions import described
    from gradstep.conventions.constructor import Constructor
    from gradstep.form.rule import Rule, Stage
    from gradstep.text import read_names

    if all_of_them and (names or latex):
        raise typer.BadParameter("--list is for all rules and stages; leave out names and --latex.")
    if all_of_them:
        print_list(console())
        return
    if not names:
        raise GradstepValueError("show takes names, such as gradstep show adam; gradstep show --list has them all.")
    named = [one for text in names for one in read_names(text)]
    found = [named_optimizer(one.name) for one in named]
    made = [
        Constructor.of_stage(one.name, x) if isinstance(x, Stage) else described(x)
        for one, x in zip(named, found, strict=True)
    ]
    sides = [Side(str(one), x, dict(one.values)) for one, x in zip(named, made, strict=True)]
    rules = [x for one, x in zip(named, found, strict=True) if isinstance(x, Rule) and not one.values]
    screen = console()
    if len(rules) < len(sides) or (len(sides) > 1 and not latex):
        if latex:
            raise GradstepValueError("--latex is for rules and stages; other libraries' constructors are many of them.")
        print_differences(screen, sides)
        return
    for i, rule in enumerate(rules):
        screen.print("\n" * (i > 0) + rule.name, style="bold")
        for title, text in sections(rule, latex).items():
            screen.print(f"\n{title}", style="bold")
            screen.print(textwrap.indent(text, "  "), soft_wrap=True)


def sections(rule: "Rule", latex: bool = False) -> dict[str, str]:
    """Title -> text of all that is shown of a rule."""
    from gradstep.form.equation import equation

    printed = equation(rule)
    defaults = [f"{key} = {'that of the chain' if value is None else value}" for key, value in rule.defaults.items()]
    return {
        "Source": rule.doc,
        "Equation": printed.latex() if latex else printed.text(),
        "Code": code(rule),
        "Defaults": ", ".join(defaults) or "none",
        "State": ", ".join(rule.state) or "none",
        "Bytes a parameter": traffic(rule),
    }


def code(rule: "Rule") -> str:
    """The rule's own functions; a sentence where their source is not at hand (a rule typed into the interpreter)."""
    functions = [f for f in (rule.early, rule.scalars, *rule.measure.values(), rule.update, rule.read) if f is not None]
    own = [f for f in functions if f.__module__ != "gradstep.rule"]  # which gives a rule without scalars empty ones
    try:
        return "\n\n\n".join(inspect.getsource(f).strip() for f in own)
    except (OSError, TypeError):
        return "not available: the rule was not read from a file"


def traffic(rule: "Rule") -> str:
    """Return the bytes kept for each parameter, and those that the pass of one step reads and writes."""
    slots, shapes = len(rule.state) - len(rule.shapes), [f"{key}: {shape}" for key, shape in rule.shapes.items()]
    if rule.whole:
        own = f", and slots of their own shapes ({', '.join(shapes)})" * bool(shapes)
        return "\n".join(f"{dtype}: {size * slots} kept in state{own}" for dtype, size in _SIZES.items())
    # A rule reads theta and g and writes theta; another stage rides along in the pass of the rule it is chained with.
    alone = rule.kind == "rule"
    read, written = (slots + 2, slots + 1) if alone else (slots, slots)
    lines = [
        f"{dtype}: {size * slots} kept in state, {size * (read + written)} moved by a step "
        f"({read} read, {written} written{'' if alone else ', beside what its chain moves'})"
        for dtype, size in _SIZES.items()
    ]
    if rule.measure:
        lines.append(f"and a pass of its own, for the {'sum' if len(rule.measure) == 1 else 'sums'}")
    return "\n".join(lines)
