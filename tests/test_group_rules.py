"""A rule as the value of a group: the same bits as an optimizer for each, and all or nothing together."""

import copy
import math
import signal

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import CheckpointError, GradstepTypeError, GradstepValueError, InUseError, NonFiniteError
from gradstep.rule import rule
from support import at_line, engines, numbers, same, states

SHAPES = {"enc.w": (40, 30), "enc.b": (30,), "head.w": (30, 5), "head.b": (5,)}
RULES = [
    ("adamw and sgd", lambda: gs.adamw(lr=0.01), {"*.b": gs.sgd(lr=0.1)}),
    ("muon and adam", lambda: gs.muon(lr=0.02), {"*.b": gs.adam(lr=0.01)}),
    (
        "norms and memory",
        lambda: gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.nadam(lr=0.01), gs.ema(decay=0.9)),
        {"*.b": gs.chain(gs.clip_by_global_norm(max_norm=0.5), gs.momentum(lr=0.1)), "head.w": gs.lamb(lr=0.01)},
    ),
]


def params(dtype="f8"):
    return {name: numbers(shape, dtype, k) for k, (name, shape) in enumerate(SHAPES.items())}


def gradients(t, dtype="f8"):
    return {name: numbers(shape, dtype, 100 * t + k) for k, (name, shape) in enumerate(SHAPES.items())}


def owned(pattern, groups):
    """The names that a pattern's rule updates; those of no pattern for ``""``."""
    of = {"*.b": ["enc.b", "head.b"], "head.w": ["head.w"]}
    return of[pattern] if pattern else [n for n in SHAPES if not any(n in of[p] for p in groups)]


@engines
@pytest.mark.parametrize(("rule", "groups"), [x[1:] for x in RULES], ids=[x[0] for x in RULES])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_bits_of_an_optimizer_for_each(rule, groups, dtype, engine):
    together, apart = params(dtype), params(dtype)
    opt = gs.Optimizer(together, rule(), groups=groups, engine=engine)
    each = {
        p: gs.Optimizer({n: apart[n] for n in owned(p, groups)}, groups.get(p, rule()), engine=engine)
        for p in ["", *groups]
    }
    for t in range(1, 6):
        g = gradients(t, dtype)
        opt.step(g)
        for p, own in each.items():
            own.step({n: g[n] for n in owned(p, groups)})
    assert same(together, apart)
    for own in each.values():
        assert all(same(opt.state[name], slots) for name, slots in own.state.items())
    assert opt.t == 5
    assert list(opt.state) == list(SHAPES)


def test_the_engines_agree():
    seen = []
    for engine in ("eager", "compiled"):
        x = params()
        opt = gs.Optimizer(x, RULES[2][1](), groups=RULES[2][2], engine=engine)
        for t in range(4):
            opt.step(gradients(t))
        seen.append({**x, **states(opt)})
    assert same(*seen)


class TestValues:
    def test_each_is_read_and_set(self):
        x = params()
        opt = gs.Optimizer(x, "adam", lr=0.5, groups={"*.b": gs.sgd(lr=0.1), "head.*": {"lr": gs.times(0.1)}})
        assert dict(opt.groups["*.b"]) == {"lr": 0.1}
        before = {n: y.copy() for n, y in x.items()}
        opt.step({n: np.ones(y.shape) for n, y in x.items()})
        assert np.allclose(before["enc.b"] - x["enc.b"], 0.1)
        assert np.allclose(before["head.b"] - x["head.b"], 0.01)
        assert np.allclose(before["head.w"] - x["head.w"], 0.05)
        before = {n: y.copy() for n, y in x.items()}
        opt.groups["*.b"]["lr"] = 0.3
        opt.lr = 0.2
        opt.step({n: np.ones(y.shape) for n, y in x.items()})
        assert np.allclose(before["enc.b"] - x["enc.b"], 0.3)
        assert np.allclose(before["head.b"] - x["head.b"], 0.03)
        assert np.allclose(before["enc.w"] - x["enc.w"], 0.2)

    def test_a_schedule_of_its_own(self):
        x = {"a": np.zeros(2), "b": np.zeros(2)}
        opt = gs.Optimizer(x, "adam", groups={"b": gs.sgd(lr=lambda t: 1.0 / (1 + t))})
        for _ in range(3):
            opt.step({"a": np.ones(2), "b": np.ones(2)})
        assert np.allclose(x["b"], -(1 + 1 / 2 + 1 / 3))

    def test_a_later_rule_wins_and_what_is_earlier_is_gone(self):
        x = {"a": np.zeros(2), "b": np.zeros(2)}
        opt = gs.Optimizer(x, "adam", groups={"b": {"lr": 7.0}, "*": gs.sgd(lr=1.0), "a": gs.sgd(lr=0.5)})
        opt.step({"a": np.ones(2), "b": np.ones(2)})
        assert x["a"].tolist() == [-0.5, -0.5]
        assert x["b"].tolist() == [-1.0, -1.0]

    def test_equal_rules_of_two_patterns_are_two(self):
        """Each takes a norm of its own."""
        tx = gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.sgd(lr=1.0))
        x = {"a": np.zeros(1), "b": np.zeros(1)}
        opt = gs.Optimizer(x, tx, groups={"a": tx})
        opt.step({"a": np.array([3.0]), "b": np.array([4.0])})
        assert x["a"].tolist() == x["b"].tolist() == [-1.0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("groups", "words"),
        [
            ({"*.b": gs.sgd(lr=0.1), "head*": {"beta1": 0.5}}, r"'head\*' has for '\*\.b', which has a rule"),
            ({"*.b": gs.sgd(lr=0.1), "enc.b": {"lrr": 0.5}}, "did you mean lr"),
            ({"x*": gs.sgd(lr=0.1)}, "matches no parameter"),
            ({"*.b": "sgd"}, r"a rule such as gs\.sgd\(lr=0\.1\)"),
            ({"*.b": gs.chain(gs.accumulate(k=2), gs.adam())}, "the chain of each group"),
        ],
    )
    def test_when_made(self, groups, words):
        with pytest.raises((GradstepValueError, GradstepTypeError), match=words):
            gs.Optimizer(params(), "adam", groups=groups)

    def test_calls_that_would_make_updates_at_different_times(self):
        def chain(k, rule):
            return gs.chain(gs.accumulate(k=k), rule)

        with pytest.raises(GradstepValueError, match="another number"):
            gs.Optimizer(params(), chain(2, gs.adam()), groups={"*.b": chain(3, gs.sgd(lr=0.1))})
        opt = gs.Optimizer(params(), chain(2, gs.adam()), groups={"*.b": chain(2, gs.sgd(lr=0.1))})
        opt.step(gradients(0))
        opt.groups["*.b"]["k"] = 3
        before = {**copy.deepcopy(opt.params), **copy.deepcopy(states(opt))}
        with pytest.raises(GradstepValueError, match="another number"):
            opt.step(gradients(1))
        assert same(before, {**opt.params, **states(opt)})

    def test_the_state_of_another_library(self):
        pytest.importorskip("torch")
        from gradstep.interop.torch import dump_state

        opt = gs.Optimizer(params(), "adam", groups={"*.b": gs.sgd(lr=0.1)})
        with pytest.raises(GradstepValueError, match="an optimizer for each"):
            dump_state(opt, {})


@engines
class TestAllOrNothing:
    @pytest.mark.parametrize("name", SHAPES)
    def test_a_bad_gradient_anywhere(self, name, engine):
        for policy in ("raise", "skip"):
            x = params()
            opt = gs.Optimizer(x, RULES[2][1](), groups=RULES[2][2], engine=engine, on_nonfinite=policy)
            opt.step(gradients(0))
            before = {**copy.deepcopy(x), **copy.deepcopy(states(opt))}
            g = gradients(1)
            g[name][(0,) * g[name].ndim] = math.nan
            if policy == "raise":
                with pytest.raises(NonFiniteError, match=name):
                    opt.step(g)
            else:
                opt.step(g)
            assert same(before, {**x, **states(opt)})
            assert (opt.t, opt.skipped) == (1, int(policy == "skip"))
            opt.step(gradients(1))
            assert opt.t == 2

    def test_a_gradient_that_does_not_fit(self, engine):
        x = params()
        opt = gs.Optimizer(x, "adam", groups={"*.b": gs.sgd(lr=0.1)}, engine=engine)
        before = copy.deepcopy(x)
        for bad in (np.ones(4), np.ones(5, "f4"), [0.0] * 5, None):
            with pytest.raises((GradstepValueError, GradstepTypeError), match="head"):
                opt.step(gradients(0) | {"head.b": bad})
        assert same(before, x)

    def test_gradients_that_another_rule_writes(self, engine):
        seen = []
        for is_copied in (False, True):
            x = {"a": numbers(20_000, "f8"), "b": numbers(20_000, "f8", 1)}
            opt = gs.Optimizer(x, "adam", groups={"b": gs.momentum(lr=0.1)}, engine=engine)
            opt.step({"a": np.ones(20_000), "b": np.ones(20_000)})
            for g in ({"a": x["b"], "b": x["a"]}, {"a": opt.state["b"]["momentum.v"], "b": opt.state["a"]["adam.m"]}):
                opt.step(copy.deepcopy(g) if is_copied else g)
            seen.append({**x, **states(opt)})
        assert same(*seen)

    def test_parameters_of_two_rules_that_overlap(self, engine):
        x = np.zeros(6)
        with pytest.raises(GradstepValueError, match="share memory"):
            gs.Optimizer({"a": x[:4], "b": x[3:]}, "adam", groups={"b": gs.sgd(lr=0.1)}, engine=engine)

    def test_an_interrupt_at_each_line(self, engine):
        """The update is made whole or not at all, and the next one goes on from there."""

        def made():
            x = {"a": numbers(5, "f8"), "b": numbers(5, "f8", 1), "c": numbers(5, "f8", 2)}
            groups = {"b": gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.nadam()), "c": gs.sgd(lr=0.1)}
            return x, gs.Optimizer(x, "adam", groups=groups, engine=engine)

        g = {"a": np.ones(5), "b": np.ones(5), "c": np.ones(5)}
        x, opt = made()
        expected = []
        for _ in range(4):
            expected.append({**copy.deepcopy(x), **copy.deepcopy(states(opt))})
            opt.step(g)

        def interrupt():
            raise KeyboardInterrupt

        tried = 0
        for line in range(1, 3000):
            x, opt = made()
            opt.step(g)
            try:
                if not at_line(line, interrupt, lambda opt=opt: opt.step(g)):
                    break
            except KeyboardInterrupt:
                tried += 1
            assert same(expected[opt.t], {**x, **states(opt)}), (line, opt.t)
            t = opt.t
            opt.step(g)
            assert opt.t == t + 1
            assert same(expected[opt.t], {**x, **states(opt)}), (line, "after")
        assert tried > 50

    def test_a_save_at_each_line(self, engine, tmp_path):
        x = {"a": numbers(5, "f8"), "b": numbers(5, "f8", 1)}
        opt = gs.Optimizer(x, "adam", groups={"b": gs.nadam()}, engine=engine)
        g, path = {"a": np.ones(5), "b": np.ones(5)}, tmp_path / "f.safetensors"
        expected = []
        for _ in range(3):
            expected.append(copy.deepcopy(x))
            opt.step(g)
        saved = refused = 0

        def save():
            nonlocal saved, refused
            try:
                opt.save(path)
            except InUseError:
                refused += 1
            else:
                found = gs.load(path)
                assert same(found.params, expected[found.t]), found.t
                saved += 1

        for line in range(1, 2000):
            for name, y in {"a": numbers(5, "f8"), "b": numbers(5, "f8", 1)}.items():
                x[name][...] = y
            opt.reset()
            opt.step(g)
            if not at_line(line, save, lambda: opt.step(g)):
                break
        assert saved > 50
        assert refused


class TestFiles:
    def made(self, lr=0.1, groups=None):
        x = params()
        return x, gs.Optimizer(
            x,
            gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.nadam()),
            groups=groups or {"*.b": gs.nadam(lr=lr), "head.*": {"lr": gs.times(0.5)}},
        )

    def test_a_resumed_run_is_the_uninterrupted_one(self, tmp_path):
        x, opt = self.made()
        for t in range(3):
            opt.step(gradients(t))
        opt.groups["*.b"]["lr"] = 0.02
        opt.groups["head.*"]["lr"] = gs.times(0.25)
        opt.save(tmp_path / "f.safetensors")
        y, other = self.made(0.7)
        other.restore(tmp_path / "f.safetensors")
        assert other.groups["*.b"]["lr"] == 0.02
        assert other.groups["head.*"]["lr"] == gs.times(0.25)
        for t in range(3, 6):
            opt.step(gradients(t))
            other.step(gradients(t))
        assert same({**x, **states(opt)}, {**y, **states(other)})

    def test_values_stay_where_they_are_not_wanted(self, tmp_path):
        _, opt = self.made()
        opt.step(gradients(0))
        opt.save(tmp_path / "f.safetensors")
        _, other = self.made(0.7)
        other.restore(tmp_path / "f.safetensors", hyper=False)
        assert other.groups["*.b"]["lr"] == 0.7

    def test_another_rule_there_is_refused(self, tmp_path):
        _, opt = self.made()
        opt.save(tmp_path / "f.safetensors")
        _, other = self.made(groups={"*.b": gs.adam()})
        with pytest.raises(CheckpointError, match=r"the rule of 'enc\.b' is nadam in the file, and adam here"):
            other.restore(tmp_path / "f.safetensors")

    def test_the_values_of_plain_groups_are_restored_too(self, tmp_path):
        def made():
            return gs.Optimizer(params(), "adam", groups={"*.b": {"lr": 0.1}, "head.w": {"lr": 0.2}})

        opt, other = made(), made()
        opt.groups["*.b"]["lr"] = 0.01
        opt.save(tmp_path / "f.safetensors")
        other.restore(tmp_path / "f.safetensors")
        assert (other.groups["*.b"]["lr"], other.groups["head.w"]["lr"]) == (0.01, 0.2)

    def test_a_deep_copy_goes_on(self):
        x, opt = self.made()
        opt.step(gradients(0))
        opt.groups["*.b"]["lr"] = 0.02
        other = copy.deepcopy(opt)
        for t in range(2):
            opt.step(gradients(t))
            other.step(gradients(t))
        assert same({**x, **states(opt)}, {**other.params, **states(other)})


def test_reset_goes_back_to_the_start():
    x = params()
    opt = gs.Optimizer(x, RULES[2][1](), groups=RULES[2][2])
    start = copy.deepcopy(states(opt))
    opt.step(gradients(0))
    for name, y in params().items():
        x[name][...] = y
    opt.reset()
    assert opt.t == 0
    kept = {key: y for key, y in states(opt).items() if "ema" not in key}
    assert same(kept, {key: start[key] for key in kept})


def test_diagnostics_and_averages():
    x = params()
    opt = gs.Optimizer(x, gs.chain(gs.adam(), gs.ema(decay=0.5)), groups={"*.b": gs.sgd(lr=0.1)}, diagnostics=True)
    assert opt.diagnostics is None
    before, g = copy.deepcopy(x), gradients(0)
    opt.step(g)
    seen = opt.diagnostics
    square = {n: float(np.sum(y**2)) for n, y in g.items()}
    assert math.isclose(seen.grad_norm, math.sqrt(sum(square.values())))
    assert math.isclose(seen.groups["*.b"].grad_norm, math.sqrt(square["enc.b"] + square["head.b"]))
    moved = math.sqrt(sum(float(np.sum((x[n] - before[n]) ** 2)) for n in SHAPES))
    assert math.isclose(seen.update_norm, moved)
    mean = opt.averaged()
    assert same(mean["enc.b"], x["enc.b"])
    assert mean["enc.b"] is not x["enc.b"]
    assert np.allclose(mean["enc.w"], (before["enc.w"] + x["enc.w"]) / 2)


@pytest.mark.usefixtures("own_registry")
def test_inputs_go_to_the_rule_that_takes_them():
    def scalars(lr=0.1):
        return {"lr": lr}

    @rule(scalars, inputs="curvature", state="h", units={"lr": "1"})
    def newton_without_clock(theta, g, curvature, h, lr):
        return theta - lr * g / curvature, g, curvature

    x = {"a": np.ones(2), "b": np.ones(2)}
    opt = gs.Optimizer(x, newton_without_clock(lr=1.0), groups={"b": gs.sgd(lr=1.0)})
    g = {"a": np.ones(2), "b": np.ones(2)}
    opt.step(g, curvature={"a": np.full(2, 4.0), "b": np.full(2, 99.0)})
    assert x["a"].tolist() == [0.75, 0.75]
    assert x["b"].tolist() == [0.0, 0.0]
    with pytest.raises(GradstepValueError, match="curvature= is missing"):
        opt.step(g)
    before = copy.deepcopy({**x, **states(opt)})
    with pytest.raises(NonFiniteError, match="curvature"):
        opt.step(g, curvature={"a": np.full(2, np.nan), "b": np.ones(2)})
    with pytest.raises(NonFiniteError, match="'b'"):
        opt.step(g | {"b": np.full(2, np.nan)}, curvature={"a": np.ones(2), "b": np.ones(2)})
    assert same(before, {**x, **states(opt)})


def test_gathered_gradients():
    """The same as one optimizer for each."""

    def chain(rule):
        return gs.chain(gs.accumulate(k=2), rule)

    together, a, b = ({"a": np.ones(3), "b": np.ones(3)} for _ in range(3))
    opt = gs.Optimizer(together, chain(gs.adam()), groups={"b": chain(gs.momentum(lr=0.1))})
    first, second = gs.Optimizer(a["a"], chain(gs.adam())), gs.Optimizer(b["b"], chain(gs.momentum(lr=0.1)))
    for t in range(5):
        g = {"a": numbers(3, "f8", t), "b": numbers(3, "f8", 10 + t)}
        opt.step(g)
        first.step(g["a"])
        second.step(g["b"])
        assert opt.t == first.t
    assert same(together["a"], a["a"])
    assert same(together["b"], b["b"])


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_a_signal_handler_that_saves(engine, tmp_path):
    x, ready = {"a": np.zeros(3), "b": np.zeros(3)}, []
    opt = gs.Optimizer(
        x, "adam", groups={"b": gs.sgd(lr=lambda t: (ready and signal.raise_signal(signal.SIGUSR1), 0.1)[1])}
    )
    saved = []

    def handler(*_):
        opt.save(tmp_path / "f.safetensors")
        saved.append(gs.load(tmp_path / "f.safetensors").t)

    before = signal.signal(signal.SIGUSR1, handler)
    ready.append(True)
    try:
        for _ in range(3):
            opt.step({"a": np.ones(3), "b": np.ones(3)})
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert saved == [0, 1, 2]


CLIPPED = gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.momentum(lr=0.1))


class TestFilesOfOtherGroups:
    """The same rules for each parameter are not enough: values, and who shares a norm, would be others."""

    @pytest.mark.parametrize(
        ("there", "here", "words"),
        [
            ((gs.adam(lr=0.1), {"b": gs.adam(lr=0.5)}), (gs.adam(lr=0.1), None), "'b' has a rule of its own in the f"),
            ((gs.adam(lr=0.1), None), (gs.adam(lr=0.1), {"b": gs.adam(lr=0.5)}), "'b' has the optimizer's rule in"),
            ((gs.adam(lr=0.1), {"b": {}}), (gs.adam(lr=0.1), {"b": gs.adam(lr=0.5)}), "'b' has the optimizer's rule"),
            ((CLIPPED, {"a": CLIPPED, "b": CLIPPED}), (CLIPPED, {"*": CLIPPED}), "'a' and 'b' share a rule of their"),
            ((CLIPPED, {"*": CLIPPED}), (CLIPPED, {"a": CLIPPED, "b": CLIPPED}), "'a' and 'b' share a rule of their"),
        ],
    )
    def test_they_are_refused(self, there, here, words, tmp_path):
        made = [gs.Optimizer({"a": np.ones(2), "b": np.ones(2)}, tx, groups=groups) for tx, groups in (there, here)]
        made[0].step({"a": np.ones(2), "b": np.ones(2)})
        made[0].save(tmp_path / "f.safetensors")
        before = copy.deepcopy({**made[1].params, **states(made[1])})
        with pytest.raises(CheckpointError, match=words):
            made[1].restore(tmp_path / "f.safetensors")
        assert same(before, {**made[1].params, **states(made[1])})

    def test_patterns_that_overlap_and_began_alike(self, tmp_path):
        def made():
            return gs.Optimizer({"a": np.ones(2), "b": np.ones(2)}, "sgd", groups={"*": {"lr": 0.5}, "b": {"lr": 0.5}})

        opt, other = made(), made()
        opt.groups["*"]["lr"], opt.groups["b"]["lr"] = 0.01, 0.02
        opt.save(tmp_path / "f.safetensors")
        other.restore(tmp_path / "f.safetensors")
        assert (other.groups["*"]["lr"], other.groups["b"]["lr"]) == (0.01, 0.02)


@engines
class TestFailuresBetweenParts:
    def made(self, engine):
        x = {"a": np.ones(3), "b": np.ones(3)}
        return x, gs.Optimizer(x, gs.sgd(lr=0.1), groups={"b": gs.adam(lr=0.1)}, engine=engine)

    def test_a_part_that_cannot_be_computed_keeps_the_others_from_writing(self, engine, monkeypatch):
        x, opt = self.made(engine)
        g = {"a": np.ones(3), "b": np.ones(3)}
        second = opt._step._steps[1]._engine

        def out_of_memory(*_):
            raise MemoryError

        monkeypatch.setattr(second, "ready", out_of_memory)
        with pytest.raises(MemoryError):
            opt.step(g)
        assert x["a"].tolist() == x["b"].tolist() == [1.0] * 3
        monkeypatch.undo()
        opt.step(g)
        assert opt.t == 1
        assert x["a"].tolist() == [0.9] * 3

    def test_two_interrupts_in_a_row(self, engine, monkeypatch, tmp_path):
        """The second one comes while the update is being finished: the next call does that."""
        _, opt = self.made(engine)
        second = opt._step._steps[1]
        commit, left = second.commit, [2]

        def interrupted():
            left[0] -= 1
            if left[0] >= 0:
                raise KeyboardInterrupt
            commit()

        monkeypatch.setattr(second, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            opt.step({"a": np.ones(3), "b": np.ones(3)})  # gradients that nobody holds any more
        opt.save(tmp_path / "f.safetensors")
        found = gs.load(tmp_path / "f.safetensors")
        assert found.t == opt.t == 1
        assert found.params["a"].tolist() == [0.9] * 3
        assert np.allclose(found.params["b"], 0.9)

    def test_a_reset_that_fails_changes_nothing(self, engine, monkeypatch):
        x, opt = self.made(engine)
        opt.step({"a": np.ones(3), "b": np.ones(3)})
        before = copy.deepcopy({**x, **states(opt)})

        def out_of_memory(*_):
            raise MemoryError

        monkeypatch.setattr(opt._step._steps[1], "_started", out_of_memory)
        with pytest.raises(MemoryError):
            opt.reset()
        assert opt.t == 1
        assert same(before, {**x, **states(opt)})


@pytest.mark.usefixtures("own_registry")
def test_inputs_that_lie_in_another_parts_inputs():
    def scalars(lr=1.0):
        return {"lr": lr}

    @rule(scalars, inputs="curvature", state="h", units={"lr": "1"})
    def newton_apart(theta, g, curvature, h, lr):
        return theta - lr * g / curvature, g, curvature

    def last(groups):
        x = {"a": np.ones(2), "b": np.ones(2)}
        opt = gs.Optimizer(x, newton_apart(), groups=groups)
        g = {"a": np.ones(2), "b": np.ones(2)}
        opt.step(g, curvature={"a": np.full(2, 4.0), "b": np.full(2, 2.0)})
        opt.step(g, curvature={"a": np.full(2, 8.0), "b": opt.state["a"]["newton_apart.curvature"]})
        return x

    assert same(last(None), last({"b": newton_apart()}))
    opt = gs.Optimizer({"a": np.ones(2), "b": np.ones(2)}, "sgd", lr=1.0, groups={"b": newton_apart()})
    with pytest.raises(GradstepValueError, match="did you mean curvature"):
        opt.step({"a": np.ones(2), "b": np.ones(2)}, curvatur={})


class TestRun:
    """gs.Run looks at the rule of each parameter."""

    def run(self, rule, groups, f=None, x=None, **options):
        def up(x):
            return x["a"].sum() + x["b"].sum(), {"a": np.ones(2), "b": np.ones(2)}

        start = {"a": np.zeros(2), "b": np.zeros(2)} if x is None else x
        return gs.Run(f or up, start, rule, groups=groups, **options)

    def test_one_direction_for_all(self):
        with pytest.raises(GradstepValueError, match='mode="max"'):
            self.run(gs.sgd(lr=0.1), {"b": gs.chain(gs.maximize(), gs.sgd(lr=0.1))})
        run = self.run(gs.sgd(lr=0.1), {"b": gs.momentum(lr=0.1)}, mode="max", bounds=(0, 1), max_steps=4)
        list(run)
        assert np.allclose(run.params["a"], 0.4)
        assert (run.params["b"] > 0.4).all()

    def test_what_gathers_is_refused_wherever_it_is(self):
        with pytest.raises(GradstepValueError, match=r"gs\.Run makes an update at each call"):
            self.run("adam", {"*": gs.chain(gs.accumulate(k=2), gs.adam())})

    @pytest.mark.parametrize(
        ("rule", "groups", "clipped"),
        [
            (gs.sgd(lr=0.1), {"b": gs.chain(gs.clip_by_value(max_value=0.5), gs.sgd(lr=0.1))}, True),
            (gs.chain(gs.clip_by_value(max_value=0.5), gs.sgd(lr=0.1)), {"*": gs.sgd(lr=0.1)}, False),
            (gs.chain(gs.clip_by_value(max_value=0.5), gs.sgd(lr=0.1)), {"*": {"max_value": 100.0}}, False),
            (gs.chain(gs.clip_by_value(max_value=0.5), gs.sgd(lr=0.1)), {"a": {"max_value": 100.0}}, True),
        ],
    )
    def test_what_is_clipped(self, rule, groups, clipped):
        assert [step.clipped for step in self.run(rule, groups, max_steps=2)] == [clipped] * 2
