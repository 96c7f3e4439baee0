"""Gradstep as an optax transformation: the library's own numbers, under whatever JAX and optax put around it."""

import dataclasses
import os
import re
from contextlib import nullcontext
from operator import attrgetter

import numpy as np
import pytest

import gradstep as gs
from functional_cases import CHAINS, arrays, run
from gradstep.form.matrices import SQUARES
from gradstep.rule import registry
from support import OF_GUESTS, bits, clear, script, wide

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy

from gradstep.interop import traced  # noqa: E402
from gradstep.interop.optax import dump_state, load_state, transformation  # noqa: E402

# Roots of squares hang on their least eigenvalues, and not on the rounding of the others alone.
RULES = {name: registry()[name] for name in OF_GUESTS if not set(SQUARES) & set(registry()[name].shapes.values())}
STEPS = 12


def x64(on):
    return jax.enable_x64(True) if on else nullcontext()


def moved(nest):
    return jax.tree.map(jnp.asarray, nest)


def same(a, b):
    return jax.tree.all(jax.tree.map(lambda x, y: bits(np.asarray(x)) == bits(np.asarray(y)), a, b))


def stepper(tx):
    def step(params, state, grads, **extra):
        updates, state = tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    return step


def trajectory(tx, params, grads, jit=False, steps=STEPS):
    step = jax.jit(stepper(tx)) if jit else stepper(tx)
    params = moved(params)
    state = tx.init(params)
    for k in range(steps):
        params, state = step(params, state, moved(grads(k)))
    return params, state


def near(got, wanted, scale):
    """Within a few roundings of numbers of that size: XLA contracts where it fuses, and NumPy does not."""
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        x = np.asarray(x)
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=4 * scale * np.finfo(y.dtype).eps)


def nest(seed=0, dtype="f4"):
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=(3, 5)).astype(dtype), "b": [rng.normal(size=(7,)).astype(dtype), np.ones((), dtype)]}


def grads(seed, dtype="f4"):
    return nest(seed + 100, dtype)


class TestNumbers:
    @pytest.mark.parametrize("name", RULES)
    def test_the_numbers_of_update(self, name):
        self.agree(name, "f4")

    @pytest.mark.parametrize("name", wide(RULES))
    def test_the_numbers_of_update_in_float64(self, name):
        self.agree(name, "f8")

    def agree(self, name, dtype):
        """Operation by operation JAX rounds as NumPy: bit for bit, but roots and quotients of XLA's."""
        with x64(dtype == "f8"):
            wanted, after = run(RULES[name], nest(dtype=dtype), lambda k: grads(k, dtype), STEPS)
            got, state = trajectory(transformation(name), nest(dtype=dtype), lambda k: grads(k, dtype))
            near(got, wanted, 4)
            assert int(state.count) == after.t == STEPS
            assert {key: traced.from_bits(x) for key, x in state.memory.items()} == after.memory
            again, end = trajectory(transformation(name), nest(dtype=dtype), lambda k: grads(k, dtype), jit=True)
            near(again, wanted, 16)
            if RULES[name].measure:  # sums of what XLA has rounded otherwise
                for key, x in end.memory.items():
                    wanted = traced.from_bits(state.memory[key])
                    np.testing.assert_allclose(traced.from_bits(x), wanted, rtol=1e5 * np.finfo(dtype).eps)
            else:
                assert same(end.memory, state.memory)

    @pytest.mark.parametrize("name", ["long", "clip each"])
    @pytest.mark.parametrize("jit", [False, True])
    def test_chains_that_take_norms(self, name, jit):
        wanted, after = run(CHAINS[name], nest(), grads, STEPS)
        got, state = trajectory(transformation(CHAINS[name]), nest(), grads, jit)
        near(got, wanted, 4)
        assert {key: traced.from_bits(x) for key, x in state.memory.items()} == after.memory

    def test_a_norm_is_the_library_s_own(self):
        """Its bits are those of the host's sum, not of XLA's: the scalar decides every element alike."""
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=1.0))
        x, g = np.zeros(100_003, "f4"), np.random.default_rng(0).normal(size=100_003).astype("f4")
        wanted, _ = gs.update(tx, x, g, gs.init(tx, x))
        got, _ = trajectory(transformation(tx), x, lambda k: g, jit=True, steps=1)
        assert bits(np.asarray(got)) == bits(wanted)

    @pytest.mark.parametrize("dtype", ["c8", "c16"])
    def test_complex(self, dtype):
        with x64(dtype == "c16"):
            params = arrays(dtypes=(dtype,))
            wanted, _ = run(gs.adam, params, lambda k: arrays(k + 1, (dtype,)))
            got, _ = trajectory(transformation("adam"), params, lambda k: arrays(k + 1, (dtype,)), steps=3)
            for key, x in wanted.items():
                np.testing.assert_allclose(np.asarray(got[key]), x, rtol=0, atol=16 * np.finfo(x.dtype).eps)

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    @pytest.mark.parametrize("jit", [False, True])
    def test_sixteen_bits(self, dtype, jit):
        """float32 state; what optax adds up again is at most a unit in the last place of the update off."""
        rng = np.random.default_rng(3)
        x, g = (jnp.asarray(rng.normal(size=10_000), dtype) for _ in range(2))
        tx = transformation("adam", lr=0.01)
        state = tx.init(x)
        assert {y.dtype for y in state.slots.values()} == {jnp.dtype("float32")}
        updates, _ = (jax.jit(tx.update) if jit else tx.update)(g, state, x)
        got = optax.apply_updates(x, updates)
        wanted, _ = gs.update(gs.adam(lr=0.01), x, g, gs.init(gs.adam(lr=0.01), x))
        assert updates.dtype == got.dtype == dtype
        off = np.abs(np.asarray(got, "f8") - np.asarray(wanted, "f8"))
        assert np.all(off <= 0.02 * float(jnp.finfo(dtype).eps))
        assert np.mean(off > 0) < 0.02

    def test_float32_stays_float32_in_x64(self):
        with x64(True):
            got, state = trajectory(transformation("nadam"), nest(), grads, jit=True)
            assert {x.dtype.name for x in jax.tree.leaves((got, state.slots))} == {"float32"}
        near(got, run(gs.nadam, nest(), grads, STEPS)[0], 16)

    def test_mixed_dtypes(self):
        with x64(True):
            params = {"a": np.ones(3, "f4"), "b": np.ones(3, "f8")}
            wanted, _ = run(gs.adam, params, lambda k: params)
            got, _ = trajectory(transformation("adam"), params, lambda k: params, jit=True, steps=3)
            near(got, wanted, 4)

    @pytest.mark.parametrize("t", [3, 1_000, 20_000])
    def test_bias_correction_is_exact_where_float32_is_not(self, t):
        """1 - beta2**t in float32: early it is a difference of near numbers, late a power of a rounded one."""
        beta2, one = 0.9999, jnp.ones(1)
        wanted = -np.sqrt(1 - beta2**t) / (1 - 0.9**t)  # the averages stay at one, as their gradient does

        def error(tx, state):
            updates, _ = jax.jit(tx.update)(one, state, jnp.zeros(1))
            return abs(float(updates[0]) / wanted - 1)

        ours = transformation("adam", lr=1.0, beta2=beta2, eps=1e-30)
        state = ours.init(one)._replace(count=jnp.int32(t - 1), slots={"mu": one, "nu": one})
        theirs = optax.scale_by_adam(b2=beta2, eps=1e-30)
        other = theirs.init(one)._replace(count=jnp.int32(t - 1), mu=one, nu=one)
        exact, float32 = error(ours, state), error(optax.chain(theirs, optax.scale(-1.0)), (other, optax.EmptyState()))
        assert exact <= 4 * np.finfo("f4").eps
        assert float32 > 10 * exact


class TestTransforms:
    def test_vmap_over_learning_rates(self):
        tx = transformation("nadam")
        params, g = (jnp.asarray(np.random.default_rng(k).normal(size=(3, 4)), jnp.float32) for k in range(2))
        rates = jnp.asarray([0.1, 0.01, 0.001])

        def update(g, state, p, lr):
            return tx.update(g, state, p, lr=lr)

        updates, after = jax.jit(jax.vmap(update))(g, jax.vmap(tx.init)(params), params, rates)
        for k in range(3):
            alone = jax.jit(update)(g[k], tx.init(params[k]), params[k], rates[k])
            assert same(alone, jax.tree.map(lambda x, k=k: x[k], (updates, after)))

    def test_vmap_of_a_norm(self):
        tx = transformation(gs.chain(gs.clip_by_norm(1.0), gs.sgd(lr=1.0)))
        x, g = jnp.zeros((3, 4)), jnp.asarray([[1.0] * 4, [2.0] * 4, [0.1] * 4])
        updates, _ = jax.vmap(tx.update)(g, jax.vmap(tx.init)(x), x)
        np.testing.assert_array_equal(updates, -np.asarray([[0.5] * 4, [0.5] * 4, [0.1] * 4], "f4"))

    @pytest.mark.parametrize("name", ["adam", "nadam", "radam"])
    def test_scan(self, name):
        tx = transformation(name)
        step = stepper(tx)
        params = moved(nest())
        many = jax.tree.map(lambda *x: jnp.stack(x), *[moved(grads(k)) for k in range(STEPS)])

        @jax.jit
        def run_all(params, state):
            return jax.lax.scan(lambda carry, g: (step(*carry, g), None), (params, state), many)[0]

        got, state = run_all(params, tx.init(params))
        wanted, end = trajectory(tx, nest(), grads, jit=True)
        assert same(state.memory, end.memory)
        assert int(state.count) == STEPS
        near(got, jax.tree.map(np.asarray, wanted), 16)

    def test_two_transformations_share_no_trace(self):
        x = jnp.ones(3)

        def first(lr):
            tx = transformation("sgd", lr=lr)
            return jax.jit(tx.update)(x, tx.init(x), x)[0][0], tx.update(x, tx.init(x), x)[0][0]

        assert [first(lr) for lr in (0.5, 0.25, 0.5)] == [(-0.5, -0.5), (-0.25, -0.25), (-0.5, -0.5)]

    def test_traced_once(self):
        traces = 0
        tx = transformation("adam", lr=gs.schedules.cosine(0.1, 100))

        @jax.jit
        def step(params, state, g):
            nonlocal traces
            traces += 1
            return stepper(tx)(params, state, g)

        params = jnp.ones(3)
        state = tx.init(params)
        for _ in range(3):
            params, state = step(params, state, params)
        assert traces == 1

    def test_init_under_jit_and_eval_shape(self):
        tx, params = transformation(gs.chain(gs.nadam, gs.ema)), moved(nest())
        state = tx.init(params)
        assert same(jax.jit(tx.init)(params), state)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), jax.eval_shape(tx.init, params)) == jax.tree.map(
            lambda x: (x.shape, x.dtype), state
        )
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(state))
        assert jax.tree.structure(state.slots["mu"]) == jax.tree.structure(params)

    def test_made_within_a_jit(self):
        @jax.jit
        def whole(x, g):
            tx = transformation("adam", lr=optax.linear_schedule(0.1, 0.0, 10))
            return tx.update(g, tx.init(x), x)[0]

        tx = transformation("adam", lr=0.1)
        x = jnp.ones(3)
        np.testing.assert_allclose(whole(x, x), tx.update(x, tx.init(x), x)[0], rtol=4 * np.finfo("f4").eps)


class TestOptax:
    def test_it_is_one_of_theirs(self):
        tx = transformation("adam")
        assert isinstance(tx, optax.GradientTransformation)
        assert optax.with_extra_args_support(tx) is tx

    @pytest.mark.parametrize("jit", [False, True])
    def test_chain_after_their_clipping(self, jit):
        tx = optax.chain(optax.clip_by_global_norm(1.0), transformation("momentum", lr=0.1), optax.scale(0.5))
        wanted, ours = moved(nest()), gs.momentum(lr=0.1)
        state, clip = gs.init(ours, wanted), optax.clip_by_global_norm(1.0)
        for k in range(STEPS):
            clipped, _ = clip.update(moved(grads(k)), clip.init(wanted))
            after, state = gs.update(ours, wanted, clipped, state)
            wanted = jax.tree.map(lambda x, y: x + 0.5 * (y - x), wanted, after)
        got, _ = trajectory(tx, nest(), grads, jit)
        near(got, jax.tree.map(np.asarray, wanted), 8)

    @pytest.mark.parametrize("rule", ["adam", gs.chain(gs.clip_by_global_norm(1.0), gs.nadam)])
    def test_apply_if_finite_around(self, rule):
        tx = optax.apply_if_finite(transformation(rule), max_consecutive_errors=3)
        step = jax.jit(stepper(tx))
        params = jnp.ones(3)
        params, state = step(params, tx.init(params), params)
        after, skipped = step(params, state, jnp.asarray([1.0, np.nan, 0.0]))
        assert same(after, params)
        assert same(skipped.inner_state, state.inner_state)
        plain, after = tx.update(jnp.asarray([1.0, np.inf, 0.0]), state, params)  # without a jit too
        assert not np.any(plain)
        assert same(after.inner_state, state.inner_state)

    def test_multi_steps_around(self):
        """Every second call is an update, with the mean; t counts those."""
        tx = optax.MultiSteps(transformation("nadam"), every_k_schedule=2)
        got, state = trajectory(tx, np.ones(4, "f4"), lambda k: np.full(4, k, "f4"), jit=True, steps=6)
        wanted, _ = run(gs.nadam, np.ones(4, "f4"), lambda k: np.full(4, 2 * k + 0.5, "f4"), 3)
        assert int(state.inner_opt_state.count) == 3
        near(got, wanted, 16)

    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize("name", ["novograd", "ldog", "polyak", "momo"])
    def test_numbers_of_each_array_and_the_loss(self, name, jit):
        rule, tx = registry()[name], transformation(name)
        step = jax.jit(stepper(tx)) if jit else stepper(tx)
        wanted, after = nest(), gs.init(rule, nest())
        got, state = moved(nest()), tx.init(moved(nest()))
        for k in range(STEPS):
            got, state = step(got, state, moved(grads(k)), value=jnp.float32(k + 1))
            wanted, after = gs.update(rule, wanted, grads(k), after, loss=k + 1)
            assert int(state.count) == after.t
        near(got, wanted, 32)
        memory = jax.tree.map(traced.from_bits, state.memory)
        flat = {
            key: x if isinstance(x, float) else {"w": x["w"], "b.0": x["b"][0], "b.1": x["b"][1]}
            for key, x in memory.items()
        }
        assert flat.keys() == after.memory.keys()
        for key, x in flat.items():
            assert x == pytest.approx(after.memory[key], rel=1e-5)
        # the first array's number is not the second's
        assert all(len({*x.values()}) == 3 for x in flat.values() if isinstance(x, dict))
        opt = gs.Optimizer(nest(), name)
        load_state(opt, state)
        assert same(dump_state(opt, tx.init(moved(nest()))), state)

    def test_the_loss_as_optax_takes_it(self):
        """By ``value=``, through a chain; without it, and where it is no number, nothing is done by guess."""
        x = jnp.array([3.0, 4.0])
        theirs, ours = optax.polyak_sgd(), optax.chain(transformation("optax.polyak_sgd"), optax.identity())
        for tx in (theirs, ours):
            updates, _ = jax.jit(tx.update)(x, tx.init(x), x, value=jnp.float32(5.0))
            np.testing.assert_allclose(updates, -x * 5 / 25, rtol=1e-6)
        tx = transformation("polyak")
        with pytest.raises(gs.GradstepValueError, match=r"loss is needed; call update\(grads, state, params, value="):
            tx.update(x, tx.init(x), x)
        with pytest.raises(gs.GradstepTypeError, match=r"loss must be one real number, not of shape \(2,\)"):
            tx.update(x, tx.init(x), x, value=x)
        assert np.isnan(tx.update(x, tx.init(x), x, value=np.nan)[0]).all()
        assert same(
            transformation("adam").update(x, transformation("adam").init(x), x, value=1.0)[0],
            transformation("adam").update(x, transformation("adam").init(x), x)[0],
        )

    def test_a_derivative_by_the_rate_with_numbers_of_each_array(self):
        tx, params = transformation("ldog"), moved(nest())
        _, state = tx.update(moved(grads(0)), tx.init(params), params)

        def moved_by(lr):
            return sum(jnp.sum(x) for x in jax.tree.leaves(tx.update(moved(grads(1)), state, params, lr=lr)[0]))

        far = 1e4  # the first steps are some 1e-5 long
        assert jax.grad(moved_by)(jnp.float32(far)) == pytest.approx(float(moved_by(far)) / far, rel=1e-3)

    def test_a_derivative_by_the_loss(self):
        tx, x = transformation("polyak"), jnp.array([3.0, 4.0])

        def after(loss):
            return jnp.sum(tx.update(x, tx.init(x), x, value=loss)[0])

        assert jax.grad(after)(jnp.float32(0.5)) == pytest.approx(-7 / 25, rel=1e-4)

    def test_masked_and_partition(self):
        params = moved(nest())
        tx = optax.chain(optax.masked(transformation("adam", lr=0.1), {"w": True, "b": [False, False]}))
        updates, state = jax.jit(tx.update)(params, tx.init(params), params)
        assert same(updates["b"], params["b"])
        assert not same(updates["w"], params["w"])
        assert len(jax.tree.leaves(state)) == 3
        both = {"a": transformation("sgd", lr=1.0), "b": transformation("adam")}
        tx = optax.partition(both, {"w": "a", "b": "b"})
        updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
        assert same(updates["w"], -params["w"])

    def test_schedules_of_optax(self):
        """Traced, in float32: the number that optax itself would take."""
        schedule = optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 10)
        got, _ = trajectory(transformation("adam", lr=schedule), nest(), grads, jit=True)
        wanted, _ = run(gs.adam(lr=lambda t: float(schedule(t))), nest(), grads, STEPS)
        near(got, wanted, 16)

    @pytest.mark.parametrize(
        "schedule", [gs.schedules.cosine(0.1, 9), lambda t: 0.1 / (1 + t), optax.constant_schedule(0.1)]
    )
    def test_schedules_of_the_host(self, schedule):
        got, _ = trajectory(transformation("sgd", lr=schedule), nest(), grads, jit=True)
        wanted, _ = run(gs.sgd(lr=schedule), nest(), grads, STEPS)
        near(got, wanted, 4)

    def test_optax_s_constructor_with_optax_s_schedule(self):
        schedule = optax.cosine_decay_schedule(0.1, 20)
        ours = transformation("optax.adam", learning_rate=schedule)
        got, _ = trajectory(ours, nest(), grads, jit=True)
        theirs, _ = trajectory(optax.adam(schedule), nest(), grads, jit=True)
        for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)  # optax's correction is float32's

    def test_hyperparameters_of_one_step(self):
        tx, x = transformation("sgd", lr=1.0), jnp.ones(3)
        state = tx.init(x)
        assert tx.update(x, state, x, lr=0.25)[0].tolist() == [-0.25] * 3
        assert jax.jit(lambda lr: tx.update(x, state, x, lr=lr))(jnp.float32(0.5))[0].tolist() == [-0.5] * 3
        assert tx.update(x, state, x)[0].tolist() == [-1.0] * 3
        chained = optax.chain(optax.identity(), tx)
        assert chained.update(x, chained.init(x), x, lr=0.25, value=1.0)[0].tolist() == [-0.25] * 3

    def test_names_of_a_constructor_for_one_step(self):
        x = jnp.ones(3)
        for rule in ("optax.sgd", "keras.SGD", "mlx.SGD"):
            tx = transformation(rule, learning_rate=1.0)
            state = tx.init(x)
            assert tx.update(x, state, x, learning_rate=0.25)[0].tolist() == [-0.25] * 3
            assert tx.update(x, state, x, lr=0.25)[0].tolist() == [-0.25] * 3
            jitted = jax.jit(lambda lr, tx=tx, state=state: tx.update(x, state, x, learning_rate=lr))
            assert jitted(jnp.float32(0.5))[0].tolist() == [-0.5] * 3
            assert tx.update(x, state, x, value=1.0)[0].tolist() == [-1.0] * 3
        tx = transformation("optax.adam", learning_rate=0.01)
        with pytest.raises(gs.GradstepValueError, match="update: b1 cannot be given for one step; what can is lr, b"):
            tx.update(x, tx.init(x), x, b1=0.5)

    def test_loss_scale_of_one_step(self):
        tx, x = transformation(gs.chain(gs.unscale, gs.sgd(lr=1.0))), jnp.ones(3)
        assert tx.update(x, tx.init(x), x, loss_scale=jnp.float32(4.0))[0].tolist() == [-0.25] * 3


@dataclasses.dataclass
class Layer:
    w: object
    bias: object = None


jax.tree_util.register_dataclass(Layer, data_fields=["w", "bias"], meta_fields=[])


class TestTrees:
    def test_any_pytree(self):
        params = {"a.b": Layer(jnp.ones(2), None), "a": {"b": (Layer(jnp.ones(()), jnp.ones((0, 3))), [])}, "c": None}
        tx = transformation("adam", lr=0.5)
        updates, state = jax.jit(tx.update)(params, tx.init(params), params)
        assert jax.tree.structure(updates) == jax.tree.structure(state.slots["nu"]) == jax.tree.structure(params)
        np.testing.assert_allclose(updates["a.b"].w, [-0.5, -0.5], rtol=1e-6)

    @pytest.mark.parametrize("params", [{}, [], {"a": None}])
    @pytest.mark.parametrize(
        "rule", ["nadam", gs.chain(gs.clip_by_norm, gs.adam), gs.chain(gs.clip_by_global_norm, gs.adam)]
    )
    def test_empty(self, params, rule):
        tx = transformation(rule)
        updates, state = jax.jit(tx.update)(params, tx.init(params), params)
        assert updates == params
        assert int(state.count) == 1

    def test_a_single_array(self):
        tx = transformation(gs.chain(gs.clip_by_norm(1.0), gs.sgd(lr=1.0)))
        x = jnp.full(4, 2.0)
        assert jax.jit(tx.update)(x, tx.init(x), x)[0].tolist() == [-0.5] * 4


class TestRefusals:
    def refused(self, kind, text, call):
        with pytest.raises(kind, match=re.escape(text)) as error:
            call()
        assert isinstance(error.value, gs.GradstepError)
        assert clear(error)

    def test_no_parameters(self):
        tx, x = transformation("adamw"), jnp.ones(3)
        self.refused(
            ValueError,
            "the parameters are missing: adamw takes them; call update(grads, state, params)",
            lambda: tx.update(x, tx.init(x)),
        )

    def test_what_does_not_fit(self):
        tx, x = transformation("adam"), jnp.ones(3)
        state = tx.init({"w": x})
        self.refused(
            ValueError, "gradients: ['w'] is not the same as in the parameters", lambda: tx.update([x], state, {"w": x})
        )
        self.refused(
            ValueError, "has shape (4,), its parameter (3,)", lambda: tx.update({"w": jnp.ones(4)}, state, {"w": x})
        )
        self.refused(TypeError, "has dtype int32; optimizers need", lambda: tx.init({"w": jnp.ones(3, int)}))

    def test_hyperparameters(self):
        self.refused(
            ValueError,
            "adam: unknown hyperparameter 'learning_rate'",
            lambda: transformation("adam", learning_rate=1.0),
        )
        self.refused(ValueError, "unknown rule 'adm'", lambda: transformation("adm"))
        self.refused(ValueError, "lr must be finite and >= 0, not -1.0", lambda: transformation("adam", lr=-1.0))
        tx, x = transformation("adam"), jnp.ones(3)
        self.refused(ValueError, "lr must be finite and >= 0, not -1.0", lambda: tx.update(x, tx.init(x), x, lr=-1.0))

    def test_out_of_range_within_a_jit(self):
        tx, x = transformation("sgd"), jnp.ones(3)
        with pytest.raises(Exception, match="lr must be finite and >= 0, not nan"):
            jax.block_until_ready(jax.jit(lambda lr: tx.update(x, tx.init(x), x, lr=lr))(jnp.nan))


def test_a_user_s_loop():
    """A network trained as JAX users write it; ours stands where optax.adam stood, and ends where theirs does."""

    def loss(params, x, y):
        hidden = jnp.tanh(x @ params["hidden"]["w"] + params["hidden"]["b"])
        return jnp.mean((hidden @ params["out"]["w"] + params["out"]["b"] - y) ** 2)

    def train(tx):
        keys = jax.random.split(jax.random.key(0), 4)
        x = jax.random.normal(keys[0], (64, 3))
        y = jnp.sin(x.sum(1, keepdims=True))
        params = {
            "hidden": {"w": 0.5 * jax.random.normal(keys[1], (3, 16)), "b": jnp.zeros(16)},
            "out": {"w": 0.2 * jax.random.normal(keys[2], (16, 1)), "b": jnp.zeros(1)},
        }
        opt_state = tx.init(params)

        @jax.jit
        def train_step(params, opt_state):
            value, grads = jax.value_and_grad(loss)(params, x, y)
            updates, opt_state = tx.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state, value

        values = []
        for _ in range(100):
            params, opt_state, value = train_step(params, opt_state)
            values.append(float(value))
        return values

    ours, theirs = train(transformation("adam", lr=1e-2)), train(optax.adam(1e-2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert ours[-1] < ours[0] / 5


@pytest.mark.process
def test_sharded_parameters():
    """Two devices: the state lies as its parameters do, and the numbers are those of one; with a jit and without."""
    code = """
import numpy as np, jax, gradstep as gs
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from gradstep.interop.optax import transformation
tx = transformation(gs.chain(gs.clip_by_norm(1.0), gs.adam, gs.ema))
x = np.random.default_rng(0).normal(size=(2, 6)).astype("f4")
place = NamedSharding(Mesh(np.array(jax.devices()), ("d",)), PartitionSpec("d"))
apart = jax.device_put(x, place)
wanted, _ = tx.update(jax.numpy.asarray(x), tx.init(jax.numpy.asarray(x)), jax.numpy.asarray(x))
whole, _ = gs.update(gs.adam, apart, apart, gs.init(gs.adam, apart))
assert whole.sharding == place
for call in (tx.update, jax.jit(tx.update)):
    updates, state = call(apart, tx.init(apart), apart)
    assert state.slots["mu"].sharding == updates.sharding == place
    np.testing.assert_allclose(np.asarray(updates), np.asarray(wanted), rtol=1e-6)
"""
    script(
        code, XLA_FLAGS="--xla_force_host_platform_device_count=2", JAX_PLATFORMS=os.environ.get("JAX_PLATFORMS", "cpu")
    )


@pytest.mark.parametrize(
    "name", ["adan", "lars", "yogi", "adafactor", "contrib.adopt", "contrib.prodigy", "contrib.schedule_free_sgd"]
)
def test_names_of_optax_give_its_numbers(name):
    """In float32, under jit; those of optax.contrib under that name."""
    pytest.importorskip("optax.contrib")
    start = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)), jnp.float32), "b": jnp.ones(3)}

    def after(tx):
        params, state, update = start, tx.init(start), jax.jit(tx.update)
        for k in range(6):
            updates, state = update(jax.tree.map(lambda x, k=k: jnp.sin(3 * x + k), start), state, params)
            params = optax.apply_updates(params, updates)
        return params

    hyper = {"estim_lr0": 0.05} if name == "contrib.prodigy" else {"learning_rate": 0.05}
    ours, theirs = after(transformation(f"optax.{name}", **hyper)), after(attrgetter(name)(optax)(**hyper))
    for key, x in theirs.items():
        assert (np.abs(x - start[key]) > 0).any()
        np.testing.assert_allclose(ours[key], x, atol=5e-6)
