"""Runs that several processes share, in threads that stand for them: one run, and one end."""

import time

import numpy as np
import pytest

from gradstep.distributed import in_threads
from gradstep.errors import GradstepError, UserCodeError
from gradstep.loop.problem_file import load
from gradstep.loop.stop import Point
from gradstep.runs import Limits, Processes, RunSpec, sha256
from gradstep.runs.shared import heard
from own import PROBLEM

MORE = '''

class Drawing(Function):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def value_and_grad(self, params, batch):
        return fit(params, batch)[0] + self.rng.normal(), fit(params, batch)[1]


class Twos(Function):
    """The mean of two batches of Function, said by hand."""

    def value_and_grad(self, params, k):
        (a, x), (b, y) = (fit(params, Function.batches(self, i)) for i in (2 * k, 2 * k + 1))
        mean = {"layer": {"w": (x["layer"]["w"] + y["layer"]["w"]) / 2}, "b": (x["b"] + y["b"]) / 2}
        return (a + b) / 2, mean

    def batches(self, k):
        return k


class Rows(Function):
    def value_and_grad(self, params, batch):
        return 1.0, {"layer": {"w": gs.rows([0], np.zeros(1))}, "b": np.zeros(())}
'''


@pytest.fixture
def problem(tmp_path):
    (tmp_path / "mine.py").write_text(PROBLEM + MORE)
    return lambda name: load(f"{tmp_path}/mine.py:{name}")


def spec(micro_batches, **limits):
    """A run with a stage that looks at all arrays, metrics, and a plateau of them."""
    return RunSpec(
        problem="",
        source_sha256="",
        optimizer="clip_by_global_norm:max_norm=0.5,adam",
        lr="cosine(0.05, 20)",
        limits=Limits(**{"max_steps": 12, "plateau": 1000, **limits}),
        seed=0,
        on_nonfinite="stop",
        evaluate_every=5,
        save_every=None,
        save_seconds=None,
        keep=1,
        micro_batches=micro_batches,
    )


def made(problem, name, size, micro_batches, **limits):
    """What each of so many processes has at the end: all numbers of all steps, parameters, the best, the reason."""
    owns = [problem(name) for _ in range(size)]

    def f(comm):
        run = spec(micro_batches, **limits).make(owns[comm.rank], Processes(comm if size > 1 else None))
        steps = [(s.t, s.value, s.grad_norm, s.update_ratio, s.clipped, dict(s.metrics)) for s in run]
        return steps, sha256(run.params), sha256(run.best) if run.best else "", run.reason

    return in_threads(size, f)


@pytest.mark.parametrize("micro_batches", [1, 5, 6])
def test_one_run_for_any_number_of_processes(problem, micro_batches):
    [alone] = made(problem, "Function", 1, micro_batches)
    assert len(alone[0]) == 12
    assert alone[0][0][-1].keys() == {"val/loss"}
    for size in (2, 3, 7):
        assert made(problem, "Function", size, micro_batches) == [alone] * size, size


def test_a_step_takes_the_mean_of_its_batches(problem):
    [by_hand] = made(problem, "Twos", 1, None)
    assert made(problem, "Function", 2, 2) == [by_hand] * 2
    assert made(problem, "Function", 1, 1) == made(problem, "Function", 1, None)


def test_batches_in_a_series_end_it_when_a_step_has_too_few(problem):
    for size in (1, 3):
        for steps, _, _, reason in made(problem, "Iterated", size, 2):  # of three batches
            assert (len(steps), reason.kind) == (1, "batches")


def test_a_nan_of_one_process_ends_all(problem):
    for size in (1, 3):
        for steps, _, _, reason in made(problem, "Holes", size, 3):
            assert (len(steps), reason.kind) == (0, "non-finite")


@pytest.mark.parametrize(
    ("name", "size", "micro_batches", "says"),
    [
        ("Torn", 3, 3, r"process 2: Torn.batches raised OSError: no disk \(mine.py, line \d+\)."),
        ("Drawing", 2, 2, "process 0: Drawing draws from rng while micro-batches are evaluated"),
        ("Rows", 2, 2, "process 0: gradients whose mean is taken over micro-batches are whole arrays"),
        ("wrong_shape", 2, 2, "process 0: mine.py:wrong_shape has no batches of which a step could take 2."),
        ("Function", 3, None, "process 0: 3 processes share the batches of a step, and one has been asked for"),
    ],
)
def test_all_processes_raise_the_error_of_one(problem, name, size, micro_batches, says):
    owns = [problem(name) for _ in range(size)]

    def f(comm):
        group = Processes(comm)
        with pytest.raises(GradstepError, match=says) as error, group.together():
            for _ in spec(micro_batches).make(owns[comm.rank], group):
                pass
        return str(error.value), type(error.value)

    found = in_threads(size, f)
    assert len(set(found)) == 1
    assert (found[0][1] is UserCodeError) == (name == "Torn")


def point(seconds, number):
    return Point(t=3, evaluations=4, seconds=seconds, value=1.0, grad_norm=lambda limit=0: 1.0, signal=number)


def test_a_signal_to_one_process_and_the_time_of_the_first_end_all():
    def ends(seconds, signals):
        f = lambda comm: heard(Processes(comm), 10.0).check(point(seconds[comm.rank], signals[comm.rank]), {})  # noqa: E731
        (found,) = set(in_threads(3, f))
        return found and (found.kind, found.message)

    assert ends([1.0, 20.0, 20.0], [None] * 3) is None
    assert ends([10.0, 1.0, 1.0], [None] * 3) == ("budget", "10 seconds are over")
    assert ends([1.0, 1.0, 1.0], [None, 15, None]) == ("signal", "the signal SIGTERM came to process 1")


def test_processes_that_part_are_told_and_do_not_wait():
    began = time.monotonic()

    def f(comm):
        group = Processes(comm)
        with pytest.raises(GradstepError, match="process 0 is at the end, and process 1 at the mean of a step"):
            group.meet("the mean of a step" if comm.rank == 1 else "the end")

    in_threads(2, f)
    assert time.monotonic() - began < 60


def test_what_differs_is_named():
    def f(comm):
        with pytest.raises(GradstepError, match=r"process 1 has another problem file than process 0\."):
            Processes(comm).compare({"seed": "1", "problem file": str(comm.rank)})

    in_threads(2, f)
    assert np.all([Processes().meet("here", "x") == ["x"], Processes().first("here", lambda: "y") == "y"])
