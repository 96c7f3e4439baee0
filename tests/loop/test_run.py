"""A run beside loops written out by hand in NumPy; what each step says; what is refused before anything happens."""

import math

import numpy as np
import pytest

import gradstep as gs
from loop.cases import SCALES, TARGET, bowl, never
from support import ENGINES, bits, clear, mapped, same

X0 = np.array([2.0, 2.0, -1.0])


def by_hand(n, lr, momentum=0.0, x=X0):
    """Gradient descent with the velocity of Sutskever et al. 2013: values and points, the last one included."""
    x, v, values, points = np.array(x), np.zeros_like(x), [], []
    for _ in range(n + 1):
        error = x - TARGET.astype(x.dtype)
        scales = SCALES.astype(x.dtype)
        values.append(float((scales * error * error).sum()))
        points.append(np.array(x))
        v = x.dtype.type(momentum) * v - x.dtype.type(lr) * (2 * scales * error)
        x = x + v
    return values, points


def count(f):
    calls = []

    def counted(*arguments):
        calls.append(mapped(arguments[0], np.array))
        return f(*arguments)

    return counted, calls


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("rule", "momentum"), [(gs.sgd(lr=0.05), 0.0), (gs.momentum(lr=0.05, momentum=0.5), 0.5)])
def test_the_bits_of_a_loop_by_hand(rule, momentum, engine):
    f, calls = count(bowl)
    run = gs.Run(f, X0, rule, max_steps=30, engine=engine)
    seen = [(step, np.array(run.params)) for step in run]
    values, points = by_hand(30, 0.05, momentum)
    assert [step.value for step, _ in seen] == values[:-1]
    assert [bits(x) for _, x in seen] == [bits(x) for x in points[1:]]
    assert [bits(x) for x in calls] == [bits(x) for x in points]  # 31 evaluations for 30 updates
    assert (run.t, run.evaluations, run.reason.kind) == (30, 31, "budget")
    assert run.evaluation().value == values[-1]
    assert len(calls) == 31
    assert X0.tolist() == [2.0, 2.0, -1.0]


def test_float32_stays_float32():
    def f(x):
        error = x - TARGET.astype("f4")
        return (SCALES.astype("f4") * error * error).sum(), 2 * SCALES.astype("f4") * error

    run = gs.Run(f, X0.astype("f4"), "sgd", lr=0.125, max_steps=10)
    assert [step.value for step in run] == by_hand(10, 0.125, x=X0.astype("f4"))[0][:-1]
    assert bits(run.params) == bits(by_hand(10, 0.125, x=X0.astype("f4"))[1][-1])


@pytest.mark.parametrize("x0", [[2, 2, -1], (2.0, 2, -1.0), np.array([2, 2, -1]), np.array([2, 2, -1], "i2")])
def test_numbers_and_integers_begin_as_float64(x0):
    run = gs.Run(bowl, x0, "sgd", lr=0.05, max_steps=3)
    list(run)
    assert bits(run.params) == bits(by_hand(3, 0.05)[1][-1])


def test_nests_groups_and_frozen_parameters():
    x0 = {"a": {"w": np.ones((2, 3))}, "b": [np.array(2.0), np.ones(2, "f4")], "still": np.array([7, 8])}

    def f(p):
        value = (p["a"]["w"] ** 2).sum() + p["b"][0] ** 2 + (p["b"][1] ** 2).sum()
        return value, {"a": {"w": 2 * p["a"]["w"]}, "b": [np.asarray(2 * p["b"][0]), 2 * p["b"][1]]}

    groups = {"b.*": {"lr": gs.times(0.5)}, "still": "freeze"}
    before = mapped(x0, np.array)
    run = gs.Run(f, x0, "sgd", lr=0.25, groups=groups, max_steps=2, bounds=(0.3, None))
    assert [step.value for step in run] == [6 + 4 + 2, 6 * 0.5**2 + 1.5**2 * 1 + 2 * 0.75**2]
    w = max(0.3, 0.25)  # halved each time, then at the bound
    wanted = {
        "a": {"w": np.full((2, 3), w)},
        "b": [np.array(2.0 * 0.75**2), np.full(2, 0.75**2, "f4")],
        "still": before["still"],
    }
    assert same(run.params, wanted)
    assert same(x0, before)


def test_complex_and_without_axes():
    z = gs.Run(lambda z: (abs(z) ** 2, np.asarray(2 * z)), np.array(3 + 4j), "sgd", lr=0.25, max_steps=4)
    assert [step.value for step in z] == [25.0, 6.25, 1.5625, 0.390625]
    assert z.params.shape == ()
    assert z.params == (3 + 4j) / 16
    assert z.history[0].grad_norm == 10.0


def test_torch():
    torch = pytest.importorskip("torch")

    def f(x):
        x = x.detach().requires_grad_()
        value = (x * x).sum()
        return value.detach(), torch.autograd.grad(value, x)[0]

    x0 = torch.tensor([3.0, 4.0])
    run = gs.Run(f, x0, "sgd", lr=0.25, max_steps=3, grad_norm=1e-3)
    assert [step.value for step in run] == [25.0, 6.25, 1.5625]
    assert run.best.tolist() == run.params.tolist() == [0.375, 0.5]
    assert x0.tolist() == [3.0, 4.0]


def test_values_without_axes_and_of_any_kind_are_numbers():
    kinds = [np.array(5.0), np.float32(5.0), 5, np.array(5, "i4"), True]
    for x in kinds:
        step = next(iter(gs.Run(lambda _, x=x: (x, np.zeros(3)), X0, "sgd", max_steps=1)))
        assert type(step.value) is float
        assert step.value == float(x)


def test_what_a_step_says():
    """Beside the definition, in plain float64."""
    run = gs.Run(bowl, X0, "sgd", lr=gs.schedules.linear(0.1, steps=10, final=0.0), max_steps=6)
    last = X0
    for t, step in enumerate(run):
        g = 2 * SCALES * (last - TARGET)
        lr = 0.1 * (1 - t / 10)
        assert step.t == t + 1
        assert step.value == bowl(last)[0]
        assert step.grad_norm == pytest.approx(math.sqrt((g * g).sum()), rel=1e-14)
        assert step.lr == pytest.approx(lr, rel=1e-15)
        ratio = np.linalg.norm(run.params - last) / np.linalg.norm(run.params)
        assert step.update_ratio == pytest.approx(ratio, rel=1e-14)
        assert (step.evaluations, step.skipped, step.clipped, step.blocked) == (t + 1, 0, False, 0.0)
        assert step.metrics == {}
        last = np.array(run.params)
    assert all(a.seconds <= b.seconds for a, b in zip(run.history, run.history[1:], strict=False))


def test_a_step_has_no_norms_where_they_are_not_asked_for():
    (step,) = gs.Run(bowl, X0, "sgd", max_steps=1, diagnostics=False)
    assert math.isnan(step.grad_norm)
    assert math.isnan(step.update_ratio)
    assert step.as_json()["grad_norm"] is None


@pytest.mark.parametrize(
    ("stage", "clipped"),
    [
        (gs.clip_by_value(max_value=20.0), [False, False]),
        (gs.clip_by_value(max_value=5.0), [True, True]),
        (gs.clip_by_value(max_value=lambda t: 5.0 if t else 30.0), [False, True]),
        (gs.clip_by_global_norm(5.0), [True, True]),
        (gs.clip_by_global_norm(50.0), [False, False]),
    ],
)
def test_whether_a_gradient_was_clipped(stage, clipped):
    """bowl(X0) has gradients of 3.4, 19.2 and 3."""
    assert [step.clipped for step in gs.Run(bowl, X0, gs.chain(stage, gs.sgd(lr=1e-3)), max_steps=2)] == clipped


def test_a_gradient_that_is_the_parameter_is_seen_as_it_was():
    run = gs.Run(lambda x: (0.5 * float(x @ x), x), [3.0], gs.chain(gs.clip_by_value(max_value=2.5), gs.sgd(lr=1.0)))
    assert next(iter(run)).clipped
    assert run.params.tolist() == [0.5]


def test_a_break_and_on():
    run = gs.Run(bowl, X0, "adam", lr=0.1, max_steps=9)
    for step in run:
        if step.t == 4:
            break
    assert (run.t, run.evaluations, run.reason) == (4, 4, None)
    assert [step.t for step in run] == [5, 6, 7, 8, 9]
    whole = gs.Run(bowl, X0, "adam", lr=0.1, max_steps=9)
    list(whole)
    assert bits(run.params) == bits(whole.params)
    assert [s.value for s in run.history] == [s.value for s in whole.history]
    assert list(run) == []  # it has ended
    assert run.evaluations == whole.evaluations == 10


def test_the_learning_rate_is_set_between_steps():
    run = gs.Run(bowl, X0, "sgd", lr=0.1, max_steps=3)
    for step in run:
        assert step.lr == 0.1 / step.t
        run.opt.lr = 0.1 / (step.t + 1)
    x = np.array(X0)
    for lr in (0.1, 0.1 / 2, 0.1 / 3):
        x = x - lr * (2 * SCALES * (x - TARGET))
    assert bits(run.params) == bits(x)


def test_callbacks_in_order_and_stopiteration():
    seen = []

    def first(step):
        seen.append(("first", step.t))
        if step.t == 3:
            raise StopIteration

    run = gs.Run(bowl, X0, "sgd", callbacks=[first, lambda step: seen.append(("second", step.t))], max_steps=9)
    assert [step.t for step in run] == [1, 2, 3]
    assert seen == [(who, t) for t in (1, 2, 3) for who in ("first", "second")]
    assert run.reason.kind == "callback"
    one = gs.Run(bowl, X0, "sgd", callbacks=seen.append, max_steps=1)
    assert list(one) == seen[-1:]


def test_an_error_of_a_callback_or_an_objective_is_its_own():
    class OwnError(Exception):
        pass

    def fail(*_):
        raise OwnError

    with pytest.raises(OwnError):
        list(gs.Run(bowl, X0, "sgd", callbacks=fail))
    with pytest.raises(OwnError):
        list(gs.Run(fail, X0, "sgd"))


def test_history_on_and_off():
    run = gs.Run(bowl, X0, "sgd", max_steps=4)
    assert list(run) == run.history
    assert repr(run.history) == "<History of 4 steps>"
    without = gs.Run(bowl, X0, "sgd", max_steps=4, history=False)
    list(without)
    assert without.history is None


def test_metrics_are_measured_where_the_step_begins_every_so_often():
    at = []

    def evaluate(x):
        at.append(np.array(x))
        return {"loss": x.sum(), "acc": np.float32(0.5), "test/x": 1}

    run = gs.Run(bowl, X0, "sgd", lr=0.05, max_steps=5, evaluate=evaluate, evaluate_every=2)
    metrics = [step.metrics for step in run]
    points = by_hand(5, 0.05)[1]
    assert [bits(x) for x in at] == [bits(points[t]) for t in (0, 2, 4)]
    assert metrics[0] == {"val/loss": X0.sum(), "val/acc": 0.5, "test/x": 1.0}
    assert metrics[1] == metrics[3] == {}
    one = gs.Run(bowl, X0, "sgd", max_steps=1, evaluate=lambda x: x[0])
    assert next(iter(one)).metrics == {"val/loss": 2.0} == one.metrics() | {"val/loss": 2.0}


def test_evaluate_may_use_the_arrays_of_the_objective():
    g = np.zeros(3)

    def f(x):
        value, g[...] = bowl(x)
        return value, g

    def evaluate(_x):
        return f(np.full(3, 9.0))[0]

    run = gs.Run(f, X0, "sgd", lr=0.05, max_steps=5, evaluate=evaluate, evaluate_every=1)
    list(run)
    assert bits(run.params) == bits(by_hand(5, 0.05)[1][-1])


def test_the_best_point():
    run = gs.Run(bowl, X0, "sgd", lr=0.4, max_steps=12)  # the second element swings out
    list(run)
    values, points = by_hand(12, 0.4)
    t = int(np.argmin(values))
    assert 0 < values[t] < values[-1]
    assert (run.best_value, run.best_t) == (values[t], t)
    assert bits(run.best) == bits(points[t])
    by_metric = gs.Run(
        bowl, X0, "sgd", lr=0.4, max_steps=12, evaluate=lambda x: -x[0], evaluate_every=3, keep_best="val/loss"
    )
    list(by_metric)
    assert by_metric.best_t == max((0, 3, 6, 9, 12), key=lambda t: points[t][0])
    level = gs.Run(lambda x: (1.0, x), X0, "sgd", max_steps=3)
    list(level)
    assert level.best_t == 0  # the first of equals
    none = gs.Run(bowl, X0, "sgd", max_steps=1, keep_best=False)
    list(none)
    assert none.best is none.best_t is None
    assert math.isnan(none.best_value)


def test_the_clock_stands_while_nothing_runs(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def f(x):
        now[0] += 1.0
        return bowl(x)

    run = gs.Run(f, X0, "sgd", max_steps=4)
    for step in run:
        if step.t == 2:
            break
    assert run.seconds == run.history[-1].seconds == 2.0
    now[0] += 1000.0
    assert run.seconds == 2.0
    list(run)
    now[0] += 1000.0
    assert [step.seconds for step in run.history] == [1.0, 2.0, 3.0, 4.0]
    assert run.seconds == 5.0


WRONG = {
    "option": {"lrr": 1.0},
    "rule": {"rule": "adamm"},
    "policy": {"on_nonfinite": "ignore"},
    "stop": {"stop": 5},
    "a rule's class": {"stop": gs.stop.signals},
    "steps": {"max_steps": 2.5},
    "steps below zero": {"max_steps": -1},
    "evaluations": {"max_evaluations": "9"},
    "seconds": {"seconds": math.nan},
    "tolerance": {"grad_norm": "small"},
    "target": {"target": True},
    "bounds": {"bounds": 3},
    "bounds of another length": {"bounds": [(0, 1)]},
    "no bounds between": {"bounds": (1, 0)},
    "bounds that are no pairs": {"bounds": [(0, 1), 2, 3]},
    "bounds of NaN": {"bounds": (math.nan, None)},
    "bounds of no shape that fits": {"bounds": (np.zeros(2), None)},
    "bounds of a name that is not there": {"bounds": {"w*": (0, 1)}},
    "bounds out of reach": {"bounds": (math.inf, None)},
    "batches": {"batches": 5},
    "batches that are data": {"batches": {"x": np.ones(3)}},
    "batches that are text": {"batches": "data"},
    "evaluate": {"evaluate": 5},
    "evaluate_every": {"evaluate": len, "evaluate_every": 0},
    "project": {"project": 5},
    "callbacks": {"callbacks": [print, 5]},
    "a callback": {"callbacks": 5},
    "keep_best": {"keep_best": 5},
    "keep_best of nothing": {"keep_best": "val/loss"},
    "plateau of nothing": {"stop": gs.stop.plateau(5, metric="val/loss")},
    "save_every": {"save_every": 5},
    "save_seconds": {"save_seconds": 5},
    "save_every of zero": {"save_to": "x.safetensors", "save_every": 0},
    "save_seconds of text": {"save_to": "x.safetensors", "save_seconds": "5"},
    "keep": {"save_to": "x.safetensors", "keep": 0},
    "save_to": {"save_to": "not/there/x.safetensors"},
    "save_to a folder": {"save_to": "."},
    "resume": {"resume": True},
    "rng": {"rng": np.random},
    "diagnostics": {"diagnostics": 1},
    "lr": {"lr": -1.0},
    "x0": {"x0": 3.0},
    "x0 of text": {"x0": ["a"]},
    "x0 of NaN": {"x0": [math.nan]},
    "the objective": {"value_and_grad": 5},
    "no objective": {"value_and_grad": None},
}


@pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
def test_refused_before_anything_is_evaluated(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gs.GradstepError) as error:
        gs.Run(**{"value_and_grad": never, "x0": X0, "rule": "sgd"} | options)
    assert clear(error)
    assert list(tmp_path.iterdir()) == []


GIVEN = {
    "no pair": lambda x: x,
    "a number alone": lambda x: 1.0,
    "three things": lambda x: (1.0, x, x),
    "a value with axes": lambda x: (x, x),
    "a value that is text": lambda x: ("1", x),
    "a complex value": lambda x: (1j, x),
    "swapped": lambda x: ({"params": x}, 1.0),
    "no gradient": lambda x: (1.0, None),
    "an empty dict": lambda x: (1.0, {}),
    "another shape": lambda x: (1.0, x[:2]),
    "one for all": lambda x: (1.0, np.zeros(())),
    "a list": lambda x: (1.0, [0.0, 0.0, 0.0]),
    "another dtype": lambda x: (1.0, x.astype("f4")),
    "another name": lambda x: (1.0, {"w": x}),
    "text": lambda x: (1.0, "gradient"),
}


@pytest.mark.parametrize("options", [{}, {"grad_norm": 10.0}, {"bounds": (-5, 5)}, {"max_steps": 0}], ids=str)
@pytest.mark.parametrize("f", GIVEN.values(), ids=GIVEN)
def test_an_objective_that_gives_something_else(f, options):
    """Also where a rule would take it for small, or no step would look at it."""
    run = gs.Run(f, X0, "sgd", **options)
    with pytest.raises((gs.GradstepTypeError, gs.GradstepValueError)) as error:
        next(iter(run))
    assert clear(error)
    assert run.t == 0
    assert run.reason is None
    assert bits(run.params) == bits(X0)


@pytest.mark.parametrize(
    "evaluate", [lambda x: x, lambda x: {"loss": "low"}, lambda x: None, lambda x: {"acc": 1.0}], ids="abcd"
)
def test_an_evaluation_that_gives_something_else(evaluate):
    run = gs.Run(never, X0, "sgd", evaluate=evaluate, stop=gs.stop.plateau(3, metric="val/loss"))
    with pytest.raises(gs.GradstepError) as error:
        list(run)
    assert clear(error)
