"""Fewer bits for state and parameters: engines alike, bits that repeat, averages that decay, what is refused."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.storage import FORMATS
from gradstep.form.chain import program
from gradstep.rule import registry
from gradstep.step import Step
from gradstep.step.precision import Precision
from support import OF_GRADIENTS, bits, engines, same, states, wide

ml_dtypes = pytest.importorskip("ml_dtypes")
LOW = [np.dtype("float16"), np.dtype(ml_dtypes.bfloat16)]
SIZES = (0, 1, 15, 16, 17, 255, 256, 257, 4095, 4097, 70_001)
WAYS = {
    "bfloat16 state": {"state_dtype": "bfloat16"},
    "8-bit state": {"state_dtype": "8bit"},
    "nearest": {},
    "stochastic": {"rounding": "stochastic"},
    "master": {"master": True},
    "master, 8-bit state": {"master": True, "state_dtype": "8bit"},
    "stochastic, bfloat16 state": {"rounding": "stochastic", "state_dtype": "bfloat16"},
}
NEEDS_LOW = [name for name, way in WAYS.items() if "rounding" in way or "master" in way]


def arrays(dtype, seed, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return {str(n): (rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)).astype(dtype) for n in sizes}


def trained(tx, dtype, steps=4, sizes=SIZES, **options):
    params = arrays(dtype, 0, sizes)
    opt = gs.Optimizer(params, tx, **options)
    for t in range(steps):
        opt.step(arrays(dtype, 1 + t, sizes))
    return {"theta": params, **states(opt)}, opt


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [*LOW, np.dtype("float32")], ids=str)
def test_the_engines_agree_bit_for_bit(way, dtype):
    if way in NEEDS_LOW and dtype not in LOW:
        pytest.skip("float32 parameters need no rounding")
    for tx in (gs.adam(lr=0.1), gs.momentum(), gs.chain(gs.clip_by_global_norm(3.0), gs.adamw(lr=0.1), gs.ema(0.9))):
        eager, _ = trained(tx, dtype, engine="eager", seed=7, **WAYS[way])
        for threads in (1, 2, 4):
            compiled, opt = trained(tx, dtype, engine="compiled", threads=threads, seed=7, **WAYS[way])
            assert same(compiled, eager), (tx, threads)
    assert opt.engine == "compiled"


def has_low_state(rule):
    return not rule.whole and "smaller_state" not in rule.exceptions


@pytest.mark.parametrize("state_dtype", ["bfloat16", "8bit"])
@pytest.mark.parametrize("name", wide(name for name in OF_GRADIENTS if has_low_state(registry()[name])))
def test_every_rule_runs_with_low_state(name, state_dtype):
    sizes = (5, 700)
    eager, _ = trained(registry()[name](), "f4", 6, sizes, engine="eager", state_dtype=state_dtype)
    compiled, _ = trained(registry()[name](), "f4", 6, sizes, engine="compiled", state_dtype=state_dtype)
    assert same(compiled, eager)
    assert all(np.isfinite(x).all() for x in eager["theta"].values())


@engines
def test_the_seed_decides_the_bits(engine):
    first, again, other = (
        trained(gs.adam(lr=0.1), "f4", engine=engine, state_dtype="8bit", seed=seed)[0] for seed in (1, 1, 2)
    )
    assert same(first, again)
    assert not same(first, other)


@engines
def test_skipped_steps_leave_no_trace_in_the_bits(engine):
    """Random bits depend on seed, t and place, on nothing else that a process keeps."""
    whole, _ = trained(gs.adam(lr=0.1), LOW[1], 4, (300,), engine=engine, rounding="stochastic")
    params = arrays(LOW[1], 0, (300,))
    opt = gs.Optimizer(params, gs.adam(lr=0.1), engine=engine, rounding="stochastic", on_nonfinite="skip")
    for t in range(4):
        opt.step({"300": np.full(300, np.nan, LOW[1])})
        opt.step(arrays(LOW[1], 1 + t, (300,)))
    assert same(whole, {"theta": params, **states(opt)})


@engines
@pytest.mark.parametrize("dtype", LOW, ids=str)
def test_sixteen_bits_are_float32_rounded(dtype, engine):
    """One step from the same numbers is the float32 step, rounded once."""
    g, w = arrays(dtype, 1)["4097"], arrays(dtype, 0)["4097"]
    wide = w.astype("f4")
    gs.Optimizer(wide, "adam", lr=0.1, engine=engine).step(g.astype("f4"))
    opt = gs.Optimizer(w, "adam", lr=0.1, engine=engine)
    opt.step(g)
    assert bits(w) == bits(wide.astype(dtype))
    assert opt.state["params"]["adam.m"].dtype == np.float32


@engines
def test_master_copies_follow_the_float32_run(engine):
    params, opt = arrays(LOW[1], 0), None
    wide = {key: x.astype("f4") for key, x in params.items()}
    opt = gs.Optimizer(params, "adam", lr=1e-3, master=True, engine=engine)
    twin = gs.Optimizer(wide, "adam", lr=1e-3, engine=engine)
    for t in range(5):
        g = arrays(LOW[1], 1 + t)
        opt.step(g)
        twin.step({key: x.astype("f4") for key, x in g.items()})
    for key, x in params.items():
        assert bits(opt.state[key]["master"]) == bits(wide[key])
        assert bits(x) == bits(wide[key].astype(LOW[1]))


class TestNumbersSetBesideTheirMasters:
    """What is set in a 16-bit parameter stands, as in float32; what is not set keeps the bits of its master."""

    N = 700

    def set_some(self, x, values, wide):
        """Set two thirds of ``x``, and in ``wide`` those of them that were another number."""
        before = x.copy()
        x[::3] = values[::3]
        x[1:40:3] = 0.0
        x[2:41:3] = -0.0
        is_set = x.view("u2") != before.view("u2")
        wide[is_set] = x[is_set].astype("f4")

    @engines
    @pytest.mark.parametrize("tx", [gs.adam(lr=0.1), gs.chain(gs.clip_by_norm(3.0), gs.lamb(), gs.ema(0.9)), gs.muon()])
    @pytest.mark.parametrize("dtype", LOW, ids=str)
    def test_a_step_goes_from_what_was_set(self, dtype, tx, engine):
        w, given = arrays(dtype, 0, (self.N,)), arrays(dtype, 9, (self.N,))[str(self.N)]
        wide = {key: x.astype("f4") for key, x in w.items()}
        opt = gs.Optimizer(w, tx, master=True, engine=engine)
        twin = gs.Optimizer(wide, tx, engine=engine)
        for t in range(4):
            self.set_some(w[str(self.N)], given, wide[str(self.N)])
            g = arrays(dtype, 1 + t, (self.N,))
            opt.step(g)
            twin.step({key: x.astype("f4") for key, x in g.items()})
            assert bits(opt.state[str(self.N)]["master"]) == bits(wide[str(self.N)])

    @engines
    def test_weights_loaded_after_it_was_made(self, engine):
        for dtype in LOW:
            w = np.zeros(3, dtype)
            opt = gs.Optimizer(w, "adam", master=True, engine=engine)
            w[...] = [5, 6, 7]
            opt.step(np.zeros(3, dtype))
            assert w.tolist() == [5, 6, 7]

    @engines
    @pytest.mark.parametrize("kind", ["strided", "swapped", "0-d", "empty"])
    def test_in_memory_of_any_kind(self, kind, engine):
        x = {
            "strided": lambda: np.zeros((9, 7), "f2")[::2, ::-2],
            "swapped": lambda: np.zeros(21, ">f2"),
            "0-d": lambda: np.zeros((), "f2"),
            "empty": lambda: np.zeros((0, 3), "f2"),
        }[kind]()
        opt = gs.Optimizer(x, "sgd", lr=2.0**-14, master=True, engine=engine)
        x[...] = 1.0
        for _ in range(3):
            opt.step(np.ones_like(x))
        assert (x == 1.0).all()
        assert (opt.state["params"]["master"] == 1 - 3 * 2.0**-14).all()

    @engines
    def test_other_arrays_keep_what_they_have_in_common(self, engine):
        w, g, values = np.ones(2, "f2"), np.ones(2, "f2"), [{"lr": 2.0**-14}]
        step = Step(program(gs.sgd()), {"w": w}, values, precision=Precision(master=True), engine=engine)
        step((g,), values)
        step.bind([np.array([1.0, 5.0], "f2")])
        step((g,), values)
        assert step.slots["w"]["master"].tolist() == [1 - 2.0**-13, 5 - 2.0**-14]

    @engines
    def test_not_a_number_is_not_hidden_by_a_master(self, engine):
        w = np.ones(3, "f2")
        opt = gs.Optimizer(w, "sgd", master=True, engine=engine)
        w[1] = np.nan
        opt.step(np.zeros(3, "f2"))
        assert np.isnan(w).tolist() == [False, True, False]

    @engines
    def test_a_copy_beyond_sixteen_bits_comes_back(self, engine):
        w = np.full(3, 65504, "f2")
        opt = gs.Optimizer(w, "sgd", lr=1.0, master=True, engine=engine)
        opt.step(np.full(3, -100, "f2"))
        assert np.isinf(w).all()
        opt.step(np.full(3, 200, "f2"))
        assert opt.state["params"]["master"].tolist() == [65404.0] * 3


def test_small_updates_are_not_lost_by_stochastic_rounding():
    """Steps of a hundredth of a bfloat16 spacing: the nearest stands still, random rounding goes on average."""
    n, lr, steps = 4096, 2.0**-14, 64
    far = {}
    for rounding in ("nearest", "stochastic"):
        w = np.ones(n, LOW[1])
        opt = gs.Optimizer(w, "sgd", lr=lr, rounding=rounding, seed=3)
        for _ in range(steps):
            opt.step(np.ones(n, LOW[1]))
        far[rounding] = 1.0 - w.astype("f8").mean()
    wanted = lr * steps  # 2**-8
    # each step moves by a whole spacing below one, 2**-8, with the chance lr / 2**-8
    deviation = np.sqrt(steps * lr * 2.0**-8 / n)
    assert far["nearest"] == 0.0
    assert abs(far["stochastic"] - wanted) < 5 * deviation


@pytest.mark.parametrize(("state_dtype", "room"), [("bfloat16", 0.02), ("8bit", 0.15)])
def test_averages_decay_as_they_should(state_dtype, room):
    """beta2 = 0.999: a tenth of a bfloat16 step at each update. Rounded to the nearest, v would never fall."""
    n = 4096
    w = np.zeros(n, "f4")
    opt = gs.Optimizer(w, "adam", state_dtype=state_dtype, seed=1)
    opt.step(np.ones(n, "f4"))
    for _ in range(1000):
        opt.step(np.zeros(n, "f4"))
    v = opt.state["params"]["adam.v"]
    if state_dtype == "8bit":
        v = FORMATS["squares8"].decode((v, opt.state["params"]["adam.v.scale"]))
    exact = 0.001 * 0.999**1000
    assert v.astype("f8").mean() == pytest.approx(exact, rel=room)


@pytest.mark.parametrize("state_dtype", [None, "bfloat16", "8bit"])
@pytest.mark.parametrize("name", ["adamax", "adamax_eps_inside", "adamax_eps_outside"])
@pytest.mark.parametrize("small", [1.0, 1e-2, 1e-3])
def test_adamax_keeps_the_bound_of_its_paper(small, name, state_dtype):
    """Steps of at most lr (Kingma & Ba 2015, section 7.1), beside a gradient a million times as large and more."""
    w, g = np.zeros(256, "f4"), np.full(256, small, "f4")
    g[0] = 1e6
    opt = gs.Optimizer(w, name, lr=1e-3, state_dtype=state_dtype)
    worst = 0.0
    for _ in range(300):
        before = w.copy()
        opt.step(g)
        worst = max(worst, float(np.abs(w - before).max()))
    assert worst <= 1e-3 * {None: 1.001, "bfloat16": 1.05, "8bit": 1.15}[state_dtype]


def test_what_has_no_bound_in_fewer_bits_is_refused():
    with pytest.raises(gs.GradstepValueError, match="'8bit' is not for scale_by_centered_rms: a variance, which is a"):
        gs.Optimizer(np.ones(2, "f4"), gs.conventions.torch.RMSprop(centered=True), state_dtype="8bit")


@engines
@pytest.mark.parametrize("way", WAYS)
def test_reset_and_bytes(way, engine):
    dtype = LOW[1] if way in NEEDS_LOW else np.dtype("f4")
    _, opt = trained(gs.adam(lr=0.1), dtype, 3, (10_000,), engine=engine, **WAYS[way])
    kept = {key: x.copy() for key, x in opt.state["10000"].items()}
    each = sum(x.nbytes for x in kept.values()) / 10_000
    assert (
        each
        == {
            "bfloat16 state": 4.0,
            "8-bit state": 2 + 2 * 40 * 4 / 10_000,
            "nearest": 8.0,
            "stochastic": 8.0,
            "master": 12.0,
            "master, 8-bit state": 6 + 2 * 40 * 4 / 10_000,
            "stochastic, bfloat16 state": 4.0,
        }[way]
    )
    opt.reset()
    again = gs.Optimizer({"10000": opt.params["10000"].copy()}, gs.adam(lr=0.1), engine=engine, **WAYS[way])
    assert same(dict(opt.state["10000"]), dict(again.state["10000"]))
    assert not any(bits(x) == bits(kept[key]) for key, x in opt.state["10000"].items())


@engines
def test_bad_gradients_are_refused_as_ever(engine):
    for way, options in WAYS.items():
        dtype = LOW[0] if way in NEEDS_LOW else np.dtype("f4")
        _, opt = trained(gs.adam(lr=0.1), dtype, 1, (300,), engine=engine, **options)
        before = {"theta": opt.params["300"].copy(), **{k: x.copy() for k, x in opt.state["300"].items()}}
        g = np.ones(300, dtype)
        g[299] = np.inf
        with pytest.raises(gs.NonFiniteError, match=r"gradient '300' is not finite: \[299\] = inf"):
            opt.step({"300": g})
        assert same(before, {"theta": opt.params["300"], **opt.state["300"]})


@pytest.mark.parametrize(
    ("params", "options", "kind", "text"),
    [
        (np.ones(2, "f4"), {"state_dtype": "int8"}, ValueError, "unknown state_dtype 'int8'"),
        (np.ones(2, "f4"), {"rounding": "up"}, ValueError, "unknown rounding 'up'; known: nearest, stochastic."),
        (np.ones(2, "f2"), {"master": 1}, TypeError, "master must be True or False, not 1."),
        (np.ones(2, "f2"), {"seed": 0.5}, TypeError, "seed must be an integer, not 0.5."),
        (np.ones(2, "f2"), {"master": True, "rounding": "stochastic"}, ValueError, "two ways to the same end"),
        (np.ones(2, "f4"), {"master": True}, ValueError, "for 16-bit parameters, and there is none"),
        (np.ones(2, "f8"), {"rounding": "stochastic"}, ValueError, "for 16-bit parameters, and there is none"),
        (np.ones(2, "f8"), {"state_dtype": "8bit"}, TypeError, "has dtype float64; state_dtype='8bit' is for"),
        (np.ones(2, "c8"), {"state_dtype": "bfloat16"}, TypeError, "has dtype complex64; state_dtype='bfloat16' is"),
    ],
)
def test_what_is_refused(params, options, kind, text):
    with pytest.raises(kind, match=text) as error:
        gs.Optimizer(params, "adam", **options)
    assert isinstance(error.value, gs.GradstepError)
