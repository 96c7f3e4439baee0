"""Pages that are made from the registry when the site is built: rules, stages, schedules, constructors, the API."""

import html
import inspect
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import gradstep as gs
from gradstep.cli import differences
from gradstep.cli.differences import Side
from gradstep.cli.listing import facts, title, year
from gradstep.cli.show import code, traffic
from gradstep.conventions import constructors, described
from gradstep.errors import GradstepError
from gradstep.form.chain import Program, program
from gradstep.form.hyper import DOMAINS
from gradstep.form.printing import Text
from gradstep.form.rule import Rule, Stage
from website import live, pictures
from website.equations import shown
from website.papers import Paper, paper
from website.prose import plain

KINDS = {
    "elementwise": "Each element by itself.",
    "by sums": "Sums over arrays come before the update.",
    "whole arrays": "The update sees whole matrices.",
}
# A call of each schedule, and how many updates are drawn of it.
SCHEDULES: Mapping[str, tuple[str, int]] = {
    "chebyshev": ("chebyshev(0.01, 1.0, 4)", 64),
    "constant": ("constant(1e-3)", 200),
    "cosine": ("cosine(1e-3, 200)", 240),
    "cosine_restarts": ("cosine_restarts(1e-3, 60, t_mult=2, decay=0.8)", 400),
    "cyclic": ("cyclic(1e-4, 1e-3, 40, 60, decay=0.8)", 400),
    "exponential": ("exponential(1e-3, 50, 0.5)", 240),
    "inverse_sqrt": ("inverse_sqrt(1e-3, 40)", 400),
    "inverse_time": ("inverse_time(1e-3, 50)", 400),
    "join": ("join([linear(1e-3, 100, 5e-4), cosine(1e-3, 100)], [100])", 220),
    "k_decay": ("k_decay(1e-3, 200, 3.0)", 240),
    "linear": ("linear(1e-3, 200)", 240),
    "noisy": ("noisy(cosine(1e-3, 200), 0.2, seed=0)", 240),
    "one_cycle": ("one_cycle(1e-3, 200)", 220),
    "one_cycle_three_phase": ("one_cycle_three_phase(1e-3, 200)", 220),
    "piecewise": ("piecewise([1e-3, 5e-4, 1e-4], [80, 160])", 240),
    "piecewise_interpolate": ("piecewise_interpolate([0.0, 1e-3, 2e-4, 0.0], [40, 120, 200])", 220),
    "polynomial": ("polynomial(1e-3, 200, 2.0)", 240),
    "power": ("power(1e-3, 5e-3)", 400),
    "product": ("product([cosine(1e-3, 200), step(1.0, 80, 0.5)])", 240),
    "rex": ("rex(1e-3, 200)", 240),
    "scaled": ("scaled(0.1, cosine(1e-3, 200))", 240),
    "step": ("step(1e-3, 80, 0.5)", 300),
    "tanh": ("tanh(1e-3, 200)", 240),
    "warmup": ("warmup(40, cosine(1e-3, 160))", 240),
    "warmup_cosine": ("warmup_cosine(1e-3, 200, 40)", 240),
    "wsd": ("wsd(1e-3, 200, 30, 60)", 240),
}
LIBRARIES = {
    "keras": "Keras",
    "mlx": "MLX",
    "optax": "optax",
    "optax.contrib": "optax.contrib",
    "pytorch_optimizer": "pytorch_optimizer",
    "tf1": "TensorFlow 1",
    "timm": "timm",
    "torch": "torch",
}
# Public names by page; every name of gradstep that is no rule and no stage stands on one of them.
API: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "optimizer": (
        "Optimizers, state and checkpoints",
        ("Optimizer", "chain", "times", "layerwise", "Diagnostics", "rows", "Checkpoint", "load"),
    ),
    "functional": ("The pure pair", ("init", "update", "apply", "scalars", "State")),
    "runs": (
        "Runs over an objective",
        ("minimize", "Run", "Batches", "lbfgs", "sam", "asam", "reduce_lr", "stop", "loggers", "check_gradient"),
    ),
    "authors": ("For authors of rules", ("rule", "vocabulary", "testing")),
    "schedules": ("Schedules", ("schedules.Schedule", "schedules.to_json", "schedules.from_json")),
    "conventions": ("Constructors of other libraries", ("conventions",)),
    "guests": (
        "Optimizers for other libraries",
        ("interop", *(f"interop.{name}" for name in ("torch", "keras", "optax", "scipy", "sklearn", "flower"))),
    ),
    "networks": ("Layers and small networks", ("layers", "nn")),
    "distributed": ("Several processes and threads", ("distributed", "get_threads", "set_threads")),
    "errors": (
        "Errors",
        (
            "GradstepError", "GradstepTypeError", "GradstepValueError", "GradstepAttributeError", "CheckpointError",
            "InUseError", "NonFiniteError", "RuleError", "ScalarError", "UserCodeError",
        ),
    ),
}  # fmt: skip


def every(runs: bool) -> dict[str, str]:
    """Return the text of each generated page by its address; ``runs`` says whether rules run in the browser."""
    alive = set(live.chains()) if runs else set[str]()
    rules = {name: getattr(gs.rules, name) for name in sorted(gs.rules.__all__)}
    stages = {name: getattr(gs.stages, name) for name in sorted(gs.stages.__all__)}
    made = {"index.md": home(alive), "playground.md": playground(runs), "rules/index.md": rule_list(rules)}
    made |= {f"rules/{name}.md": rule_page(rule, alive) for name, rule in rules.items()}
    made |= {"stages/index.md": stage_list(stages)}
    made |= {f"stages/{name}.md": stage_page(stage, alive) for name, stage in stages.items()}
    made |= {"schedules/index.md": schedule_list()}
    made |= {f"schedules/{name}.md": schedule_page(name) for name in SCHEDULES}
    made |= {"constructors/index.md": library_list()}
    made |= {f"constructors/{library}.md": library_page(library) for library in constructors()}
    made |= {"api/index.md": api_list()}
    return made | {f"api/{name}.md": api_page(name) for name in API}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in lines)


def _live(chains: str, fallback: str, more: str = "") -> str:
    """Return the place where a page runs rules, which shows a still picture where it can't."""
    still = f'<div class="gs-still">{fallback}</div>'
    return f'<div class="gs-live" data-chains="{chains}"{more}>{still}</div>'


def _prose(text: str) -> str:
    """Return a docstring as Markdown: Shapes and Units are a list."""
    parts = plain(text).split("`")
    parts[::2] = [re.sub(r"([\[\]*])", r"\\\1", html.escape(x, quote=False)) for x in parts[::2]]  # outside of code
    text = "`".join(parts)
    return re.sub(r"\s+Units: ", "\n\n**Units.** ", text.replace("Shapes: ", "**Shapes.** "))


def home(alive: set[str]) -> str:
    """Return the first page."""
    names = [name for name in ("adam", "momentum", "sgd") if name in alive]
    rules = len(gs.rules.__all__)
    what_runs = (
        "Below, three of them run in your browser, compiled from the rules themselves: turn a number, click for another "
        "start."
        if names
        else "Below is the path of three of them."
    )
    return f"""---
hide: [toc, navigation]
---

# Gradstep

The optimizer step for people who have arrays and gradients: a simulation, a quantum circuit, a federated server, a
network of their own. {rules} rules, each written once as the page of equations that it is, and compiled from it.

```python
import numpy as np
import gradstep as gs

w = np.array([1.0, -2.0])
opt = gs.Optimizer(w, "adam", lr=0.1)
for _ in range(200):
    opt.step(2 * w)  # the gradient of |w|^2, from wherever you have it
```

{what_runs}

{_live(" ".join(names), pictures.path_of("adam,momentum,sgd"), ' data-surface="rosenbrock" data-steps="300"')}

| you want | go to |
|---|---|
| to begin | [Tutorial](tutorial.md) |
| the page for where you come from | [Who you are](who-you-are.md) |
| to know a rule: its equation, cost, defaults, and how libraries differ | [Rules](rules/index.md) |
| to choose one | [Which rule when](rules.md) |
| to see what moves how | [Play in the browser](playground.md) |
| to compare rules on your own problem | [Comparisons](compare.md) |
| what can be relied on, with figures | [Reliability](reliability.md) |
"""


def playground(runs: bool) -> str:
    """Return the page on which any rules run."""
    said = (
        "Every rule here is the library's own, compiled to WebAssembly when the site was built: nothing is sent anywhere, "
        "and there is no server. Up to six optimizers run over one surface."
        if runs
        else "This site was built without a linker for WebAssembly (`wasm-ld`), so nothing runs here; "
        "[`gradstep play`](play.md) does on your machine."
    )
    return f"""---
hide: [toc, navigation]
---

# Play in the browser

{said}

**It is for intuition, and no evidence.** Two coordinates have no batches, no test data and no thousand directions. For
evidence there is [`gradstep compare`](compare.md); noise, rate maps, state and the constructors of other libraries are on
the page that [`gradstep play`](play.md) opens.

{_live("adam momentum sgd", pictures.path_of("adam,momentum,sgd"), ' data-choose data-steps="150"')}
"""


def rule_list(rules: Mapping[str, Rule]) -> str:
    """Return the list of rules by kind."""
    text = [
        "# Rules",
        "",
        "Which to choose is said in [Which rule when](../rules.md); bytes are those of the state for",
    ]
    text += ["each float32 parameter, `+` says that there are slots of a shape of their own."]
    for kind, what in KINDS.items():
        own = {name: rule for name, rule in rules.items() if facts([rule])["kind"] == kind}
        rows = [
            [f"[`{name}`]({name}.md)", _source(rule), facts([rule])["bytes"], year(rule)] for name, rule in own.items()
        ]
        text += [
            "",
            f"## {kind.capitalize()}",
            "",
            what,
            "",
            _table(("rule", "what, and whose", "bytes", "year"), rows),
        ]
    return "\n".join(text)


def _source(rule: Rule) -> str:
    return html.escape(title(rule), quote=False)


def rule_page(rule: Rule, alive: set[str]) -> str:
    """Return the page of a rule."""
    name, oracle = rule.name, paper(rule.name)
    names = [x for x in ("sgd", "momentum") if x != name][:1]
    is_shown = not rule.inputs
    picture = pictures.path_of(name) if is_shown else ""
    text = [f"# {name}", "", _prose(rule.doc), "", "## Equation", "", shown(rule), ""]
    if name in alive:
        text += ["## Its path", ""]
        text += [
            "The rule itself runs here: its update as WebAssembly, its numbers printed from its Python. Every bit is"
        ]
        text += [
            "the library's, as far as the powers of your browser are. Turn its numbers, click for another start, and add"
        ]
        text += [f"others on [the page to play on](../playground.md); beside it goes `{names[0]}`.", ""]
        text += [_live(f"{name} {names[0]}", picture), ""]
    elif is_shown:
        text += ["## Its path", "", *_why_still(program(rule())), f'<div class="gs-still">{picture}</div>', ""]
    text += ["## Code", "", f"```python\n{code(rule)}\n```", ""]
    text += ["## Use", "", f"```python\n{_use(rule)}\n```", ""]
    text += ["## Hyperparameters", "", _hyper(rule, oracle), "", *_where_searched(rule)]
    text += ["## State and cost", "", _cost(rule), ""]
    text += _in_libraries(rule)
    text += _checked(rule, oracle)
    return "\n".join(text)


def _why_still(made: Program) -> list[str]:
    """Return a sentence where a chain doesn't run in a browser."""
    why = live.absent(made)
    return [f"It doesn't run in the browser: {why}.", ""] if why else []


def _use(rule: Rule) -> str:
    takes = [*(f"{key}=h" for key in rule.inputs), *(f"{key}=f" for key in rule.takes)]
    call = ", ".join(["grads", *takes])
    given = ", ".join(f"{key}={x:g}" for key, x in list(rule.defaults.items())[:1] if x is not None)
    made = f'gs.Optimizer(params, "{rule.name}"{", " * bool(given)}{given})'
    return f"opt = {made}\nopt.step({call})"


def _hyper(rule: Rule, oracle: Paper | None) -> str:
    if not rule.defaults:
        return "It has none."
    text, origins = Text(rule.symbols, False, {}), oracle.origins if oracle else {}
    rows = []
    for key, x in rule.defaults.items():
        domain = rule.domains.get(key) or DOMAINS.get(key)
        default = "that of the chain" if x is None else f"`{x!r}`"
        allowed = "any number" if domain is None or domain.low == -math.inf else html.escape(str(domain), quote=False)
        rows.append(
            [f"`{key}`", text.symbol(key, ""), default, _unit(rule, key), allowed, html.escape(origins.get(key, ""))]
        )
    head = ["name", "in the equation", "default", "unit", "allowed", "where the default comes from"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return _table(head, rows)


def _unit(rule: Rule, key: str) -> str:
    unit = rule.units.get(key, "1")
    return "a pure number" if unit == "1" else f"`{unit}`"


def _where_searched(rule: Rule) -> list[str]:
    if "lr" not in rule.defaults:
        return []
    if rule.finds_scale:
        return [f"A comparison looks for its rate around {rule.search:g}: the rule finds the scale itself.", ""]
    around = "" if rule.search == 1 else f"{rule.search:g} times "
    return [f"A comparison looks for its rate around {around}the scale of the problem for this unit.", ""]


def _cost(rule: Rule) -> str:
    slots = [f"`{x}` ({rule.shapes[x]})" if x in rule.shapes else f"`{x}`" for x in rule.state]
    lines = [f"- Kind: {facts([rule])['kind']}.", f"- Arrays kept for each parameter: {', '.join(slots) or 'none'}."]
    if rule.memory:
        lines.append(f"- Numbers that the host keeps: {', '.join(f'`{x}`' for x in rule.memory)}.")
    if rule.inputs or rule.takes:
        lines.append(f"- Comes with each step: {', '.join(f'`{x}`' for x in rule.extras)}.")
    lines += [f"- Bytes a parameter, {line}." for line in traffic(rule).splitlines()]
    return "\n".join(lines)


def _in_libraries(rule: Rule) -> list[str]:
    """Return what differs in other libraries' constructors of that name, or of which it is the rule."""
    rows: list[list[str]] = []
    for library, names in constructors().items():
        for name in names:
            if found := _difference(rule, name):
                own = name.removeprefix(f"{library}.")
                rows.append([f"[`{name}`](../constructors/{library}.md#{own.lower()})", *found])
    if not rows:
        return []
    said = "With the defaults of each; `0` of weight decay is left out. `gradstep show` prints it for any arguments."
    head = ("constructor", "differs in its equation", "differs in its defaults")
    return ["## In other libraries", "", said, "", _table(head, rows), ""]


def _difference(rule: Rule, name: str) -> tuple[str, str] | None:
    made = described(name)
    try:
        stage = Side(name, made, {}).stage()
    except GradstepError:
        return None
    is_named = name.rpartition(".")[2].lower().replace("_", "") == rule.name.replace("_", "")
    if not (is_named or [part.rule for part in stage.parts] == [rule]):
        return None
    ours = rule()
    equations = differences.equations([ours, stage])
    values = differences.defaults([Side(rule.name, described(rule), {}), Side(name, made, {})], [ours, stage])
    lines = [f"{key} = {theirs}" for key, (own, theirs) in equations.items() if own != theirs and theirs != "-"]
    lines += [f"no {key}" for key, (own, theirs) in equations.items() if theirs == "-" and own != theirs]
    numbers = [f"{key} = {theirs}" for key, (own, theirs) in values.items() if own != theirs and theirs != "-"]
    numbers += [f"no {key}" for key, (_, theirs) in values.items() if theirs == "-"]
    return _lines(lines, "the same"), _lines(numbers, "the same")


def _lines(texts: Sequence[str], otherwise: str) -> str:
    return "<br>".join(f"<code>{html.escape(x, quote=False)}</code>" for x in texts) or otherwise


def _checked(rule: Rule, oracle: Paper | None) -> list[str]:
    text: list[str] = []
    if oracle is not None and oracle.text:
        text += ["## As the paper has it", ""]
        text += [
            "Written from the paper by somebody who had not seen the rule, and run in exact arithmetic beside it in the"
        ]
        text += ["tests; differences from the paper are named there.", "", f"```text\n{oracle.text}\n```", ""]
    if rule.exceptions:
        rows = [[f"`{law}`", html.escape(why, quote=False)] for law, why in rule.exceptions.items()]
        text += [
            "## Laws that it doesn't obey",
            "",
            "Every rule is held to [the laws](../writing-a-rule.md); these are not its:",
        ]
        text += ["", _table(("law", "why"), rows), ""]
    return text


def stage_list(stages: Mapping[str, Rule]) -> str:
    """Return the list of stages."""
    rows = [[f"[`{name}`]({name}.md)", _source(x), facts([x])["bytes"], year(x)] for name, x in stages.items()]
    text = (
        "A stage stands before a rule in a chain and changes the gradient, or behind it and changes or averages what it"
    )
    more = "did; where each stands is said in [Around a rule](../rules.md#around-a-rule)."
    return f"# Stages\n\n{text}\n{more}\n\n{_table(('stage', 'what, and whose', 'bytes', 'year'), rows)}\n"


_STEEP = ' data-surface="rosenbrock" data-steps="300"'  # its gradients are long enough to be clipped


def stage_page(stage: Rule, alive: set[str]) -> str:
    """Return the page of a stage."""
    text = [f"# {stage.name}", "", _prose(stage.doc), "", "## Equation", "", shown(stage), ""]
    around, rule = live.beside(stage), live.partner(stage)
    if stage.name in alive:
        first, second = [part.label for part in around.parts]
        text += [
            "## Its path",
            "",
            f"`gs.chain(gs.{first}(), gs.{second}())` in your browser, beside {rule} alone. Turn the",
        ]
        text += ["numbers, and click for another start.", "", _live(f"{stage.name} {rule}", "", _STEEP), ""]
    elif why := _why_still(around):
        text += ["## Its path", "", *why]
    text += ["## Code", "", f"```python\n{code(stage)}\n```", "", "## Hyperparameters", "", _hyper(stage, None), ""]
    text += ["## State and cost", "", _cost(stage), "", *_checked(stage, None)]
    return "\n".join(text)


def schedule_list() -> str:
    """Return the list of schedules."""
    rows = [
        [f"[`{name}`]({name}.md)", html.escape(_first(getattr(gs.schedules, name)), quote=False)] for name in SCHEDULES
    ]
    text = "A schedule is a function of t, the updates made; any hyperparameter may follow one, and any function of t will do:"
    code_line = '`gs.Optimizer(params, "adam", lr=gs.schedules.cosine(1e-3, 1000))`.'
    return f"# Schedules\n\n{text}\n{code_line}\n\n{_table(('schedule', 'what it is'), rows)}\n"


def _first(x: Any) -> str:
    return plain(inspect.getdoc(x) or "").partition("\n")[0]


def schedule_page(name: str) -> str:
    """Return the page of a schedule."""
    made, (call, steps) = getattr(gs.schedules, name), SCHEDULES[name]
    value = eval(call, {x: getattr(gs.schedules, x) for x in gs.schedules.__all__})  # noqa: S307 - the calls above
    picture = pictures.schedule(value, steps)
    function = made if inspect.isfunction(made) else made._at
    source = inspect.cleandoc("\n" + inspect.getsource(function))
    text = [f"# {name}", "", f"```python\ngs.schedules.{call}\n```", "", f'<div class="gs-still">{picture}</div>', ""]
    text += [
        "## Arguments",
        "",
        f"::: gradstep.schedules.{name}",
        "    options: {show_root_heading: false, show_root_toc_entry: false, show_bases: false, members: []}",
        "",
    ]
    return "\n".join([*text, "## Code", "", f"```python\n{source}\n```", ""])


def library_list() -> str:
    """Return the list of libraries."""
    rows = []
    for library, names in constructors().items():
        own = ", ".join(f"`{name.removeprefix(f'{library}.')}`" for name in names)
        rows.append([f"[{LIBRARIES[library]}]({library}.md)", str(len(names)), own])
    text = "Constructors of other libraries by their names, with their arguments and defaults, and their numbers: "
    text += '`gs.Optimizer(params, "torch.AdamW", lr=1e-3)`, or `gs.conventions.torch.AdamW(lr=1e-3)`.'
    return f"# Constructors\n\n{text}\n\n{_table(('library', 'how many', 'constructors'), rows)}\n"


def library_page(library: str) -> str:
    """Return the page of a library's constructors."""
    module = import_module(f"gradstep.conventions.{library}")
    text = [f"# {LIBRARIES[library]}", "", plain((inspect.getdoc(module) or "").strip()), ""]
    for name in constructors()[library]:
        made = described(name)
        own = name.removeprefix(f"{library}.")
        side = Side(name, made, {})
        text += [
            f"## {own}",
            "",
            plain(made.summary),
            "",
            f"```python\n{_wrapped(f'gs.conventions.{library}.{own}', side.call())}\n```",
            "",
        ]
        text += ["becomes, with these defaults:", "", f"```python\n{_chain(side)}\n```", ""]
        rules = [part.rule.name for part in side.stage().parts if part.rule.name in gs.__all__]
        if rules:
            text += [f"See {', '.join(_page_of(rule) for rule in dict.fromkeys(rules))}.", ""]
        refused = [(x.name, x.reason) for x in made.takes.values() if x.kind == "refused" and x.reason]
        if refused:
            text += ["Refused, other than its default:", ""]
            text += [f"- `{key}`: {plain(why)}" for key, why in refused] + [""]
    if absent := getattr(module, "ABSENT", {}):
        text += [
            "## Not to be had",
            "",
            _table(("name", "why"), [[f"`{key}`", plain(why)] for key, why in absent.items()]),
            "",
        ]
    return "\n".join(text)


def _wrapped(name: str, arguments: str) -> str:
    """Return a call, with lines between its arguments where it is long."""
    if len(name) + len(arguments) < 76:
        return f"{name}({arguments})"
    lines = textwrap.wrap(arguments, 84, break_long_words=False, break_on_hyphens=False)
    return f"{name}(\n" + "\n".join(f"    {line}" for line in lines) + "\n)"


def _page_of(name: str) -> str:
    folder = "rules" if name in gs.rules.__all__ else "stages"
    return f"[`{name}`](../{folder}/{name}.md)"


def _chain(side: Side) -> str:
    stage = side.stage()
    parts = [repr(Stage((part,))) for part in stage.parts]
    return parts[0] if len(parts) == 1 else "chain(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def api_list() -> str:
    """Return the list of public names, after a look that none is left out."""
    named = {name.partition(".")[0] for _, names in API.values() for name in names}
    rest = {*gs.__all__} - {*gs.rules.__all__} - {*gs.stages.__all__} - named
    if rest:
        raise ValueError(f"website/pages.py: API has no page for {', '.join(sorted(rest))}")
    rows = [[f"[{what}]({page}.md)", ", ".join(f"`{x}`" for x in names)] for page, (what, names) in API.items()]
    text = "All that is public, with its docstrings; rules and stages have [pages](../rules/index.md) of "
    text += "[their own](../stages/index.md), and so have [schedules](../schedules/index.md)."
    return f"# API\n\n{text}\n\n{_table(('page', 'names'), rows)}\n"


def api_page(page: str) -> str:
    """Return a page of docstrings."""
    what, names = API[page]
    return "\n".join([f"# {what}", "", *(f"::: gradstep.{name}\n" for name in names)])
