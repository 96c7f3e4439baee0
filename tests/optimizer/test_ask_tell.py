"""``opt.ask()`` for the point at which gradients are wanted, ``opt.tell(grads)`` for those that have come."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.tree import flatten
from support import LONG, bits, clear, engines, fingerprint, mapped, normal, numbers, same


def nest():
    return {
        "w": numbers((3, 4)),
        "b": [numbers(4, "f4"), (numbers(()), numbers((2, 2), "c16"))],
        "t": numbers((4, 6)).T,
    }


def ones(params):
    return mapped(params, np.ones_like)


def simulate(x, seed):
    """A job: the gradient of a bowl around (1, -2), with noise; it takes what it is given to pieces."""
    g = 2 * (x - np.array([1.0, -2.0])) + 0.1 * np.random.default_rng(seed).normal(size=2)
    x[:] = np.nan
    return g


class TestAsk:
    @engines
    def test_a_nest_of_copies_that_are_the_callers_own(self, engine):
        opt = gs.Optimizer(nest(), LONG, engine=engine)
        before = fingerprint(opt)
        x = opt.ask()
        assert same(x, opt.params)
        assert flatten(x)[0] == flatten(opt.params)[0]
        for mine, own in zip(flatten(x)[1], flatten(opt.params)[1], strict=True):
            assert not np.shares_memory(mine, own)
            mine[...] = 7
        assert same(opt.ask(), opt.params)  # again, and the same
        assert fingerprint(opt) == before

    @engines
    def test_frozen_parameters_are_in_it(self, engine):
        params = {"w": np.ones(2), "ids": np.arange(3), "nan": np.full(2, np.nan)}
        opt = gs.Optimizer(params, "sgd", lr=0.5, groups={"ids": "freeze", "nan": "freeze"}, engine=engine)
        assert list(opt.ask()) == list(params)
        opt.tell({"w": np.ones(2)})
        assert params["w"].tolist() == [0.5, 0.5]

    def test_a_tensor_that_wants_a_gradient_wants_one_still(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3, requires_grad=True)
        opt = gs.Optimizer(w, "sgd", lr=0.5)
        x = opt.ask()
        (x * x).sum().backward()
        opt.tell(x.grad)
        assert w.tolist() == [0.0, 0.0, 0.0]
        assert w.grad is None


class TestTell:
    @engines
    @pytest.mark.parametrize("tx", ["adam", LONG], ids=["adam", "long"])
    def test_it_is_a_step(self, engine, tx):
        opt, twin = gs.Optimizer(nest(), tx, engine=engine), gs.Optimizer(nest(), tx, engine=engine)
        rng = np.random.default_rng(0)
        for k in range(4):
            grads = mapped(opt.ask(), lambda x: normal(rng, x))
            opt.tell(grads, t=k)
            twin.step(grads)
        assert fingerprint(opt) == fingerprint(twin)

    @engines
    @pytest.mark.parametrize(
        "between",
        [
            lambda opt, path: opt.tell(ones(opt.ask())),
            lambda opt, path: (opt.ask(), opt.step(ones(opt.params))),
            lambda opt, path: (opt.ask(), opt.reset()),
            lambda opt, path: (opt.ask(), opt.save(path), opt.restore(path)),
            lambda opt, path: None,
        ],
        ids=["answered", "stepped", "reset", "restored", "never asked"],
    )
    def test_what_has_not_been_asked(self, engine, between, tmp_path):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        between(opt, tmp_path / "opt.safetensors")
        before = fingerprint(opt)
        with pytest.raises(gs.GradstepValueError, match=r"^tell: nothing has been asked for at t = ") as error:
            opt.tell(ones(opt.params))
        assert clear(error)
        assert fingerprint(opt) == before
        opt.ask()
        opt.tell(ones(opt.params))

    @engines
    def test_an_answer_that_comes_too_late(self, engine):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        for _ in range(2):
            opt.ask()
        opt.tell(ones(opt.params), t=0)
        opt.ask()
        before = fingerprint(opt)
        with pytest.raises(
            gs.GradstepValueError, match=r"gradients for t = 0 are too late at t = 1; drop them"
        ) as error:
            opt.tell(ones(opt.params), t=0)
        assert clear(error)
        assert fingerprint(opt) == before
        opt.tell(ones(opt.params), t=1)  # the one that was waited for

    @engines
    @pytest.mark.parametrize("value", [9.0, np.nan])
    def test_a_parameter_that_has_been_changed_since(self, engine, value):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        opt.ask()
        opt.params["b"][0][1] = value
        before = fingerprint(opt)
        with pytest.raises(gs.GradstepValueError, match=r"parameter 'b.0' has been changed since") as error:
            opt.tell(ones(opt.params))
        assert clear(error)
        assert fingerprint(opt) == before
        opt.ask()
        opt.tell(ones(opt.params))
        assert opt.t == 1

    @engines
    @pytest.mark.parametrize("bad", [np.nan, "shape"])
    def test_gradients_that_are_refused_may_be_told_again(self, engine, bad):
        opt = gs.Optimizer(nest(), "adam", engine=engine)
        grads = ones(opt.ask())
        wrong = {**grads, "w": np.ones(3) if bad == "shape" else np.full((3, 4), bad)}
        before = fingerprint(opt)
        with pytest.raises(gs.GradstepError, match="'w'"):
            opt.tell(wrong)
        assert fingerprint(opt) == before
        opt.tell(grads)
        assert opt.t == 1

    @engines
    def test_a_skipped_step_answers_too(self, engine):
        opt = gs.Optimizer(nest(), "adam", on_nonfinite="skip", engine=engine)
        opt.tell(mapped(opt.ask(), lambda x: np.full_like(x, np.nan)))
        assert (opt.t, opt.skipped) == (0, 1)
        with pytest.raises(gs.GradstepValueError, match="nothing has been asked"):
            opt.tell(ones(opt.params))

    @engines
    def test_of_many_that_tell_at_once_one_is_heard(self, engine):
        opt = gs.Optimizer(np.ones(3), "sgd", engine=engine)
        for k in range(20):
            opt.ask()
            barrier, refused = threading.Barrier(4), []

            def tell(barrier=barrier, refused=refused):
                barrier.wait()
                try:
                    opt.tell(np.ones(3))
                except gs.GradstepValueError as error:
                    refused.append(error)

            threads = [threading.Thread(target=tell) for _ in range(4)]
            for x in threads:
                x.start()
            for x in threads:
                x.join()
            assert (opt.t, len(refused)) == (k + 1, 3)

    @engines
    def test_no_step_of_another_gets_between_the_look_and_the_update(self, engine):
        opt, other = (gs.Optimizer(np.ones(3), "adam", engine=engine) for _ in "ab")

        class Lock:
            """One for which somebody else, with a step to make, has waited."""

            def __enter__(self):
                assert not inside, "it is not reentrant"
                inside.append(True)

            def __exit__(self, *_):
                inside.pop()
                if waiting:
                    opt.step(waiting.pop())

            def _is_owned(self):
                return bool(inside)

        opt.ask()
        inside, waiting = [], [np.array([-5.0, 1.0, 3.0])]
        opt._lock = Lock()
        opt.tell(np.ones(3))
        other.step(np.ones(3))
        other.step(np.array([-5.0, 1.0, 3.0]))
        assert fingerprint(opt) == fingerprint(other)


class TestQueue:
    """Simulations by other threads, with noise from a seed of their own."""

    def test_several_jobs_at_one_point(self):
        """Their mean is told; the order in which they come in does not matter."""
        runs = []
        for workers in (1, 4):
            opt = gs.Optimizer(np.zeros(2), "adam", lr=0.1)
            with ThreadPoolExecutor(workers) as pool:
                for k in range(100):
                    jobs = {pool.submit(simulate, opt.ask(), seed): seed for seed in range(4 * k, 4 * k + 4)}
                    found = sorted((jobs[job], job.result()) for job in as_completed(jobs))
                    opt.tell(np.mean([g for _, g in found], axis=0))
            runs.append(bits(opt.params))
        assert runs[0] == runs[1]
        assert np.abs(opt.params - [1.0, -2.0]).max() < opt.lr

    def test_the_first_to_come_counts_and_late_ones_are_dropped(self):
        opt, dropped = gs.Optimizer(np.zeros(2), "adam", lr=0.1), 0
        with ThreadPoolExecutor(3) as pool:
            while opt.t < 150:
                jobs = {pool.submit(simulate, opt.ask(), 3 * opt.t + k): opt.t for k in range(3)}
                for job in as_completed(jobs):
                    try:
                        opt.tell(job.result(), t=jobs[job])
                    except gs.GradstepValueError:
                        dropped += 1
        assert dropped == 2 * 150
        assert np.abs(opt.params - [1.0, -2.0]).max() < opt.lr

    @engines
    def test_a_crash_between_ask_and_tell(self, engine, tmp_path):
        """What is saved there goes on as if nothing had been asked: the same point, the same steps."""
        path = tmp_path / "opt.safetensors"

        def steps(opt, n):
            for _ in range(n):
                seed = opt.t
                opt.tell(simulate(opt.ask(), seed))

        whole, first = (gs.Optimizer(np.zeros(2), LONG, engine=engine) for _ in range(2))
        steps(whole, 20)
        steps(first, 9)
        first.save(tmp_path / "quiet.safetensors")
        lost = first.ask()
        first.save(path)
        assert path.read_bytes() == (tmp_path / "quiet.safetensors").read_bytes()
        second = gs.Optimizer(np.zeros(2), LONG, engine=engine)
        second.restore(path)
        with pytest.raises(gs.GradstepValueError, match="nothing has been asked for at t = 9"):
            second.tell(simulate(lost.copy(), 9))
        assert bits(second.ask()) == bits(lost)
        steps(second, 11)
        assert fingerprint(second) == fingerprint(whole)
