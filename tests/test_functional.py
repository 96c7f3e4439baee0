"""The pure pair: the optimizer's numbers, nothing changed, nothing shared; states that do not fit."""

import copy
import itertools
import math

import numpy as np
import pytest

import gradstep as gs
from functional_cases import CHAINS, arrays, run
from gradstep.array.tree import flatten
from gradstep.errors import ScalarError
from gradstep.rule import rule
from support import bits, clear, same, states


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
    assert state.memory == opt.parts().memory[0]


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

    @pytest.mark.usefixtures("own_registry")
    def test_a_rule_that_returns_its_arguments(self):

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
        ("adam", np.ones(2), TypeError, "expected a rule or a stage, such as gs.adam(lr=1e-3), not 'adam'"),
        (gs.adam, np.ones(2, "i8"), TypeError, "parameter 'params' has dtype int64; optimizers need float16"),
        (gs.adam, {"a": np.ones(2, "i2")}, TypeError, "parameter 'a' has dtype int16"),
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


def test_bits_of_the_first_adam_step_by_hand():
    tx = gs.adam(lr=0.5)
    w, _ = gs.update(tx, np.array([1.0]), np.array([2.0]), gs.init(tx, np.array([1.0])))
    rate, unbias = 0.5 / (1 - 0.9), 1 / math.sqrt(1 - 0.999)
    m, v = 0.9 * 0.0 + (1 - 0.9) * 2.0, 0.999 * 0.0 + (1 - 0.999) * 4.0
    assert bits(w) == bits(np.array([1.0 - rate * m / (unbias * math.sqrt(v) + 1e-8)]))


class TestManyArrays:
    """Small arrays go through a rule as one; nobody can see it in a bit."""

    CHAINS = (
        gs.adam(),
        gs.chain(gs.clip_by_global_norm(0.5), gs.adamw(weight_decay=0.1), gs.ema(decay=0.9)),
        gs.chain(gs.clip_by_norm(0.5), gs.momentum()),
        gs.chain(gs.clip_by_value(0.1), gs.sgd()),
    )

    @staticmethod
    def nest(rng):
        x = {f"a{k}": rng.normal(size=k).astype(np.float32) for k in range(6)}
        x |= {f"b{k}": rng.normal(size=(k, 3)) for k in range(1, 4)} | {"zero": np.array(rng.normal())}
        x |= {
            "big": rng.normal(size=20_000),
            "swapped": rng.normal(size=4).astype(">f8"),
            "f": rng.normal(size=(4, 6)).T,
        }
        return x | {"half": rng.normal(size=3).astype(np.float16), "z": rng.normal(size=3) + 1j, "z2": np.ones(2) * 1j}

    @pytest.mark.parametrize("k", range(len(CHAINS)))
    def test_the_bits_are_those_of_an_optimizer(self, k):
        rng = np.random.default_rng(0)
        params = self.nest(rng)
        held = {name: x.copy() for name, x in params.items()}
        opt = gs.Optimizer(held, self.CHAINS[k], engine="eager")
        state = gs.init(self.CHAINS[k], params)
        for _ in range(3):
            grads = {name: x.astype(params[name].dtype) for name, x in self.nest(rng).items()}
            before = {name: x.copy() for name, x in params.items()}
            kept = params
            params, state = gs.update(self.CHAINS[k], params, grads, state)
            opt.step(grads)
            assert same(kept, before)
        assert same(params, held)
        assert same(state.slots, {name: dict(own) for name, own in opt.state.items()})

    def test_the_first_bad_one_is_named(self):
        params = {f"w{k}": np.ones(3) for k in range(5)}
        state = gs.init(gs.adam(), params)
        grads = {name: np.ones(3) for name in params} | {"w3": np.array([1.0, np.nan, 1.0]), "w4": np.full(3, np.inf)}
        with pytest.raises(gs.NonFiniteError, match=r"'w3' is not finite: \[1\]"):
            gs.update(gs.adam(), params, grads, state)
        params["w2"][1] = np.inf
        with pytest.raises(gs.NonFiniteError, match="parameter 'w2'"):
            gs.update(gs.adam(), params, grads, state)

    def test_no_result_shares_memory_with_another(self):
        params = {f"w{k}": np.ones(3) for k in range(4)}
        state = gs.init(gs.adam(), params)
        grads = {name: np.ones(3) for name in params}
        params, state = gs.update(gs.adam(), params, grads, state)
        every = [*params.values(), *(x for own in state.slots.values() for x in own.values()), *grads.values()]
        for i, x in enumerate(every):
            assert not any(np.shares_memory(x, y) for y in every[i + 1 :])


@pytest.mark.parametrize(
    ("t", "message"), [(-1, "must be at least 0"), ("2", "must be an integer"), (2.5, "must be an integer")]
)
def test_a_count_that_is_none(t, message):
    tx, x = gs.adam(lr=0.1), np.ones(2)
    state = gs.init(tx, x)
    with pytest.raises((gs.GradstepValueError, gs.GradstepTypeError), match=message):
        gs.update(tx, x, x, state._replace(t=t))


def test_a_count_out_of_a_file_of_numpys():
    tx, x = gs.adam(lr=0.1), np.ones(2)
    state = gs.init(tx, x)
    for _ in range(3):
        x, state = gs.update(tx, x, x, state)
    ours = gs.update(tx, x, x, state)
    theirs = gs.update(tx, x, x, state._replace(t=np.int64(3)))
    assert ours[0].tolist() == theirs[0].tolist()
    assert (theirs[1].t, type(theirs[1].t)) == (4, int)
