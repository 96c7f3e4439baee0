"""Turns and rounds, on a clock that is no clock: a step takes just as long as it says."""

import gc
from types import SimpleNamespace

import pytest

from gradstep.bench import clock
from gradstep.bench.clock import Runner, rounds


class FakeTime:
    """Nanoseconds that pass only in sleep and in steps."""

    def __init__(self):
        self.ns = 0
        self.slept = []

    def perf_counter_ns(self):
        return self.ns

    def monotonic(self):
        return self.ns / 1e9

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.ns += round(seconds * 1e9)


class FakeContender:
    """A step of so many microseconds, that notes what it is given."""

    def __init__(self, time, *us):
        self.time, self.us, self.seen, self.attached, self.begun = time, us, [], [], 0

    def begin(self):
        self.begun += 1

    def attach(self, grads):
        self.time.ns += 77_000  # must not be counted
        self.attached.append(grads)

    def step(self, grads):
        self.time.ns += round(1000 * self.us[min(len(self.seen), len(self.us) - 1)])
        self.seen.append(grads)


@pytest.fixture
def time(monkeypatch):
    fake = FakeTime()
    names = {name: getattr(fake, name) for name in ("perf_counter_ns", "monotonic", "sleep")}
    monkeypatch.setattr(clock, "time", SimpleNamespace(**names))
    return fake


def test_the_first_step_is_no_estimate(time):
    runner = Runner("x", FakeContender(time, 90_000.0, 20.0, 25.0), "ab")
    runner.warm_up()
    assert runner.step_us == 20.0
    assert runner.contender.seen == ["a", "b", "a"]


def test_short_steps_are_timed_together_after_a_warm_up(time):
    runner = Runner("x", FakeContender(time, 20.0), "abc", step_us=20.0)
    runner.turn()
    assert runner.turns == [20.0]
    assert len(runner.contender.seen) == 250 + 500  # 5 ms that do not count, 10 ms that do
    assert runner.contender.seen[:6] == list("abcabc")
    assert runner.contender.seen[250:253] == list("bca")  # gradients go on rotating
    assert len(runner.contender.attached) == 251  # once for the loop
    assert runner.contender.begun == 1


def test_long_steps_are_timed_one_by_one(time):
    # warm-up of 5, then 10: a median, so one hiccup is nothing
    runner = Runner("x", FakeContender(time, *[1000.0] * 5, 9000.0, *[1000.0] * 4, *[1002.0] * 5), "ab", step_us=1000.0)
    runner.turn()
    assert runner.turns == [1002.0]
    assert len(runner.contender.attached) == len(runner.contender.seen) == 15


def test_a_first_estimate_that_was_slow_is_forgotten(time):
    runner = Runner("x", FakeContender(time, 40.0), "ab", step_us=8000.0)
    runner.turn()
    assert (runner.turns, len(runner.contender.seen)) == ([40.0], 2)
    runner.turn()
    assert (runner.turns, len(runner.contender.seen)) == ([40.0, 40.0], 2 + 125 + 250)


def test_a_turn_on_a_busy_machine_ends_early(time):
    runner = Runner("x", FakeContender(time, 8000.0), "ab", step_us=80.0)
    runner.turn()
    assert runner.turns == [8000.0]
    assert len(runner.contender.seen) < 12  # 25 ms at the most that do not count, 50 ms that do, and the last step


def test_very_long_steps_come_once_after_one(time):
    runner = Runner("x", FakeContender(time, 800_000.0), "ab", step_us=800_000.0)
    runner.turn()
    assert (runner.turns, runner.contender.seen) == ([800_000.0], ["a", "b"])


def test_everybody_has_a_turn_in_each_round_after_a_pause(time):
    order = []
    runners = [Runner(name, FakeContender(time, 1000.0), "a", step_us=1000.0) for name in "xyz"]
    for runner in runners:
        runner.contender.begin = lambda name=runner.name: order.append(name)
    rounds(runners, seconds=1.0, pause=0.03, seed=5)
    n = len(runners[0].turns)
    assert [len(r.turns) for r in runners] == [n] * 3
    assert n > 3
    assert time.slept == [0.03] * (3 * n)
    in_rounds = [tuple(order[k : k + 3]) for k in range(0, 3 * n, 3)]
    assert all(set(names) == set("xyz") for names in in_rounds)
    assert len(set(in_rounds)) > 1  # nobody always follows the same
    assert time.ns < 1.3e9  # a round takes 0.15 s


def test_three_rounds_at_least_and_the_collector_is_as_before(time):
    runner = Runner("x", FakeContender(time, 1000.0), "a", step_us=1000.0)
    seen = []
    runner.contender.begin = lambda: seen.append(gc.isenabled())
    rounds([runner], seconds=0.0, pause=0.0, seed=0)
    assert len(runner.turns) == 3
    assert seen == [False] * 3
    assert gc.isenabled()
    runner.contender.step = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        rounds([runner], seconds=0.0, pause=0.0, seed=0)
    assert gc.isenabled()
    gc.disable()
    try:
        rounds([], seconds=0.0, pause=0.0, seed=0)
        assert not gc.isenabled()
    finally:
        gc.enable()
