"""Accumulation: k gradients, one update."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import RuleError
from gradstep.rule import rule, stage
from support import bits, fingerprint

ENGINES = ["eager", "compiled"]


def problem(seed, dtype="f8"):
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=(5, 3)).astype(dtype), "b": rng.normal(size=40).astype(dtype)}


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize(
    "rule",
    [
        gs.adam(lr=gs.schedules.cosine(0.1, 10)),
        gs.nadam(),
        gs.chain(gs.clip_by_global_norm(0.5), gs.adam(), gs.ema(decay=0.9)),
        gs.adafactor(),
    ],
    ids=["schedule", "memory", "clip", "whole"],
)
def test_k_calls_are_one_step_with_the_mean(rule, k, dtype, engine):
    opt = gs.Optimizer(problem(0, dtype), gs.chain(gs.accumulate(k=k), rule), engine=engine)
    plain = gs.Optimizer(problem(0, dtype), rule, engine=engine)
    for update in range(3):
        total = {key: np.zeros_like(x) for key, x in problem(0, dtype).items()}
        for call in range(k):
            before = [bits(x) for x in opt.params.values()]
            g = problem(100 * update + call, dtype)
            total = {key: x + g[key].dtype.type(1 / k) * g[key] for key, x in total.items()}
            opt.step(g)
            assert opt.t == update + (call == k - 1)
            if call < k - 1:
                assert [bits(x) for x in opt.params.values()] == before
        plain.step(total)
        assert all(bits(x) == bits(plain.params[key]) for key, x in opt.params.items())
        slots = {
            name: {key: bits(x) for key, x in own.items() if key != "accumulate.total"}
            for name, own in opt.state.items()
        }
        assert slots == {name: {key: bits(x) for key, x in own.items()} for name, own in plain.state.items()}
        assert not any(own["accumulate.total"].any() for own in opt.state.values())


def test_stages_before_it_see_each_gradient(engine):
    chain = gs.chain(gs.clip_by_global_norm(1.0), gs.accumulate(k=2), gs.sgd(lr=1.0))
    opt = gs.Optimizer(np.zeros(2), chain, engine=engine)
    opt.step(np.array([30.0, 40.0]))
    opt.step(np.array([-0.3, 0.4]))
    assert np.allclose(opt.params, [-0.15, -0.6], rtol=0, atol=1e-15)


def test_it_goes_on_from_a_file_in_the_midst(engine, tmp_path):
    tx = gs.chain(gs.accumulate(k=3), gs.adam())
    opt, other = (gs.Optimizer(problem(0), tx, engine=engine) for _ in range(2))
    for seed in range(4):
        opt.step(problem(seed))
    opt.save(tmp_path / "x.safetensors")
    other.restore(tmp_path / "x.safetensors")
    for seed in range(4, 9):
        opt.step(problem(seed))
        other.step(problem(seed))
    assert opt.t == 3
    assert fingerprint(opt) == fingerprint(other)


def test_update_is_the_step(engine):
    tx = gs.chain(gs.accumulate(k=3), gs.nadam())
    opt, params = gs.Optimizer(problem(0), tx, engine=engine), problem(0)
    state = gs.init(tx, params)
    for seed in range(7):
        opt.step(problem(seed))
        params, state = gs.update(tx, params, problem(seed), state)
        assert state.t == opt.t
    assert all(bits(x) == bits(params[key]) for key, x in opt.params.items())


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("call", [0, 1, 2])
def test_a_bad_gradient_is_not_gathered(policy, call, engine):
    tx = gs.chain(gs.accumulate(k=3), gs.adam())
    opt, plain = (gs.Optimizer(problem(0), tx, engine=engine, on_nonfinite=policy) for _ in range(2))
    for seed in range(3):
        if seed == call:
            before, bad = [bits(x) for own in opt.state.values() for x in own.values()], problem(9)
            bad["b"][7] = np.nan
            if policy == "raise":
                with pytest.raises(gs.NonFiniteError, match=r"'b' is not finite: \[7\]"):
                    opt.step(bad)
            else:
                opt.step(bad)
                assert opt.skipped == 1
            assert [bits(x) for own in opt.state.values() for x in own.values()] == before
        opt.step(problem(seed))
        plain.step(problem(seed))
    assert all(bits(x) == bits(plain.params[key]) for key, x in opt.params.items())


def test_a_gradient_too_large_for_the_rule_is_not_gathered(engine):
    opt = gs.Optimizer(np.zeros(3, "f4"), gs.chain(gs.accumulate(k=2), gs.adam()), engine=engine)
    with pytest.raises(gs.NonFiniteError, match="too large for this rule"):
        opt.step(np.full(3, 1e30, "f4"))


def test_reset_forgets_what_was_gathered(engine):
    opt = gs.Optimizer(problem(0), gs.chain(gs.accumulate(k=2), gs.sgd(lr=0.1)), engine=engine)
    opt.step(problem(1))
    opt.reset()
    opt.step(problem(2))
    assert opt.t == 0
    opt.step(problem(3))
    assert opt.t == 1


def test_groups_must_agree(engine):
    tx = gs.chain(gs.accumulate(k=2), gs.sgd(lr=0.1))
    with pytest.raises(gs.GradstepValueError, match="k is 2 in one group and 3 in another"):
        gs.Optimizer(problem(0), tx, groups={"b": {"k": 3}}, engine=engine)


class TestRefused:
    def test_behind_the_rule(self):
        with pytest.raises(gs.GradstepValueError, match="accumulate: it stands in front of the rule in a chain"):
            gs.Optimizer(np.zeros(3), gs.chain(gs.sgd(lr=0.1), gs.accumulate()))

    @pytest.mark.parametrize("name", [None, "again"])
    def test_twice(self, name):
        with pytest.raises(gs.GradstepValueError, match="both gather the gradients of several calls; once is all"):
            gs.chain(gs.accumulate(), gs.accumulate(name=name), gs.sgd(lr=0.1))

    def test_a_part_of_a_call(self):
        with pytest.raises(gs.GradstepValueError, match=r"accumulate: k must be finite and >= 1 and whole, not 2\.5"):
            gs.accumulate(k=2.5)
        with pytest.raises(gs.GradstepValueError, match="schedule at t = 0: k must be finite and >= 1 and whole"):
            gs.Optimizer(np.zeros(3), gs.chain(gs.accumulate(k=lambda t: 2.5), gs.sgd(lr=0.1)))

    def test_by_whoever_makes_an_update_at_each_call(self):
        tx, params = gs.chain(gs.accumulate(), gs.sgd(lr=0.1)), np.zeros(3)
        with pytest.raises(gs.GradstepValueError, match=r"gs\.scalars makes an update at each call, and accumulate"):
            gs.scalars(tx, params, params, gs.init(tx, params))
        with pytest.raises(gs.GradstepValueError, match=r"gs\.Run makes an update at each call"):
            gs.Run(lambda params: (0.0, params), params, tx)

    def test_in_torch(self):
        torch = pytest.importorskip("torch")
        from gradstep.interop.torch import Optimizer

        w = torch.nn.Parameter(torch.zeros(3))
        with pytest.raises(gs.GradstepValueError, match="torch's step makes an update at each call"):
            Optimizer([w], gs.chain(gs.accumulate(), gs.sgd(lr=0.1)))

    @pytest.mark.parametrize("state_dtype", ["8bit", "bfloat16"])
    def test_in_fewer_bits(self, state_dtype):
        with pytest.raises(gs.GradstepValueError, match="is not for accumulate, which adds gradients up"):
            gs.Optimizer(np.zeros(3, "f4"), gs.chain(gs.accumulate(), gs.adam()), state_dtype=state_dtype)

    @pytest.mark.usefixtures("own_registry")
    def test_badly_declared(self):
        with pytest.raises(RuleError, match="every= names a memory number"):
            stage(every="calls")(lambda theta, g: (theta, g))
        with pytest.raises(RuleError, match="every= names a memory number"):
            rule(lambda calls: {"calls": calls}, memory={"calls": 0.0}, every="calls")(lambda theta, g: (theta, g))
