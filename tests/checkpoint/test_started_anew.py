"""``restore(strict=False)``: what both have is taken by name; the rest starts anew, and counts its own updates."""

from copy import deepcopy

import numpy as np
import pytest

import gradstep as gs
import gradstep.variants  # registers them
from gradstep.form.rule import registry
from support import bits, engines, fingerprint

# What a rule draws is a function of the optimizer's t, whenever a parameter's state began.
RULES = [name for name in registry() if not registry()[name].extras and registry()[name].random is None]
ALONE = [name for name in RULES if registry()[name].over != "all"]  # no sum of theirs is over all arrays
STEPS = 30  # enough for a correction by the old t to be far from one by the new


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


def gradients(names, t):
    """Return gradients of which each name has the same ones, whatever other names there are."""
    return {name: np.random.default_rng([t, *name.encode()]).normal(size=(3, 2)) for name in names}


def params(*names):
    return {name: np.full((3, 2), 0.5) for name in names}


def go(opt, first, steps, names=None):
    for t in range(first, first + steps):
        opt.step(gradients(names or opt.params, t))


class TestGrown:
    @engines
    @pytest.mark.parametrize("rule", ALONE)
    def test_a_new_parameter_steps_as_in_a_fresh_optimizer(self, rule, engine, path):
        """And an old one as if none had come: for every rule, to the last bit."""
        old = gs.Optimizer(params("old"), rule, engine=engine)
        go(old, 0, STEPS)
        old.save(path)
        opt = gs.Optimizer(params("new", "old"), rule, engine=engine)
        found = opt.restore(path, strict=False)
        fresh = gs.Optimizer(params("new"), rule, engine=engine)
        for t in range(STEPS, STEPS + 5):
            g = gradients(("new", "old"), t)
            opt.step(g)
            old.step({"old": g["old"]})
            fresh.step({"new": g["new"]})
            assert bits(opt.params["new"]) == bits(fresh.params["new"]), t
            assert bits(opt.params["old"]) == bits(old.params["old"]), t
        keeps = registry()[rule].state or registry()[rule].counts
        assert found.anew == ({"new": (rule,)} if keeps else {})
        counts = registry()[rule].counts
        assert opt.began == {"new": {rule: STEPS if counts else 0}, "old": {rule: 0}}

    @pytest.mark.parametrize("rule", sorted(set(RULES) - set(ALONE)))
    def test_rules_that_sum_over_all_arrays_go_on_with_their_estimate(self, rule, path):
        """The new parameter has slots of its own; the numbers of all arrays stay, so that nothing is learned twice."""
        old = gs.Optimizer(params("old"), rule)
        go(old, 0, STEPS)
        old.save(path)
        opt = gs.Optimizer(params("new", "old"), rule)
        found = opt.restore(path, strict=False)
        assert found.anew == {"new": (rule,)}
        fresh = gs.Optimizer(params("new", "old"), rule)
        assert opt.parts().memory == old.parts().memory != fresh.parts().memory
        for name, source in (("new", fresh), ("old", old)):
            assert {k: bits(x) for k, x in opt.state[name].items()} == {
                k: bits(x) for k, x in source.state[name].items()
            }
        go(opt, STEPS, 5)
        assert all(np.isfinite(x).all() for x in opt.params.values())

    def test_schedules_stay_with_the_t_of_all(self, path):
        tx = gs.adam(lr=gs.schedules.linear(1.0, 2 * STEPS, 0.0))
        old = gs.Optimizer(params("old"), tx)
        go(old, 0, STEPS)
        old.save(path)
        opt = gs.Optimizer(params("new", "old"), tx)
        opt.restore(path, strict=False)
        before = opt.params["new"].copy()
        go(opt, STEPS, 1)
        assert np.allclose(
            np.abs(opt.params["new"] - before), 0.5, rtol=1e-6
        )  # the first step of Adam is lr, half of 1

    def test_the_largest_step_is_that_of_a_fresh_optimizer(self, path):
        """Zero moments that were corrected for t = 3000 made steps of 6 to 19 times lr."""
        for rule in ("adam", "adamw", "nadam", "radam"):
            old = gs.Optimizer({"a": np.zeros(1)}, rule, lr=0.1)
            for _ in range(3000):
                old.step({"a": np.ones(1)})
            old.save(path)
            grown = {"a": np.zeros(1), "new": np.zeros(1)}
            opt = gs.Optimizer(grown, rule, lr=0.1)
            opt.restore(path, strict=False)
            for _ in range(40):
                before = grown["new"][0]
                opt.step({"a": np.ones(1), "new": np.ones(1)})
                assert abs(grown["new"][0] - before) < 0.1 * 1.32  # NAdam's first step; of the others 1.001

    def test_what_was_frozen_and_trains_now(self, path):
        old = gs.Optimizer(params("a", "b"), "adam", groups={"b": "freeze"})
        go(old, 0, STEPS, ("a", "b"))
        old.save(path)
        opt = gs.Optimizer(params("a", "b"), "adam")
        with pytest.raises(gs.CheckpointError, match="is frozen in the file"):
            opt.restore(path)
        assert opt.restore(path, strict=False).anew == {"b": ("adam",)}
        assert opt.began == {"a": {"adam": 0}, "b": {"adam": STEPS}}

    @pytest.mark.parametrize("rule", ["adam", "nadam", "radam_optax"])
    def test_groups_that_are_parted_otherwise_keep_each_its_memory(self, rule, path):
        """Two groups of the file are one here: each parameter goes on with the numbers that it had."""
        groups = {"a": {"beta1": 0.5}}
        old = gs.Optimizer(params("a", "b"), rule, groups=groups)
        go(old, 0, 5)
        old.save(path)
        opt = gs.Optimizer(params("a", "b"), rule)
        opt.restore(path, strict=False)
        alone = gs.Optimizer(params("b"), rule)
        go(alone, 0, 5)
        go(opt, 5, 3)
        go(alone, 5, 3)
        assert bits(opt.params["b"]) == bits(alone.params["b"])

    def test_groups_with_a_rule_of_their_own(self, path):
        """Each parameter steps as it would alone, by its own rule and from its own beginning."""
        groups = {"m*": gs.nadam(lr=0.1)}
        old = gs.Optimizer(params("a", "m1"), "adam", groups=groups)
        go(old, 0, STEPS)
        old.save(path)
        opt = gs.Optimizer(params("a", "m1", "m2", "b"), "adam", groups=groups)
        found = opt.restore(path, strict=False)
        assert found.anew == {"m2": ("nadam",), "b": ("adam",)}
        assert opt.began == {"a": {"adam": 0}, "m1": {"nadam": 0}, "m2": {"nadam": STEPS}, "b": {"adam": STEPS}}
        go(opt, STEPS, 3)
        opt.save(path)
        again = gs.Optimizer(params("a", "m1", "m2", "b"), "adam", groups=groups)
        again.restore(path)
        go(old, STEPS, 6)
        fresh = gs.Optimizer(params("m2", "b"), "adam", groups=groups)
        go(fresh, STEPS, 6)
        for other in (opt, again, deepcopy(again)):
            go(other, STEPS + 3, 3)
            for alone in (old, fresh):
                assert all(bits(other.params[name]) == bits(x) for name, x in alone.params.items())

    def test_another_rule_for_a_group_starts_anew_with_its_own_rate(self, path):
        old = gs.Optimizer(params("a", "b"), gs.sgd(lr=7.0))
        go(old, 0, STEPS)
        old.save(path)
        opt = gs.Optimizer(params("a", "b"), gs.sgd(lr=1.0), groups={"b": gs.adam(lr=0.25)})
        found = opt.restore(path, strict=False)
        assert found.anew == {"b": ("adam",)}
        assert (opt.lr, opt.groups["b"]["lr"]) == (7.0, 0.25)


class TestResumed:
    @engines
    @pytest.mark.parametrize(
        "tx",
        [
            gs.adam(),
            gs.nadam(),
            gs.lamb(),
            gs.adafactor(),
            gs.chain(gs.clip_by_global_norm(1.0), gs.nadam(), gs.ema()),
            gs.chain(gs.accumulate(k=2), gs.nadam()),
        ],
        ids=lambda tx: "-".join(part.label for part in tx.parts),
    )
    def test_to_the_last_bit(self, tx, engine, path):
        """A run that has grown, saved and resumed strictly, is the one that went on; so are a copy and a snapshot."""
        gs_old = gs.Optimizer(params("old"), tx, engine=engine)
        go(gs_old, 0, 8)
        gs_old.save(path)
        opt = gs.Optimizer(params("new", "old"), tx, engine=engine)
        opt.restore(path, strict=False)
        go(opt, 8, 5)
        opt.save(path)
        assert gs.load(path).metadata["optimizer"]["own"]["new"]["began"]
        again = gs.Optimizer(params("old", "new"), tx, engine=engine)
        again.restore(path)
        copy = deepcopy(opt)
        assert opt.began == {name: again.began[name] for name in opt.began} == copy.began
        for other in (opt, again, copy):
            go(other, 13, 5)
        wanted = {name: bits(x) for name, x in opt.params.items()}
        for other in (again, copy):
            assert {name: bits(x) for name, x in other.params.items()} == wanted
            for name, own in opt.state.items():
                assert all(bits(other.state[name][key]) == bits(x) for key, x in own.items())

    def test_a_file_says_nothing_of_it_where_all_began_at_once(self, path):
        opt = gs.Optimizer(params("a"), "nadam")
        go(opt, 0, 2)
        opt.save(path)
        assert "own" not in gs.load(path).metadata["optimizer"]
        assert gs.load(path).anew == {}

    def test_reset_begins_all_together(self, path):
        old = gs.Optimizer(params("old"), "adam")
        go(old, 0, 5)
        old.save(path)
        opt = gs.Optimizer(params("new", "old"), "adam")
        opt.restore(path, strict=False)
        opt.reset()
        assert (opt.t, opt.began) == (0, {"new": {"adam": 0}, "old": {"adam": 0}})
        fresh = gs.Optimizer(params("new", "old"), "adam")
        before = {name: x.copy() for name, x in opt.params.items()}
        go(opt, 0, 1)
        go(fresh, 0, 1)
        for name in ("new", "old"):
            assert np.allclose(opt.params[name] - before[name], fresh.params[name] - 0.5, atol=1e-15)

    @pytest.mark.parametrize(
        ("what", "value"),
        [
            ("began", {"adam": 9}),
            ("began", {"other": 1}),
            ("began", {"adam": -1}),
            ("began", {"adam": 1.0}),
            ("memory", {"adam.x": "1"}),
        ],
    )
    def test_numbers_that_make_no_sense_are_refused(self, what, value, path):
        from gradstep.checkpoint import format as product

        opt = gs.Optimizer(params("a"), "adam")
        go(opt, 0, 5)
        opt.save(path)
        found = gs.load(path)
        found.metadata["optimizer"]["own"] = {"a": {"began": {}, "memory": {}} | {what: value}}
        product.write(path, found.arrays, dict(found.metadata))
        before = fingerprint(opt)
        for strict in (True, False):
            with pytest.raises(gs.CheckpointError, match=r"makes no sense|holds no optimizer|its memory is"):
                opt.restore(path, strict=strict)
            assert fingerprint(opt) == before


class TestOtherChain:
    def saved(self, path, tx, **options):
        opt = gs.Optimizer(params("a", "b"), tx, **options)
        go(opt, 0, STEPS)
        opt.save(path)
        return opt

    def test_a_clip_is_added(self, path):
        old = self.saved(path, gs.adam(lr=0.25))
        opt = gs.Optimizer(params("a", "b"), gs.chain(gs.clip_by_global_norm(1e9), gs.adam()))
        found = opt.restore(path, strict=False)
        assert (found.anew, opt.lr) == ({}, 0.25)
        go(old, STEPS, 3)
        go(opt, STEPS, 3)
        assert all(bits(opt.params[name]) == bits(old.params[name]) for name in ("a", "b"))

    def test_an_average_is_added_and_starts_at_the_parameters_of_the_file(self, path):
        old = self.saved(path, "adam")
        opt = gs.Optimizer(params("a", "b"), gs.chain(gs.adam(), gs.ema(decay=0.5)))
        found = opt.restore(path, strict=False)
        assert found.anew == {"a": ("ema",), "b": ("ema",)}
        assert all(bits(opt.averaged()[name]) == bits(old.params[name]) for name in ("a", "b"))
        assert opt.began["a"] == {"adam": 0, "ema": 0}  # an average of this kind counts nothing

    def test_a_stage_is_taken_away(self, path):
        old = self.saved(path, gs.chain(gs.clip_by_global_norm(1e9), gs.adam(lr=0.25), gs.ema()))
        opt = gs.Optimizer(params("a", "b"), gs.adam())
        assert opt.restore(path, strict=False).anew == {}
        go(old, STEPS, 3)
        go(opt, STEPS, 3)
        assert all(bits(opt.params[name]) == bits(old.params[name]) for name in ("a", "b"))

    def test_another_rule_behind_the_same_clip_keeps_its_own_rate(self, path):
        """A rate that was chosen for SGD is not Adam's."""
        self.saved(path, gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=7.0)))
        opt = gs.Optimizer(params("a", "b"), gs.chain(gs.clip_by_global_norm(2.0), gs.adam(lr=0.25)))
        found = opt.restore(path, strict=False)
        assert found.anew == {"a": ("adam",), "b": ("adam",)}
        assert (opt.lr, opt.hyper["max_norm"], opt.began["a"]["adam"]) == (0.25, 1.0, STEPS)

    def test_nothing_in_common_is_refused(self, path):
        self.saved(path, "adam")
        opt = gs.Optimizer(params("a", "b"), "sgd")
        with pytest.raises(gs.CheckpointError, match="its rule is adam, and sgd here"):
            opt.restore(path, strict=False)

    def test_no_parameter_in_common_is_refused(self, path):
        """Names with a prefix more, such as ``model.a``, would start anew with nothing of the file but its t."""
        self.saved(path, "adam")
        opt = gs.Optimizer({"model": params("a", "b")}, "adam")
        with pytest.raises(gs.CheckpointError, match=r"in both: 'a'; 'b' in the file, and 'model\.a'; 'model"):
            opt.restore(path, strict=False)
        assert opt.t == 0

    @pytest.mark.parametrize("calls", [0, 1])
    def test_in_the_midst_of_a_gathering_all_gather_anew(self, calls, path):
        """A parameter that comes then would miss gradients of its first update."""
        tx = gs.chain(gs.accumulate(k=2), gs.adam())
        old = gs.Optimizer(params("old"), tx)
        go(old, 0, 2 * 4 + calls)
        old.save(path)
        opt = gs.Optimizer(params("new", "old"), tx)
        found = opt.restore(path, strict=False)
        assert ("accumulate" in found.anew.get("old", ())) == bool(calls)
        fresh = gs.Optimizer(params("new"), tx)
        for t in range(2):
            opt.step(gradients(("new", "old"), t))
            fresh.step(gradients(("new",), t))
        assert (opt.t, fresh.t) == (5, 1)
        assert bits(opt.params["new"]) == bits(fresh.params["new"])


class TestOtherStorage:
    def saved(self, path, dtype, **options):
        opt = gs.Optimizer({"w": np.full(600, 0.7, dtype)}, "adam", **options)
        for t in range(STEPS):
            opt.step({"w": np.random.default_rng(t).normal(size=600).astype(dtype)})
        opt.save(path)
        return opt

    def test_float32_goes_on_in_float64(self, path):
        old = self.saved(path, "f4")
        opt = gs.Optimizer({"w": np.ones(600)}, "adam")
        found = opt.restore(path, strict=False)
        assert found.anew == {}
        assert found.converted == dict.fromkeys(("param/w", "state/w/adam.m", "state/w/adam.v"), "float32 to float64")
        assert (opt.params["w"] == old.params["w"]).all()
        assert (opt.state["w"]["adam.m"] == old.state["w"]["adam.m"]).all()
        assert opt.t == STEPS

    def test_float64_is_rounded_to_float32(self, path):
        old = self.saved(path, "f8")
        opt = gs.Optimizer({"w": np.ones(600, "f4")}, "adam")
        opt.restore(path, strict=False)
        assert bits(opt.params["w"]) == bits(old.params["w"].astype("f4"))

    def test_what_is_too_large_is_refused(self, path):
        gs.Optimizer({"w": np.full(3, 1e300)}, "adam").save(path)
        opt = gs.Optimizer({"w": np.ones(3, "f4")}, "adam")
        with pytest.raises(gs.CheckpointError, match="parameter 'w' has numbers that are too large for float32"):
            opt.restore(path, strict=False)
        assert (opt.params["w"] == 1).all()

    @pytest.mark.parametrize("state", ["8bit", "bfloat16"])
    def test_state_in_fewer_bits_and_back(self, state, path):
        pytest.importorskip("ml_dtypes")
        old = self.saved(path, "f4")
        low = gs.Optimizer({"w": np.ones(600, "f4")}, "adam", state_dtype=state)
        found = low.restore(path, strict=False)
        assert found.anew == {}
        assert set(found.converted.values()) == {f"float32 to {state}"}
        low.save(path)
        opt = gs.Optimizer({"w": np.ones(600, "f4")}, "adam")
        assert set(opt.restore(path, strict=False).converted.values()) == {f"{state} to float32"}
        assert bits(opt.params["w"]) == bits(old.params["w"])
        m, wanted = opt.state["w"]["adam.m"], old.state["w"]["adam.m"]
        assert np.abs(m - wanted).max() <= np.abs(wanted).max() / 16

    def test_master_copies_give_the_numbers(self, path):
        """A float32 copy that is kept has all of a 16-bit parameter's digits."""
        pytest.importorskip("ml_dtypes")
        old = self.saved(path, "f2", master=True)
        old.params["w"][0] = 3.0  # set in place: its copy is of another number
        old.save(path)
        old.state["w"]["master"][0] = 3.0
        opt = gs.Optimizer({"w": np.ones(600, "f4")}, "adam")
        opt.restore(path, strict=False)
        assert bits(opt.params["w"]) == bits(old.state["w"]["master"])
        opt.save(path)
        again = gs.Optimizer({"w": np.ones(600, "f2")}, "adam", master=True)
        again.restore(path, strict=False)
        assert bits(again.state["w"]["master"]) == bits(old.state["w"]["master"])
        assert bits(again.params["w"]) == bits(old.params["w"])


def test_a_grown_model_of_torch(path):
    torch = pytest.importorskip("torch")
    old = gs.Optimizer({"old": torch.zeros(3)}, "adam")
    for _ in range(STEPS):
        old.step({"old": torch.ones(3)})
    old.save(path)
    opt = gs.Optimizer(
        {"old": torch.zeros(3, dtype=torch.float64), "new": torch.zeros(2)}, gs.chain(gs.adam(), gs.ema())
    )
    found = opt.restore(path, strict=False)
    assert found.anew == {"old": ("ema",), "new": ("adam", "ema")}
    assert (opt.averaged()["old"] == old.params["old"].double()).all()
    before = opt.params["new"].clone()
    opt.step({"old": torch.ones(3, dtype=torch.float64), "new": torch.ones(2)})
    assert ((opt.params["new"] - before).abs() <= 1.001e-3).all()


class TestOtherLibraries:
    def grown(self, path):
        old = gs.Optimizer({"old": np.zeros(3)}, "adam")
        for _ in range(STEPS):
            old.step({"old": np.ones(3)})
        old.save(path)
        opt = gs.Optimizer({"old": np.zeros(3), "new": np.zeros(2)}, "adam")
        opt.restore(path, strict=False)
        opt.step({"old": np.ones(3), "new": np.ones(2)})
        return opt

    def test_torch_counts_for_each_parameter(self, path):
        torch = pytest.importorskip("torch")
        like = torch.optim.Adam([torch.zeros(3).double(), torch.zeros(2).double()]).state_dict()
        state = gs.interop.torch.dump_state(self.grown(path), like)["state"]
        assert [float(state[k]["step"]) for k in (0, 1)] == [STEPS + 1, 1]

    def test_keras_and_optax_count_once_and_are_refused(self, path):
        optax = pytest.importorskip("optax")
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            like = optax.adam(0.1).init({"old": jax.numpy.zeros(3), "new": jax.numpy.zeros(2)})
            with pytest.raises(gs.GradstepValueError, match="'new' counts 1 updates, and t is 31"):
                gs.interop.optax.dump_state(self.grown(path), like)
