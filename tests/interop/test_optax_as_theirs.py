"""What optax's own transformations take and give, and what is built on that: our transformation as well."""

import re
from contextlib import nullcontext

import numpy as np
import pytest

import gradstep as gs
from gradstep.rule import registry
from support import OF_GUESTS, script

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy

from gradstep.interop.optax import transformation  # noqa: E402
from gradstep.interop.shifts import asks_for_parameters  # noqa: E402

RULES = {name: registry()[name] for name in OF_GUESTS}
FROM_THETA = {name for name, rule in RULES.items() if "theta" in rule.start.values()}
CHAINS = {
    **RULES,
    "averaged": gs.chain(gs.clip_by_norm(1.0), gs.adam, gs.ema),
    "decayed": gs.chain(gs.decay(0.1), gs.sgd(lr=0.1)),
}


def matrix(seed, dtype="f4"):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(3, 4)).astype(dtype))


def moved(tx, params, grads, steps=3):
    """The parameters after some updates of the same gradient."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


class TestPlaces:
    @pytest.mark.parametrize("name", CHAINS)
    def test_the_state_is_bound_to_no_device(self, name):
        params = {"w": matrix(0), "b": jnp.ones(())}
        every = (transformation(CHAINS[name]).init(params), gs.init(CHAINS[name], params).slots)
        assert not any(x.committed for x in jax.tree.leaves(every) if isinstance(x, jax.Array))

    @pytest.mark.parametrize("name", CHAINS)
    def test_a_step_is_compiled_once(self, name):
        tx = transformation(CHAINS[name])

        @jax.jit
        def step(params, state):
            updates, state = tx.update(params, state, params)
            return optax.apply_updates(params, updates), state

        params = matrix(0)
        state = tx.init(params)
        for _ in range(3):
            params, state = step(params, state)
        assert step._cache_size() == 1

    def test_what_is_bound_stays_so(self):
        params = jax.device_put(jnp.ones(3), jax.devices()[0])
        assert transformation("adam").init(params).slots["mu"].committed

    @pytest.mark.process
    def test_a_batch_over_four_devices(self):
        """Neither the user's parameters nor the state are bound: they go where the batch is."""
        code = """
import jax, jax.numpy as jnp, numpy as np, optax, gradstep as gs
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
x = jax.device_put(np.ones((8, 3), "f4"), NamedSharding(Mesh(np.array(jax.devices()), ("data",)), P("data")))
def train(tx):
    @jax.jit
    def step(params, state, x):
        grads = jax.grad(lambda p: jnp.mean((x @ p - 1.0) ** 2))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state
    params, state = jnp.zeros(3), tx.init(jnp.zeros(3))
    for _ in range(2):
        params, state = step(params, state, x)
    return np.asarray(params)
for name in ("adam", "nadam", "momentum"):
    train(gs.interop.optax.transformation(name))
ours, theirs = train(gs.interop.optax.transformation("adam", lr=0.1)), train(optax.adam(0.1))
np.testing.assert_allclose(ours, theirs, rtol=1e-4)
mesh = jax.make_mesh((4,), ("x",), axis_types=(jax.sharding.AxisType.Explicit,))
with jax.set_mesh(mesh):
    params = jnp.zeros((2, 8), jnp.float16, out_sharding=NamedSharding(mesh, P(None, "x")))
    tx = gs.interop.optax.transformation("optax.adam", learning_rate=0.1)
    for init, update in ((tx.init, tx.update), (jax.jit(tx.init), jax.jit(tx.update))):
        before = init(params)
        _, after = update(params, before, params)
        assert jax.tree.map(jax.typeof, before) == jax.tree.map(jax.typeof, after)
"""
        script(code, XLA_FLAGS="--xla_force_host_platform_device_count=4", JAX_PLATFORMS="cpu")


class TestHyperparameters:
    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize("rule", ["adam", "nadam", "optax.adam", "optax.sgd", "torch.SGD", "mlx.AdamW"])
    def test_inject_hyperparams(self, rule, jit):
        """The rate that stands in the state when an update is made is the one that it is made with."""
        name = {"adam": "lr", "nadam": "lr", "torch.SGD": "lr"}.get(rule, "learning_rate")
        tx = optax.inject_hyperparams(
            (lambda lr: transformation(rule, lr=lr))
            if name == "lr"
            else (lambda learning_rate: transformation(rule, learning_rate=learning_rate))
        )(**{name: 0.1})
        init, update = (jax.jit(tx.init), jax.jit(tx.update)) if jit else (tx.init, tx.update)
        plain, x = transformation(rule, **{name: 0.1}), matrix(0)
        state, other = init(x), plain.init(x)
        for rate in (0.1, 0.5):
            state.hyperparams[name] = jnp.asarray(rate)
            updates, state = update(matrix(1), state, x)
            wanted, other = plain.update(matrix(1), other, x, **{name: rate})
            np.testing.assert_allclose(updates, wanted, rtol=1e-6)
        assert jax.tree.structure(state.inner_state) == jax.tree.structure(other)

    def test_inject_a_schedule_and_every_number(self):
        def made(learning_rate, b1, eps, eps_root):
            return transformation("optax.adam", learning_rate=learning_rate, b1=b1, eps=eps, eps_root=eps_root)

        schedule = optax.linear_schedule(0.1, 0.0, 10)
        tx = optax.inject_hyperparams(made)(learning_rate=schedule, b1=0.8, eps=1e-3, eps_root=0.0)
        theirs = optax.adam(schedule, b1=0.8, eps=1e-3)
        np.testing.assert_allclose(moved(tx, matrix(0), matrix(1)), moved(theirs, matrix(0), matrix(1)), rtol=1e-4)

    def test_a_start_that_is_injected(self):
        tx = optax.inject_hyperparams(
            lambda learning_rate, start: transformation(
                "optax.adagrad", learning_rate=learning_rate, initial_accumulator_value=start
            )
        )(learning_rate=0.1, start=0.25)
        state = jax.jit(tx.init)(matrix(0))
        assert state.inner_state.slots["sum_of_squares"].tolist() == np.full((3, 4), 0.25).tolist()

    def test_out_of_range(self):
        with pytest.raises(gs.GradstepValueError, match=r"lr must be finite and >= 0, not -1\.0"):
            transformation("adam", lr=jnp.float32(-1.0))
        tx = optax.inject_hyperparams(lambda lr: transformation("adam", lr=lr))(lr=-1.0)
        with pytest.raises(Exception, match=r"lr must be finite and >= 0, not -1\.0"):
            jax.block_until_ready(jax.jit(lambda x: tx.update(x, tx.init(x), x))(matrix(0)))

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
    @pytest.mark.parametrize(
        ("name", "own"),
        [("adam", "mu_dtype"), ("adamw", "mu_dtype"), ("lion", "mu_dtype"), ("sgd", "accumulator_dtype")],
    )
    def test_a_dtype_for_the_first_moment(self, name, own, dtype):
        more = {"momentum": 0.9} if name == "sgd" else {}
        ours = transformation(f"optax.{name}", learning_rate=0.1, **more, **{own: dtype})
        theirs = getattr(optax, name)(0.1, **more, **{own: dtype})
        field = "trace" if name == "sgd" else "mu"
        state = ours.init(matrix(0))
        for _ in range(2):
            assert optax.tree.get(state, field).dtype == dtype
            _, state = jax.jit(ours.update)(matrix(1), state, matrix(0))
        # Computed in float32 and rounded once, where optax's product of a decay and a moment is rounded too.
        plain = getattr(optax, name)(0.1, **more)
        full, got, wanted = (np.asarray(moved(tx, matrix(0), matrix(1), 10)) for tx in (plain, ours, theirs))
        assert np.abs(got - full).max() <= np.abs(wanted - full).max() + 1e-4
        assert (np.abs(got - full).max() > 1e-5) == (dtype == "bfloat16" and name != "lion") or dtype == "float16"

    def test_dtypes_that_cannot_be(self):
        for dtype, x in (("int32", jnp.ones(3)), ("bfloat16", jnp.ones(3, "complex64"))):
            with pytest.raises(gs.GradstepTypeError, match=f"cannot be stored as {dtype}"):
                transformation("optax.adam", learning_rate=0.1, mu_dtype=dtype).init(x)


class TestParameters:
    @pytest.mark.parametrize("name", sorted(RULES.keys() - FROM_THETA))
    def test_abstract_ones(self, name):
        params = {"w": jnp.ones((3, 4)), "b": jnp.ones((), "bfloat16")}
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
        tx = transformation(name)
        for x, y in zip(*(jax.tree.leaves(tx.init(own)) for own in (params, abstract)), strict=True):
            assert (x.dtype, x.tolist()) == (y.dtype, y.tolist())

    @pytest.mark.parametrize("chain", [*sorted(FROM_THETA), gs.chain(gs.adam, gs.ema)])
    def test_abstract_ones_whose_numbers_are_needed(self, chain):
        x = jax.ShapeDtypeStruct((3,), "float32")
        with pytest.raises(gs.GradstepTypeError, match=r"starts from its numbers; jax\.eval_shape\(tx\.init, params\)"):
            transformation(chain).init(x)

    def test_abstract_ones_of_another_dtype(self):
        with pytest.raises(gs.GradstepTypeError, match="has dtype int32"):
            transformation("adam").init(jax.ShapeDtypeStruct((3,), "int32"))

    @pytest.mark.parametrize("params", [{"a": 1, "b": 2.5}, {"a": np.ones(2), "b": np.float32(2.5)}])
    def test_numbers_of_python_and_arrays_of_numpy(self, params):
        ours = transformation("adam", lr=0.1)
        state = ours.init(params)
        for _ in range(2):
            updates, state = ours.update(params, state, params)
        assert all(isinstance(x, jax.Array) and x.dtype == "float32" for x in jax.tree.leaves(updates))
        np.testing.assert_allclose(updates["b"], -0.1, rtol=1e-5)

    @pytest.mark.parametrize("name", CHAINS)
    def test_none_where_the_rule_needs_none(self, name):
        """The oracle is the update itself, at two places."""
        with jax.enable_x64(True):
            tx, g = transformation(CHAINS[name]), matrix(1, "f8")
            states = [tx.init(x) for x in (matrix(0, "f8"), 5 + matrix(2, "f8"))]
            (one, after), (other, _) = (
                tx.update(g, state, x) for state, x in zip(states, (matrix(0, "f8"), 5 + matrix(2, "f8")), strict=True)
            )
            made = gs.form.chain.program(gs.form.rule.as_stage(CHAINS[name]))
            if asks_for_parameters(made):
                with pytest.raises(gs.GradstepValueError, match=r"the parameters are missing: .* takes them"):
                    tx.update(g, states[0])
            else:
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)
                alone, same = tx.update(g, states[0])
                np.testing.assert_allclose(alone, one, rtol=0, atol=1e-13)
                for x, y in zip(jax.tree.leaves(same), jax.tree.leaves(after), strict=True):
                    assert np.array_equal(x, y)

    def test_which_rules_need_none(self):
        """A refusal of all would pass the test above."""
        asked = {
            name
            for name, rule in CHAINS.items()
            if asks_for_parameters(gs.form.chain.program(gs.form.rule.as_stage(rule)))
        }
        assert asked >= {"adamw", "lamb", "adafactor", "muon", "averaged", "decayed", *FROM_THETA}
        assert not asked & {
            "sgd",
            "momentum",
            "adagrad",
            "rmsprop",
            "adam",
            "adabelief",
            "adopt",
            "lion",
            "rprop",
            "yogi",
        }


class TestDtypes:
    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize(
        ("of_params", "of_grads"),
        [("bfloat16", "f4"), ("float16", "bfloat16"), ("f4", "bfloat16"), ("f4", "f8"), ("f8", "f4"), ("c8", "f4")],
    )
    def test_gradients_of_another(self, of_params, of_grads, jit):
        """The numbers are those of gradients in the parameters' dtype, and for 16 bits those of float32."""
        with jax.enable_x64(True) if "f8" in (of_params, of_grads) else nullcontext():
            tx, x, g = transformation("adam", lr=0.1), matrix(0).astype(of_params), matrix(1).astype(of_grads)
            state = tx.init(x)
            updates, after = (jax.jit(tx.update) if jit else tx.update)(g, state, x)
            assert updates.dtype == x.dtype
            assert jax.tree.map(lambda y: y.dtype, after) == jax.tree.map(lambda y: y.dtype, state)
            wide = jnp.float32 if of_params in ("bfloat16", "float16") else x.dtype
            wanted, _ = tx.update(g.astype(wide), tx.init(x.astype(wide)), x.astype(wide))
            np.testing.assert_allclose(updates, wanted, rtol=0, atol=0.02 if wide != x.dtype else 1e-6)
            alone, _ = tx.update(g, state)
            assert alone.dtype == (
                g.dtype if np.dtype(x.dtype).itemsize == 4 and g.dtype == "bfloat16" else alone.dtype
            )
            np.testing.assert_allclose(alone, wanted, rtol=0, atol=0.02)

    def test_sums_of_multi_steps(self):
        """optax adds up the gradients of bfloat16 parameters in float32."""
        tx = optax.MultiSteps(transformation("adam", lr=0.1), 2)
        x = matrix(0).astype("bfloat16")
        state = tx.init(x)
        for _ in range(2):
            updates, state = jax.jit(tx.update)(x, state, x)
        np.testing.assert_allclose(np.abs(updates.astype("f4")), 0.1, rtol=0.02, atol=0.02)

    def test_what_has_no_meaning(self):
        tx, x = transformation("adam"), jnp.ones(3)
        for g in (jnp.ones(3, int), jnp.ones(3, "complex64")):
            with pytest.raises(gs.GradstepTypeError, match=f"has dtype {g.dtype}, its parameter float32"):
                tx.update(g, tx.init(x), x)


class TestNames:
    @pytest.mark.parametrize(
        ("rule", "names"),
        [
            ("adam", {"mu", "nu"}),
            ("nadam", {"mu", "nu"}),
            ("momentum", {"trace"}),
            ("optax.sgd", {"trace"}),
            ("optax.adadelta", {"e_g", "e_x"}),
            ("adamax", {"mu", "adamax.u"}),
            (gs.chain(gs.momentum(name="a"), gs.momentum(name="b")), {"a.v", "b.v"}),
        ],
    )
    def test_optax_finds_them(self, rule, names):
        more = {"learning_rate": 0.1} if isinstance(rule, str) and "." in rule else {}
        tx = transformation(rule, **more | ({"momentum": 0.9} if rule == "optax.sgd" else {}))
        state = tx.init({"w": matrix(0)})
        assert set(state.slots) == names
        for name in names:
            assert optax.tree.get(state, name)["w"].shape == (3, 4)
        whole = optax.chain(optax.clip(1.0), tx).init({"w": matrix(0)})
        assert optax.tree.get(whole, "count") == 0

    def test_map_params_goes_over_them(self):
        tx, x = transformation("adam"), {"w": matrix(0)}
        state = optax.tree.map_params(tx, lambda y: y + 1, tx.init(x))
        assert (int(state.count), state.slots["mu"]["w"].tolist()) == (0, np.ones((3, 4)).tolist())


class TestDerivatives:
    """A second way to each: optax's own rule, or a difference of two updates."""

    def loss(self, tx, steps=3, **names):
        def at(value, x):
            state = tx.init(x)
            for _ in range(steps):
                updates, state = tx.update(2 * x + 0.1, state, x, **dict.fromkeys(names, value))
                x = x + updates
            return jnp.sum(x**2)

        return at

    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize("name", ["adam", "nadam", "momentum", "lamb", "radam", "adamw"])
    def test_by_the_learning_rate(self, name, jit):
        with jax.enable_x64(True):
            at, x = self.loss(transformation(name), lr=0), matrix(0, "f8")
            at = jax.jit(at) if jit else at
            value, h = 0.05, 1e-6
            wanted = (at(value + h, x) - at(value - h, x)) / (2 * h)
            for got in (jax.grad(at)(value, x), jax.jvp(lambda v: at(v, x), (value,), (1.0,))[1]):
                np.testing.assert_allclose(got, wanted, rtol=1e-7)

    def test_by_the_learning_rate_as_optax(self):
        def at(lr):
            tx = optax.adam(lr)
            return tx.update(2 * matrix(0), tx.init(matrix(0)), matrix(0))[0]

        tx = transformation("adam")
        ours = jax.jacobian(lambda lr: tx.update(2 * matrix(0), tx.init(matrix(0)), matrix(0), lr=lr)[0])(0.01)
        np.testing.assert_allclose(ours, jax.jacobian(at)(0.01), rtol=1e-4)

    @pytest.mark.parametrize(("key", "value"), [("beta1", 0.9), ("beta2", 0.999), ("eps", 1e-3), ("weight_decay", 0.0)])
    def test_by_others(self, key, value):
        with jax.enable_x64(True):
            at, x = self.loss(transformation("adamw", lr=0.05), **{key: 0}), matrix(0, "f8")
            h = min(1e-6, (1 - value) / 100)
            wanted = (at(value + h, x) - at(value - h, x)) / (2 * h) if value else (at(h, x) - at(0.0, x)) / h
            np.testing.assert_allclose(jax.grad(at)(value, x), wanted, rtol=1e-4)

    @pytest.mark.parametrize("norm", [0.01, 100.0])
    def test_through_a_norm_as_optax(self, norm):
        with jax.enable_x64(True):
            ours = transformation(gs.chain(gs.clip_by_global_norm(norm), gs.sgd(lr=0.1)))
            theirs = optax.chain(optax.clip_by_global_norm(norm), optax.sgd(0.1))

            def at(x, tx):
                updates, _ = tx.update(jax.tree.map(lambda y: y**3, x), tx.init(x), x)
                return sum(
                    jnp.sum((y + u) ** 4) for y, u in zip(jax.tree.leaves(x), jax.tree.leaves(updates), strict=True)
                )

            x = {"a": matrix(0, "f8"), "b": matrix(1, "f8")}
            got, wanted = (jax.grad(at)(x, tx) for tx in (ours, theirs))
            for key in x:
                np.testing.assert_allclose(got[key], wanted[key], rtol=1e-8)

            def along(s, tx):
                return at({"a": s * x["a"], "b": x["b"]}, tx)

            second = [jax.grad(jax.grad(along))(1.0, tx) for tx in (ours, theirs)]
            np.testing.assert_allclose(*second, rtol=1e-5)

    @pytest.mark.parametrize("rule", [gs.lamb(lr=0.1), gs.chain(gs.clip_by_norm(0.5), gs.adam(lr=0.1))])
    def test_through_each_array_s_norm(self, rule):
        with jax.enable_x64(True):
            tx, x = transformation(rule), matrix(0, "f8")
            at, v = self.loss(tx), matrix(3, "f8")
            wanted = (at(0, x + 1e-6 * v) - at(0, x - 1e-6 * v)) / 2e-6
            np.testing.assert_allclose(jnp.vdot(jax.grad(lambda y: at(0, y))(x), v), wanted, rtol=1e-6)

    def test_over_many_rates_at_once(self):
        at = self.loss(transformation("adam"), lr=0)
        rates = jnp.asarray([0.01, 0.1])
        got = jax.jit(jax.vmap(jax.grad(at), (0, None)))(rates, matrix(0))
        np.testing.assert_allclose(got, [jax.grad(at)(x, matrix(0)) for x in rates], rtol=1e-5)

    def test_what_the_host_keeps_is_refused(self):
        at = self.loss(transformation("nadam"), beta1=0)
        said = re.escape("nadam: a derivative by beta1 goes on through nadam.product, which the host keeps")
        with pytest.raises(Exception, match=said):
            jax.block_until_ready(jax.grad(at)(0.9, matrix(0)))
