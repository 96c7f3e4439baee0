"""Arrays that come with a step beside the gradient."""

import math
from importlib import import_module

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import RuleError
from gradstep.rule import rule, stage
from gradstep.vocabulary import maximum, minimum
from support import bits, fingerprint

ENGINES = ["eager", "compiled"]
pytestmark = pytest.mark.usefixtures("own_registry")


def scalars(lr=0.1, beta=0.9, bound=1.0):
    return {"lr": lr, "beta": beta, "rest": 1 - beta, "high": bound, "low": -bound}


def declared():
    """Sophia without its clock (Liu et al. 2023, arXiv:2305.14342): the curvature is handed in."""

    @rule(scalars, inputs="curvature", state="m h", units={"lr": "theta"})
    def newtonian(theta, g, curvature, m, h, lr, beta, rest, high, low):
        m = beta * m + rest * g
        h = beta * h + rest * curvature
        theta = theta - lr * minimum(maximum(m / maximum(h, 1e-12), low), high)
        return theta, g, m, h

    return newtonian


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def problem(seed, dtype="f8"):
    rng = np.random.default_rng(seed)
    return {"w": rng.normal(size=(50, 3)).astype(dtype), "b": rng.normal(size=7).astype(dtype)}


def by_hand(steps):
    """The same in Python floats, element by element."""
    out = {key: x.copy() for key, x in problem(0).items()}
    for key, theta in out.items():
        for place in np.ndindex(theta.shape):
            m = h = 0.0
            x = float(theta[place])
            for seed in range(1, steps + 1):
                m = 0.9 * m + (1 - 0.9) * float(problem(seed)[key][place])
                h = 0.9 * h + (1 - 0.9) * abs(float(problem(-seed % 99)[key][place]))
                x -= 0.1 * min(max(m / max(h, 1e-12), -1.0), 1.0)
            theta[place] = x
    return out


def curvature(seed, dtype="f8"):
    return {key: np.abs(x) for key, x in problem(-seed % 99, dtype).items()}


def test_against_the_same_by_hand(engine):
    opt = gs.Optimizer(problem(0), declared()(), engine=engine)
    for seed in (1, 2, 3):
        opt.step(problem(seed), curvature=curvature(seed))
    assert all(np.allclose(x, by_hand(3)[key], rtol=0, atol=1e-13) for key, x in opt.params.items())
    assert np.array_equal(opt.state["w"]["newtonian.curvature"], curvature(3)["w"])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_engines_and_the_pure_pair_agree(dtype):
    tx = gs.chain(gs.clip_by_global_norm(1.0), declared()())
    opts = [gs.Optimizer(problem(0, dtype), tx, engine=engine) for engine in ENGINES]
    params, state = problem(0, dtype), gs.init(tx, problem(0, dtype))
    for seed in (1, 2, 3):
        for opt in opts:
            opt.step(problem(seed, dtype), curvature=curvature(seed, dtype))
        params, state = gs.update(tx, params, problem(seed, dtype), state, curvature=curvature(seed, dtype))
    for opt in opts:
        assert all(bits(x) == bits(params[key]) for key, x in opt.params.items())


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("bad", ["gradient", "input"])
def test_a_refused_step_changes_nothing(policy, bad, engine):
    opt = gs.Optimizer(problem(0), declared()(), engine=engine, on_nonfinite=policy)
    opt.step(problem(1), curvature=curvature(1))
    before = [bits(x) for own in ({"": opt.params}, opt.state) for part in own.values() for x in part.values()]
    g, h = problem(2), curvature(2)
    (g if bad == "gradient" else h)["b"][3] = np.nan
    if policy == "raise":
        with pytest.raises(gs.NonFiniteError, match=rf"{'gradient' if bad == 'gradient' else 'curvature'} 'b' is not"):
            opt.step(g, curvature=h)
    else:
        opt.step(g, curvature=h)
        assert opt.skipped == 1
    assert opt.t == 1
    assert before == [bits(x) for own in ({"": opt.params}, opt.state) for part in own.values() for x in part.values()]


def test_what_does_not_fit_is_refused():
    opt, plain = gs.Optimizer(problem(0), declared()()), gs.Optimizer(problem(0), "adam")
    with pytest.raises(gs.GradstepValueError, match="curvature= is missing: arrays like the parameters"):
        opt.step(problem(1))
    with pytest.raises(gs.GradstepValueError, match="unknown input 'curvatur'; did you mean curvature"):
        opt.step(problem(1), curvatur=curvature(1))
    with pytest.raises(gs.GradstepValueError, match=r"no stage takes lr=; set a hyperparameter by opt.hyper\['lr'\]"):
        plain.step(problem(1), lr=0.1)
    with pytest.raises(gs.GradstepValueError, match=r"curvature of 'w' has shape \(3, 50\)"):
        opt.step(problem(1), curvature={"w": np.ones((3, 50)), "b": np.ones(7)})
    with pytest.raises(gs.GradstepTypeError, match="curvature of 'b' is of type NoneType"):
        opt.step(problem(1), curvature={"w": np.ones((50, 3))})
    with pytest.raises(gs.GradstepValueError, match="is not for newtonian, which takes curvature"):
        gs.Optimizer(np.zeros(3, "f4"), declared()(), state_dtype="8bit")
    with pytest.raises(gs.GradstepValueError, match=r"gs\.Run hands over gradients alone, and curvature is needed"):
        gs.Run(lambda params: (0.0, params), np.zeros(3), declared()())


def test_badly_declared():
    with pytest.raises(RuleError, match="inputs= goes with neither"):
        rule(inputs="h", whole=True)(lambda theta, g, h: (theta - h, g))
    with pytest.raises(RuleError, match="update must return theta, g, h, m"):
        rule(inputs="h", state="m")(lambda theta, g, h, m: (theta - h, g))


def with_a_gatherer():
    """A stage with an input before the one that gathers gradients, and a rule with an input behind it."""

    @stage(inputs="early", state="seen")
    def before_it(theta, g, early, seen):
        seen = seen + early
        g = g * early
        return theta, g, seen

    @rule(lambda lr=0.1: {"lr": lr}, inputs="late", state="kept")
    def behind_it(theta, g, late, kept, lr):
        kept = kept + late
        theta = theta - lr * g * late
        return theta, g, kept

    return gs.chain(before_it(), gs.accumulate(3), behind_it())


def arrays(k, n):
    return {"a": np.full(n, float(k)), "b": np.full(n, -2.0 * k)}


@pytest.mark.parametrize("n", [3, 20_000])
def test_what_runs_when_gradients_are_gathered_keeps_its_input(n, engine):
    """As in the pure pair: an input stays where its stage has run, and what follows keeps the one it ran with."""
    tx, pure = with_a_gatherer(), arrays(1, n)
    opt, state = gs.Optimizer(arrays(1, n), tx, engine=engine), gs.init(tx, pure)
    for k in range(1, 8):
        inputs = {"early": arrays(k, n), "late": arrays(10 * k, n)}
        opt.step(arrays(k, n), **inputs)
        pure, state = gs.update(tx, pure, arrays(k, n), state, **inputs)
        assert opt.t == state.t == k // 3
        assert opt.state["a"]["before_it.early"][0] == k
        assert opt.state["a"]["behind_it.late"][0] == 10 * (k // 3 * 3)
        for name, own in state.slots.items():
            assert bits(opt.params[name]) == bits(pure[name])
            assert {key: bits(x) for key, x in own.items()} == {key: bits(x) for key, x in opt.state[name].items()}


def test_a_refused_or_skipped_call_leaves_all_inputs(engine):
    opt = gs.Optimizer(arrays(1, 3), with_a_gatherer(), engine=engine, on_nonfinite="skip")
    opt.step(arrays(1, 3), early=arrays(1, 3), late=arrays(1, 3))
    bad = {"a": np.full(3, np.nan), "b": np.zeros(3)}
    opt.step(bad, early=arrays(2, 3), late=arrays(2, 3))
    opt.on_nonfinite = "raise"
    with pytest.raises(gs.NonFiniteError, match="gradient 'a' is not finite"):
        opt.step(bad, early=arrays(2, 3), late=arrays(2, 3))
    assert (opt.skipped, opt.state["a"]["before_it.early"][0], opt.state["a"]["behind_it.late"][0]) == (1, 1.0, 0.0)


@pytest.mark.parametrize("n", [3, 20_000])
@pytest.mark.parametrize("rules", [1, 2])
def test_an_input_may_be_the_state_of_another_parameter(rules, n, engine):
    tx = declared()(lr=0.5)
    groups = {"b": tx} if rules == 2 else None
    opts = [gs.Optimizer(arrays(1, n), tx, groups=groups, engine=engine) for _ in range(2)]
    pure = arrays(1, n)
    state = gs.init(tx, pure)
    for k in range(1, 5):
        crossed = []
        for opt in opts:
            rule_of = {name: next(key for key in own if key.endswith(".curvature")) for name, own in opt.state.items()}
            crossed.append({"a": opt.state["b"][rule_of["b"]], "b": opt.state["a"][rule_of["a"]]})
        if k == 1:
            crossed = [arrays(3, n), arrays(3, n)]
        opts[0].step(arrays(k, n), curvature=crossed[0])
        opts[1].step(arrays(k, n), curvature={name: x.copy() for name, x in crossed[1].items()})
        assert all(bits(opts[0].params[name]) == bits(opts[1].params[name]) for name in ("a", "b"))
        if not groups:
            own = state.slots
            given = (
                {"a": own["b"]["newtonian.curvature"], "b": own["a"]["newtonian.curvature"]} if k > 1 else arrays(3, n)
            )
            held = [x.copy() for y in own.values() for x in y.values()]
            before = [x for y in own.values() for x in y.values()]
            pure, state = gs.update(tx, pure, arrays(k, n), state, curvature=given)
            assert all(bits(x) == bits(y) for x, y in zip(before, held, strict=True))
            after = [x for y in state.slots.values() for x in y.values()]
            assert not any(np.shares_memory(x, y) for x in after for y in before)
            assert all(bits(opts[0].params[name]) == bits(pure[name]) for name in ("a", "b"))


@pytest.mark.parametrize("name", ["sophia", "sophia_optax"])
def test_steps_that_are_not_cut(name, engine):
    """With a large gamma; the oracles are the papers', in mpmath."""
    trajectory = import_module(f"papers.{name}").trajectory
    rng, hyper = np.random.default_rng(5), {"lr": 0.1, "gamma": 300.0, "k": 3, "beta2": 0.5}
    x, grads, diagonal = rng.normal(size=4), rng.normal(size=(9, 4)), rng.uniform(0.5, 2.0, (9, 4))
    each = zip(x.tolist(), grads.T.tolist(), diagonal.T.tolist(), strict=True)
    wanted = [trajectory(y, g, curvature=h, **hyper) for y, g, h in each]
    opt, before = gs.Optimizer(x, name, **hyper, engine=engine), x.copy()
    for t, (g, h) in enumerate(zip(grads, diagonal, strict=True)):
        opt.step(g, curvature=h)
        np.testing.assert_allclose(x, [float(path[t]) for path in wanted], rtol=1e-13)
        assert t == 0 or (np.abs(x - before) < 0.099).all()
        before = x.copy()


class TestNumbers:
    """A number that comes with a step: the loss."""

    LOSS = (3.0, 0.5, 2.0)

    def test_engines_groups_and_the_pure_pair_agree(self):
        tx = gs.chain(gs.clip_by_global_norm(1.0), gs.momo(lr=0.5))
        opts = [gs.Optimizer(problem(0), tx, engine=engine) for engine in ENGINES]
        params, state = problem(0), gs.init(tx, problem(0))
        for seed, loss in enumerate(self.LOSS, 1):
            for opt in opts:
                opt.step(problem(seed), loss=loss)
            params, state = gs.update(tx, params, problem(seed), state, loss=np.float32(loss))
        for opt in opts:
            assert all(bits(x) == bits(params[key]) for key, x in opt.params.items())

    def test_it_is_the_polyak_step(self, engine):
        w = np.array([3.0, 4.0])
        gs.Optimizer(w, "polyak", engine=engine).step(w.copy(), loss=np.array(12.5))  # of w w / 2: half of the way
        assert w.tolist() == [1.5, 2.0]

    def test_rules_that_need_none_leave_it_alone(self, engine):
        w, v = np.ones(3), np.ones(3)
        gs.Optimizer(w, "adam", engine=engine).step(np.ones(3), loss=2.0)
        gs.Optimizer(v, "adam", engine=engine).step(np.ones(3))
        assert bits(w) == bits(v)

    def test_a_group_of_another_rule(self, engine):
        """Each part of a step takes what it needs, and one alone may need it."""
        opt = gs.Optimizer(problem(0), "adam", groups={"b": gs.polyak()}, engine=engine)
        alone = gs.Optimizer({"b": problem(0)["b"]}, "polyak", engine=engine)
        opt.step(problem(1), loss=2.0)
        alone.step({"b": problem(1)["b"]}, loss=2.0)
        assert bits(opt.params["b"]) == bits(alone.params["b"])
        with pytest.raises(gs.GradstepValueError, match="loss= is missing"):
            opt.step(problem(1))

    @pytest.mark.parametrize("groups", [None, {"b": gs.adam()}])
    @pytest.mark.parametrize("policy", ["raise", "skip", "ignore"])
    @pytest.mark.parametrize(
        ("loss", "shown"), [(math.nan, "nan"), (math.inf, "inf"), pytest.param(-(10**400), "-inf", id="integer")]
    )
    def test_one_that_is_not_finite_changes_nothing(self, loss, shown, policy, groups, engine):
        opt = gs.Optimizer(problem(0), "momo", on_nonfinite=policy, groups=groups, engine=engine)
        opt.step(problem(1), loss=1.0)
        before = fingerprint(opt)
        if policy == "skip":
            opt.step(problem(2), loss=loss)
            assert (opt.t, opt.skipped) == (1, 1)
        else:
            with pytest.raises(gs.NonFiniteError, match=f"loss is {shown}; nothing was changed"):
                opt.step(problem(2), loss=loss)
            assert fingerprint(opt) == before

    def test_what_does_not_fit_is_refused(self):
        opt = gs.Optimizer(problem(0), "polyak")
        with pytest.raises(gs.GradstepValueError, match="loss= is missing: a number, beside the gradients"):
            opt.step(problem(1))
        with pytest.raises(gs.GradstepTypeError, match="loss must be one number, not 'small'"):
            opt.step(problem(1), loss="small")
        with pytest.raises(gs.GradstepTypeError, match="loss must be one number, not array"):
            opt.step(problem(1), loss=np.ones(2))
        with pytest.raises(gs.GradstepValueError, match="unknown input 'value'"):
            opt.step(problem(1), value=1.0)
        with pytest.raises(gs.GradstepValueError, match="loss= comes with each step, and accumulate gathers"):
            gs.Optimizer(problem(0), gs.chain(gs.accumulate(k=2), gs.polyak))
        with pytest.raises(RuleError, match="the name loss is taken"):
            rule(takes="loss", state="loss")(lambda theta, g, loss: (theta, g, loss))

    @pytest.mark.parametrize("groups", [None, {"b": gs.sophia()}])
    def test_an_answer_and_a_rehearsal_have_them_too(self, groups, engine):
        told, stepped = (gs.Optimizer(problem(0), "momo", groups=groups, engine=engine) for _ in range(2))
        for seed, loss in enumerate(self.LOSS, 1):
            more = {"curvature": curvature(seed)} if groups else {}
            told.ask()
            before = fingerprint(told)
            told.rehearse(problem(seed), loss=loss, **more)
            with pytest.raises(gs.NonFiniteError, match="loss is nan"):
                told.rehearse(problem(seed), loss=math.nan, **more)
            for call in (told.tell, told.rehearse):
                with pytest.raises(gs.GradstepValueError, match="loss= is missing"):
                    call(problem(seed), **more)
                with pytest.raises(gs.GradstepValueError, match="unknown input 'value'"):
                    call(problem(seed), loss=loss, value=1.0)
            assert fingerprint(told) == before
            told.tell(problem(seed), t=seed - 1, loss=loss, **more)
            stepped.step(problem(seed), loss=loss, **more)
            assert fingerprint(told) == fingerprint(stepped)

    def test_saved_and_gone_on_with(self, tmp_path, engine):
        whole, first, second = (gs.Optimizer(problem(0), "momo", engine=engine) for _ in range(3))
        for seed, loss in enumerate(self.LOSS, 1):
            whole.step(problem(seed), loss=loss)
        first.step(problem(1), loss=self.LOSS[0])
        first.save(tmp_path / "run.safetensors")
        second.restore(tmp_path / "run.safetensors")
        for seed, loss in list(enumerate(self.LOSS, 1))[1:]:
            second.step(problem(seed), loss=loss)
        assert fingerprint(second) == fingerprint(whole)

    def test_runs_hand_it_over(self):
        """Of x x / 2, whose least is known, each Polyak step takes half of the way."""
        out = gs.minimize(lambda x: (0.5 * float(x @ x), x.copy()), np.array([8.0]), "polyak", max_steps=3)
        assert out.x.tolist() == [1.0]

    def test_a_guest_that_has_no_loss_refuses(self):
        """A model of Keras hands its optimizer no more than gradients."""
        keras = pytest.importorskip("gradstep.interop.keras")
        with pytest.raises(gs.GradstepValueError, match="Keras hands over gradients alone, and loss is needed"):
            keras.Optimizer("polyak")
