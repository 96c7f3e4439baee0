"""Norms of a step beside NumPy's own: every square in float64, all of them summed by math.fsum."""

import dataclasses
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.tree import flatten
from gradstep.rule import registry, stage
from gradstep.testing import Case
from support import ENGINES, LONG, clear, engines, fingerprint, mapped, normal, numbers, script, wide

EACH = gs.chain(gs.l2(0.5), gs.clip_by_norm(0.25), gs.adam(lr=0.1))
UPDATES = [name for name, rule in registry(None).items() if not (rule.every or rule.extras)]  # each step is an update
ALL = wide(UPDATES, lambda name: Case(registry(None)[name]).stage())
SIZES = [0, 1, 15, 16, 17, 4095, 4096, 4097, 70_001, 40]
NORMS = ("grad_norm", "update_norm", "param_norm")
whole = pytest.mark.parametrize("tx", [*ALL, LONG, EACH], ids=lambda x: "-".join(p.label for p in x.parts))


def norm(arrays):
    """The 2-norm of all numbers of some arrays, widened before anything else."""
    squares = []
    for x in arrays:
        x = np.asarray(x)
        parts = [x.real, x.imag] if x.dtype.kind == "c" else [x]
        squares += [y * y for part in parts for y in part.astype("f8").ravel().tolist()]
    return math.sqrt(math.fsum(squares))


def wide(x):
    return np.array(x, "c16" if np.asarray(x).dtype.kind == "c" else "f8")


def expected(before, grads, after):
    """Gradient, change and result, in lists of arrays."""
    moved = [wide(y) - wide(x) for x, y in zip(before, after, strict=True)]
    return norm(grads), norm(moved), norm(after)


def told(x):
    return x.grad_norm, x.update_norm, x.param_norm


def close(x, wanted):
    assert told(x) == pytest.approx(wanted, rel=1e-12, abs=0.0)
    assert all(type(number) is float for number in told(x))


def exact(x):
    """All numbers, inner ones too, in bits."""
    return [y.hex() for y in told(x)], x.unmoved, x.elements, {label: exact(own) for label, own in x.groups.items()}


def leaves(tree):
    return [np.array(x) for x in flatten(tree)[1]]


def mixed(tx=None):
    """Of every kind that the compiled engine works on, where it lies or in a copy; real alone for whole arrays."""
    out = {
        "a": numbers((7, 3), "f4"),
        "none": numbers((0, 3)),
        "scalar": np.array(2.5),
        "long": numbers(2 * 4096 + 5, "f4", 1),
        "complex": [numbers((3, 700), "c8", 2), numbers((), "c16", 3)],
        "swapped": numbers(4100, ">f8", 4),
        "strided": numbers((4100, 2), "f4", 5)[:, 1],
        "turned": np.asfortranarray(numbers((30, 5), "f8", 6)),
    }
    if tx is not None and any(part.rule.whole for part in tx.parts):
        del out["complex"]
    return out


def trained(tx, params, steps=3, seed=1, **options):
    """The diagnostics after each step, in bits, and the optimizer."""
    opt = gs.Optimizer(params, tx, diagnostics=True, **options)
    rng = np.random.default_rng(seed)
    seen = []
    for _ in range(steps):
        opt.step(mapped(params, lambda x: normal(rng, x)))
        seen.append(exact(opt.diagnostics))
    return seen, opt


class TestNumbers:
    @engines
    @whole
    def test_against_numpy(self, tx, engine):
        params = mixed(tx)
        opt = gs.Optimizer(params, tx, engine=engine, diagnostics=True)
        rng = np.random.default_rng(1)
        for _ in range(2):
            before, grads = leaves(params), mapped(params, lambda x: normal(rng, x))
            opt.step(grads)
            close(opt.diagnostics, expected(before, leaves(grads), leaves(params)))
            assert exact(opt.diagnostics.groups[""])[0] == exact(opt.diagnostics)[0]

    @engines
    @pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
    @pytest.mark.parametrize("n", SIZES)
    @pytest.mark.usefixtures("own_registry")
    def test_lengths(self, n, dtype, engine):
        """What lies behind the end counts in nothing, though the last stage would move it away from zero."""

        def shifted(theta, g, by):
            return theta + by, g

        for tx in (gs.chain(gs.adam(lr=0.1), stage(lambda: {"by": 0.5})(shifted)), LONG):
            w, g = numbers(n, dtype), numbers(n, dtype, 1)
            before = w.copy()
            opt = gs.Optimizer(w, tx, engine=engine, diagnostics=True)
            opt.step(g)
            close(opt.diagnostics, expected([before], [g], [w]))

    @engines
    def test_the_gradient_is_the_one_handed_in(self, engine):
        """Neither clipped, nor unscaled, nor with decay in it."""
        tx = gs.chain(gs.unscale(loss_scale=4.0), gs.clip_by_global_norm(1.0), gs.l2(0.5), gs.sgd(lr=0.25))
        w = np.zeros(2)
        opt = gs.Optimizer(w, tx, engine=engine, diagnostics=True)
        opt.step(np.array([30.0, 40.0]))
        assert told(opt.diagnostics) == (50.0, pytest.approx(0.25), pytest.approx(0.25))

    @engines
    def test_the_parameters_are_those_after_the_step(self, engine):
        opt = gs.Optimizer(np.zeros(2), "sgd", lr=0.5, engine=engine, diagnostics=True)
        opt.step(np.array([-6.0, -8.0]))
        assert told(opt.diagnostics) == (10.0, 5.0, 5.0)
        assert opt.diagnostics.update_ratio == 1.0
        opt.step(np.array([-6.0, -8.0]))
        assert opt.diagnostics.update_ratio == 0.5

    @engines
    def test_the_update_is_a_difference_of_wide_numbers(self, engine):
        """From 3e38 to -3e38 is farther than float32 goes."""
        w, g = np.array([3e38, 1.0], "f4"), np.array([3e35, 0.3], "f4")
        before = w.copy()
        tx = gs.chain(gs.sgd(lr=1000.0), gs.sgd(name="again", lr=1000.0))
        opt = gs.Optimizer(w, tx, engine=engine, diagnostics=True)
        opt.step(g)
        close(opt.diagnostics, expected([before], [g], [w]))
        assert opt.diagnostics.update_norm > float(np.finfo("f4").max)

    @engines
    def test_ratio(self, engine):
        w = np.array([1.0, 0.0])
        opt = gs.Optimizer(w, "sgd", lr=1.0, engine=engine, diagnostics=True)
        opt.step(np.zeros(2))
        assert (opt.diagnostics.update_norm, opt.diagnostics.update_ratio) == (0.0, 0.0)
        opt.step(np.array([1.0, 0.0]))
        assert (opt.diagnostics.param_norm, opt.diagnostics.update_ratio) == (0.0, math.inf)
        opt.step(np.zeros(2))
        assert (opt.diagnostics.param_norm, opt.diagnostics.update_ratio) == (0.0, 0.0)

    @engines
    def test_numbers_that_float64_cannot_square(self, engine):
        w = np.array([1.0, 2.0])
        opt = gs.Optimizer(w, "sgd", lr=1.0, on_nonfinite="ignore", engine=engine, diagnostics=True)
        opt.step(np.array([1e200, 0.0]))
        assert told(opt.diagnostics) == (math.inf, math.inf, math.inf)
        assert math.isnan(opt.diagnostics.update_ratio)
        opt.step(np.array([0.0, np.nan]))
        assert math.isnan(opt.diagnostics.grad_norm)
        large = {str(k): np.full(1, 1e154) for k in range(3)}  # each sum is a number, all of them are not
        opt = gs.Optimizer(large, "sgd", lr=0.0, engine=engine, diagnostics=True, groups={"0": {"lr": 0.0}})
        opt.step(mapped(large, np.zeros_like))
        assert opt.diagnostics.param_norm == math.inf
        assert opt.diagnostics.groups["0"].param_norm == pytest.approx(1e154)


class TestUnmoved:
    """Numbers that stand where they stood though their gradient is not zero, counted in the pass."""

    ml_dtypes = pytest.importorskip("ml_dtypes")

    @engines
    @pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_against_the_stored_bits(self, dtype, rounding, engine):
        w = {"a": numbers(5000).astype(dtype), "b": numbers((3, 7), seed=1).astype(dtype)}
        opt = gs.Optimizer(w, "adam", lr=2e-4, rounding=rounding, engine=engine, diagnostics=True)
        for seed in range(3):
            before = mapped(w, lambda x: np.array(x, "f4"))
            g = mapped(w, lambda x: numbers(x.shape, seed=seed).astype(dtype))  # noqa: B023 - used at once
            g["a"][:100] = 0
            opt.step(g)
            unmoved = sum(int(((w[k].astype("f4") == before[k]) & (g[k].astype("f4") != 0)).sum()) for k in w)
            assert (opt.diagnostics.unmoved, opt.diagnostics.elements) == (unmoved, 5021)
            assert 0 < unmoved < 4921
            assert opt.diagnostics.unmoved_share == unmoved / 5021

    @engines
    def test_a_master_copy_moves_where_its_parameter_does_not(self, engine):
        g = np.ones(100)
        seen = {}
        for master in (False, True):
            w = np.ones(100).astype("bfloat16")
            opt = gs.Optimizer(w, "sgd", lr=1e-4, master=master, engine=engine, diagnostics=True)
            opt.step(g.astype(w.dtype))
            assert (w == 1).all()
            seen[master] = opt.diagnostics.unmoved
        assert seen == {False: 100, True: 0}

    @engines
    @pytest.mark.parametrize(("dtype", "spacing"), [("f4", 2.0**-24), ("f8", 2.0**-53), ("c8", 2.0**-24)])
    def test_ordinary_dtypes_round_too(self, dtype, spacing, engine):
        w = np.ones(6, dtype)
        g = np.array([1.0, 0.1, 0.0, -3.0, 0.25, 1.0], dtype)
        opt = gs.Optimizer(w, "sgd", lr=spacing, engine=engine, diagnostics=True)
        opt.step(g)
        assert opt.diagnostics.unmoved == 2  # 1 - spacing is the next number below, less than half of it is 1 again
        assert opt.diagnostics.elements == (12 if dtype == "c8" else 6)

    @engines
    def test_each_group_counts_its_own(self, engine):
        params = {"a": np.ones(3, "f4"), "b": np.ones(4, "f4"), "c": np.ones(5, "f4")}
        groups = {"b": {"lr": 1e-12}, "c": "freeze"}
        opt = gs.Optimizer(params, "sgd", lr=0.5, groups=groups, engine=engine, diagnostics=True)
        opt.step(mapped(params, np.ones_like))
        assert (opt.diagnostics.unmoved, opt.diagnostics.elements) == (4, 7)
        counts = {label: (own.unmoved, own.elements) for label, own in opt.diagnostics.groups.items()}
        assert counts == {"": (0, 3), "b": (4, 4)}


class TestGroups:
    @engines
    def test_each_counts_its_own(self, engine):
        rng = np.random.default_rng(0)
        params = {
            "a": {"w": numbers((90, 70), "f4"), "bias": numbers(9, "f8", 1)},
            "still": np.arange(5),
            "b": {"w": numbers(4097, "c8", 2), "bias": numbers((), "f4", 3)},
            "c": numbers(20_000, "f4", 4),
        }
        groups = {"*.bias": {"lr": 0.3}, "b.*": {"lr": gs.times(0.1)}, "still": "freeze"}
        opt = gs.Optimizer(params, LONG, groups=groups, engine=engine, diagnostics=True)
        labels = {"a.w": "", "a.bias": "*.bias", "b.w": "b.*", "b.bias": "*.bias & b.*", "c": ""}
        for _ in range(3):
            names, before = flatten(params)[0].names, leaves(params)
            grads = {k: x for k, x in mapped(params, lambda x: normal(rng, x)).items() if k != "still"}
            given = dict(zip(flatten(grads)[0].names, leaves(grads), strict=True))
            opt.step(grads)
            rows = [
                (labels[name], x, given[name], y)
                for name, x, y in zip(names, before, leaves(params), strict=True)
                if name != "still"
            ]
            told_of = opt.diagnostics
            assert list(told_of.groups) == ["", "*.bias", "b.*", "*.bias & b.*"]
            for label, own in told_of.groups.items():
                close(own, expected(*zip(*[row[1:] for row in rows if row[0] == label], strict=True)))
                assert own.groups == {}
            close(told_of, expected(*zip(*[row[1:] for row in rows], strict=True)))

    @engines
    def test_all_frozen(self, engine):
        opt = gs.Optimizer({"a": np.ones(3)}, "adam", groups={"a": "freeze"}, engine=engine, diagnostics=True)
        opt.step({})
        assert told(opt.diagnostics) == (0.0, 0.0, 0.0)
        assert opt.diagnostics.groups == {}

    @engines
    def test_over_each_tensor(self, engine):
        """Where scalars differ from tensor to tensor, a row of them is no group."""
        params = {"a": numbers(5), "b": numbers(6, seed=1), "c": numbers(7, seed=2)}
        before, grads = mapped(params, np.copy), mapped(params, np.ones_like)
        opt = gs.Optimizer(params, EACH, groups={"b": {"lr": 0.5}}, engine=engine, diagnostics=True)
        opt.step(grads)
        for label, keys in (("", "ac"), ("b", "b")):
            wanted = expected(*([nest[k] for k in keys] for nest in (before, grads, params)))
            close(opt.diagnostics.groups[label], wanted)


class TestFewerBits:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    LOW = ("float16", "bfloat16")

    @engines
    @pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
    @pytest.mark.parametrize("dtype", LOW)
    def test_the_update_is_the_one_before_rounding(self, dtype, rounding, engine):
        """A float32 twin, set to the stored numbers before each step, makes the same updates."""
        w = numbers(5000).astype(dtype)
        twin = w.astype("f4")
        opt = gs.Optimizer(w, "adam", lr=1e-5, rounding=rounding, engine=engine, diagnostics=True)
        other = gs.Optimizer(twin, "adam", lr=1e-5, engine="eager")
        for seed in range(3):
            g = numbers(5000, seed=seed).astype(dtype)
            twin[...] = w.astype("f4")
            before = twin.copy()
            opt.step(g)
            other.step(g.astype("f4"))
            close(opt.diagnostics, expected([before], [g.astype("f4")], [twin]))
        assert opt.diagnostics.update_norm > 0.0

    @engines
    @pytest.mark.parametrize("dtype", LOW)
    def test_of_the_master_copy(self, dtype, engine):
        w = numbers(5000).astype(dtype)
        opt = gs.Optimizer(w, "adam", lr=1e-5, master=True, state_dtype="8bit", engine=engine, diagnostics=True)
        for seed in range(3):
            before, g = opt.state["params"]["master"].copy(), numbers(5000, seed=seed).astype(dtype)
            opt.step(g)
            close(opt.diagnostics, expected([before], [g.astype("f4")], [opt.state["params"]["master"]]))

    @engines
    @pytest.mark.parametrize("state_dtype", ["bfloat16", "8bit"])
    def test_low_state(self, state_dtype, engine):
        for n in SIZES:
            w, g = numbers(n, "f4"), numbers(n, "f4", 1)
            opt = gs.Optimizer(w, LONG, state_dtype=state_dtype, engine=engine, diagnostics=True)
            for _ in range(2):
                before = w.copy()
                opt.step(g)
                close(opt.diagnostics, expected([before], [g], [w]))

    @pytest.mark.skipif(len(ENGINES) < 2, reason="one engine")
    @pytest.mark.parametrize("dtype", ["float32", *LOW])
    @pytest.mark.parametrize("state_dtype", [None, "bfloat16", "8bit"])
    def test_the_engines_agree(self, state_dtype, dtype):
        ways = [{}] if dtype == "float32" else [{}, {"master": True}, {"rounding": "stochastic"}]
        for way in ways:
            seen = []
            for engine in ENGINES:
                params = {str(n): numbers(n, seed=n).astype(dtype) for n in SIZES}
                seen.append(trained(LONG, params, engine=engine, state_dtype=state_dtype, **way)[0])
            assert seen[0] == seen[1]


class TestBits:
    @pytest.mark.skipif(len(ENGINES) < 2, reason="one engine")
    @whole
    def test_the_engines_agree(self, tx):
        assert trained(tx, mixed(tx), engine="compiled")[0] == trained(tx, mixed(tx), engine="eager")[0]

    @engines
    @whole
    def test_the_step_is_the_same_without(self, tx, engine):
        params = mixed(tx)
        _, opt = trained(tx, params, engine=engine)
        other = mixed(tx)
        plain = gs.Optimizer(other, tx, engine=engine)
        rng = np.random.default_rng(1)
        for _ in range(3):
            plain.step(mapped(other, lambda x: normal(rng, x)))
        assert fingerprint(opt) == fingerprint(plain)

    def test_any_number_of_threads(self):
        sizes = [300_001, 3, 0, 16_383, 16_385, 5, 200_000]
        for tx in ("adam", LONG, EACH):
            seen = []
            for threads in (1, 2, 3, 8):
                params = {str(k): numbers(n, "f4", k) for k, n in enumerate(sizes)}
                seen.append(trained(tx, params, 2, threads=threads)[0])
            assert seen == [seen[0]] * 4

    def test_any_chunk(self):
        compiled = pytest.importorskip("gradstep.engine.cpu.compiled")
        from gradstep.engine.tensor import Tensor
        from gradstep.form.chain import program

        seen = []
        for chunk in (4096, 3 * 4096, 1 << 20):
            arrays = [numbers(n, d, n) for n, d in ((0, "f4"), (1, "f4"), (70_001, "f4"), (4097, "f8"), (50_000, "c8"))]
            tensors = [Tensor(str(k), x, (), 0) for k, x in enumerate(arrays)]
            engine = compiled.Compiled(program(gs.sgd(lr=0.1)), tensors, chunk=chunk, is_metered=True)
            engine.load([numbers(x.size, x.dtype, 1) for x in arrays])
            engine.apply([[(0.1,)]], 1)
            seen.append(engine.metered())
        assert seen[0] == seen[1] == seen[2]

    @pytest.mark.process
    def test_without_llvmlite_and_without_array_structs(self):
        code = """
import numpy as np, gradstep as gs
rng = np.random.default_rng(3)
params = {f"w{k}": rng.normal(size=(k + 1, 4097)).astype(d) for k, d in enumerate(["f4", "f8", "c8", "f4"])}
tx = gs.chain(gs.clip_by_global_norm(1.0), gs.l2(0.1), gs.nadam(lr=0.1))
opt = gs.Optimizer(params, tx, groups={"w1": {"lr": 0.2}}, diagnostics=True)
for _ in range(3):
    opt.step({k: rng.normal(size=x.shape).astype(x.dtype) for k, x in params.items()})
    print(opt.diagnostics)
"""
        here = script(code)
        assert script(code, GRADSTEP_PLAIN="1") == here
        assert script(code, before="import sys; sys.modules['llvmlite'] = None") == here

    def test_kernels_without_are_as_ever(self):
        kernels = pytest.importorskip("gradstep.engine.cpu.kernels")
        from gradstep.array.storage import Layout

        plain, also, metered = (
            kernels.emit((gs.adam,), Layout("float32", (None, None)), 1.0, "t", *more)
            for more in ((), (False,), (True,))
        )
        assert plain == also
        assert plain.count("fpext") == 0 < metered.count("fpext")

    def test_arrays_of_another_namespace(self):
        strict = pytest.importorskip("array_api_strict")
        for dtype in ("f4", "f8", "c16"):
            w, g = numbers((70, 80), dtype), numbers((70, 80), dtype, 1)
            opt = gs.Optimizer(strict.asarray(w.copy()), LONG, diagnostics=True)
            mine = gs.Optimizer(w, LONG, diagnostics=True)
            opt.step(strict.asarray(g))
            mine.step(g)
            assert exact(opt.diagnostics) == exact(mine.diagnostics)

    def test_torch(self):
        torch = pytest.importorskip("torch")
        for dtype in ("f4", "f8", "c8"):
            w, g = numbers((70, 80), dtype), numbers((70, 80), dtype, 1)
            theirs = torch.tensor(w, requires_grad=True)
            opt = gs.Optimizer(theirs, "momentum", diagnostics=True)
            mine = gs.Optimizer(w, "momentum", diagnostics=True)
            for _ in range(2):
                opt.step(torch.tensor(g))
                mine.step(g)
            assert exact(opt.diagnostics) == exact(mine.diagnostics)
        low = torch.ones(50, dtype=torch.bfloat16)
        opt = gs.Optimizer(low, "sgd", lr=2.0**-12, diagnostics=True)
        opt.step(torch.ones(50, dtype=torch.bfloat16))
        assert opt.diagnostics.update_norm == pytest.approx(2.0**-12 * math.sqrt(50), rel=1e-12)


class TestWhen:
    @engines
    def test_none_before_the_first_step_and_after_reset(self, engine):
        opt = gs.Optimizer(np.ones(3), "adam", engine=engine, diagnostics=True)
        assert opt.diagnostics is None
        opt.step(np.ones(3))
        assert opt.diagnostics.grad_norm == pytest.approx(math.sqrt(3.0))
        opt.reset()
        assert opt.diagnostics is None
        opt.step(np.zeros(3))
        assert opt.diagnostics.grad_norm == 0.0

    @engines
    @pytest.mark.parametrize("tx", [gs.adam(lr=0.1), LONG], ids=["adam", "long"])
    def test_steps_that_did_not_happen(self, tx, engine):
        bad = np.ones(70_000)
        bad[69_999] = np.nan
        opt = gs.Optimizer(np.ones(70_000), tx, on_nonfinite="skip", engine=engine, diagnostics=True)
        opt.step(bad)
        assert (opt.skipped, opt.diagnostics) == (1, None)
        opt.step(np.full(70_000, 0.5))
        kept = exact(opt.diagnostics)
        opt.step(bad)
        opt.on_nonfinite = "raise"
        with pytest.raises(gs.NonFiniteError):
            opt.step(bad)
        with pytest.raises(gs.GradstepValueError):
            opt.step(np.ones(3))
        assert (opt.t, opt.skipped, exact(opt.diagnostics)) == (1, 2, kept)

    @engines
    def test_what_was_read_stays(self, engine):
        opt = gs.Optimizer(np.zeros(3), "sgd", lr=1.0, engine=engine, diagnostics=True)
        opt.step(np.ones(3))
        first = opt.diagnostics
        kept = exact(first)
        opt.step(np.full(3, 7.0))
        assert exact(first) == kept
        assert opt.diagnostics.grad_norm == pytest.approx(7.0 * math.sqrt(3.0))
        with pytest.raises(dataclasses.FrozenInstanceError):
            first.grad_norm = 1.0
        assert dataclasses.asdict(first)["groups"][""]["grad_norm"] == first.grad_norm

    @engines
    @pytest.mark.parametrize("made", [False, True])
    def test_an_interrupt(self, made, engine, monkeypatch):
        """Of the step that was made, and of no other, whether the interrupt came before it or after."""
        opt = gs.Optimizer(np.zeros(4), LONG, engine=engine, diagnostics=True)
        opt.step(np.ones(4))
        kept = exact(opt.diagnostics)
        apply = opt._step._engine.apply

        def interrupted(*arguments):
            if made:
                apply(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(opt._step._engine, "apply", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opt.step(np.full(4, 2.0))
        assert opt.t == 1 + made
        assert opt.diagnostics.grad_norm == (4.0 if made else 2.0)
        assert (exact(opt.diagnostics) == kept) != made

    def test_an_interrupt_while_the_eager_engine_writes(self, monkeypatch):
        from gradstep.engine import eager

        w = np.zeros(4)
        opt = gs.Optimizer(w, "sgd", lr=1.0, engine="eager", diagnostics=True)
        write, calls = eager._write, []

        def interrupted(results):
            calls.append(results)
            if len(calls) == 1:
                raise KeyboardInterrupt
            write(results)

        monkeypatch.setattr(eager, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opt.step(np.ones(4))
        assert (opt.t, told(opt.diagnostics)) == (1, (2.0, 2.0, 2.0))

    @engines
    def test_own_gradients(self, engine):
        opt = gs.Optimizer([np.zeros(3), np.zeros(2)], "sgd", engine=engine, diagnostics=True)
        opt.grads[0][...] = 2.0
        opt.step()
        assert opt.diagnostics.grad_norm == pytest.approx(math.sqrt(12.0))


class TestAsking:
    @engines
    def test_not_asked_for(self, engine):
        opt = gs.Optimizer(np.ones(2), "adam", engine=engine)
        opt.step(np.ones(2))
        with pytest.raises(gs.GradstepValueError, match="diagnostics=True") as error:
            _ = opt.diagnostics
        assert clear(error)
        assert not hasattr(opt, "diagnostics")  # so that nobody who looks around an optimizer meets an error

    @pytest.mark.parametrize("value", [1, None, "yes", np.True_])
    def test_what_is_no_bool(self, value):
        with pytest.raises(gs.GradstepTypeError, match="diagnostics must be True or False, not") as error:
            gs.Optimizer(np.ones(2), "adam", diagnostics=value)
        assert clear(error)

    def test_it_has_a_name(self):
        opt = gs.Optimizer(np.ones(2), "adam", diagnostics=True)
        opt.step(np.ones(2))
        assert isinstance(opt.diagnostics, gs.Diagnostics)
        assert [f.name for f in dataclasses.fields(gs.Diagnostics)] == [*NORMS, "unmoved", "elements", "groups"]


@engines
def test_a_call_that_makes_no_update_leaves_the_norms_of_the_last_one(engine):
    w = numbers(5)
    opt = gs.Optimizer(w, gs.chain(gs.accumulate(k=2), gs.sgd(lr=0.5)), engine=engine, diagnostics=True)
    first, second, third = (numbers(5, seed=k) for k in (1, 2, 3))
    opt.step(first)
    assert opt.diagnostics is None
    before = w.copy()
    opt.step(second)
    close(opt.diagnostics, expected([before], [second], [w]))
    seen = exact(opt.diagnostics)
    opt.step(third)
    assert exact(opt.diagnostics) == seen
