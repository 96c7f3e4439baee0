"""State from and to optax: the training goes on as if it had never moved, and what does not fit is refused."""

from operator import attrgetter

import numpy as np
import pytest
from moving import AFTER, BEFORE, close, gradients, nested, optimizer, snapshot, start

import gradstep as gs
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.rule import registry

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
pytest.importorskip("optax.contrib")
state = pytest.importorskip("gradstep.interop.state.optax")

CASES = {  # constructor and arguments, optax's and ours alike
    "sgd": {},
    "sgd momentum": {"momentum": 0.9},
    "sgd nesterov": {"momentum": 0.9, "nesterov": True},
    "adagrad": {},
    "adadelta": {"weight_decay": 0.1},
    "rmsprop": {},
    "rmsprop outside": {"eps_in_sqrt": False},
    "rmsprop momentum": {"momentum": 0.8, "initial_scale": 0.5},
    "rmsprop nesterov": {"momentum": 0.8, "nesterov": True, "bias_correction": True},
    "rmsprop centered": {"centered": True, "momentum": 0.8},
    "rmsprop centered outside": {"centered": True, "eps_in_sqrt": False},
    "rmsprop centered corrected": {"centered": True, "bias_correction": True},
    "rmsprop corrected": {"eps_in_sqrt": False, "bias_correction": True, "centered": False},
    "adam": {},
    "adam eps_root": {"eps_root": 1e-3, "b1": 0.8},
    "adamw": {"weight_decay": 0.1},
    "nadam": {},
    "nadamw": {"b2": 0.9},
    "amsgrad": {"b2": 0.9},
    "amsgrad mean": {"b2": 0.9, "bias_correction_nu": False},
    "amsgrad square": {"b2": 0.9, "bias_correction_mu": False},
    "amsgrad uncorrected": {"b2": 0.9, "bias_correction_mu": False, "bias_correction_nu": False},
    "radam": {"b2": 0.95},
    "radam nesterov": {"nesterov": True, "b2": 0.95},
    "adamax": {},
    "adamaxw": {"weight_decay": 0.1},
    "lion": {"weight_decay": 0.1},
    "adabelief": {"eps_root": 1e-4, "eps": 1e-4},
    "adan": {"weight_decay": 0.1},
    "lamb": {"weight_decay": 0.1},
    "lars": {"weight_decay": 0.1, "trust_coefficient": 1.0},
    "lars nesterov": {"nesterov": True, "trust_coefficient": 1.0},
    "signum": {},
    "yogi": {},
    "contrib.ademamix": {"weight_decay": 0.1},
    "contrib.simplified_ademamix": {"alpha": 2.0},
    "contrib.adopt": {"b2": 0.9},
    "contrib.adopt unclipped": {"b2": 0.9, "use_clipping": False},
    "contrib.dadapt_adamw": {"estim_lr0": 0.1, "weight_decay": 0.1},
    "contrib.prodigy": {"estim_lr0": 0.1, "weight_decay": 0.1},
    "contrib.dog": {"weight_decay": 0.1},
    "contrib.dowg": {"init_estim_sq_dist": 0.5},
    "contrib.madgrad": {"weight_decay": 0.1},
}
PUT_ASIDE = {  # what keeps its numbers otherwise there, and is refused
    "adafactor": "FactoredState",
    "novograd": "ScaleByNovogradState",
    "sm3": "ScaleBySM3State",
    "contrib.schedule_free_sgd": "ScheduleFreeState",
    "contrib.schedule_free_adamw": "ScheduleFreeState",
}
APART = {"contrib.madgrad": 1e-6}  # JAX takes a root in float32


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def stage(case, lr):
    return attrgetter(case.split()[0])(gs.conventions.optax)(lr, **CASES[case])


def transformation(case, lr):
    return attrgetter(case.split()[0])(optax)(lr, **CASES[case])


def tree(flat):
    return jax.tree.map(jax.numpy.asarray, nested(flat))


def go(tx, params, own, grads):
    for each in grads:
        updates, own = tx.update(tree(each), own, params)
        params = optax.apply_updates(params, updates)
    return params, own


def flat(params):
    return {"layer.w": params["layer"]["w"], "layer.b": params["layer"]["b"], "scale": params["scale"]}


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_array_equal(x, y)


# Numbers that float32 has too: in that optax computes its schedules.
HALVING = optax.piecewise_constant_schedule(0.125, {4: 0.5, 9: 0.5})


@pytest.mark.parametrize("case", CASES)
class TestGoesOn:
    @pytest.mark.parametrize("lr", [0.01, HALVING], ids=["constant", "schedule"])
    def test_from_optax(self, case, lr):
        tx, grads = transformation(case, lr), gradients(BEFORE + AFTER)
        params = tree(start())
        params, own = go(tx, params, tx.init(params), grads[:BEFORE])
        opt = optimizer(stage(case, lr), flat(params))
        state.load_state(opt, own, t=BEFORE)
        for each in grads[BEFORE:]:
            opt.step(each)
        params, _ = go(tx, params, own, grads[BEFORE:])
        close(opt.params, flat(params), APART.get(case, 1e-9))

    @pytest.mark.parametrize(("lr", "steps"), [(0.01, 3), (HALVING, 0)], ids=["constant", "schedule"])
    def test_to_optax(self, case, lr, steps):
        """Into the state before the first step, and into a later one."""
        tx, grads = transformation(case, lr), gradients(BEFORE + AFTER)
        opt = optimizer(stage(case, lr), start())
        for each in grads[:BEFORE]:
            opt.step(each)
        params = tree(start())
        _, like = go(tx, params, tx.init(params), gradients(steps, seed=9))
        own = state.dump_state(opt, like)
        params, _ = go(tx, tree(opt.params), own, grads[BEFORE:])
        for each in grads[BEFORE:]:
            opt.step(each)
        close(opt.params, flat(params), APART.get(case, 1e-9))

    def test_there_and_back_keeps_every_bit(self, case):
        opt = optimizer(stage(case, HALVING), start())
        for each in gradients(BEFORE):
            opt.step(each)
        tx = transformation(case, HALVING)
        made = state.dump_state(opt, tx.init(tree(start())))
        other = optimizer(opt.stage, opt.params)
        state.load_state(other, made, t=BEFORE)
        assert snapshot(other) == snapshot(opt)
        same(state.dump_state(other, made), made)


@pytest.mark.parametrize("name", PUT_ASIDE)
def test_what_is_kept_otherwise_is_refused(name):
    params = tree(start())
    opt = optimizer(attrgetter(name)(gs.conventions.optax)(0.1), start())
    before = snapshot(opt)
    with pytest.raises(GradstepValueError, match=f"has a {PUT_ASIDE[name]}, which is unknown here. Nothing was"):
        state.load_state(opt, attrgetter(name)(optax)(0.1).init(params))
    assert snapshot(opt) == before


def test_what_comes_with_a_step_is_not_in_the_state():
    """The diagonal of the Hessian, and the loss: the training goes on with the next ones."""

    def given(k):
        return {"value": 1.0 / (1 + k), "obj_fn": lambda p: sum((3.0 * x * x).sum() for x in jax.tree.leaves(p))}

    for name, hyper in (("sophia", {"gamma": 2.0, "update_interval": 2}), ("momo", {"weight_decay": 0.1})):
        theirs = getattr(optax.contrib, name)(0.1, **hyper)
        params, grads = tree(start()), gradients(BEFORE + AFTER)
        own = theirs.init(params)
        opt = None
        for k, each in enumerate(grads):
            if k == BEFORE:
                opt = optimizer(getattr(gs.conventions.optax.contrib, name)(0.1, **hyper), flat(params))
                state.load_state(opt, own)
            if opt is not None:
                inputs = {"curvature": {key: np.full(x.shape, 6.0) for key, x in each.items()}}
                opt.step(each, loss=1.0 / (1 + k), **(inputs if name == "sophia" else {}))
            updates, own = theirs.update(tree(each), own, params, **given(k))
            params = optax.apply_updates(params, updates)
        close(opt.params, flat(params), 1e-9)
        again = state.dump_state(opt, theirs.init(params))
        again = again if name == "momo" else again[0]
        assert int(again.count) == opt.t == BEFORE + AFTER


class TestNests:
    def test_chains_masks_and_injected_hyperparameters(self):
        """All counts are set, wherever they stand; schedules of injected hyperparameters too."""
        params = tree(start())
        mask = jax.tree.map(lambda x: x.ndim > 1, params)

        def made(learning_rate):
            return optax.chain(
                optax.clip_by_global_norm(1.0),
                optax.named_chain(
                    ("adam", optax.scale_by_adam()),
                    ("decay", optax.add_decayed_weights(0.1, mask)),
                ),
                optax.scale_by_learning_rate(learning_rate),
            )

        tx = optax.inject_hyperparams(made)(learning_rate=HALVING)
        decays = {"layer.b": {"weight_decay": 0.0}, "scale": {"weight_decay": 0.0}}
        ours = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=lambda t: float(HALVING(t)), weight_decay=0.1))
        grads = gradients(BEFORE + AFTER)
        opt = optimizer(ours, start(), groups=decays)
        for each in grads[:BEFORE]:
            opt.step(each)
        own = state.dump_state(opt, tx.init(params))
        assert {int(x) for x in jax.tree.leaves(own) if x.dtype == np.int32} == {BEFORE}
        later, own = go(tx, tree(opt.params), own, grads[BEFORE:-2])
        other = optimizer(ours, flat(later), groups=decays)
        state.load_state(other, own)
        assert other.t == BEFORE + AFTER - 2
        later, _ = go(tx, later, own, grads[-2:])
        for each in grads[-2:]:
            other.step(each)
        for each in grads[BEFORE:]:
            opt.step(each)
        close(other.params, flat(later), 1e-9)
        close(opt.params, flat(later), 1e-9)

    def test_clipping_before_a_momentum(self):
        tx = optax.chain(optax.clip(0.5), optax.sgd(0.1, momentum=0.9))
        grads = gradients(BEFORE + AFTER)
        params = tree(start())
        params, own = go(tx, params, tx.init(params), grads[:BEFORE])
        opt = optimizer(gs.chain(gs.clip_by_value(0.5), gs.conventions.optax.sgd(0.1, momentum=0.9)), flat(params))
        state.load_state(opt, own)
        for each in grads[BEFORE:]:
            opt.step(each)
        params, _ = go(tx, params, own, grads[BEFORE:])
        close(opt.params, flat(params), 1e-9)

    def test_one_array_and_lists(self):
        for params in (np.ones(3), [np.ones(2), np.ones(())]):
            own = optax.adam(0.1).init(jax.tree.map(jax.numpy.asarray, params))
            opt = gs.Optimizer(params, "adam")
            opt.step(params)
            made = state.dump_state(opt, own)
            other = gs.Optimizer(params, "adam")
            state.load_state(other, made)
            assert snapshot(other)[1:] == snapshot(opt)[1:]

    def test_names(self):
        """In the order of ``jax.tree.leaves``, which sorts the keys of dicts."""
        params = {"b": np.ones(2), "a": np.zeros(3)}
        own = optax.adam(0.1).init(params)
        opt = gs.Optimizer({"x": np.ones(2), "y": np.zeros(3)}, "adam")
        opt.step({"x": np.ones(2), "y": np.ones(3)})
        made = state.dump_state(opt, own, iter(["y", "x"]))
        np.testing.assert_array_equal(made[0].mu["a"], opt.state["y"]["adam.m"])
        other = gs.Optimizer({"x": np.ones(2), "y": np.zeros(3)}, "adam")
        state.load_state(other, made, iter(["y", "x"]))
        np.testing.assert_array_equal(other.state["y"]["adam.m"], opt.state["y"]["adam.m"])

    def test_frozen_parameters_stay_there(self):
        tx, params = optax.adam(0.01), tree(start())
        params, own = go(tx, params, tx.init(params), gradients(2))
        opt = optimizer("adam", flat(params), groups={"scale": "freeze"})
        state.load_state(opt, own)
        opt.step(gradients(1)[0])
        made = state.dump_state(opt, own)
        assert made[0].mu["scale"] == own[0].mu["scale"]
        assert int(made[0].count) == 3

    def test_a_state_of_numpy_arrays(self):
        own = jax.tree.map(np.asarray, optax.adam(0.01).init(tree(start())))
        opt = optimizer("adam", start())
        opt.step(gradients(1)[0])
        made = state.dump_state(opt, own)
        assert all(type(x) in (np.ndarray, np.generic, np.int32) for x in jax.tree.leaves(made))
        other = optimizer("adam", opt.params)
        state.load_state(other, made)
        assert snapshot(other) == snapshot(opt)

    def test_16_bits_there_are_widened(self):
        own = optax.adam(0.01, mu_dtype="bfloat16").init({"w": np.ones(2, np.float32)})
        own = (own[0]._replace(mu={"w": jax.numpy.full(2, 0.1, "bfloat16")}, count=own[0].count + 1), own[1])
        opt = optimizer("adam", {"w": np.ones(2, np.float32)})
        state.load_state(opt, own)
        np.testing.assert_array_equal(opt.state["w"]["adam.m"], np.asarray(own[0].mu["w"], np.float32))
        same(state.dump_state(opt, own), own)


def after(tx, steps=2):
    params = tree(start())
    return go(tx, params, tx.init(params), gradients(steps))[1]


def refuses(opt, own, why, names=None, error=GradstepValueError, both=True, **options):
    before = snapshot(opt)
    with pytest.raises(error, match=why):
        state.load_state(opt, own, names, **options)
    if both:
        with pytest.raises(error, match=why):
            state.dump_state(opt, own, names)
    assert snapshot(opt) == before


class TestRefusals:
    @pytest.mark.parametrize("rule", ["adam_eps_hat", "amsgrad", "momentum", "nadam", "radam", "radam_torch"])
    def test_a_rule_that_optax_does_not_have(self, rule):
        refuses(optimizer(rule, start()), after(optax.adam(0.1)), f"nothing for the {rule} of this optimizer in it")

    def test_a_trace_of_the_other_kind(self):
        opt = optimizer("momentum", start())
        refuses(opt, after(optax.sgd(0.1, momentum=0.9)), "optax, TraceState: there is nothing for the momentum")
        behind = optax.chain(optax.scale(-0.1), optax.trace(0.9))
        other = optimizer("unfolded_momentum", start())
        refuses(
            other, after(behind), "optax, TraceState behind the learning rate: there is nothing for the unfolded_mom"
        )
        state.load_state(opt, after(behind))
        assert opt.t == 1

    def test_a_state_more_or_less(self):
        opt = optimizer("sgd", start())
        refuses(opt, after(optax.adam(0.1)), "it keeps arrays in ScaleByAdamState, and this optimizer in nothing")
        opt = optimizer(gs.chain(gs.adam, gs.ema), start())
        refuses(opt, after(optax.adam(0.1)), "it keeps arrays in ScaleByAdamState, and this optimizer in adam, ema")

    def test_what_is_unknown(self):
        multi = optax.MultiSteps(optax.adam(0.1), 2).init(tree(start()))
        refuses(optimizer("adam", start()), multi, "it has a MultiStepsState, which is unknown here")
        refuses(optimizer("adam", start()), after(optax.novograd(0.1)), "it has a ScaleByNovogradState")
        refuses(optimizer("adam", start()), 7, "there is a int in it", error=GradstepTypeError)

    def test_masked_moments(self):
        tx = optax.masked(optax.adam(0.1), nested({"layer.w": True, "layer.b": True, "scale": False}))
        refuses(optimizer("adam", start()), after(tx), "'scale', which is optimized here, is not among its parameters")

    def test_counts(self):
        own = after(optax.adam(optax.constant_schedule(0.1)))
        odd = (own[0], own[1]._replace(count=jax.numpy.asarray(9)))
        why = "count of ScaleByAdamState, number 1 says 2 updates, and count of ScaleByScheduleState, number 2 says 9"
        refuses(optimizer("adam", start()), odd, why, both=False)
        refuses(optimizer("adam", start()), own, "t says 5 updates, and count of", both=False, t=5)
        opt = optimizer(gs.conventions.optax.sgd(gs.schedules.linear(0.1, 10), momentum=0.9), start())
        refuses(opt, after(optax.sgd(0.1, momentum=0.9)), "counts no updates, and a schedule of this", both=False)

    def test_a_count_that_int32_does_not_have(self):
        opt = optimizer("adam", start())
        parts = opt.parts()
        parts.take(parts.hyper, parts.memory, 2**31, 0)
        with pytest.raises(GradstepValueError, match="t = 2147483648 is no int32"):
            state.dump_state(opt, after(optax.adam(0.1)))

    def test_names_shapes_and_numbers(self):
        own = after(optax.adam(0.1))
        refuses(optimizer("adam", start()), own, r"it has 3 parameters, and there are 1 names", ["scale"])
        refuses(optimizer("adam", start()), own, r"names must be a list", "scale", GradstepTypeError)
        other = optimizer("adam", {"layer.w": np.ones((2, 2)), "layer.b": np.ones(2), "scale": np.ones(())})
        refuses(other, own, r"adam.m of 'layer.w' has the shape \(3, 2\) there, and \(2, 2\) here", both=False)
        refuses(optimizer("adam", {"v": np.ones(2)}), own, "unknown parameter 'layer.b'")
        bad = (own[0]._replace(nu=jax.tree.map(lambda x: -x, own[0].nu)), own[1])
        refuses(optimizer("adam", start()), bad, r"adam.v of 'layer.w' is below zero there", both=False)
        bad = (own[0]._replace(mu=jax.tree.map(lambda x: x * np.nan, own[0].mu)), own[1])
        refuses(optimizer("adam", start()), bad, r"adam.m of 'layer.w' is not finite there", both=False)
        refuses(
            optimizer("adam", start("float32")), own, r"is float64 there and would be rounded to float32", both=False
        )

    def test_complex_parameters(self):
        params = {"z": np.ones(2, np.complex128)}
        own = optax.adam(0.1).init(params)
        refuses(optimizer("adam", params), own, "'z' is complex, and its state has another meaning there")

    def test_a_float64_state_without_x64(self):
        own = optax.adam(0.1).init(tree(start()))
        opt = optimizer("adam", start())
        with jax.enable_x64(False), pytest.raises(GradstepValueError, match="is float64 there, and JAX makes float32"):
            state.dump_state(opt, own)


def test_every_rule_of_the_table_exists():
    assert {rule for own in state.PLACES.values() for rule in own} <= registry(None).keys()
