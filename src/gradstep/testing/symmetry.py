"""Laws about what a rule computes: the paper's numbers, units, and what must hold for every sane step."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from gradstep.array.storage import step_key
from gradstep.engine.normals import normals
from gradstep.engine.tensor import Tensor
from gradstep.form.rule import Rule
from gradstep.testing.case import Case
from gradstep.testing.trial import REAL, demand, edges, equal, extras, gradients, normal, run, sprinkled

STEPS = 50


def oracle(case: Case) -> None:
    """Within ``bound`` (|theta0| + path length) of the oracle, at every step, t = 1 and zero gradients included."""
    assert case.oracle is not None  # noqa: S101 - silent otherwise
    if case.rule.whole:
        _oracle_of_matrices(case)
        return
    for seed in (case.seed, case.seed + 1):
        rng = np.random.default_rng(seed)
        (theta,) = normal(rng, (6,))
        theta[0] = 0.0
        grads = gradients(rng, [theta], STEPS)
        for t, (g,) in enumerate(grads):
            g[1] *= t >= 3  # the first gradients are zero
            g[2] = 0.0  # all are
            g[3] = 2.5  # constant
        for hyper in case.visible():
            path = np.array([x["theta"][0] for x in run(case.stage(**hyper), [theta], grads)])
            for i, exact in enumerate(_exact(case, theta, [g for (g,) in grads], hyper)):
                demand(len(exact) == STEPS, f"the oracle gives {len(exact)} numbers for {STEPS} gradients")
                errors = [float(abs(x - type(x)(float(y)))) for x, y in zip(exact, path[:, i], strict=True)]
                moves = [abs(float(exact[0]) - theta[i]), *(float(abs(b - a)) for a, b in pairwise(exact))]
                scale = abs(theta[i]) + np.cumsum(moves)
                worst = int(np.argmax(errors - case.bound * scale))
                demand(
                    errors[worst] <= case.bound * scale[worst],
                    f"step {worst + 1} of seed {seed}, element {i}, {hyper}: {path[worst, i]!r}, the oracle "
                    f"{float(exact[worst])!r}; {errors[worst]:.3g} apart, {case.bound * scale[worst]:.3g} allowed",
                )


def _exact(case: Case, theta: Any, grads: list[Any], hyper: Mapping[str, float]) -> list[list[Any]]:
    """Return the oracle's trajectory of each element: asked one by one, or, where sums couple them, all at once."""
    assert case.oracle is not None  # noqa: S101 - silent otherwise
    more = [extras(case.stage(), [g]) for g in grads]
    numbers = {key: [own[key] for own in more] for key in case.rule.takes}
    arrays = {key: np.array([own[key][0] for own in more]) for key in case.rule.inputs}
    if case.rule.measure:
        given = numbers | {key: x.tolist() for key, x in arrays.items()}
        after = list(case.oracle(theta.tolist(), [g.tolist() for g in grads], **given, **hyper))
        return [list(x) for x in zip(*after, strict=True)]
    own = [numbers | {key: x[:, i].tolist() for key, x in arrays.items()} for i in range(len(theta))]
    each = zip(theta.tolist(), np.array(grads).T.tolist(), own, strict=True)
    return [list(case.oracle(x, g, **given, **hyper)) for x, g, given in each]


def _oracle_of_matrices(case: Case) -> None:
    """The same for whole arrays: matrices of either form, a row, a column; the scale is that of the largest element."""
    assert case.oracle is not None  # noqa: S101 - asked before
    steps = 6  # a step of a matrix in exact arithmetic takes long
    for shape in ((2, 3), (3, 2), (2, 2), (1, 3), (3, 1)):
        rng = case.rng()
        (theta,) = normal(rng, shape)
        grads = gradients(rng, [theta], steps)
        grads[0][0][0] = 0.0
        grads[2][0][...] = 0.0
        for hyper in case.visible():
            path = [x["theta"][0] for x in run(case.stage(**hyper), [theta], grads)]
            exact = case.oracle(theta.tolist(), [g.tolist() for (g,) in grads], **_drawn(case, theta, steps), **hyper)
            far, last = float(np.abs(theta).max()), theta
            for t, (got, wanted) in enumerate(zip(path, exact, strict=True), 1):
                rounded = np.array([[float(x) for x in row] for row in wanted])
                pairs = zip(got.ravel(), (x for row in wanted for x in row), strict=True)
                error = max(float(abs(y - type(y)(float(x)))) for x, y in pairs)
                far += float(np.abs(rounded - last).max())
                last = rounded
                demand(
                    error <= case.bound * far,
                    f"step {t} of a {shape} matrix, {hyper}: {got.tolist()}, the oracle {rounded.tolist()}; "
                    f"{error:.3g} apart, {case.bound * far:.3g} allowed",
                )


def _drawn(case: Case, theta: Any, steps: int) -> dict[str, Any]:
    """Return what a rule draws at each step for the first array of an optimizer, as its oracle takes it."""
    if case.rule.random is None:
        return {}
    tensor = Tensor("0", theta, (), 0)
    return {case.rule.random: [normals(tensor, step_key(0, t))(0).tolist() for t in range(1, steps + 1)]}


def units(case: Case) -> None:
    """Loss or theta in other units, by powers of two: the same trajectory in those units, exactly."""
    rng = case.rng()
    (theta,) = normal(rng, (20,))
    grads = gradients(rng, [theta], STEPS)
    for hyper in case.visible():
        plain = run(case.stage(**hyper), [theta], grads)
        for a, b in ((0, 5), (-4, 0)):  # any other change of units is made of such two
            size = {"theta": 2.0**a, "g": 2.0**b}
            own = _factors(case.rule, size)
            numbers = {key: x * own[key] for key, x in case.rule.start.items() if isinstance(x, int | float)}
            rate = case.rate * size["theta"] / size["g"]
            scaled = replace(case, rule=replace(case.rule, start={**case.rule.start, **numbers}), rate=rate)
            stage = scaled.stage(**{key: x * own.get(key, 1.0) for key, x in hyper.items()})
            more = [extras(case.stage(), g, own) for g in grads]
            got = run(stage, [theta * size["theta"]], [[g * size["g"]] for (g,) in grads], more=more)
            scales = {f"{case.rule.name}.{key}": x for key, x in own.items()}
            scales |= {key: _factor(unit, size) for key, unit in _shown(case.rule).items()}
            for t, (x, y) in enumerate(zip(got, plain, strict=True), 1):
                for key in x.keys() & scales.keys():
                    where = f"theta times {size['theta']}, g times {size['g']}, {hyper}, step {t}: {key}"
                    equal(x[key][0], y[key][0] * scales[key], where)


def _factors(rule: Rule, size: Mapping[str, float]) -> dict[str, float]:
    """Return the growth of hyperparameters and slots that have a unit: those that start at a number must."""
    for key, how in rule.start.items():
        demand(not isinstance(how, int | float) or how == 0 or key in rule.units, f"the start of {key} has no unit")
    return {key: _factor(unit, size) for key, unit in rule.units.items()}


def _factor(unit: str, size: Mapping[str, float]) -> float:
    """Return the growth of a number in ``unit`` (``"theta/g"``, ``"g*g"``, ``"1/theta"``) as theta and g grow."""
    top, *bottom = [[x.strip() for x in product.split("*")] for product in unit.split("/")]
    known = {**size, "1": 1.0}
    for x in (*top, *(x for product in bottom for x in product)):
        demand(x in known, f"a unit is made of theta, g, 1, * and /, not {x!r}")
    return prod(known[x] for x in top) / prod(known[x] for product in bottom for x in product)


def _shown(rule: Rule) -> dict[str, str]:
    """Return the arrays of a run that have the sign of theta or g, each with its unit."""
    copies = {f"{rule.name}.{key}": "theta" for key, how in rule.start.items() if how == "theta"}
    return {"theta": "theta", "probe.g": rule.units.get("g", "g"), **copies}


def odd_symmetry(case: Case) -> None:
    """(theta, g) to (-theta, -g) negates the trajectory exactly: no direction is preferred."""
    rng = case.rng()
    for dtype in REAL:
        (theta,) = normal(rng, (20,), dtype=dtype)
        grads = [sprinkled(rng, g, edges(dtype)) for g in gradients(rng, [theta], STEPS)]
        for hyper in case.settings():
            plain = run(case.stage(**hyper), [theta], grads)
            turned = run(case.stage(**hyper), [-theta], [[-g] for (g,) in grads])
            for t, (x, y) in enumerate(zip(turned, plain, strict=True), 1):
                for key in x.keys() & _shown(case.rule).keys():
                    equal(x[key][0], -y[key][0], f"{dtype}, {key} after step {t} of the turned run with {hyper}")


def nonnegative_slots(case: Case) -> None:
    """Slots that are declared never to be below zero are not: formats without a sign keep them."""
    rng = case.rng()
    for dtype in REAL:
        (theta,) = normal(rng, (20,), dtype=dtype)
        grads = [sprinkled(rng, g, edges(dtype)) for g in gradients(rng, [theta], STEPS)]
        for hyper in case.settings():
            for t, after in enumerate(run(case.stage(**hyper), [theta], grads), 1):
                for slot in case.rule.nonnegative:
                    (x,) = after[f"{case.rule.name}.{slot}"]
                    demand((x >= 0.0).all(), f"{dtype}, {slot} after step {t} is {x.min()} with {hyper}")


def first_step_descends(case: Case) -> None:
    """No element moves uphill in the first step."""
    rng = case.rng()
    for dtype in REAL:
        (theta,) = normal(rng, (200,), dtype=dtype)
        (g,) = sprinkled(rng, gradients(rng, [theta], 1)[0], edges(dtype))
        for hyper in case.settings():
            after = run(case.stage(**hyper), [theta], [[g]])[0]["theta"][0]
            up = np.flatnonzero(~(np.sign(after - theta) * np.sign(g) <= 0))
            demand(not up.size, f"{dtype}, {hyper}: {_moves(theta, g, after, up[:3])}")


def _moves(theta: Any, g: Any, after: Any, where: Any) -> str:
    return "; ".join(f"g = {g[i]!r} moves {theta[i]!r} to {after[i]!r}" for i in where)


def zero_rate_keeps_theta(case: Case) -> None:
    """Nothing moves while lr is 0."""
    rng = case.rng()
    for dtype in REAL:
        (theta,) = normal(rng, (20,), dtype=dtype)
        for hyper in case.settings():
            last = run(replace(case, rate=0.0).stage(**{**hyper, "lr": 0.0}), [theta], gradients(rng, [theta], STEPS))[
                -1
            ]
            equal(last["theta"][0], theta, f"{dtype}, {hyper}: theta after {STEPS} steps")
