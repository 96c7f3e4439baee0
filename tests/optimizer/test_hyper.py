"""Hyperparameters of a live optimizer: views, changes, schedules."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.cpu.gather import SMALL
from support import clear, engines, fingerprint, mapped, same


class TestHyperparameters:
    def test_views(self):
        opt = gs.Optimizer(np.ones(2), "adamw", lr=0.5)
        assert opt.lr == 0.5
        assert dict(opt.hyper) == {"lr": 0.5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01}
        assert len(opt.hyper) == 5
        assert repr(opt.hyper) == repr(dict(opt.hyper))

    @engines
    def test_changes_hold_from_the_next_step_on(self, engine):
        w, v = np.ones(2), np.ones(2)
        opt = gs.Optimizer(w, "adam", lr=0.5, engine=engine)
        twin = gs.Optimizer(
            v, "adam", lr=lambda t: 0.5 if t < 2 else 0.25, beta1=lambda t: 0.9 if t < 1 else 0.8, engine=engine
        )
        for k in range(4):
            if k == 1:
                opt.hyper["beta1"] = 0.8
            if k == 2:
                opt.lr = 0.25
            assert opt.lr == twin.lr
            opt.step(np.ones(2) / (k + 1))
            twin.step(np.ones(2) / (k + 1))
        assert same(w, v)

    @pytest.mark.parametrize("name", ["lr", "beta1", "beta2", "eps", "weight_decay"])
    def test_any_may_be_a_schedule(self, name):
        value = dict(gs.adamw.defaults)[name]
        asked = []
        opt = gs.Optimizer(np.ones(2), "adamw", **{name: lambda t: asked.append(t) or value})
        plain = gs.Optimizer(np.ones(2), "adamw")
        asked.clear()
        for _ in range(3):
            opt.step(np.ones(2))
            plain.step(np.ones(2))
        assert asked == [0, 1, 2]
        assert same(opt.params, plain.params)

    def test_a_schedule_moves_lr(self):
        opt = gs.Optimizer(np.ones(2), "sgd", lr=gs.schedules.linear(1.0, 4))
        seen = []
        for _ in range(4):
            seen.append(opt.lr)
            opt.step(np.ones(2))
        assert seen == [1.0, 0.75, 0.5, 0.25]

    @pytest.mark.parametrize(
        ("change", "kind", "text"),
        [
            (lambda opt: opt.hyper.__setitem__("rho", 0.1), ValueError, "unknown hyperparameter 'rho'"),
            (lambda opt: opt.hyper.__setitem__("eps", 0.0), ValueError, "optimizer: eps must be finite and > 0"),
            (lambda opt: opt.hyper.__setitem__("eps", "1"), TypeError, "optimizer: eps must be a number or a schedule"),
            (lambda opt: setattr(opt, "lr", 1.0), ValueError, "lr follows the schedule"),
            (lambda opt: setattr(opt, "lr", -1.0), ValueError, "optimizer: lr must be finite and >= 0"),
            (lambda opt: opt.hyper.pop("eps"), TypeError, "hyperparameter eps cannot be removed"),
            (lambda opt: opt.hyper.clear(), TypeError, "cannot be removed"),
        ],
    )
    def test_what_cannot_be_set(self, change, kind, text):
        opt = gs.Optimizer(np.ones(2), "adam", lr=gs.schedules.constant(0.1))
        before = fingerprint(opt)
        with pytest.raises(kind) as error:
            change(opt)
        assert isinstance(error.value, gs.GradstepError)
        assert text in str(error.value)
        assert clear(error)
        assert fingerprint(opt) == before

    @engines
    def test_a_schedule_replaces_a_schedule(self, engine):
        first, second = gs.schedules.linear(1.0, 4), gs.schedules.linear(0.5, 8)
        opt = gs.Optimizer(np.ones(2), "adam", lr=first, engine=engine)
        twin = gs.Optimizer(np.ones(2), "adam", lr=lambda t: (first if t < 2 else second)(t), engine=engine)
        for k in range(4):
            if k == 2:
                opt.hyper["lr"] = second  # at t = 2, not anew
            opt.step(np.ones(2) / (k + 1))
            twin.step(np.ones(2) / (k + 1))
        assert same(opt.params, twin.params)
        opt.lr = gs.schedules.constant(0.25)
        assert opt.lr == 0.25

    def test_a_number_does_not_end_a_schedule_unseen(self):
        opt = gs.Optimizer(np.ones(2), "adam", lr=gs.schedules.linear(1.0, 4))
        with pytest.raises(gs.GradstepValueError, match=r"write opt.hyper\['lr'\] = gs.schedules.constant\(0.5\)"):
            opt.lr = 0.5

    def test_without_a_shared_lr(self):
        opt = gs.Optimizer(np.ones(2), gs.adam(lr=0.1, name="mine"))
        assert opt.hyper["mine.lr"] == 0.1
        assert not hasattr(opt, "lr")
        with pytest.raises(AttributeError, match=r"has no shared lr; its hyperparameters are mine\.lr, beta1"):
            _ = opt.lr
        with pytest.raises(gs.GradstepValueError, match="unknown hyperparameter 'lr'"):
            opt.lr = 0.1

    @engines
    @pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, gs.GradstepValueError])
    def test_a_schedule_that_raises_changes_nothing(self, error, engine):
        def lr(t):
            if t == 2 and failing:
                raise error("stop")
            return 0.1

        failing = [1]
        params = {"a": np.ones(SMALL + 3), "b": np.ones(3, "f4")}
        opt = gs.Optimizer(params, "nadam", lr=lr, engine=engine)
        twin = gs.Optimizer(mapped(params, np.copy), "nadam", lr=0.1, engine=engine)
        grads = mapped(params, np.ones_like)
        for x in (opt, opt, twin, twin, twin):
            x.step(grads)
        before = fingerprint(opt)
        with pytest.raises(error):
            opt.step(grads)
        assert fingerprint(opt) == before
        failing.clear()
        opt.step(grads)
        assert same(opt.params, twin.params)

    @pytest.mark.parametrize(
        "schedule", [lambda: 0.1, lambda a, b: 0.1, type("Own", (), {"__call__": lambda self: 0.1})()]
    )
    def test_a_schedule_that_takes_no_t_is_named(self, schedule):
        for options, owner in (
            ({"lr": schedule}, "hyperparameter"),
            ({"groups": {"*": {"lr": schedule}}}, "groups: '"),
        ):
            with pytest.raises(
                gs.GradstepTypeError, match="the schedule of lr must be a function of one number"
            ) as error:
                gs.Optimizer(np.ones(2), "adam", **options)
            assert str(error.value).startswith(owner)
        opt = gs.Optimizer(np.ones(2), "adam", lr=gs.schedules.constant(0.1))
        opt.lr = schedule
        with pytest.raises(gs.GradstepTypeError, match="the schedule of lr must be a function of one number"):
            opt.step(np.ones(2))

    def test_what_a_schedule_raises_says_whose_it_is(self):
        opt = gs.Optimizer(np.ones(2), "adam", beta1=lambda t: 0.5 / (2 - t))
        opt.step(np.ones(2))
        opt.step(np.ones(2))
        with pytest.raises(ZeroDivisionError) as error:
            opt.step(np.ones(2))
        assert error.value.__notes__ == [
            "hyperparameter: this came from the schedule of beta1 at t = 2; nothing was changed."
        ]

    def test_a_type_error_within_a_schedule_is_its_own(self):
        with pytest.raises(TypeError, match="unsupported operand") as error:
            gs.Optimizer(np.ones(2), "adam", lr=lambda t: t + "1")
        assert not isinstance(error.value, gs.GradstepError)

    def test_schedules_out_of_range_stop_at_their_step(self):
        opt = gs.Optimizer(np.ones(2), "sgd", lr=lambda t: 0.1 - t)
        opt.step(np.ones(2))
        before = fingerprint(opt)
        with pytest.raises(
            gs.GradstepValueError, match="hyperparameter, schedule at t = 1: lr must be finite and >= 0"
        ):
            opt.step(np.ones(2))
        assert fingerprint(opt) == before


@pytest.mark.parametrize("name", ["learning_rate", "Learning_Rate", "LR", "rate", "step_size"])
def test_the_learning_rate_by_another_name(name):
    calls = [
        lambda: gs.adam(**{name: 0.1}),
        lambda: gs.Optimizer(np.ones(2), "adam", **{name: 0.1}),
        lambda: gs.Optimizer(np.ones(2), "adam", groups={"*": {name: 0.1}}),
        lambda: gs.Optimizer(np.ones(2), "adam").hyper.update({name: 0.1}),
    ]
    for call in calls:
        with pytest.raises(gs.GradstepValueError, match=rf"unknown hyperparameter '{name}'; did you mean lr\?"):
            call()


@pytest.mark.parametrize(("given", "meant"), [("AdamW", "adamw"), ("SGD", "sgd"), ("RMSProp", "rmsprop")])
def test_names_of_rules_in_letters_of_another_case(given, meant):
    with pytest.raises(gs.GradstepValueError, match=rf"unknown rule '{given}'; did you mean {meant}\?"):
        gs.Optimizer(np.ones(2), given)


@pytest.mark.parametrize(
    "stage",
    [
        gs.clip_by_value(1.0),
        gs.chain(gs.clip_by_global_norm(1.0), gs.unscale),
        gs.chain(gs.accumulate(), gs.l2),
        gs.maximize(),
        "clip_by_norm",
    ],
    ids=str,
)
def test_a_chain_that_would_move_nothing_is_refused(stage):
    with pytest.raises(gs.GradstepValueError, match="nothing here turns the gradient into an update"):
        gs.Optimizer(np.ones(2), stage)
    if not isinstance(stage, str):
        with pytest.raises(gs.GradstepValueError, match="put a rule behind"):
            gs.init(stage, np.ones(2))


@pytest.mark.parametrize("stage", [gs.ema(), gs.decay(lr=0.1), gs.chain(gs.clip_by_value, gs.sgd)], ids=str)
def test_a_chain_that_moves_or_averages_is_taken(stage):
    gs.Optimizer(np.ones(2), stage).step(np.ones(2))


def test_a_hyperparameter_set_as_an_attribute_is_refused_by_how_to_set_it():
    opt = gs.Optimizer(np.ones(2), "adam")
    with pytest.raises(gs.GradstepTypeError, match=r"opt.hyper\['beta1'\] = 0.8"):
        opt.beta1 = 0.8
    assert opt.hyper["beta1"] == 0.9
