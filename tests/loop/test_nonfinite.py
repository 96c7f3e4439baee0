"""Values and gradients that are no numbers: first, in the midst and last, under each policy."""

import math

import numpy as np
import pytest

import gradstep as gs
from loop.cases import DATA, fit
from support import bits, clear, states

X0 = np.array([1.0, -1.0, 0.5])
N = 6
BATCHES = gs.Batches(DATA, size=4, seed=3)
BAD = {
    "value nan": lambda value, g: (math.nan, g),
    "value inf": lambda value, g: (-math.inf, g),
    "gradient nan": lambda value, g: (value, g * np.array([1.0, math.nan, 1.0])),
    "gradient inf": lambda value, g: (value, g + np.array([0.0, 0.0, math.inf])),
    "gradient too large": lambda value, g: (value, np.full(3, 1e200)),  # whose square Adam could not hold
}
kinds = pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
places = pytest.mark.parametrize("bad", [{0}, {3}, {N}, {1, 2, 5}], ids=str)


def spoiled(spoil, bad):
    """The fit, spoiled on the batches of these numbers."""
    calls = iter(range(1000))

    def f(x, batch):
        given = fit(x, batch)
        return spoil(*given) if next(calls) in bad else given

    return f


def state(run):
    return bits(run.params), {name: bits(x) for name, x in states(run.opt).items()}, run.t


@kinds
@places
def test_stop(spoil, bad):
    run = gs.Run(spoiled(spoil, bad), X0, "adam", lr=0.1, batches=BATCHES, max_steps=N)
    steps = list(run)
    good = gs.Run(fit, X0, "adam", lr=0.1, batches=BATCHES, max_steps=min(bad))
    list(good)
    assert run.reason.kind == "non-finite"
    assert "nothing was changed" in run.reason.message
    assert len(steps) == run.t == min(bad)
    assert run.evaluations == min(bad) + 1
    assert state(run) == state(good)


@kinds
@places
def test_raise(spoil, bad):
    run = gs.Run(spoiled(spoil, bad), X0, "adam", lr=0.1, batches=BATCHES, max_steps=N, on_nonfinite="raise")
    with pytest.raises(gs.NonFiniteError) as error:
        list(run)
    assert clear(error)
    good = gs.Run(fit, X0, "adam", lr=0.1, batches=BATCHES, max_steps=min(bad))
    list(good)
    assert state(run) == state(good)
    assert run.reason is None


@kinds
@places
def test_skip_is_a_run_without_those_batches(spoil, bad):
    run = gs.Run(
        spoiled(spoil, bad), X0, "adam", lr=0.1, batches=BATCHES, max_steps=N, on_nonfinite="skip", keep_best=True
    )
    steps = list(run)
    left = [k for k in range(100) if k not in bad]
    good = gs.Run(fit, X0, "adam", lr=0.1, batches=lambda k: BATCHES(left[k]), max_steps=N, keep_best=True)
    expected = list(good)
    skipped = len(bad - {N})  # the last evaluation is of a point where no step is made
    assert state(run) == state(good)
    assert run.reason.kind == "budget"
    assert [s.value for s in steps if math.isfinite(s.grad_norm)] == [s.value for s in expected]
    assert run.skipped == skipped
    assert len(steps) == N + skipped
    assert run.evaluations == N + 1 + skipped


@kinds
def test_skip_without_batches_ends(spoil):
    batch = BATCHES(0)
    f = spoiled(spoil, {2, 3, 4})
    run = gs.Run(lambda x: f(x, batch), X0, "adam", lr=0.1, max_steps=9, on_nonfinite="skip")
    assert len(list(run)) == run.t == 2
    assert run.reason.kind == "non-finite"
    assert run.skipped == 0


def test_a_step_that_was_skipped_says_so():
    run = gs.Run(
        spoiled(BAD["gradient nan"], {1, 2}),
        X0,
        "adam",
        batches=BATCHES,
        max_steps=3,
        on_nonfinite="skip",
        history=True,
    )
    steps = list(run)
    assert [s.t for s in steps] == [1, 1, 1, 2, 3]
    assert [s.skipped for s in steps] == [0, 1, 2, 2, 2]
    assert [math.isnan(s.grad_norm) for s in steps] == [False, True, True, False, False]


def test_the_hyperparameters_fault_is_no_batchs():
    """A learning rate that is infinite is no reason to leave out batches."""
    for policy in ("stop", "skip", "raise"):
        run = gs.Run(
            fit, X0, "sgd", lr=lambda t: 0.1 if t < 2 else 1e400, batches=BATCHES, max_steps=9, on_nonfinite=policy
        )
        with pytest.raises(gs.GradstepError) as error:
            list(run)
        assert "lr" in str(error.value)
        assert run.t == 2
    run = gs.Run(lambda x: (1.0, x), np.ones(2, "f4"), "sgd", lr=1e300, on_nonfinite="skip", batches=None, max_steps=1)
    with pytest.raises(gs.ScalarError):
        list(run)
    assert run.params.tolist() == [1.0, 1.0]


def test_the_best_is_none_of_them():
    values = iter([3.0, math.nan, 2.0, -math.inf, 2.5, 2.2])
    run = gs.Run(
        lambda x, _: (next(values), np.ones(1)),
        [0.0],
        "sgd",
        batches=gs.Batches(1, size=1),
        on_nonfinite="skip",
        keep_best=True,
        max_steps=3,
    )
    list(run)
    assert (run.best_value, run.best_t) == (2.0, 1)


class TestDraws:
    """A generator draws anew: what was not finite is left out, as a batch is."""

    @staticmethod
    def make(seed=3, **options):
        rng = np.random.default_rng(seed)

        def f(x, *_):
            e = rng.normal(size=2)
            if e[0] > 1.8:
                return math.inf, np.full(2, math.nan)
            return float((x - 1 + 0.1 * e) @ (x - 1 + 0.1 * e)), 2 * (x - 1 + 0.1 * e)

        return gs.Run(f, np.zeros(2), "adam", lr=0.05, rng=rng, on_nonfinite="skip", **{"max_steps": 200} | options)

    def test_a_draw_is_left_out(self):
        run, other = self.make(), self.make(batches=lambda k: k)
        list(run)
        list(other)
        assert run.reason.kind == "budget"
        assert run.skipped == other.skipped > 2
        assert bits(run.params) == bits(other.params)

    def test_a_resumed_run_goes_on_as_the_whole_one(self, tmp_path):
        whole = self.make()
        list(whole)
        path = tmp_path / "run.safetensors"
        for last in (30, 90, 200):
            run = self.make(save_to=path, resume=True, max_steps=last)
            list(run)
        assert bits(run.params) == bits(whole.params)
        assert (run.skipped, run.evaluations) == (whole.skipped, whole.evaluations)

    def test_it_ends_where_nothing_is_drawn(self):
        rngs = {"a": np.random.default_rng(0), "b": np.random.Generator(np.random.MT19937(1))}
        run = gs.Run(lambda x: (math.nan, x), X0, "adam", rng=rngs, on_nonfinite="skip", max_steps=3)
        list(run)
        assert run.reason.kind == "non-finite"
        assert "would give the same" in run.reason.message
        assert run.skipped == 0

    @pytest.mark.parametrize("which", ["rng", "batches"])
    def test_it_ends_where_all_are_bad(self, which):
        rng = np.random.default_rng(0)
        more = {"rng": rng} if which == "rng" else {"batches": lambda k: k}
        run = gs.Run(lambda x, *_: (math.nan, x + rng.normal()), X0, "adam", on_nonfinite="skip", max_steps=3, **more)
        list(run)
        assert (run.reason.kind, run.skipped) == ("non-finite", 99)
