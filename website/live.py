"""``rules.js``: all that runs in a reader's browser, from the rules, the surfaces and the knobs of the play page."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

import gradstep as gs
from gradstep.compare.show.play import optimizers, surfaces
from gradstep.compare.show.play.knobs import stops
from gradstep.form.chain import Program, program
from gradstep.form.declaration import parameters
from gradstep.form.hyper import Domain
from gradstep.form.rule import Rule, Stage, as_stage, registry
from website import wasm
from website.javascript import Unprinted, printed, speaking

WORDS = "pow", "log", "exp", "sin", "cos"


@cache
def chains() -> dict[str, Program]:
    """Return what can run in a browser by name: rules, and stages around momentum."""
    found = {name: program(as_stage(made)) for name, made in registry().items() if name in gs.rules.__all__}
    found |= {name: beside(getattr(gs.stages, name)) for name in gs.stages.__all__}
    return {name: made for name, made in found.items() if not absent(made)}


def beside(stage: Rule) -> Program:
    """Return a stage around a rule, as its page shows it: before it, where it can stand there, else behind it."""
    rule = getattr(gs, partner(stage))
    try:
        return program(gs.chain(stage, rule))
    except gs.GradstepError:
        return program(gs.chain(rule, stage))


def partner(stage: Rule) -> str:
    """Return the name of the rule beside which a stage is shown."""
    return {"mars": "adam", "schedule_free": "sgd"}.get(stage.name, "momentum")


def stage_of(made: Program, hyper: Mapping[str, float] = MappingProxyType({})) -> Stage:
    """Return the stage of a chain, with other hyperparameters where they are given."""
    owned = [{key: hyper[flat] for key, flat in keys.items() if flat in hyper} for keys in made.keys]
    return Stage(tuple(replace(x, given={**x.given, **own}) for x, own in zip(made.parts, owned, strict=True)))


def absent(made: Program) -> str:
    """Return why a browser can't run a chain, in words; nothing where it can."""
    if any(rule.whole for rule in made.rules):
        return "it works on whole arrays, and what a browser runs here goes element by element"
    if any(rule.random for rule in made.rules):
        return "it draws random numbers, and those of the library are drawn by its compiled code"
    if any(rule.every for rule in made.rules):
        return "it makes one step of several gradients, and here each gradient is a step"
    try:
        for rule in made.rules:
            functions(rule)
    except Unprinted:
        return "its numbers are computed by Python that has no JavaScript here"
    return ""


def functions(rule: Rule) -> dict[str, str]:
    """Return the functions of the host's half of a rule in JavaScript, by name."""
    found: dict[str, str] = {}
    if rule.early is not None:
        found["early"] = printed("early", rule.early, parameters(rule.early), rule.early_numbers)
    found["scalars"] = printed("scalars", rule.scalars, rule.arguments, {*rule.numbers, *rule.memory})
    return found


def script() -> str:
    """Return the whole of ``rules.js``."""
    made = chains()
    table = sorted({tuple(knob["stops"]) for x in made.values() for knob in knobs(x)})
    code = base64.b64encode(wasm.compiled({name: x.rules for name, x in made.items()})).decode()
    lines = [
        '"use strict";',
        "// Written when the site was built: what runs here is made from the rules themselves.",
        "(({ words, chains, surfaces }) => {",
        *(f"const {word} = (...x) => words.{word}(...x);" for word in WORDS),
        "const { sqrt, abs } = Math;",
        "const mod = (a, b) => { const r = a % b; return r !== 0 && r < 0 !== b < 0 ? r + b : r; };",
        "const near = (q) => (q - Math.floor(q) > 0.5 ? Math.ceil(q) : Math.floor(q));",
        "const floordiv = (a, b) => near((a - mod(a, b)) / b);",
        "const sign = (x) => (x > 0 ? 1 : x < 0 ? -1 : Math.abs(x));",
        "const minimum = (a, b) => (a < b || a !== a ? a : b);",
        "const maximum = (a, b) => (a > b || a !== a ? a : b);",
        f"const stops = {json.dumps(table)};",
        *(f"chains[{name!r}] = {_chain(name, x, table)};" for name, x in made.items()),
        *(f"surfaces[{name!r}] = {_surface(x)};" for name, x in surfaces.SURFACES.items()),
        f'gradstep.ready = gradstep.load("{code}");',
        "})(gradstep);",
    ]
    return "\n".join(lines) + "\n"


def _object(**fields: Any) -> str:
    """Return a JavaScript object whose values are JavaScript."""
    return f"{{ {', '.join(f'{key}: {text}' for key, text in fields.items())} }}"


def _chain(name: str, made: Program, table: list[tuple[float, ...]]) -> str:
    parts = [_part(part.rule, keys) for part, keys in zip(made.parts, made.keys, strict=True)]
    unit = optimizers.known(name).unit if name in registry() and not made.inputs else ""
    turned = [f"{{ name: {x['name']!r}, stops: stops[{table.index(tuple(x['stops']))}] }}" for x in knobs(made)]
    return _object(
        name=json.dumps(name),
        hyper=json.dumps(dict(made.hyper)),
        unit=json.dumps(unit or _unit(made)),
        isRule=json.dumps(len(made.parts) == 1),
        knobs=f"[{', '.join(turned)}]",
        parts=f"[{', '.join(parts)}]",
    )


def _unit(made: Program) -> str:
    return next((rule.units.get("lr", "") for rule in made.rules if rule.kind == "rule" and not rule.finds_scale), "")


def knobs(made: Program) -> list[dict[str, Any]]:
    """Return the name and the stops of the slider of each hyperparameter of a chain."""
    anything = Domain(-math.inf)
    return [
        {"name": key, "stops": sorted({*stops(key, made.domains.get(key) or anything), float(value)})}
        for key, value in made.hyper.items()
        if not callable(value)
    ]


def _part(rule: Rule, keys: Mapping[str, str]) -> str:
    return _object(
        keys=json.dumps(dict(keys)),
        memory=json.dumps(dict(rule.memory)),
        state=json.dumps([[slot, rule.start.get(slot, 0.0)] for slot in rule.state]),
        numbers=json.dumps(rule.numbers),
        earlyNumbers=json.dumps(rule.early_numbers),
        sums=json.dumps([*rule.measure]),
        takes=json.dumps(rule.takes),
        inputs=json.dumps(rule.inputs),
        **functions(rule),
    )


def _surface(surface: surfaces.Surface) -> str:
    knobs = [knob for knob in surface.knobs if knob.name not in ("noise", "seed")]

    make = speaking(surface.make)

    def at(x: Any, y: Any, **numbers: Any) -> dict[str, Any]:
        value, (dx, dy) = make(numbers)(np.array([x, y], object))
        return {"value": value, "dx": dx, "dy": dy}

    return _object(
        title=json.dumps(surface.title),
        summary=json.dumps(surface.summary),
        box=json.dumps(surface.box),
        start=json.dumps(surface.start),
        least=json.dumps(surface.least),
        scale=json.dumps(surface.scale),
        knobs=json.dumps([{"name": x.name, "value": x.default, "stops": x.stops} for x in knobs]),
        at=printed("at", at, ("x", "y", *(x.name for x in knobs)), ("value", "dx", "dy")),
    )
