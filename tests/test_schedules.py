"""Schedules against formulas from the papers (in mpmath), their ends, shape, JSON form and errors."""

import copy
import dataclasses
import json
import math
from bisect import bisect_left
from typing import Literal, get_args, get_origin

import mpmath
import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from gradstep import schedules as gs
from gradstep.errors import GradstepTypeError, GradstepValueError

EPS = 2.0**-52
KINDS = [k for k in vars(gs).values() if isinstance(k, type) and issubclass(k, gs.Schedule) and k is not gs.Schedule]
NAMES = [kind.__name__ for kind in KINDS]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=NAMES)


@st.composite
def made(draw, kind, depth=2):
    """A schedule with fields drawn by their annotated types alone, so that a new schedule needs nothing here."""
    n = draw(st.integers(0, 3))  # boundaries
    numbers = st.floats(1e-3, 1.0)  # inside every other field's range
    simple = [k for k in KINDS if not any("Schedule" in str(f.type) for f in dataclasses.fields(k))]
    nested = st.sampled_from(KINDS if depth else simple).flatmap(lambda k: made(k, depth - 1))

    def value(field):
        hint = str(field.type)
        if field.type is float:  # dividing by 1 or more keeps every value within 1
            return st.floats(1.0, 1e3) if "div_factor" in field.name else numbers
        if field.type is int:
            return st.integers(20, 60) if field.name == "steps" else st.integers(1, 9)
        if field.type is bool:
            return st.booleans()
        if get_origin(field.type) is Literal:
            return st.sampled_from(get_args(field.type))
        if field.type is gs.Schedule:
            return nested
        if "int" in hint:
            return st.lists(st.integers(1, 80), min_size=n, max_size=n, unique=True).map(sorted)
        items = nested if "Schedule" in hint else numbers
        return st.lists(items, min_size=n + 1, max_size=n + 1)

    arguments = {field.name: draw(value(field)) for field in dataclasses.fields(kind)}
    try:
        return kind(**arguments)
    except GradstepValueError:  # fields that do not go together
        reject()


# ---- every schedule there is


def test_all_is_sorted_and_complete():
    assert gs.__all__ == sorted(gs.__all__)
    functions = {"from_json", "to_json", "warmup_cosine", "one_cycle_three_phase"}
    assert {"Schedule", *functions, *NAMES} == set(gs.__all__)


@every_kind
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_json_repr_copy_and_hash(kind, data):
    schedule = data.draw(made(kind))
    text = json.dumps(gs.to_json(schedule), allow_nan=False)
    back = gs.from_json(json.loads(text))
    evaluated = eval(repr(schedule), dict(vars(gs)))  # noqa: S307 - the repr is the call that makes it
    for other in (back, evaluated, copy.deepcopy(schedule)):
        assert type(other) is kind
        assert other == schedule
        assert hash(other) == hash(schedule)
        assert repr(other) == repr(schedule)
    assert [back(t) for t in range(100)] == [schedule(t) for t in range(100)]


@every_kind
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_calls_give_finite_floats_for_any_integer(kind, data):
    schedule = data.draw(made(kind))
    for t in (0, 1, 7, 63, 10**9, 10**18):
        value = schedule(t)
        assert type(value) is float
        assert math.isfinite(value)
        assert schedule(np.int64(t)) == value


@every_kind
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_strict_about_t_fields_and_changes(kind, data):
    schedule = data.draw(made(kind))
    for t in (1.0, "1", None, True, math.nan, np.float64(2)):
        with pytest.raises(GradstepTypeError, match=f"{kind.__name__}: t must be an integer"):
            schedule(t)
    with pytest.raises(GradstepValueError, match="t must be at least 0, not -1"):
        schedule(-1)
    for field in dataclasses.fields(kind):
        assert field.name in kind.__doc__
        with pytest.raises(GradstepTypeError, match=f"{kind.__name__}: {field.name} must be "):
            dataclasses.replace(schedule, **{field.name: object()})
        if field.type in (int, float):
            for wrong in (True, "1", None, 1j):
                with pytest.raises(GradstepTypeError, match=f"{field.name} must be a"):
                    dataclasses.replace(schedule, **{field.name: wrong})
        if field.type is float:
            for wrong in (math.nan, math.inf, -math.inf, 10**400):
                with pytest.raises(GradstepValueError, match=f"{field.name} must be finite"):
                    dataclasses.replace(schedule, **{field.name: wrong})
        if field.type is int:
            with pytest.raises(GradstepValueError, match=f"{field.name} must be at least [01], not -1"):
                dataclasses.replace(schedule, **{field.name: -1})
            with pytest.raises(GradstepTypeError, match="must be an integer"):
                dataclasses.replace(schedule, **{field.name: 3.0})
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, getattr(schedule, field.name))


@every_kind
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_from_json_takes_exactly_the_fields(kind, data):
    whole = gs.to_json(data.draw(made(kind)))
    for key in whole.keys() - {"schedule"}:
        with pytest.raises(GradstepValueError, match=f"{kind.__name__} has the fields"):
            gs.from_json({k: v for k, v in whole.items() if k != key})
    with pytest.raises(GradstepValueError, match=r"has the fields \[.*\], not \[.*'extra'"):
        gs.from_json(whole | {"extra": 1})


# ---- the papers' formulas, written for themselves: exact inputs, 40 digits


def half_wave(x):
    return (1 + mpmath.cos(mpmath.pi * x)) / 2


COOL = {
    "linear": lambda x: 1 - x,
    "cosine": half_wave,
    "1-sqrt": lambda x: 1 - mpmath.sqrt(x),
    "1-square": lambda x: 1 - x**2,
}


def restarts(t, peak, steps, final, t_mult, decay):
    firsts = [0]  # t of each restart
    while firsts[-1] <= t:
        firsts.append(firsts[-1] + steps * t_mult ** (len(firsts) - 1))
    i = len(firsts) - 2
    return final + (peak - final) * decay**i * half_wave(mpmath.mpf(t - firsts[i]) / (steps * t_mult**i))


def one_cycle(t, peak, steps, rise, div_factor, final_div_factor, shape):
    top = max(1, math.floor(float(rise) * steps))  # the boundary is float arithmetic by definition
    low = peak / div_factor
    last = low / final_div_factor
    if t < top:
        return peak + (low - peak) * COOL[shape](mpmath.mpf(t) / top)
    return last if t >= steps else last + (peak - last) * COOL[shape](mpmath.mpf(t - top) / (steps - top))


def wsd(t, peak, steps, warmup_steps, cooldown_steps, final, start, shape):
    if t < warmup_steps:
        return start + (peak - start) * t / warmup_steps
    stable_end = steps - cooldown_steps
    if t <= stable_end:
        return peak
    return final if t >= steps else final + (peak - final) * COOL[shape](mpmath.mpf(t - stable_end) / cooldown_steps)


def joined(t, schedules, boundaries):
    clocks = [t, *(t - b for b in boundaries if b <= t)]
    return oracle(schedules[len(clocks) - 1], clocks[-1])


def fraction(t, steps):
    return mpmath.mpf(min(t, steps)) / steps


def cyclic(t, start, peak, steps_up, steps_down, decay, factor):
    """Of PyTorch's source, CyclicLR.get_lr, with its words."""
    total = steps_up + steps_down
    cycle = 1 + t // total
    x = mpmath.mpf(t % total) / total
    ratio = mpmath.mpf(steps_up) / total
    scale = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    return start + (peak - start) * scale * decay ** (cycle - 1) * factor**t


def through(t, values, boundaries, shape):
    places = [0, *boundaries]
    if t >= places[-1]:
        return values[-1]
    i = max(k for k, place in enumerate(places) if place <= t)
    gone = mpmath.mpf(t - places[i]) / (places[i + 1] - places[i])
    return values[i + 1] + (values[i] - values[i + 1]) * COOL[shape](gone)


def chebyshev(t, low, peak, doublings):
    """Of the paper: the roots in their order, permuted by interlacing (Definition 2 and Algorithm 1)."""
    order = [1]
    while len(order) < 2**doublings:
        order = [place for k in order for place in (k, 2 * len(order) + 1 - k)]
    n, big, small = len(order), 1 / low, 1 / peak
    root = mpmath.cos(mpmath.pi * (mpmath.mpf(2 * order[t % n] - 1) / (2 * n)))
    return 1 / ((big + small) / 2 - (big - small) / 2 * root)


def splitmix(state, n):
    """Number n of the generator, from 1 on, in NumPy's unsigned integers."""
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.uint64(n) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return int(z ^ (z >> np.uint64(31)))


def noisy(t, then, amount, seed):
    u = mpmath.mpf(splitmix(splitmix(seed, 0), t + 1) >> 11) / 2**52 - 1
    return oracle(then, t) * (1 + amount * u)


def k_decay(t, peak, steps, k, final, shape, power):
    return final + (peak - final) * COOL[shape](fraction(t, steps) ** k) ** power if t < steps else final


def tangent(t, peak, steps, final, lower, upper):
    p = fraction(t, steps)
    return final + (peak - final) * (1 - mpmath.tanh(lower * (1 - p) + upper * p)) / 2 if t < steps else final


ORACLES = {
    gs.constant: lambda t, value: value,
    gs.linear: lambda t, start, steps, final: start + (final - start) * fraction(t, steps),
    gs.polynomial: lambda t, start, steps, power, final: (start - final) * (1 - fraction(t, steps)) ** power + final,
    gs.exponential: lambda t, start, steps, factor, final, staircase: max(
        final, start * factor ** (mpmath.floor(mpmath.mpf(t) / steps) if staircase else mpmath.mpf(t) / steps)
    ),
    gs.step: lambda t, start, steps, factor: start * mpmath.fprod([factor] * (t // steps)),
    gs.piecewise: lambda t, values, boundaries: values[bisect_left(boundaries, t + 1)],
    gs.cosine: lambda t, peak, steps, final: final + (peak - final) * half_wave(fraction(t, steps)),
    gs.cosine_restarts: restarts,
    gs.warmup: lambda t, steps, then, start: (
        oracle(then, t - steps) if t >= steps else start + (oracle(then, 0) - start) * t / steps
    ),
    gs.one_cycle: one_cycle,
    gs.inverse_sqrt: lambda t, peak, warmup_steps, start: (
        peak * mpmath.sqrt(warmup_steps) / mpmath.sqrt(t)
        if t > warmup_steps
        else start + (peak - start) * t / warmup_steps
    ),
    gs.wsd: wsd,
    gs.join: joined,
    gs.inverse_time: lambda t, start, steps, rate, power, staircase: (
        start / (1 + rate * (mpmath.floor(mpmath.mpf(t) / steps) if staircase else mpmath.mpf(t) / steps)) ** power
    ),
    gs.power: lambda t, peak, scale, power: min(peak, scale / mpmath.mpf(t) ** power) if t else peak,
    gs.rex: lambda t, peak, steps, final: (
        final + (peak - final) * (1 - fraction(t, steps)) / (0.5 + 0.5 * (1 - fraction(t, steps)))
    ),
    gs.tanh: tangent,
    gs.k_decay: k_decay,
    gs.cyclic: cyclic,
    gs.piecewise_interpolate: through,
    gs.chebyshev: chebyshev,
    gs.product: lambda t, schedules: mpmath.fprod(oracle(one, t) for one in schedules),
    gs.scaled: lambda t, factor, then: factor * oracle(then, t),
    gs.noisy: noisy,
}


def oracle(schedule, t):
    values = {f.name: getattr(schedule, f.name) for f in dataclasses.fields(schedule)}
    exact = {name: mpmath.mpf(v) if isinstance(v, float) else v for name, v in values.items()}
    return ORACLES[type(schedule)](t, **exact)


@every_kind
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_agrees_with_the_formula(kind, data):
    schedule = data.draw(made(kind))
    with mpmath.workdps(40):
        error = max(abs(oracle(schedule, t) - schedule(t)) for t in range(130))
    # Values are at most 1. Each is a handful of rounded operations; a power's error grows with the size of its exponent
    # times the logarithm of its base, but it is then so much smaller: x exp(-x) < 1 / e.
    assert error <= 6 * EPS


@pytest.mark.parametrize("shape", COOL)
def test_cooldowns_keep_their_digits_where_they_are_small(shape):
    steps = 10**6
    schedule = gs.wsd(1.0, steps, 0, steps, shape=shape)
    with mpmath.workdps(40):
        for k in (1, 10, 1000):
            small = COOL[shape](1 - mpmath.mpf(k) / steps)
            assert abs(schedule(steps - k) / small - 1) <= 4 * EPS  # (1 + cos) / 2 would be off by 1e-5 at k = 1


def test_numbers_known_from_elsewhere():
    noam = gs.inverse_sqrt((512 * 4000) ** -0.5, 4000)
    assert noam(4000) == pytest.approx(6.987712429686844e-4, rel=1e-15)
    for n in (1, 2000, 4000, 100_000):
        assert noam(n) == pytest.approx(512**-0.5 * min(n**-0.5, n * 4000**-1.5), rel=4 * EPS)
    t5 = gs.inverse_sqrt(0.01, 10_000, start=0.01)
    assert [t5(0), t5(9_999), t5(10_000), t5(40_000)] == [0.01, 0.01, 0.01, 0.005]
    assert [gs.step(0.5, 30, 0.5)(t) for t in (0, 29, 30, 59, 60)] == [0.5, 0.5, 0.25, 0.25, 0.125]
    multistep = gs.piecewise([0.05, 0.005, 0.0005], [30, 80])
    assert [multistep(t) for t in (0, 29, 30, 79, 80, 10**18)] == [0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005]
    sgdr = gs.cosine_restarts(1.0, 10, t_mult=2, decay=0.5)
    assert [sgdr(t) for t in (0, 10, 30, 70)] == [1.0, 0.5, 0.25, 0.125]
    assert [sgdr(t) for t in (5, 20, 50)] == pytest.approx([0.5, 0.25, 0.125], rel=4 * EPS)
    cycle = gs.one_cycle(1.0, 100)
    assert [cycle(t) for t in (0, 30, 100, 101)] == [0.04, 1.0, 4e-6, 4e-6]


def test_plain_fractions_stay_plain():
    assert [gs.warmup(10, gs.constant(1.0))(t) for t in range(11)] == [t / 10 for t in range(11)]
    assert [gs.linear(1.0, 10)(t) for t in range(11)] == [(10 - t) / 10 for t in range(11)]


def test_exponential_staircase_is_step():
    stairs, drops = gs.exponential(0.3, 7, 0.6, staircase=True), gs.step(0.3, 7, 0.6)
    assert [stairs(t) for t in range(100)] == [drops(t) for t in range(100)]
    assert gs.exponential(1.0, 10, 0.5, final=0.1)(10**18) == 0.1


def test_warmup_cosine_is_the_composition():
    whole = gs.warmup_cosine(1e-3, 1000, 100, final=1e-5, start=1e-6)
    assert whole == gs.warmup(100, gs.cosine(1e-3, 900, 1e-5), 1e-6)
    assert [whole(0), whole(100), whole(1000), whole(2000)] == [1e-6, 1e-3, 1e-5, 1e-5]
    assert gs.warmup_cosine(1e-3, 1000, 0)(0) == 1e-3
    with pytest.raises(GradstepValueError, match="warmup_steps must be less than steps=10, not 10"):
        gs.warmup_cosine(1.0, 10, 10)
    with pytest.raises(GradstepTypeError, match="warmup_cosine: steps must be an integer"):
        gs.warmup_cosine(1.0, 10.0, 1)


# ---- ends, order, continuity

ends = st.floats(-1e100, 1e100)
lengths = st.integers(1, 10_000)
ramps = st.sampled_from(
    [
        lambda a, b, n: gs.linear(a, n, b),
        lambda a, b, n: gs.polynomial(a, n, 0.9, b),
        lambda a, b, n: gs.polynomial(a, n, 3.0, b),
        lambda a, b, n: gs.cosine(a, n, b),
        lambda a, b, n: gs.rex(a, n, b),
        lambda a, b, n: gs.piecewise_interpolate([a, b], [n], "cosine"),
        lambda a, b, n: gs.warmup(n, gs.constant(b), a),
        *(lambda a, b, n, shape=shape: gs.wsd(a, n, 0, n, b, shape=shape) for shape in COOL),
    ]
)


@settings(max_examples=300, deadline=None)
@given(ramps, ends, ends, lengths, st.integers(0, 10_000), st.integers(0, 10_000))
def test_ramps_meet_their_ends_exactly_and_keep_order(ramp, a, b, n, t, u):
    schedule = ramp(a, b, n)
    assert schedule(0) == a
    assert schedule(n) == schedule(n + 1) == schedule(10**18) == b
    first, second = (schedule(x) for x in sorted((t % n, u % n)))
    assert a <= first <= second <= b or a >= first >= second >= b


@settings(max_examples=200, deadline=None)
@given(ends, ends, lengths, st.sampled_from(sorted(COOL)), st.data())
def test_composites_meet_their_ends_exactly(peak, start, steps, shape, data):
    rise = data.draw(st.integers(0, steps - 1))
    cool = data.draw(st.integers(1, steps - rise))
    schedule = gs.wsd(peak, steps, rise, cool, -start, start, shape)
    assert schedule(0) == (start if rise else peak)
    assert schedule(rise) == schedule(steps - cool) == peak
    assert schedule(steps) == schedule(10**18) == -start
    cycle = gs.one_cycle(peak, steps, shape=shape)
    assert cycle(0) == peak / 25
    assert cycle(steps) == cycle(10**18) == peak / 25 / 1e4
    assert steps < 2 or cycle(max(1, int(0.3 * steps))) == peak
    noam = gs.inverse_sqrt(peak, steps, start)
    assert (noam(0), noam(steps)) == (start, peak)


@settings(max_examples=200, deadline=None)
@given(
    st.floats(1e-3, 1.0), st.floats(1e-3, 1.0), st.integers(8, 1000), st.sampled_from(["linear", "cosine"]), st.data()
)
def test_no_jumps(peak, end, steps, shape, data):
    rise = data.draw(st.integers(1, steps - 1))
    cool = data.draw(st.integers(1, steps - rise))
    t = data.draw(st.integers(0, steps))
    parts = max(1, int(0.3 * steps))  # of one_cycle's 30 %
    for schedule, shortest in (
        (gs.wsd(peak, steps, rise, cool, end, end, shape), min(rise, cool)),
        (gs.one_cycle(peak, steps, shape=shape), parts),
        (gs.warmup_cosine(peak, steps, rise, end, end), min(rise, steps - rise)),
        (gs.warmup(rise, gs.linear(peak, cool, end), end), min(rise, cool)),
    ):
        # Nothing moves by more than 1 and the cosine's slope is at most pi / 2 times the line's.
        assert abs(schedule(t + 1) - schedule(t)) <= math.pi / 2 / shortest + 4 * EPS


def test_join_restarts_each_clock():
    schedule = gs.join([gs.linear(0.0, 5, 1.0), gs.constant(1.0), gs.cosine(1.0, 10)], [5, 20])
    assert [schedule(t) for t in (0, 5, 19, 20, 30)] == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert schedule(25) == gs.cosine(1.0, 10)(5)
    assert gs.join([gs.constant(0.5)], [])(10**18) == 0.5


# ---- as libraries have them


def torch_rates(make, steps, **options):
    """The rates and momenta of a scheduler of PyTorch's."""
    torch = pytest.importorskip("torch")
    opt = torch.optim.SGD([torch.zeros(1, requires_grad=True)], **{"lr": 1.0, "momentum": 0.9, **options})
    scheduler = make(torch.optim.lr_scheduler, opt)
    rates, momenta = [], []
    for _ in range(steps):
        rates.append(opt.param_groups[0]["lr"])
        momenta.append(opt.param_groups[0]["momentum"])
        opt.step()
        scheduler.step()
    return rates, momenta


@pytest.mark.parametrize(
    ("mode", "ours"),
    [("triangular", {}), ("triangular2", {"decay": 0.5}), ("exp_range", {"factor": 0.99})],
)
def test_cyclic_is_torchs_in_its_three_modes_with_momentum_against_it(mode, ours):
    rates, momenta = torch_rates(
        lambda of, opt: of.CyclicLR(opt, 0.1, 1.0, 7, 5, mode, 0.99, base_momentum=0.8, max_momentum=0.95), 50
    )
    rate, momentum = (gs.cyclic(a, b, 7, 5, **ours) for a, b in ((0.1, 1.0), (0.95, 0.8)))
    assert [rate(t) for t in range(50)] == pytest.approx(rates, rel=1e-13)
    assert [momentum(t) for t in range(50)] == pytest.approx(momenta, rel=1e-13)


def test_three_phases_are_optaxs():
    optax = pytest.importorskip("optax")
    theirs, ours = optax.linear_onecycle_schedule(100, 1.0), gs.one_cycle_three_phase(1.0, 100)
    assert [ours(t) for t in range(110)] == pytest.approx([float(theirs(t)) for t in range(110)], rel=1e-5, abs=1e-7)
    assert [ours(t) for t in (0, 30, 85, 100)] == [0.04, 1.0, 0.04, 4e-6]


def test_three_phases_are_torchs_with_boundaries_an_update_earlier():
    rates, _ = torch_rates(lambda of, opt: of.OneCycleLR(opt, 1.0, 100, three_phase=True, pct_start=0.3), 100)
    top, back, end = 29, 58, 99
    ours = gs.piecewise_interpolate([0.04, 1.0, 0.04, 4e-6], [top, back, end], "cosine")
    assert [ours(t) for t in range(100)] == pytest.approx(rates, rel=1e-12)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_piecewise_interpolate_is_optaxs_with_values_for_factors(shape):
    optax = pytest.importorskip("optax")
    theirs = optax.piecewise_interpolate_schedule(shape, 0.5, {10: 2.0, 25: 0.1, 30: 0.5})
    ours = gs.piecewise_interpolate([0.5, 1.0, 0.1, 0.05], [10, 25, 30], shape)
    assert [ours(t) for t in range(40)] == pytest.approx([float(theirs(t)) for t in range(40)], rel=2e-6)


@pytest.mark.parametrize("staircase", [False, True])
def test_inverse_time_is_kerass(staircase):
    keras = pytest.importorskip("keras")
    theirs = keras.optimizers.schedules.InverseTimeDecay(0.5, 7, 0.3, staircase=staircase)
    ours = gs.inverse_time(0.5, 7, 0.3, staircase=staircase)
    assert [ours(t) for t in range(40)] == pytest.approx([float(theirs(t)) for t in range(40)], rel=1e-6)


def test_product_is_torchs_chained_scheduler():
    rates, _ = torch_rates(
        lambda of, opt: of.ChainedScheduler(
            [of.ExponentialLR(opt, 0.9), of.LambdaLR(opt, lambda t: 1.0), of.MultiplicativeLR(opt, lambda t: 0.99)][::2]
        ),
        20,
    )
    ours = gs.product([gs.exponential(1.0, 1, 0.9), gs.exponential(1.0, 1, 0.99)])
    assert [ours(t) for t in range(20)] == pytest.approx(rates, rel=1e-12)


def test_chebyshevs_cycle_is_the_best_that_gradient_descent_can_do():
    rates = gs.chebyshev(0.01, 1.0, 4)
    left = [np.prod([1 - rates(t) * h for t in range(16)]) for h in np.linspace(1.0, 100.0, 5001)]
    kappa = 100.0
    ratio = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    assert np.max(np.abs(left)) == pytest.approx(2 * ratio**16 / (1 + ratio**32), rel=1e-9)  # 1 / T_16
    assert [rates(t) for t in range(16)] == [rates(t + 16) for t in range(16)]


def test_noise_is_a_function_of_seed_and_t():
    one, other = (gs.noisy(gs.constant(1.0), 0.5, seed) for seed in (0, 1))
    values = [one(t) for t in range(2000)]
    assert values == [one(t) for t in range(2000)]
    assert min(values) >= 0.5
    assert max(values) < 1.5
    assert np.mean(values) == pytest.approx(1.0, abs=4 * 0.5 / math.sqrt(3 * 2000))
    assert np.std(values) == pytest.approx(0.5 / math.sqrt(3), rel=0.05)
    assert abs(np.corrcoef(values, [other(t) for t in range(2000)])[0, 1]) < 4 / math.sqrt(2000)
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / math.sqrt(2000)


# ---- errors and JSON


def test_numbers_are_normalised():
    schedule = gs.cosine(np.float64(1), np.int32(10), final=0)
    assert repr(schedule) == "cosine(peak=1.0, steps=10, final=0.0)"
    assert schedule == gs.cosine(1, 10)
    assert schedule != gs.linear(1, 10)
    assert len({schedule, gs.cosine(1, 10), gs.cosine(1, 11)}) == 2


def test_json_form():
    assert gs.to_json(gs.warmup(5, gs.piecewise([1, 2], [3]))) == {
        "schedule": "warmup",
        "steps": 5,
        "then": {"schedule": "piecewise", "values": [1.0, 2.0], "boundaries": [3]},
        "start": 0.0,
    }


def stranger(t):
    return 0.1


@dataclasses.dataclass(frozen=True)
class Mine(gs.Schedule):
    start: float = 0.1

    def _at(self, t):
        return self.start


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: gs.Schedule(), TypeError, "abstract"),
        (lambda: gs.linear(1.0, 0), GradstepValueError, "linear: steps must be at least 1, not 0"),
        (lambda: gs.inverse_sqrt(1.0, 0), GradstepValueError, "warmup_steps must be at least 1, not 0"),
        (lambda: gs.polynomial(1.0, 5, 0.0), GradstepValueError, "power must be finite and > 0, not 0.0"),
        (lambda: gs.exponential(1.0, 5, 1.5), GradstepValueError, "factor must be finite and > 0 and <= 1, not 1.5"),
        (lambda: gs.exponential(0.1, 5, 0.5, 0.2), GradstepValueError, "start >= final >= 0 is needed"),
        (lambda: gs.exponential(1.0, 5, 0.5, -0.1), GradstepValueError, "start >= final >= 0 is needed"),
        (lambda: gs.exponential(-1.0, 5, 0.5), GradstepValueError, "start >= final >= 0 is needed"),
        (lambda: gs.exponential(1.0, 5, 0.5, staircase=1), GradstepTypeError, "staircase must be True or False, not 1"),
        (lambda: gs.step(1.0, 5, 0), GradstepValueError, "factor must be finite and > 0"),
        (lambda: gs.cosine_restarts(1.0, 5, t_mult=0), GradstepValueError, "t_mult must be at least 1"),
        (lambda: gs.one_cycle(1.0, 5, rise=0), GradstepValueError, "rise must be finite and > 0 and <= 1"),
        (lambda: gs.one_cycle(1.0, 5, shape="cosin"), GradstepValueError, "did you mean cosine"),
        (lambda: gs.one_cycle(1.0, 5, shape=["cosine"]), GradstepTypeError, "must be the name of a shape"),
        (lambda: gs.wsd(1.0, 9, 5, 5), GradstepValueError, "take 10 updates, more than steps=9"),
        (lambda: gs.chebyshev(0.2, 0.1, 3), GradstepValueError, "0 < low <= peak is needed, not low=0.2 and peak=0.1"),
        (lambda: gs.chebyshev(0.1, 0.2, 53), GradstepValueError, "doublings must be at most 52, not 53"),
        (lambda: gs.product([]), GradstepValueError, "schedules must be at least one"),
        (lambda: gs.piecewise_interpolate([1.0], [3]), GradstepValueError, "one more than boundaries, not 1 for 1"),
        (lambda: gs.noisy(gs.constant(1.0), 1.5), GradstepValueError, "amount must be finite and > 0 and <= 1"),
        (lambda: gs.one_cycle_three_phase(1.0, 9, 0.5, 0.5), GradstepValueError, "each phase needs an update"),
        (lambda: gs.one_cycle_three_phase("1", 9), GradstepTypeError, "one_cycle_three_phase: peak must be a number"),
        (lambda: gs.piecewise([], []), GradstepValueError, "values must be one more than boundaries, not 0 for 0"),
        (lambda: gs.piecewise([1, 2], [3, 4]), GradstepValueError, "one more than boundaries, not 2 for 2"),
        (lambda: gs.piecewise([1, 2, 3], [4, 4]), GradstepValueError, r"boundaries must increase .*, not \(4, 4\)"),
        (lambda: gs.piecewise([1, 2], [0]), GradstepValueError, r"boundaries\[0\] must be at least 1, not 0"),
        (lambda: gs.piecewise([1, math.nan], [3]), GradstepValueError, r"values\[1\] must be finite, not nan"),
        (lambda: gs.piecewise("12", [3]), GradstepTypeError, "values must be a list or a tuple, not '12'"),
        (lambda: gs.join([gs.constant(1)], [3]), GradstepValueError, "schedules must be one more than boundaries"),
        (lambda: gs.join([stranger], []), GradstepTypeError, r"schedules\[0\] must be one of gradstep.schedules"),
        (lambda: gs.warmup(5, 0.1), GradstepTypeError, r"then must be .*, such as constant\(0.1\), not 0.1"),
        (lambda: gs.to_json(stranger), GradstepTypeError, "stranger is none .* must be given again on restore"),
        (lambda: gs.to_json(gs.warmup(5, Mine())), GradstepTypeError, "Mine is none .* given again on restore"),
        (lambda: gs.to_json(gs.cosine), GradstepTypeError, "cosine is none of"),
        (lambda: gs.from_json([]), GradstepTypeError, "must be a dict, not list"),
        (lambda: gs.from_json({}), GradstepValueError, "under 'schedule', not None"),
        (lambda: gs.from_json({"schedule": 3}), GradstepValueError, "under 'schedule', not 3"),
        (lambda: gs.from_json({"schedule": "cosin"}), GradstepValueError, "no schedule 'cosin'; did you mean cosine"),
        (lambda: gs.from_json({"schedule": "Schedule"}), GradstepValueError, "no schedule 'Schedule'"),
        (lambda: gs.from_json({"schedule": "to_json"}), GradstepValueError, "no schedule 'to_json'"),
        (lambda: gs.from_json({"schedule": "constant", "value": [1.0]}), GradstepTypeError, "value must be a number"),
        (lambda: gs.from_json({"schedule": "constant", "value": {}}), GradstepValueError, "under 'schedule'"),
    ],
)
def test_errors(make, error, says):
    with pytest.raises(error, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)
