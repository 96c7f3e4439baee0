"""When a run ends, and what it says of it."""

import signal
import sys
import textwrap
import threading

import numpy as np
import pytest

import gradstep as gs
from gradstep.loop.stop import Point, Stop
from loop.cases import bowl
from support import clear, named, script

X0 = np.array([2.0, 2.0, -1.0])
stop = gs.stop


def ended(values, rule, **options):
    """How many updates a run makes, and why it ends, when the objective gives these values in turn."""
    values = iter(values)
    run = gs.Run(lambda *_: (next(values), np.zeros(1)), [0.0], "sgd", stop=rule, **options)
    list(run)
    return run.t, run.reason.kind, run.reason.message


def test_steps_and_evaluations():
    assert ended([1.0] * 9, stop.steps(4)) == (4, "budget", "4 steps are made")
    assert ended([1.0] * 9, stop.evaluations(4)) == (3, "budget", "4 evaluations are made")
    assert ended([1.0], None, max_steps=0) == (0, "budget", "0 steps are made")
    assert ended([1.0] * 9, None, max_steps=np.int64(3))[0] == 3
    assert ended([1.0] * 9, None, max_evaluations=1)[0] == 0


def test_target():
    assert ended([3.0, 2.0, 1.0], stop.target(2)) == (1, "converged", "the value, 2, has reached 2")
    assert ended([3.0, 1.0], None, target=np.float32(2.5))[0] == 1


def test_seconds(monkeypatch):
    now = [50.0]

    def f(x):
        now[0] += 0.5
        return 1.0, np.zeros(1)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    run = gs.Run(f, [0.0], "sgd", seconds=1.5)
    list(run)
    assert (run.t, run.reason.kind, run.reason.message) == (2, "budget", "1.5 seconds are over")


@pytest.mark.parametrize(
    ("values", "rule", "t"),
    [
        ([5, 4, 3, 3, 3, 3], stop.plateau(2), 4),
        ([5, 4, 3, 3, 3, 3], stop.plateau(1), 3),
        ([5, 6, 4, 6, 6, 3, 9, 9, 9], stop.plateau(3), 8),
        ([5, 4.5, 3.9, 3.5, 2.8], stop.plateau(2, min_delta=1.0), None),
        ([5, 4.5, 4.1, 3.7, 3.5], stop.plateau(2, min_delta=1.0), 2),
        ([5, 4, 3, 2, 1], stop.plateau(1, min_delta=1.0), 1),  # below the best by more than min_delta
        ([5.0] * 9, stop.plateau(np.int64(3)), 3),
    ],
)
def test_plateau(values, rule, t):
    """Patience counts evaluations since the best one; the numbers are worked out on paper."""
    if t is None:
        with pytest.raises(RuntimeError):  # out of values: it would have gone on
            ended(values, rule)
        return
    assert ended(values, rule)[:2] == (t, "converged")


def test_plateau_of_a_metric_looks_only_where_it_was_measured():
    measured = iter([3.0, 2.0, 2.0, 2.0])
    run = gs.Run(
        lambda x: (1.0, np.zeros(1)),
        [0.0],
        "sgd",
        evaluate=lambda _: {"error": next(measured)},
        evaluate_every=5,
        mode={"val/error": "min"},
        stop=stop.plateau(2, metric="val/error"),
    )
    list(run)
    assert (run.t, run.reason.kind) == (15, "converged")
    assert run.reason.message == "val/error has not become better than 2 for 2 evaluations"


def test_plateau_does_not_count_what_is_not_finite():
    values = [5.0, np.nan, 5.0, np.nan, 5.0]
    batches = gs.Batches(2, size=1)
    kind = ended(values, stop.plateau(2), batches=batches, on_nonfinite="skip")
    assert kind[:2] == (2, "converged")


def test_plateau_counts_a_point_once_though_its_gradient_is_looked_at_later():
    calls = iter(range(99))
    run = gs.Run(
        lambda x, _: (5.0, np.array([np.nan if next(calls) == 1 else 0.0])),
        [0.0],
        "sgd",
        batches=gs.Batches(2, size=1),
        on_nonfinite="skip",
        stop=stop.plateau(3),
    )
    list(run)
    assert (run.evaluations, run.t, run.skipped) == (4, 2, 1)


def test_gradient_norm():
    run = gs.Run(bowl, X0, "sgd", lr=0.1, grad_norm=1e-3)
    norms = [step.grad_norm for step in run]
    assert min(norms) > 1e-3
    assert np.linalg.norm(bowl(run.params)[1]) <= 1e-3
    assert run.reason.kind == "converged"
    assert run.reason.message.startswith("the gradient's norm, ")


@pytest.mark.parametrize("tolerance", [4.9999999, 5.0, np.nextafter(5.0, 9.0)])
def test_gradient_norm_at_the_tolerance(tolerance):
    """Each element is within the tolerance, and the norm is 5."""
    run = gs.Run(lambda x: (1.0, np.array([3.0, 4.0])), [0.0, 0.0], "sgd", grad_norm=tolerance, max_steps=1)
    assert len(list(run)) == (tolerance < 5.0)


def test_gradient_norm_with_bounds_is_of_what_can_move():
    run = gs.Run(lambda x: (float(x.sum()), np.ones(2)), [0.0, 5.0], "sgd", lr=1.0, bounds=(0, None), grad_norm=0.1)
    assert [step.grad_norm for step in run] == [1.0] * 5
    assert run.params.tolist() == [0.0, 0.0]


def test_gradient_norm_leaves_out_what_is_frozen():
    x0 = {"w": np.zeros(1), "still": np.zeros(1)}
    run = gs.Run(
        lambda p: (1.0, {"w": np.zeros(1), "still": np.ones(1)}),
        x0,
        "sgd",
        groups={"still": "freeze"},
        grad_norm=0.0,
        max_steps=3,
    )
    assert list(run) == []
    assert run.reason.kind == "converged"


@pytest.mark.parametrize("g", [1e200, 1e-200, 0.0])
def test_gradient_norm_beyond_squares(g):
    run = gs.Run(lambda x: (1.0, np.array([g, g])), [0.0, 0.0], "sgd", lr=0.0, grad_norm=1e300, max_steps=1)
    assert len(list(run)) == (g == 1e200)


def test_non_finite_in_a_row():
    nan = np.nan
    values = [1.0, nan, nan, 1.0, nan, nan, nan, 1.0]
    options = {"batches": gs.Batches(2, size=1), "on_nonfinite": "skip"}
    assert ended(values, stop.non_finite(3), **options)[:2] == (2, "non-finite")
    assert ended(values[:3], stop.non_finite(2), **options)[:2] == (1, "non-finite")
    assert ended([nan, 1.0, nan, 1.0, nan, nan], stop.non_finite(2), **options)[:2] == (2, "non-finite")


# What is true at t: x from t = 2 on, y at t = 3 alone, z from t = 5 on.
class At(Stop):
    def __init__(self, *times):
        self.times = times

    def check(self, point, memory):
        memory["asked"] = memory.get("asked", 0) + 1
        return stop.Reason("budget", f"at {point.t}") if point.t in self.times else None


X, Y, Z = At(2, 3, 4, 5, 6), At(3), At(5, 6)


@pytest.mark.parametrize(
    ("rule", "t"),
    [
        (X | Z, 2),
        (X & Z, 5),
        (Y & Z | X, 2),
        (X & Y | Z, 3),
        (Z | X & Y, 3),  # & binds closer
        ((Z | X) & Y, 3),
        (Y & Z | Z, 5),
        (X & Y & Z | stop.steps(6), 6),
        (Y & (X | Z), 3),
        (stop.all_of() | Z, 5),
    ],
)
def test_rules_combine(rule, t):
    assert ended([1.0] * 10, rule)[0] == t


def test_what_combined_rules_say():
    assert ended([1.0] * 9, X & Z)[1:] == ("budget", "at 5 and at 5")
    assert ended([1.0] * 9, stop.target(1) & stop.steps(3))[1:] == (
        "converged",
        "the value, 1, has reached 1 and 3 steps are made",
    )
    assert ended([1.0] * 9, stop.steps(3) | stop.target(1))[1] == "converged"
    assert ended([1.0], stop.steps(0) | stop.target(1))[1] == "budget"  # the first of them


def test_flat_and_equal():
    a, b, c = stop.steps(1), stop.target(0.0), stop.plateau(3)
    assert a | b | c == a | (b | c) == stop.any_of(a, b, c)
    assert a & b & c == stop.all_of(a, b, c)
    assert list((a | b) & c) == [a, b, c]
    assert list(a) == [a]


def test_each_rule_remembers_for_itself():
    """Two that look alike, one of them inside of another; and all are asked at each point."""
    memory = {}
    rule = stop.any_of(At(9), At(8), At(9) & At(9))
    for t in range(3):
        rule.check(Point(t, t, 0.0, 1.0, lambda: 0.0), memory)
    flat = [x for x in memory.values() if "asked" in x]
    assert [x["asked"] for x in flat] == [3, 3]
    (inner,) = [x for x in memory.values() if "asked" not in x]
    assert [x["asked"] for x in inner.values()] == [3, 3]


def test_a_rule_more_takes_nobodys_memory(tmp_path):
    """A run is gone on with under a further limit; the plateau knows what it knew."""
    path = tmp_path / "run.safetensors"

    def run(**options):
        return gs.Run(
            lambda x: (1.0, np.zeros(1)), [0.0], "sgd", stop=stop.plateau(6), save_to=path, resume=True, **options
        )

    list(run(max_steps=4))
    more = run(max_steps=20, seconds=1e6, target=-5.0)
    list(more)
    assert more.t == 6
    assert more.reason.kind == "converged"


def test_with_more_patience_it_knows_what_it_knew(tmp_path):
    """The best was at the first evaluation; three more bring the patience to its end, in all."""
    path, values = tmp_path / "run.safetensors", [1.0, 2.0, 3.0, 2.5, 2.0, 2.0, 2.0, 2.0]

    def run(patience):
        return gs.Run(
            lambda x, k: (values[k], np.zeros(1)),
            [0.0],
            "sgd",
            batches=lambda k: k,
            stop=stop.plateau(9, metric=None) & stop.target(-1.0) | stop.plateau(patience),
            save_to=path,
            resume=True,
        )

    list(run(3))
    more = run(5)
    list(more)
    assert (more.t, more.evaluations) == (5, 6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: stop.steps(1.5),
        lambda: stop.steps(True),
        lambda: stop.evaluations(-1),
        lambda: stop.seconds("1"),
        lambda: stop.seconds(np.nan),
        lambda: stop.grad_norm(None),
        lambda: stop.target(1j),
        lambda: stop.plateau(0.5),
        lambda: stop.plateau(5, min_delta="x"),
        lambda: stop.plateau(5, metric=5),
        lambda: stop.non_finite("x"),
        lambda: stop.signals("SIGTERM"),
        lambda: stop.signals(signal.SIGKILL),
        lambda: stop.signals(12345),
        lambda: stop.any_of(stop.steps(1), 5),
        lambda: stop.steps(1) | 5,
        lambda: stop.steps(1) & "x",
    ],
)
def test_rules_that_cannot_be(make):
    with pytest.raises((gs.GradstepTypeError, gs.GradstepValueError)) as error:
        make()
    assert clear(error)


def test_an_integer_beyond_floats_is_infinite():
    assert stop.target(10**400) == stop.target(np.inf)
    for one in (stop.grad_norm(10**400), stop.seconds(-(10**400)), stop.target(10**400)):
        run = gs.Run(bowl, X0, "sgd", stop=one)
        assert list(run) == []
        assert "inf" in run.reason.message


def test_batches_used_up():
    run = gs.Run(lambda x, b: (float(b), np.zeros(1)), [0.0], "sgd", batches=[3, 4, 5])
    assert [step.value for step in run] == [3.0, 4.0, 5.0]
    assert (run.evaluations, run.reason.kind, run.reason.message) == (3, "batches", "the batches are used up")
    with pytest.raises(gs.GradstepValueError) as error:
        run.evaluation()
    assert "used up" in str(error.value)


RUN_WITH_SIGNALS = """
import os, signal, sys, threading, warnings
import numpy as np, gradstep as gs

number = getattr(signal, sys.argv[1])
before = signal.getsignal(number)

def f(x):
    if run.t == 3 and run.evaluations == 3:
        os.kill(os.getpid(), number)
    return float(x @ x), 2 * x

run = gs.Run(f, [1.0, 2.0], "sgd", lr=0.1, max_steps=100, stop=gs.stop.signals(), save_to="run.safetensors")
steps = list(run)
assert signal.getsignal(number) is before
print(run.t, len(steps), run.reason.kind, run.reason.message, gs.load("run.safetensors").t, sep="|")
options = {"stop": gs.stop.signals(), "save_to": "run.safetensors", "resume": True}
again = gs.Run(f, [1.0, 2.0], "sgd", lr=0.1, max_steps=5, **options)
print(len(list(again)), again.reason.kind, sep="|")
"""


@pytest.mark.process
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_run_and_is_saved(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = script(RUN_WITH_SIGNALS, name).splitlines()
    assert out == [f"3|3|signal|the signal {name} came|3", "2|budget"]


@pytest.mark.process
def test_a_second_signal_has_its_usual_effect(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = """
    import signal
    import gradstep as gs

    def f(x):
        if run.t == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return float(x @ x), 2 * x

    run = gs.Run(f, [1.0], "sgd", lr=0.1, max_steps=9, stop=gs.stop.signals())
    try:
        list(run)
    except KeyboardInterrupt:
        print("interrupt", run.t, run.reason, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    """
    assert script(textwrap.dedent(code)).split() == ["interrupt", "2", "None", "True"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_in_a_thread_nothing_is_caught():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        run = gs.Run(bowl, X0, "sgd", max_steps=2, stop=stop.signals())
        seen.extend(signal.getsignal(signal.SIGTERM) for _ in run)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, before]


def test_handlers_are_back_after_a_break_and_an_error():
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    run = gs.Run(bowl, X0, "sgd", max_steps=9, stop=stop.signals() & stop.steps(1) | stop.signals(signal.SIGTERM))
    for _ in run:
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
        break
    assert {n: signal.getsignal(n) for n in before} == before
    run = gs.Run(lambda x: 1 / 0, X0, "sgd", stop=stop.signals())
    with pytest.raises(ZeroDivisionError):
        list(run)
    assert {n: signal.getsignal(n) for n in before} == before


class TestOfOnesOwn:
    class Counting(stop.Stop):
        """Remembers NumPy's numbers, and answers with what it is told to."""

        def __init__(self, at=3, says=True):
            self.at, self.says = at, says

        def check(self, point, memory):
            memory["n"] = np.int64(memory.get("n", 0) + 1)
            memory["seen"] = [*memory.get("seen", []), np.float32(point.value)][-2:]
            memory["flag"] = {"is": np.bool_(True), "half": np.array(0.5)}
            return self.says if memory["n"] > self.at else None

    def run(self, rule, **options):
        return gs.Run(bowl, np.zeros(3), "adam", lr=0.1, stop=rule, **{"max_steps": 20} | options)

    @pytest.mark.parametrize("yes", [True, np.bool_(True)])
    def test_true_ends_the_run(self, yes):
        run = self.run(self.Counting(says=yes))
        list(run)
        assert (run.t, run.reason.kind, run.reason.message) == (3, "callback", "the stop Counting ended it")
        assert len(list(self.run(self.Counting(says=False)))) == 20

    def test_one_that_arrives_has_converged(self):
        class Arriving(self.Counting):
            arrives = True

        run = self.run(Arriving())
        list(run)
        assert run.reason.kind == "converged"

    def test_numpys_numbers_are_saved(self, tmp_path):
        path = tmp_path / "run.safetensors"
        list(self.run(self.Counting(at=7), max_steps=4, save_to=path))
        again = self.run(self.Counting(at=7), save_to=path, resume=True)
        list(again)
        assert again.t == 7
        (own,) = [x for key, x in gs.load(path).metadata["run"]["stop"].items() if "Counting" in key]
        assert own["flag"] == {"is": True, "half": 0.5}

    @pytest.mark.parametrize("said", ["yes", 1, 0.5, np.zeros(2)], ids=repr)
    def test_another_answer_is_refused_at_once(self, said):
        with pytest.raises(gs.GradstepTypeError, match="stop Counting: check must give a Reason, True") as error:
            list(self.run(self.Counting(at=0, says=said)))
        assert clear(error)

    @pytest.mark.parametrize("x", [np.zeros(3), object(), 1j, b"x", np.nan, {1: 2}, [[np.inf]]], ids=named)
    def test_what_no_file_can_keep_is_refused_at_once(self, x):
        class Keeping(stop.Stop):
            def check(self, point, memory):
                memory["it"] = x

        run = self.run(Keeping())
        with pytest.raises(gs.GradstepTypeError, match=r"stop Keeping: its memory\['it'\]") as error:
            list(run)
        assert clear(error)
        assert run.t == 0


@pytest.mark.parametrize("make", [stop.steps, stop.evaluations, stop.plateau, stop.non_finite])
def test_whole_numbers_may_be_written_as_floats(make):
    assert make(1e3) == make(1000)
    assert repr(make(1e3)) == repr(make(1000))
    with pytest.raises(gs.GradstepTypeError, match="must be an integer"):
        make(1.5)
