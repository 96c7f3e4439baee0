"""Laws about how a rule is written: its form, its printed equation, its defaults."""

import inspect
import math
from typing import Any

import numpy as np

from gradstep.form.checking import ARRAY, Checked, Checker
from gradstep.form.declaration import operands_of
from gradstep.form.equation import equation as printed
from gradstep.form.matrices import matrix_shape
from gradstep.testing.case import Case
from gradstep.testing.trial import demand


def form(case: Case) -> None:
    """Two functions: ``scalars`` without a memory of its own, ``update`` elementwise and without a branch."""
    rule = case.rule
    names = rule.arrays
    takes = tuple(inspect.signature(rule.update).parameters)
    demand(
        takes[: len(names)] == names and sorted(takes[len(names) :]) == sorted(rule.numbers),
        f"update takes {takes} and not {names} and the scalars {rule.numbers}",
    )
    checker = Checker(rule.name, rule.whole)  # raises RuleError, which says what to move
    operands = dict(zip(rule.arrays, operands_of(rule, checker), strict=True))
    operands |= {key: checker.scalar(key) for key in rule.numbers}
    results = rule.update(**operands)
    after = ("theta", "g", *rule.state)
    demand(isinstance(results, tuple) and len(results) == len(after), f"update must return {after}")
    for name, x in zip(after, results, strict=True):
        demand(isinstance(x, Checked) and x.kind == ARRAY, f"update returns {x} as {name}, which is no array")
    more = [*rule.measured, *([(rule.read, ("theta", *rule.state))] if rule.read is not None else [])]
    for function, asked in more:
        x = function(*(operands[key] for key in asked))
        demand(isinstance(x, Checked) and x.kind == ARRAY, f"reduce and read must return an array, not {x}")
    for hyper in case.settings():
        for t in (1, 2, 3, 10, 1000):
            first, second = (rule.host(t, hyper, rule.memory, dict.fromkeys(rule.per_step, 1.0)) for _ in range(2))
            demand(first == second, f"scalars() of t = {t} gives {first}, and {second} when it is called again")
            values = [*first[0].values(), *first[1].values()]
            demand(all(map(math.isfinite, values)), f"scalars() of t = {t} gives {first} with {hyper}")


def equation(case: Case) -> None:
    """The printed equation evaluates to the rule's own numbers: the same operations on the same doubles."""
    rule, rng = case.rule, case.rng()
    names, results = rule.arrays, ("theta", "g", *rule.state)
    equations = printed(rule)
    shapes = {key: rule.slot_shape(key, (3, 2)) for key in names}
    shapes |= {key: matrix_shape(shape, rule.folds) for key, shape in shapes.items() if key not in rule.shapes}
    for hyper in case.settings():
        for t in (1, 2, 10, 1000):
            for sign in (1.0, -1.0, 0.0):
                before: dict[str, Any] = {key: abs(rng.normal()) for key in names} | {
                    "g": sign * rng.uniform(0.1, 10.0)
                }
                if rule.whole:
                    before = {key: rng.uniform(0.5, 2.0, shape) for key, shape in shapes.items()}
                    before["g"] *= sign
                memory, sums = dict(rule.memory), {key: rng.uniform(0.1, 10.0) for key in rule.per_step}
                numbers, _ = rule.host(t, hyper, memory, sums)
                arrays = {key: np.array(x) for key, x in before.items()}
                after = rule.update(*arrays.values(), **{key: np.array(x) for key, x in numbers.items()})
                known = {key: np.float64(x) for key, x in numbers.items()} | arrays
                wanted = dict(zip(results, after, strict=True))
                for key, (f, asked) in zip(rule.measure, rule.measured, strict=True):
                    wanted[key] = f(**{x: known[x] for x in asked})
                got = equations.evaluate({**before, **hyper, **memory, "t": t, **sums})
                alike = all(np.array_equal(got[key], x, equal_nan=True) for key, x in wanted.items())
                demand(alike, f"at t = {t} with {hyper} from {before} it gives {got}, the rule {wanted}")


def defaults(case: Case) -> None:
    """The defaults are the paper's."""
    demand(
        dict(case.rule.defaults) == dict(case.defaults or {}),
        f"they are {dict(case.rule.defaults)}, the paper's {dict(case.defaults or {})}",
    )
