"""The pure pair on NumPy, array-api-strict, torch and JAX: same numbers, nothing changed, nothing shared."""

import copy
import itertools
import math

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import ScalarError
from gradstep.rule import registry, rule
from gradstep.tree import flatten
from support import bits, clear, same, states

CHAINS = {
    **registry(),
    "long": gs.chain(
        gs.clip_by_global_norm(2.0), gs.l2(0.1), gs.nadam(lr=gs.schedules.cosine(0.1, 9)), gs.decay, gs.ema(decay=0.5)
    ),
    "clip each": gs.chain(gs.maximize, gs.clip_by_norm(0.5), gs.clip_by_value(0.2), gs.adamw(lr=0.05)),
}


def arrays(seed=0, dtypes=("f4", "f8", "c8", "c16")):
    rng = np.random.default_rng(seed)

    def make(shape, dtype):
        x = rng.normal(size=shape)
        return np.asarray(x + 1j * rng.normal(size=shape) if dtype[0] == "c" else x, dtype)

    shapes = [(3, 5), (), (0, 2), (33,)]
    return {f"{dtype}.{k}": make(shape, dtype) for dtype in dtypes for k, shape in enumerate(shapes)}


def run(tx, params, grads, steps=3):
    state = gs.init(tx, params)
    for k in range(steps):
        params, state = gs.update(tx, params, grads(k), state)
    return params, state


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_update_is_the_optimizer(name, engine):
    tx = CHAINS[name]
    params = arrays()
    after, state = run(tx, params, lambda k: arrays(k + 1))
    assert same(params, arrays())
    opt = gs.Optimizer(params, tx, engine=engine)
    for k in range(3):
        opt.step(arrays(k + 1))
    assert same(after, params)
    flat = {f"{n}/{slot}": x for n, own in state.slots.items() for slot, x in own.items()}
    assert same(flat, states(opt))
    assert state.t == opt.t == 3
    assert state.memory == opt._memory[0]


class TestPurity:
    @pytest.mark.parametrize("name", CHAINS)
    def test_nothing_is_changed_or_shared(self, name):
        tx = CHAINS[name]
        params, grads = arrays(), arrays(1)
        state = gs.init(tx, params)
        before = copy.deepcopy(
            (params, grads, state.t, dict(state.memory), {k: dict(v) for k, v in state.slots.items()})
        )
        for x in (*params.values(), *grads.values(), *(x for own in state.slots.values() for x in own.values())):
            x.flags.writeable = False
        after, new = gs.update(tx, params, grads, state)
        now = (params, grads, state.t, dict(state.memory), {k: dict(v) for k, v in state.slots.items()})
        assert same(before[0], now[0])
        assert same(before[1], now[1])
        assert before[2:4] == now[2:4]
        assert same(before[4], now[4])
        taken = [*params.values(), *grads.values(), *(x for own in state.slots.values() for x in own.values())]
        given = [*after.values(), *(x for own in new.slots.values() for x in own.values())]
        for a, b in itertools.chain(itertools.product(given, taken), itertools.combinations(given, 2)):
            assert not np.shares_memory(a, b)
        assert all(type(x) is np.ndarray and x.flags.writeable for x in given)

    def test_a_rule_that_returns_its_arguments(self, monkeypatch):
        monkeypatch.setattr("gradstep.rule._REGISTRY", registry(None))

        def still(theta, g, a, b):
            return theta, g, g, a

        made = rule(state="a b", start={"a": "theta"})(still)
        x, g = np.array([1.0, 2.0]), np.array([3.0, 4.0])
        after, state = gs.update(made, x, g, gs.init(made, x))
        assert after.tolist() == [1.0, 2.0]
        assert [y.tolist() for y in state.slots["params"].values()] == [[3.0, 4.0], [1.0, 2.0]]
        for a, b in itertools.combinations([x, g, after, *state.slots["params"].values()], 2):
            assert not np.shares_memory(a, b)
        for engine in ("auto", "eager"):
            w = x.copy()
            opt = gs.Optimizer(w, made, engine=engine)
            opt.step(g)
            opt.step(g)
            assert [y.tolist() for y in opt.state["params"].values()] == [[3.0, 4.0], [3.0, 4.0]]
            assert w.tolist() == [1.0, 2.0]

    def test_the_nest_keeps_its_form(self):
        params = [{"w": np.ones(2)}, (np.ones(1), np.array(2.0))]
        after, _ = run(gs.sgd(), params, lambda k: params)
        assert flatten(after)[0] == flatten(params)[0]
        assert after[1][1].shape == ()

    def test_numpy_scalars_are_zero_dimensional_arrays(self):
        x = np.float32(1.5)
        after, _ = run(gs.adam(), {"x": x}, lambda k: {"x": np.float32(1.0)}, 1)
        assert after["x"].shape == ()
        assert after["x"].dtype == np.float32


class TestPolicies:
    @property
    def bad(self):
        return {"a": np.ones(2), "b": np.array([0.0, np.nan])}

    @property
    def params(self):
        return {"a": np.ones(2), "b": np.ones(2)}

    def test_raise(self):
        tx = gs.nadam()
        with pytest.raises(gs.NonFiniteError, match=r"gradient 'b' is not finite: \[1\] = nan; nothing was changed"):
            gs.update(tx, self.params, self.bad, gs.init(tx, self.params))

    def test_skip_gives_back_what_was_handed_in(self):
        tx = gs.nadam()
        state = gs.init(tx, self.params)
        params = self.params
        after, new = gs.update(tx, params, self.bad, state, on_nonfinite="skip")
        assert after is params
        assert new is state

    def test_skip_does_not_hide_a_scalar(self):
        tx = gs.adam(lr=1e38)
        params = np.ones(2, "f4")
        with pytest.raises(ScalarError):
            gs.update(tx, params, params, gs.init(tx, params), on_nonfinite="skip")

    def test_ignore(self):
        tx = gs.sgd(lr=1.0)
        after, state = gs.update(tx, self.params, self.bad, gs.init(tx, self.params), on_nonfinite="ignore")
        assert after["a"].tolist() == [0.0, 0.0]
        assert after["b"][0] == 1.0
        assert math.isnan(after["b"][1])
        assert state.t == 1

    def test_unknown(self):
        tx = gs.sgd()
        with pytest.raises(gs.GradstepValueError, match='on_nonfinite must be "raise", "skip" or "ignore", not \'no\''):
            gs.update(tx, self.params, self.params, gs.init(tx, self.params), on_nonfinite="no")

    def test_parameters_are_looked_at(self):
        tx = gs.sgd()
        with pytest.raises(gs.NonFiniteError, match="parameter 'b' has an element that is not finite"):
            gs.init(tx, self.bad)
        with pytest.raises(gs.NonFiniteError, match="parameter 'b' has an element that is not finite"):
            gs.update(tx, self.bad, self.params, gs.init(tx, self.params))


def other_states(params):
    adam, state = gs.adam(), gs.init(gs.adam(), params)
    yield "another rule", gs.init(gs.momentum(), params), "state: 'a' has ['momentum.v'], but this stage keeps"
    yield "other parameters", gs.init(adam, {"a": params["a"]}), "state: 'b' is in one of parameters and state alone"
    more = {**params, "c": params["a"]}
    yield "more parameters", gs.init(adam, more), "state: 'c' is in one of parameters and state alone"
    yield (
        "another shape",
        gs.init(adam, {**params, "b": np.ones(3, "f4")}),
        "adam.m of 'b' has shape (3,), its parameter",
    )
    yield "another dtype", gs.init(adam, {**params, "b": np.ones(2)}), "adam.m of 'b' has dtype float64, its parameter"
    yield "no state", None, "state must come from gs.init or gs.update"
    yield "slots alone", state.slots, "state must come from gs.init or gs.update"
    yield (
        "no arrays",
        state._replace(slots={k: dict.fromkeys(v, 0.0) for k, v in state.slots.items()}),
        "is of type float",
    )
    yield "foreign memory", state._replace(memory={"adam.product": 1.0}), "state: memory has ['adam.product']"


@pytest.mark.parametrize("case", [name for name, _, _ in other_states({"a": np.ones(2), "b": np.ones(2, "f4")})])
def test_a_state_that_does_not_fit(case):
    params = {"a": np.ones(2), "b": np.ones(2, "f4")}
    state, text = next((state, text) for name, state, text in other_states(params) if name == case)
    with pytest.raises(gs.GradstepError) as error:
        gs.update(gs.adam(), params, params, state)
    assert text in str(error.value)
    assert clear(error)


@pytest.mark.parametrize(
    ("tx", "params", "kind", "text"),
    [
        ("adam", np.ones(2), TypeError, "expected a stage such as gs.adam(lr=1e-3), not 'adam'"),
        (gs.adam, np.ones(2, "i8"), TypeError, "parameter 'params' has dtype int64; optimizers need float32"),
        (gs.adam, {"a": np.ones(2, "f2")}, TypeError, "parameter 'a' has dtype float16"),
        (gs.adam, {"a": np.ones(2, "O")}, TypeError, "parameter 'a' has dtype object"),
        (gs.adam, {"a": np.ones(2, "?")}, TypeError, "parameter 'a' has dtype bool"),
        (gs.adam, {"a": 1.0}, TypeError, "parameter 'a' is of type float"),
        (gs.adam, {"a": np.ma.ones(3)}, TypeError, "parameter 'a' is a masked array"),
        (gs.decay, {"a": np.ones(2)}, ValueError, "decay: lr has no value"),
        (gs.adam, {"a": np.array([1.0, np.inf])}, FloatingPointError, "parameter 'a' has an element that is not"),
    ],
)
def test_init_refuses(tx, params, kind, text):
    with pytest.raises(kind) as error:
        gs.init(tx, params)
    assert isinstance(error.value, gs.GradstepError)
    assert text in str(error.value)
    assert clear(error)


class TestHalves:
    def test_update_is_scalars_and_apply(self):
        tx = CHAINS["long"]
        params, grads = arrays(), arrays(1)
        state = gs.init(tx, params)
        numbers, memory = gs.scalars(tx, params, grads, state)
        after, slots = gs.apply(tx, params, grads, state.slots, numbers)
        whole, new = gs.update(tx, params, grads, state)
        assert same(after, whole)
        assert same({k: dict(v) for k, v in slots.items()}, {k: dict(v) for k, v in new.slots.items()})
        assert memory == new.memory

    def test_rows(self):
        params = {"a": np.ones(4), "b": np.ones(9)}
        one, _ = gs.scalars(gs.sgd(), params, params, gs.init(gs.sgd(), params))
        assert one == {"": {"sgd": {"lr": 0.01}}}
        tx = gs.chain(gs.clip_by_norm(1.0), gs.sgd)
        rows, _ = gs.scalars(tx, params, params, gs.init(tx, params))
        assert {name: row["clip_by_norm"]["factor"] for name, row in rows.items()} == {"a": 1 / 2, "b": 1 / 3}

    def test_rows_go_by_name(self):
        """JAX hands dicts on sorted: a row must find its array wherever it stands."""
        tx = CHAINS["clip each"]
        params, grads = {"z": np.ones(4), "a": np.ones(9)}, {"z": np.full(4, 3.0), "a": np.ones(9)}
        state = gs.init(tx, params)
        numbers, _ = gs.scalars(tx, params, grads, state)
        after, _ = gs.apply(tx, dict(sorted(params.items())), grads, state.slots, numbers)
        assert same(dict(reversed(after.items())), gs.update(tx, params, grads, state)[0])

    def test_apply_checks_gradients(self):
        tx, x = gs.sgd(), np.ones(3)
        with pytest.raises(gs.GradstepTypeError, match="gradient 'params' has dtype float32"):
            gs.apply(tx, x, x.astype("f4"), gs.init(tx, x).slots, {"": {"sgd": {"lr": 0.1}}})


class TestStrict:
    """array-api-strict does what the standard says and nothing else: the reference for a foreign namespace."""

    @pytest.mark.parametrize("name", CHAINS)
    def test_same_bits_as_numpy(self, name):
        strict = pytest.importorskip("array_api_strict")
        tx = CHAINS[name]

        def foreign(nest):
            return {k: strict.asarray(x) for k, x in nest.items()}

        mine, state = run(tx, arrays(dtypes=("f4", "f8")), lambda k: arrays(k + 1, ("f4", "f8")))
        theirs, other = run(tx, foreign(arrays(dtypes=("f4", "f8"))), lambda k: foreign(arrays(k + 1, ("f4", "f8"))))
        assert same({k: np.asarray(x) for k, x in theirs.items()}, mine)
        assert all(type(x) is type(strict.zeros(1)) for x in theirs.values())
        for key, own in state.slots.items():
            assert same({k: np.asarray(x) for k, x in other.slots[key].items()}, own)

    def test_complex(self):
        strict = pytest.importorskip("array_api_strict")
        mine, _ = run(gs.adam(), arrays(dtypes=("c8",)), lambda k: arrays(k + 1, ("c8",)))
        x = {k: strict.asarray(v) for k, v in arrays(dtypes=("c8",)).items()}
        theirs, _ = run(gs.adam(), x, lambda k: {n: strict.asarray(v) for n, v in arrays(k + 1, ("c8",)).items()})
        for k, v in theirs.items():
            np.testing.assert_array_equal(np.asarray(v), mine[k])  # signs of zeros may differ, values may not

    def test_namespaces_do_not_mix(self):
        strict = pytest.importorskip("array_api_strict")
        tx, x = gs.sgd(), strict.ones(3)
        with pytest.raises(gs.GradstepTypeError, match="gradient 'params' is a ndarray, but its parameter a Array"):
            gs.update(tx, x, np.ones(3), gs.init(tx, x))


class TestTorch:
    """torch's float32 root on a CPU is not correctly rounded: rules without a root have NumPy's bits, others an ulp."""

    @pytest.mark.parametrize("name", CHAINS)
    def test_numbers_of_numpy(self, name):
        torch = pytest.importorskip("torch")
        tx = CHAINS[name]

        def foreign(nest):
            return {k: torch.asarray(x) for k, x in nest.items()}

        mine, _ = run(tx, arrays(), lambda k: arrays(k + 1))
        theirs, state = run(tx, foreign(arrays()), lambda k: foreign(arrays(k + 1)))
        if name in ("sgd", "momentum", "nesterov", "adamax"):
            assert same({k: x.numpy() for k, x in theirs.items()}, mine)
        for k, x in mine.items():
            ulp = np.finfo(x.dtype).eps
            np.testing.assert_allclose(theirs[k].numpy(), x, rtol=4 * ulp, atol=ulp)
        assert all(isinstance(x, torch.Tensor) for own in state.slots.values() for x in own.values())

    def test_leaves_of_a_graph(self):
        torch = pytest.importorskip("torch")
        w = torch.tensor([3.0, 4.0], requires_grad=True)
        state = gs.init(gs.adam(), w)
        (w * w).sum().backward()
        after, state = gs.update(gs.adam(), w, w.grad, state)
        assert not after.requires_grad
        assert not any(x.requires_grad for x in state.slots["params"].values())
        assert w.detach().tolist() == [3.0, 4.0]


class TestJax:
    """XLA on CPU contracts and flushes denormals where it fuses, so bits are its own; the bound is a few roundings."""

    @staticmethod
    def foreign(nest):
        jnp = pytest.importorskip("jax").numpy
        return {k: jnp.asarray(x) for k, x in nest.items()}

    @pytest.mark.parametrize("name", CHAINS)
    def test_close_to_numpy(self, name):
        tx = CHAINS[name]
        mine, _ = run(tx, arrays(dtypes=("f4", "c8")), lambda k: arrays(k + 1, ("f4", "c8")))
        theirs, state = run(
            tx, self.foreign(arrays(dtypes=("f4", "c8"))), lambda k: self.foreign(arrays(k + 1, ("f4", "c8")))
        )
        assert state.t == 3
        for k, x in mine.items():
            assert theirs[k].dtype == x.dtype
            np.testing.assert_allclose(np.asarray(theirs[k]), x, rtol=2e-6, atol=2e-6)

    @pytest.mark.parametrize("name", ["adam", "radam", "amsgrad", "long", "clip each"])
    def test_apply_under_jit(self, name):
        jax = pytest.importorskip("jax")
        tx = CHAINS[name]
        params = self.foreign(arrays(dtypes=("f4", "c8")))
        state = gs.init(tx, params)
        traced = 0

        @jax.jit
        def step(params, grads, slots, numbers):
            nonlocal traced
            traced += 1
            return gs.apply(tx, params, grads, slots, numbers)

        plain, slots, memory = params, state.slots, state.memory
        for t in range(3):
            grads = self.foreign(arrays(t + 1, ("f4", "c8")))
            numbers, memory = gs.scalars(tx, params, grads, gs.State(t, memory, slots))
            params, slots = step(params, grads, slots, numbers)
            plain, state = gs.update(tx, plain, grads, state)
        assert traced == 1
        for key, x in plain.items():
            # a contracted a*b + c differs by half an ulp of the product in each of a handful of operations
            np.testing.assert_allclose(np.asarray(params[key]), np.asarray(x), rtol=1e-6, atol=1e-6)

    def test_a_tracer_is_no_place_for_scalars(self):
        jax = pytest.importorskip("jax")
        tx, x = gs.sgd(), jax.numpy.ones(3)
        state = gs.init(tx, x)
        with pytest.raises(jax.errors.ConcretizationTypeError):
            jax.jit(lambda p: gs.update(tx, p, p, state)[0])(x)


def test_bits_of_the_first_adam_step_by_hand():
    tx = gs.adam(lr=0.5)
    w, _ = gs.update(tx, np.array([1.0]), np.array([2.0]), gs.init(tx, np.array([1.0])))
    rate, unbias = 0.5 / (1 - 0.9), 1 / math.sqrt(1 - 0.999)
    m, v = 0.9 * 0.0 + (1 - 0.9) * 2.0, 0.999 * 0.0 + (1 - 0.999) * 4.0
    assert bits(w) == bits(np.array([1.0 - rate * m / (unbias * math.sqrt(v) + 1e-8)]))
