"""The stages that are no rules against tests/papers/stages.py; u is the rounding of one operation."""

import numpy as np
import pytest
from mpmath import mp

import gradstep as gs
import gradstep.variants
from gradstep.rule import registry
from gradstep.testing import Case
from gradstep.testing.case import ENGINES
from gradstep.testing.trial import gradients, normal, run, same_runs
from papers import schedule_free_adamw, schedule_free_sgd, stages, wrappers
from papers.exact import DIGITS, numbers

u = 2.0**-53


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(DIGITS):
        yield


def one_step(rule, thetas, grads, engine="auto", **hyper):
    """Theta after a step, and the gradient that the stage leaves, as lists of lists."""
    after = run(Case(rule).stage(**hyper), thetas, [grads], engine=engine)[0]
    return [[x.tolist() for x in after[key]] for key in ("theta", "probe.g")]


def within(got, exact, room):
    for x, y, r in zip(numbers(got), exact, room, strict=True):
        assert abs(x - y) <= 1.0001 * r, f"{mp.nstr(x, 25)} is not {mp.nstr(y, 25)} within {float(r)}"


@pytest.fixture
def tensors():
    rng = np.random.default_rng(7)
    thetas = normal(rng, (40,), (5,), (3,))
    (grads,) = gradients(rng, thetas, 1)
    grads[1][:] = [3.0, -4.0, 0.0, 12.0, 0.0]  # its norm is 13
    grads[2][:] = 0.0
    return thetas, grads


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bound", [0.5, 3.0, 1e3])
def test_clip_by_value_is_exact(tensors, bound, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.clip_by_value, thetas, grads, engine, max_value=bound)
    assert numbers(g) == [stages.clip_by_value(x, bound) for x in grads]
    assert theta == [x.tolist() for x in thetas]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bound", [0.1, 6.5, 13.0, 1e4])
@pytest.mark.parametrize("name", ["clip_by_norm", "clip_by_global_norm"])
def test_clip_by_norm(tensors, name, bound, engine):
    thetas, grads = tensors
    _, g = one_step(getattr(gs, name), thetas, grads, engine, max_norm=bound)
    for got, exact, before in zip(g, getattr(stages, name)(grads, bound), grads, strict=True):
        if exact == numbers(before):
            assert got == before.tolist()  # short enough: left as it is, bit for bit
        # a sum of squares, a root, a quotient, a product; the sum of positive numbers loses no more than its depth
        within(got, exact, [8 * u * abs(x) for x in exact])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("scale", [1.0, 1024.0, 3.0])
def test_unscale(tensors, scale, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.unscale, thetas, grads, engine, loss_scale=scale)
    for got, before in zip(g, grads, strict=True):
        within(got, stages.unscale(before, scale), 2 * u * np.abs(got))  # a reciprocal and a product
    assert theta == [x.tolist() for x in thetas]


@pytest.mark.parametrize("engine", ENGINES)
def test_unscaled_by_a_power_of_two_is_as_if_never_scaled(engine):
    rng = np.random.default_rng(9)
    for dtype in ("float32", "float64"):
        thetas = normal(rng, (40,), (5,), dtype=dtype)
        grads = gradients(rng, thetas, 5)
        stage = gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.1))
        plain = run(stage, thetas, grads, engine=engine)
        scaled = run(
            gs.chain(gs.unscale(loss_scale=2.0**20), stage),
            thetas,
            [[2.0**20 * x for x in g] for g in grads],
            engine=engine,
        )
        same_runs(scaled, plain, dtype)


@pytest.mark.parametrize("engine", ENGINES)
def test_l2(tensors, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.l2, thetas, grads, engine, weight_decay=0.3)
    for got, x, before in zip(g, thetas, grads, strict=True):
        exact = stages.l2(before, x, 0.3)
        within(got, exact, u * np.abs(0.3 * x) + u * np.abs(got))  # a product and a sum
    assert theta == [x.tolist() for x in thetas]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_decay_from_the_second_update_leaves_the_first_alone(engine):
    params = {"w": np.array([1.0, -2.0])}
    opt = gs.Optimizer(
        params, gs.chain(gradstep.variants.decay_from_second(weight_decay=0.5), gs.sgd(lr=0.5)), engine=engine
    )
    seen = []
    for _ in range(3):
        opt.step({"w": np.zeros(2)})
        seen.append(params["w"].tolist())
    assert seen == [[1.0, -2.0], [0.75, -1.5], [0.5625, -1.125]]


@pytest.mark.parametrize("engine", ENGINES)
def test_decay(tensors, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.decay, thetas, grads, engine, lr=0.1, weight_decay=0.3)
    for got, x in zip(theta, thetas, strict=True):
        within(got, stages.decay(x, 0.1, 0.3), 2 * u * np.abs(0.03 * x) + u * np.abs(got))  # two products and a sum
    assert g == [x.tolist() for x in grads]


def unit_rows(x, axis):
    """The units of an array as rows of numbers, and how to put rows back."""
    if x.ndim < 2:
        return x.reshape(1, -1).tolist(), lambda rows: np.array(rows, object).reshape(x.shape)
    moved = np.moveaxis(x, axis, 0)
    return (
        moved.reshape(len(moved), -1).tolist(),
        lambda rows: np.moveaxis(np.array(rows, object).reshape(moved.shape), 0, axis),
    )


UNITS = [(6, 9), (9, 6), (7,), (3, 2, 4, 5), (5, 1), (1, 5), ()]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "axis"), [("agc_columns", -1), ("agc_rows", 0)])
def test_agc(name, axis, engine):
    """Convolutions too; a unit of zeros is measured by eps, and a unit within its bound keeps its bits."""
    rng = np.random.default_rng(5)
    thetas = normal(rng, *UNITS)
    (grads,) = gradients(rng, thetas, 1)
    for x in thetas[:2]:
        x[2, :] = x[:, 2] = 0.0
    grads[3][...] *= 1e-3
    _, got = one_step(getattr(gs, name), thetas, grads, engine, clip=0.3, floor=0.05)
    kept = cut = 0
    for x, g, y in zip(thetas, grads, got, strict=True):
        rows, back = unit_rows(g, axis)
        exact = [list(row) for row in wrappers.agc(rows, unit_rows(x, axis)[0], 0.3, 0.05)]
        same = [numbers(a) == b for a, b in zip(rows, exact, strict=True)]
        kept, cut = kept + sum(same), cut + len(same) - sum(same)
        for a, b in zip(back(exact).flat, np.array(y).flat, strict=True):
            assert abs(a - b) <= 20 * u * abs(a)  # squares, their sum, a root, of both; a quotient and two products
        for row, b in zip(unit_rows(np.array(y), axis)[0], rows, strict=True):
            assert row == b or not same[rows.index(b)]
    assert kept >= 3
    assert cut >= 10


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "axis"), [("centralize_columns", -1), ("centralize_rows", 0)])
def test_centralize(name, axis, engine):
    rng = np.random.default_rng(6)
    thetas = normal(rng, *UNITS)
    (grads,) = gradients(rng, thetas, 1)
    theta, got = one_step(getattr(gs, name), thetas, grads, engine)
    assert theta == [x.tolist() for x in thetas]
    for g, y in zip(grads, got, strict=True):
        if g.ndim < 2:
            assert y == g.tolist()
            continue
        rows, back = unit_rows(g, axis)
        exact = [[0.0] if len(row) == 1 else [a - sum(numbers(row)) / len(row) for a in numbers(row)] for row in rows]
        if min(map(len, rows)) > 1:
            assert exact == list(wrappers.centralize(rows))
        room = 2 * u * np.abs(g).max()
        assert all(abs(a - b) <= room for a, b in zip(back(exact).flat, np.array(y).flat, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_proximal_decay(tensors, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.proximal_decay, thetas, grads, engine, lr=0.1, weight_decay=0.3)
    for got, x in zip(theta, thetas, strict=True):
        within(
            got, wrappers.proximal_decay(x, 0.1, 0.3), 4 * u * np.abs(got)
        )  # a product, a sum, a quotient, a product
    assert g == [x.tolist() for x in grads]


@pytest.mark.parametrize("engine", ENGINES)
def test_l1_decay(tensors, engine):
    thetas, grads = tensors
    theta, g = one_step(gs.l1_decay, thetas, grads, engine, lr=0.5, l1=0.8)
    for got, x in zip(theta, thetas, strict=True):
        within(got, wrappers.soft_threshold(x, 0.5, 0.8), u * 0.4 + u * np.abs(got))  # a product and a difference
        assert 0 < got.count(0.0) < x.size or x.size < 9  # a small number is zero, not almost
    assert g == [x.tolist() for x in grads]


@pytest.mark.parametrize("engine", ENGINES)
def test_corrected_decay_of_a_run(engine):
    """A rate that grows and falls; nothing else moves theta."""
    rng, rates = np.random.default_rng(3), [0.1, 0.4, 0.4, 0.3, 0.0, 0.2]
    (theta,) = normal(rng, (12,))
    stage = gs.corrected_decay(lr=lambda t: rates[t], weight_decay=0.5)
    runs = run(stage, [theta], gradients(rng, [theta], 6), engine=engine)
    exact = theta.tolist()
    for t, after in enumerate(runs):
        exact = wrappers.corrected_decay(exact, rates[t], max(rates[: t + 1]), 0.5)
        within(after["theta"][0].tolist(), exact, (t + 1) * 6 * u * np.abs(theta))


@pytest.mark.parametrize("engine", ENGINES)
def test_cautious_decay(engine):
    """Behind momentum, which goes on away from zero for a while; a theta or a step of zero does not decay."""
    rng = np.random.default_rng(11)
    thetas = normal(rng, (40,), (5,))
    grads = gradients(rng, thetas, 8)
    opt = gs.Optimizer(thetas, gs.chain(gs.momentum(lr=0.1), gs.cautious_decay(weight_decay=0.3)), engine=engine)
    thetas[1][0] = 0.0
    decayed = 0
    for step in grads:
        before = [x.copy() for x in opt.params]
        velocity = [opt.state[str(k)]["momentum.v"].copy() for k in range(2)]
        opt.step(step)
        for x, v, g, after in zip(before, velocity, step, opt.params, strict=True):
            moved = x + (0.9 * v - 0.1 * g)
            exact = wrappers.cautious_decay(x.tolist(), moved.tolist(), 0.1, 0.3)
            within(after.tolist(), exact, 4 * u * np.abs(0.03 * x) + u * np.abs(after))
            decayed += int((moved != after).sum())
    assert 50 < decayed < 300


@pytest.mark.parametrize("engine", ENGINES)
def test_maximize(tensors, engine):
    theta, g = one_step(gs.maximize, *tensors, engine)
    assert g == [(-x).tolist() for x in tensors[1]]
    assert theta == [x.tolist() for x in tensors[0]]


SCALINGS = [name for name in registry(None) if name.startswith("scale_by_")]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SCALINGS)
@pytest.mark.parametrize(
    "hyper", [{}, {"rho": 0.9, "eps": 0.5}, {"rho": 0.6, "eps": 0.01, "initial_accumulator": 2.0}], ids=str
)
def test_scaling_of_a_run(name, hyper, engine, monkeypatch):
    steps, rng = 30, np.random.default_rng(11)
    (theta,) = normal(rng, (12,))
    grads = gradients(rng, [theta], steps)
    for t, (g,) in enumerate(grads):
        g[0] *= t >= 3  # the first gradients are zero
        g[1] = 0.0  # all are
        g[2] = 2.5  # constant: no variance
        g[3] = 40.0 * (t == 0)  # one, and its decay
    rule = registry(None)[name]
    runs = run(Case(rule).stage(**hyper), [theta], grads, engine=engine)
    hyper = {key: hyper.get(key, value) for key, value in rule.defaults.items()}

    def scaled(shift):
        """The oracle, with a variance that is off by a part of the mean of the squares."""
        monkeypatch.setattr(stages, "variance", lambda v, a2: max(v - a2 + shift * v, mp.zero))
        return [getattr(stages, name)([float(g[i]) for (g,) in grads], **hyper) for i in range(theta.size)]

    # A step rounds what is left of a mean twice, so that its relative error grows by 2 u a step; 1 - rho^t loses 10 u
    # and the rest 2 u. The root halves all that, then 3 operations: (t + 9) u. The variance has that of v and twice
    # that of a, 6 (t + 6) u of v, however small: where no more is left, no digit is demanded.
    shift = 6 * (steps + 6) * u
    for i, (exact, less, more) in enumerate(zip(scaled(0), scaled(-shift), scaled(shift), strict=True)):
        room = [(steps + 9) * u * abs(x) + abs(a - b) for x, a, b in zip(exact, less, more, strict=True)]
        within([after["probe.g"][0][i] for after in runs], exact, room)
    assert all((after["theta"][0] == theta).all() for after in runs)


AVERAGES = {
    "ema": ({"decay": 0.9}, lambda start, path: stages.ema(start, path, 0.9)),
    "ema_after_first": ({"decay": 0.9}, lambda _, path: stages.ema_after_first(path, 0.9)),
    "ema_corrected": ({"decay": 0.9}, lambda _, path: wrappers.ema_corrected(path, 0.9)),
    "ema_warmed": (
        {"decay": 0.8, "gamma": 2.0, "power": 0.75},
        lambda _, path: wrappers.ema_warmed(path, 0.8, 2.0, 0.75),
    ),
    "ema_warmed_tf": ({"decay": 0.7}, lambda start, path: wrappers.ema_warmed_tf(start, path, 0.7)),
    "swa": ({"start": 7, "every": 3}, lambda _, path: wrappers.swa(path, 7, 3)),
    "polynomial_average": ({"gamma": 2.5}, lambda _, path: wrappers.polynomial_average(path, 2.5)),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", AVERAGES)
def test_average_of_a_run(name, engine):
    rng, (hyper, paper) = np.random.default_rng(8), AVERAGES[name]
    (theta,) = normal(rng, (8,))
    grads = gradients(rng, [theta], 50)
    opt = gs.Optimizer(params := theta.copy(), gs.chain(gs.sgd(lr=0.1), registry(None)[name](**hyper)), engine=engine)
    values, averages = [], []
    for (g,) in grads:
        opt.step(g)
        values.append(params.copy())
        averages.append(opt.averaged())
    for i, start in enumerate(theta):
        path = [x[i] for x in values]
        # each step rounds a difference, a product and a sum; of what was lost before at most all stays
        room = 50 * 3 * u * max(abs(start), *map(abs, path))
        exact = paper(start, path)
        within([x[i] for x in averages], exact, [room] * len(exact))


def test_averages_with_defaults_of_their_papers():
    """The weights are the papers' where a user gives none; every one of them is another average."""
    rng = np.random.default_rng(8)
    (theta,), seen = normal(rng, (1,)), set()
    grads = gradients(rng, [theta], 5)
    papers = {
        "ema_corrected": lambda path: wrappers.ema_corrected(path, 0.999),
        "ema_warmed": lambda path: wrappers.ema_warmed(path, 0.9999),
        "swa": wrappers.swa,
        "polynomial_average": wrappers.polynomial_average,
    }
    for name, paper in papers.items():
        opt = gs.Optimizer(params := theta.copy(), gs.chain(gs.sgd(lr=0.1), registry(None)[name]))
        path = []
        for (g,) in grads:
            opt.step(g)
            path.append(params.item())
        within(opt.averaged(), paper(path)[-1:], [50 * 3 * u * max(map(abs, path))])
        seen.add(opt.averaged().item())
    assert len(seen) == len(papers)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["cautious", "cautious_mean", "cautious_heavyball"])
def test_cautious(name, engine):
    """Behind momentum, which goes on uphill for a while, and decay, which is not undone."""
    rng = np.random.default_rng(11)
    thetas = normal(rng, (40,), (5,), (3,))
    grads = gradients(rng, thetas, 8)
    rule, paper = registry(None)[name], getattr(stages, name, getattr(wrappers, name, None))
    alone = gs.chain(gs.decay(weight_decay=0.3), gs.momentum(lr=0.1))
    wrapped = gs.chain(alone, rule)
    opt = gs.Optimizer([x.copy() for x in thetas], wrapped, engine=engine)
    undone = 0
    for step in grads:
        before = [x.copy() for x in opt.params]
        velocity = [opt.state[str(k)]["momentum.v"].copy() for k in range(len(thetas))]
        opt.step(step)
        for x, v, g, after in zip(before, velocity, step, opt.params, strict=True):
            decayed = x - (0.1 * 0.3) * x
            moved = decayed + (0.9 * v - 0.1 * g)
            exact = paper(decayed.tolist(), moved.tolist(), g.tolist())
            # a difference, a product and a sum, of a step that may grow to as many times itself as there are elements
            within(after.tolist(), exact, 4 * u * (np.abs(decayed) + np.abs(after)) + 4 * u * x.size * np.abs(moved))
            undone += sum(a == b for a, b in zip(numbers(after.tolist()), numbers(decayed.tolist()), strict=True))
    assert undone > 20


SCHEDULE_FREE = {
    "sgd": (gs.sgd, schedule_free_sgd, {}),
    "sgd, another beta": (gs.sgd, schedule_free_sgd, {"beta1": 0.5}),
    "adamw": (gs.chain(gs.decay(weight_decay=0.3), gs.adam(beta1=0.0)), schedule_free_adamw, {"weight_decay": 0.3}),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("warmup", [0, 5])
@pytest.mark.parametrize("name", SCHEDULE_FREE)
def test_schedule_free_around_a_rule_is_the_rule_of_the_paper(name, warmup, engine):
    alone, paper, hyper = SCHEDULE_FREE[name]
    rng = np.random.default_rng(12)
    (theta,) = normal(rng, (6,))
    grads = gradients(rng, [theta], 30)
    lr = (lambda t: 0.1 * min(1.0, (t + 1) / warmup)) if warmup else 0.1
    tx = gs.chain(alone, gs.schedule_free(lr=lr, beta=hyper.get("beta1", 0.9)))
    path = [x["theta"][0] for x in run(tx, [theta], grads, engine=engine)]
    for i in range(theta.size):
        own = [g[i] for (g,) in grads]
        exact = list(paper.trajectory(theta[i], own, **{**paper.DEFAULTS, "lr": 0.1, "warmup": warmup, **hyper}))
        # each step rounds some ten times, an average of theta and steps of some lengths, and Adam's quotient
        room = 30 * 10 * u * (abs(theta[i]) + 0.1 * sum(map(abs, own)))
        within([x[i] for x in path], exact, [room] * len(exact))


@pytest.mark.parametrize("engine", ENGINES)
def test_schedule_free_shows_the_average(engine):
    """x is what the rule of its own shows, and a rule that does not move leaves all three alike to the last bit."""
    rng = np.random.default_rng(12)
    (theta,) = normal(rng, (6,))
    opts = [
        gs.Optimizer(theta.copy(), tx, engine=engine)
        for tx in (gs.chain(gs.sgd(lr=0.1), gs.schedule_free), gs.schedule_free_sgd(lr=0.1))
    ]
    for (g,) in gradients(rng, [theta], 20):
        for opt in opts:
            opt.step(g)
    assert np.allclose(opts[0].averaged(), opts[1].averaged(), rtol=0, atol=1e-13 * np.abs(opts[0].averaged()).max())
    assert not np.allclose(opts[0].averaged(), opts[0].params)
    still = gs.Optimizer(theta.copy(), gs.chain(gs.sgd(lr=0.0), gs.schedule_free), engine=engine)
    for (g,) in gradients(rng, [theta], 5):
        still.step(g)
    assert all(
        x.tobytes() == theta.tobytes() for x in (still.params, still.averaged(), *still.state["params"].values())
    )


def test_nothing_is_kept():
    """A rule that only goes uphill is undone; an array without elements has no share."""
    x = np.array([1.0, -2.0])
    for rule in (gs.cautious, gradstep.variants.cautious_mean):
        params = {"w": x.copy(), "none": np.empty(0)}
        opt = gs.Optimizer(params, gs.chain(gs.momentum(lr=0.1, momentum=0.9), rule))
        opt.step({"w": np.array([1.0, 1.0]), "none": np.empty(0)})
        before = params["w"].copy()
        opt.step({"w": np.array([-1e-3, -1e-3]), "none": np.empty(0)})
        assert params["w"].tobytes() == before.tobytes()
