"""Stages that see more: theta as it entered the rule before them, sums by name, numbers known before the sums."""

import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.form.equation import equation
from gradstep.rule import rule, stage
from gradstep.testing import check_rule
from gradstep.testing.case import ENGINES
from gradstep.vocabulary import abs, sign, sqrt, where  # noqa: A004 - words of the vocabulary

pytestmark = pytest.mark.usefixtures("own_registry")

STEPS = 5
SHAPES = {"w": (70, 90), "b": (5,), "long": (9001,), "none": (0,)}


def data(dtype):
    rng = np.random.default_rng(3)
    params = {key: rng.normal(size=shape).astype(dtype) for key, shape in SHAPES.items()}
    grads = [{key: rng.normal(size=x.shape).astype(dtype) for key, x in params.items()} for _ in range(STEPS)]
    return params, grads


def stepped(tx, dtype="float64", engine="auto", **options):
    """Parameters and state after some steps, as bytes by name."""
    params, grads = data(dtype)
    opt = gs.Optimizer(params, tx, engine=engine, **options)
    for g in grads:
        opt.step(g)
    return {key: {"theta": params[key], **opt.state[key]} for key in params}


def same(a, b):
    assert a.keys() == b.keys()
    return all(a[key][x].tobytes() == b[key][x].tobytes() for key in a for x in a[key])


# ---- wraps --------------------------------------------------------------------------------------------------------


def only_downhill():
    """Theta moves only where the rule goes against the gradient of this step."""

    def downhill(before, theta, g):
        theta = where(sign(theta - before) * g < 0.0, theta, before)
        return theta, g

    return stage(wraps=True)(downhill)


@pytest.mark.parametrize("engine", ENGINES)
def test_before_is_theta_as_it_entered_the_rule(engine):
    """Behind decay and momentum: what the decay did is not undone."""
    tx = gs.chain(gs.decay(weight_decay=0.5), gs.momentum(lr=0.1), only_downhill()(), gs.ema(decay=0.5))
    params, grads = data("float64")
    theta, v, average = params["w"].copy(), np.zeros(SHAPES["w"]), params["w"].copy()
    for g in (x["w"] for x in grads):
        decayed = theta - (0.1 * 0.5) * theta
        v = 0.9 * v - 0.1 * g
        moved = decayed + v
        theta = np.where(np.sign(moved - decayed) * g < 0, moved, decayed)
        average = average + 0.5 * (theta - average)
    got = stepped(tx, engine=engine)["w"]
    assert got["theta"].tobytes() == theta.tobytes()
    assert got["ema.average"].tobytes() == average.tobytes()


def test_two_rules_and_what_wraps_the_second():
    tx = gs.chain(gs.sgd(lr=0.1, name="first"), gs.momentum(lr=0.2, name="second"), only_downhill()())
    one, two = (stepped(tx, "float32", engine) for engine in (ENGINES[0], ENGINES[-1]))
    assert same(one, two)


def test_nothing_to_wrap():
    made = only_downhill()
    with pytest.raises(gs.GradstepValueError, match="downhill: it wraps the rule before it in a chain, and there is"):
        gs.Optimizer(np.ones(3), gs.chain(made(), gs.adam))
    with pytest.raises(gs.GradstepValueError, match="downhill: it wraps"):
        gs.init(gs.chain(gs.clip_by_value, made()), np.ones(3))


def test_a_wrapping_stage_obeys_the_laws_and_is_printed():
    made = only_downhill()
    check_rule(made)
    assert equation(made).text() == "θ ← (θ if sign(θ − θₜ₋₁) g < 0 else θₜ₋₁)"  # noqa: RUF001


def test_wraps_is_one_of_two():
    def made(before, theta, g):
        return before + 0.5 * (theta - before), g

    with pytest.raises(gs.RuleError, match="wraps= is True, or 'all' for all that stands before it; not 'rule'"):
        stage(wraps="rule")(made)
    with pytest.raises(gs.RuleError, match="wraps='all' goes not with reduce=; wraps=True does"):
        stage(lambda total: {}, wraps="all", reduce=lambda g: g, over="all")(made)
    check_rule(stage(wraps="all")(made))


# ---- sums by name -------------------------------------------------------------------------------------------------


def ratio(size, grown):
    return {"ratio": sqrt(size) / sqrt(grown) if size > 0 and grown > 0 else 1.0}


def trust():
    measures = {"size": lambda theta: theta * theta, "grown": lambda g: g * g}

    def scaled(theta, g, ratio):
        return theta, ratio * g

    return stage(ratio, reduce=measures, over="tensor", units={"g": "theta"})(scaled)


@pytest.mark.parametrize("engine", ENGINES)
def test_two_sums_of_each_array(engine):
    params, grads = data("float64")
    got = stepped(gs.chain(trust()(), gs.sgd(lr=0.1)), engine=engine)
    for key, theta in params.items():
        for g in (x[key] for x in grads):
            size, grown = (math.sqrt(math.fsum((x * x).flat)) for x in (theta, g))
            theta = theta - 0.1 * ((size / grown if size > 0 and grown > 0 else 1.0) * g)
        np.testing.assert_allclose(got[key]["theta"], theta, rtol=1e-12)


def distance():
    """Steps as long as the way so far; its measures see a slot, and its host number remembers the way."""

    def scalars(far, size, way, lr=1.0):
        way = max(way, math.sqrt(far))
        return {"way": way, "rate": lr * way / math.sqrt(size) if size > 0 else 0.0}

    def dog_like(theta, g, start, rate):
        return theta - rate * g, g, start

    measures = {"far": lambda theta, start: (theta - start) * (theta - start), "size": lambda g: g * g}
    declare = rule(
        scalars,
        state="start",
        start={"start": "theta"},
        memory={"way": 1e-3},
        reduce=measures,
        over="all",
        units={"lr": "1"},
        exceptions={"units": "the first way is a number that does not scale"},
    )
    return declare(dog_like)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_over_all_see_the_state(engine):
    params, grads = data("float64")
    start, way = {key: x.copy() for key, x in params.items()}, 1e-3
    got = stepped(distance()(), engine=engine)
    for g in grads:
        way = max(way, math.sqrt(math.fsum(np.concatenate([((params[k] - start[k]) ** 2).ravel() for k in params]))))
        norm = math.sqrt(math.fsum(np.concatenate([(g[k] * g[k]).ravel() for k in params])))
        params = {k: x - (way / norm) * g[k] for k, x in params.items()}
    for key, theta in params.items():
        np.testing.assert_allclose(got[key]["theta"], theta, rtol=1e-12)


# ---- early numbers ------------------------------------------------------------------------------------------------


def averages(t, beta=0.9):
    return {"beta": beta, "rest": 1 - beta, "mean": 1 / (1 - beta**t)}


def shortened(size, mean, lr=0.1):
    return {"rate": lr * mean / size if size > 0 else 0.0}


def unit():
    """Momentum whose step is divided by the sum of what it will be, which needs the weights of the average."""

    def unit_step(theta, g, m, beta, rest, mean, rate):
        m = beta * m + rest * g
        return theta - rate * m, g, m

    measures = {"size": lambda g, m, beta, rest, mean: mean * abs(beta * m + rest * g)}
    return rule(shortened, early=averages, reduce=measures, over="tensor", state="m",
                units={"lr": "theta"})(unit_step)  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_measures_see_numbers_that_do_not_depend_on_the_sums(engine):
    params, grads = data("float64")
    got = stepped(unit()(), engine=engine)
    for key, theta in params.items():
        m = np.zeros_like(theta)
        for t, g in enumerate((x[key] for x in grads), 1):
            m = 0.9 * m + (1 - 0.9) * g
            mean = 1 / (1 - 0.9**t)
            theta = theta - 0.1 * mean / (math.fsum(mean * np.abs(m.ravel())) or 1.0) * m
        np.testing.assert_allclose(got[key]["theta"], theta, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mars_corrects_before_it_cuts_and_remembers_what_it_was_handed(dtype, engine):
    """By hand, with a gain of 1: c = 2 g - last, at most 5 long, for each array; every number here is exact."""
    rows = [  # of one array g and c, of the other g and c, and whether one of them is cut
        ((1.5, 2.0), (3.0, 4.0), 0.25, 0.5, False),  # as long as may be
        ((0.0, 0.0), (-1.5, -2.0), 5.125, 5.0, True),  # the other is cut: 10 to 5
        ((3.0, 4.0), (3.0, 4.0), 2.5625, 0.0, True),  # 6 and 8, cut to a half
        ((3.0, 4.0), (3.0, 4.0), 1.5, 0.4375, False),  # 2 g - g: what lies there is neither corrected nor cut
    ]
    params = {"a": np.zeros(2, dtype), "b": np.zeros(1, dtype)}
    opt = gs.Optimizer(params, gs.chain(gs.mars(beta1=0.5, gamma=1.0, max_norm=5.0), gs.sgd(lr=1.0)), engine=engine)
    for t, (g, c, h, d, is_cut) in enumerate(rows):
        before = {key: x.copy() for key, x in params.items()}
        opt.step({"a": np.array(g, dtype), "b": np.array([h], dtype)})
        assert (before["a"] - params["a"]).tolist() == list(c), t
        assert (before["b"] - params["b"]).tolist() == [d], t
        assert opt.clipped == is_cut, t
        assert opt.state["a"]["mars.last"].tolist() == list(g), t


@pytest.mark.parametrize("engine", ENGINES)
def test_mars_cuts_what_is_a_little_too_long(engine):
    w = np.zeros(2)
    opt = gs.Optimizer(w, gs.chain(gs.mars(beta1=0.5, gamma=1.0, max_norm=5.0), gs.sgd(lr=1.0)), engine=engine)
    opt.step(np.array([1.5 + 2.0**-48, 2.0]))  # corrected (3 + 2^-47, 4), which is 5 + 0.6 2^-47 long
    assert opt.clipped
    assert (np.abs(np.array([-3 - 0.64 * 2.0**-47, 0.48 * 2.0**-47 - 4]) - w) <= 2.0**-51).all()  # an ulp


def test_early_numbers_come_first():
    made = unit()
    assert made.numbers == ("beta", "rest", "mean", "rate")
    assert made.early_numbers == ("beta", "rest", "mean")
    assert equation(made).text().splitlines() == [
        "mₜ = β mₜ₋₁ + (1 − β) gₜ",  # noqa: RUF001
        "size = ∑ |mₜ| / (1 − βᵗ)",  # noqa: RUF001
        "θₜ = θₜ₋₁ − rate mₜ",  # noqa: RUF001
    ]


# ---- all of them, everywhere --------------------------------------------------------------------------------------


def chains():
    return {
        "trust": gs.chain(gs.clip_by_global_norm(1.0), gs.l2(0.01), trust()(), gs.sgd(lr=0.1)),
        "distance": distance()(),
        "unit": gs.chain(gs.clip_by_norm(0.5), unit()(), only_downhill()()),
    }


@pytest.mark.parametrize("name", ["trust", "distance", "unit"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestEverywhere:
    def test_equal_bits_on_all_engines(self, name, dtype):
        tx = chains()[name]
        runs = [stepped(tx, dtype, engine, diagnostics=on) for engine in ENGINES for on in (False, True)]
        assert all(same(runs[0], x) for x in runs[1:])

    def test_equal_bits_in_groups_and_functions(self, name, dtype):
        tx = chains()[name]
        params, grads = data(dtype)
        state = gs.init(tx, params)
        for g in grads:
            params, state = gs.update(tx, params, g, state)
        got = stepped(tx, dtype, groups={"b": {}, "w": {"lr": gs.times(1.0)}})
        assert all(got[key]["theta"].tobytes() == params[key].tobytes() for key in params)

    def test_the_same_where_traced(self, name, dtype):
        jax = pytest.importorskip("jax")
        from gradstep.interop import traced

        if dtype == "float64":
            pytest.skip("JAX's default has no float64")
        tx = chains()[name]
        params, grads = data(dtype)
        made = gs.init(tx, params)
        state, memory = made.slots, {key: traced.as_bits(x) for key, x in made.memory.items()}

        @jax.jit
        def step(params, g, state, t, memory):
            return traced.step(tx, params, g, state, t, memory, {})

        wanted = stepped(tx, dtype)
        arrays = {key: jax.numpy.asarray(x) for key, x in params.items()}
        for t, g in enumerate(grads):
            arrays, state, memory = step(arrays, g, state, t, memory)
        for key, x in arrays.items():
            np.testing.assert_allclose(np.asarray(x), wanted[key]["theta"], rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("make", [trust, distance, unit])
def test_all_laws(make):
    check_rule(make())


def test_a_sum_that_is_not_finite_is_named():
    opt = gs.Optimizer({"w": np.full(3, 1e200)}, gs.chain(trust()(), gs.sgd), engine="eager")
    with pytest.raises(gs.NonFiniteError, match="scaled: the sum size is not finite; nothing was changed"):
        opt.step({"w": np.ones(3)})
    assert opt.t == 0


# ---- read ---------------------------------------------------------------------------------------------------------


def debiased():
    """An average that starts at zero, shown without the weight of its start."""

    def scalars(t, decay=0.9):
        return {"decay": decay, "rest": 1 - decay, "mean": 1 / (1 - decay**t)}

    def kept(theta, g, average, decay, rest, mean):
        return theta, g, decay * average + rest * theta

    return stage(scalars, state="average", read=lambda average, mean: mean * average)(kept)


def test_read_names_slots_and_scalars():
    made, x = debiased(), np.array([1.0, -2.0])
    assert made.shown(x, [np.zeros(2)], 0, {"decay": 0.5}, {}) is x
    assert made.shown(x, [np.array([0.75, 0.0])], 2, {"decay": 0.5}, {}).tolist() == [1.0, 0.0]
    check_rule(made)


def test_read_may_not_ask_for_what_is_lost_after_a_step():
    with pytest.raises(gs.RuleError, match="read asks for size, which depends on what is summed or remembered"):
        rule(
            lambda size, total: {"size": size, "total": total + 1},
            memory={"total": 0.0},
            reduce={"size": lambda g: g},
            over="all",
            read=lambda theta, size: theta * size,
        )(lambda theta, g, size: (theta - size * g, g))


# ---- declarations -------------------------------------------------------------------------------------------------


def test_an_operation_that_is_not_printed_keeps_the_names():
    def scalars(t, every=5.0):
        return {"keep": 1.0 if t // every > 0 else 0.5}

    def sometimes(theta, g, keep):
        return theta, keep * g

    made = stage(scalars)(sometimes)
    assert equation(made).text() == "g ← keep g"
    check_rule(made)


def test_what_clips_is_one_of_the_numbers():
    def shorter(theta, g, factor):
        return theta, factor * g

    with pytest.raises(gs.RuleError, match="clips='by' is none of the numbers that scalars"):
        stage(lambda total: {"factor": 1 / (1 + total)}, reduce=lambda g: g * g, over="all", clips="by")(shorter)
    with pytest.raises(gs.RuleError, match="clips= names the factor that a sum gives"):
        stage(lambda: {"factor": 0.5}, clips="factor")(shorter)


def test_any_stage_that_clips_is_told_of():
    def halved(theta, g, half):
        return theta, half * g

    made = stage(lambda total: {"half": 0.5 if total > 1 else 1.0}, reduce=lambda g: g * g, over="all", clips="half")
    opt = gs.Optimizer(np.ones(2), gs.chain(made(halved), gs.sgd))
    opt.step(np.array([0.5, 0.5]))
    assert not opt.clipped
    opt.step(np.array([3.0, 0.0]))
    assert opt.clipped


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("decay", [0.5, gs.schedules.exponential(0.9, 2, 0.5)], ids=["constant", "schedule"])
def test_averaged_is_read_with_the_scalars_of_the_last_update(engine, decay, tmp_path):
    tx = gs.chain(gs.sgd(lr=0.1), debiased()(decay=decay))
    params, grads = data("float32")
    opt = gs.Optimizer(params, tx, engine=engine, groups={"b": {"decay": 0.25}})
    assert all((x == params[key]).all() and x is not params[key] for key, x in opt.averaged().items())  # no step yet
    for t, g in enumerate(grads, 1):
        opt.step(g)
        for key, x in opt.averaged().items():
            own = 0.25 if key == "b" else decay(t - 1) if callable(decay) else decay
            wanted = np.float32(1 / (1 - own**t)) * opt.state[key]["kept.average"]
            assert x.tobytes() == wanted.tobytes()
    opt.save(tmp_path / "opt.safetensors")
    other, _ = data("float32")
    again = gs.Optimizer(other, tx, engine=engine, groups={"b": {"decay": 0.25}})
    again.restore(tmp_path / "opt.safetensors")
    assert all(x.tobytes() == again.averaged()[key].tobytes() for key, x in opt.averaged().items())
