"""Saving, restoring and asking a run in the midst of its own turn: by the objective, a handler, another thread."""

import contextlib
import threading

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import InUseError
from loop.cases import bowl
from loop.resumed import make, sums, whole
from support import at_line, bits, clear

KINDS = pytest.mark.parametrize("name", ["bounds", "skip", "random"])


@pytest.mark.parametrize("key", ["value_and_grad", "evaluate"])
def test_saved_by_its_own_functions(key, tmp_path):
    """The generator is where it was before the evaluation, which is made again."""
    path, made = tmp_path / "run.safetensors", []

    def wrap(which, f):
        def saving(*arguments):
            given = f(*arguments)
            if which == key and made and made[0].t == 6:
                made[0].save(path)
            return given

        return saving

    made.append(make("random", wrap=wrap))
    list(made[0])
    again = make("random")
    again.restore(path)
    assert again.t == 6
    list(again)
    assert sums(again) == sums(made[0])


@KINDS
def test_an_exception_at_any_moment_changes_nothing_of_the_rest(name):
    """As a handler raises it: the evaluation or step is made again, or has been made."""

    class Late(Exception):
        pass

    def late():
        raise Late

    expected, k, more = whole(name, engine="eager")[0], 1, True
    while more:
        run = make(name, engine="eager")
        turns = iter(run)
        for _ in range(3):
            next(turns)
        with contextlib.suppress(Late):
            more = at_line(k, late, lambda turns=turns: next(turns))
        list(run)
        assert sums(run) == expected, k
        k += 5


@pytest.mark.parametrize("act", ["evaluation", "restore", "step"])
def test_a_turn_within_a_turn_is_refused(act, tmp_path):
    path, seen = tmp_path / "run.safetensors", []

    def f(x):
        if run.t == 2 and not seen:
            acts = {"evaluation": run.evaluation, "restore": lambda: run.restore(path), "step": lambda: next(iter(run))}
            with pytest.raises(InUseError, match="an evaluation or a step of the same run") as error:
                acts[act]()
            seen.append(error)
        return bowl(x)

    run = gs.Run(bowl, np.zeros(3), "adam", max_steps=5)
    run.save(path)
    run = gs.Run(f, np.zeros(3), "adam", max_steps=5)
    assert [step.t for step in run] == [1, 2, 3, 4, 5]
    assert clear(seen[0])


def test_a_callback_may_ask_and_restore(tmp_path):
    path = tmp_path / "run.safetensors"
    run = gs.Run(bowl, np.zeros(3), "adam", max_steps=5)
    run.save(path)
    times = []

    def callback(step):
        times.append(step.t)
        run.evaluation()
        if len(times) == 3:
            run.restore(path)

    run.callbacks = [callback]
    list(run)
    assert times == [1, 2, 3, 1, 2, 3, 4, 5]


def test_another_thread_restores_when_the_turn_is_made(tmp_path):
    path, threads = tmp_path / "run.safetensors", []

    def f(x):
        if run.t == 3 and not threads:
            threads.append(threading.Thread(target=run.restore, args=(path,)))
            threads[0].start()
        return bowl(x)

    run = gs.Run(f, np.zeros(3), "adam", lr=0.1, max_steps=40)
    run.save(path)
    plain = gs.Run(bowl, np.zeros(3), "adam", lr=0.1, max_steps=40)
    list(plain)
    list(run)
    threads[0].join()
    list(run)
    assert bits(run.params) == bits(plain.params)


@pytest.mark.parametrize("verb", ["restore", "evaluation"])
def test_an_objective_that_waits_for_a_thread_that_waits_for_it_goes_on(verb, tmp_path, monkeypatch):
    monkeypatch.setattr("gradstep.locks.PATIENCE", 0.05)
    path, told = tmp_path / "run.safetensors", []

    def other():
        with pytest.raises(InUseError, match=f"run.{verb} waited 0.05 s for an evaluation") as error:
            run.restore(path) if verb == "restore" else run.evaluation()
        told.append(error)

    def f(x):
        if run.t == 3 and not told:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        return bowl(x)

    run = gs.Run(f, np.zeros(3), "adam", lr=0.1, max_steps=40)
    run.save(path)
    plain = gs.Run(bowl, np.zeros(3), "adam", lr=0.1, max_steps=40)
    list(plain)
    list(run)
    assert bits(run.params) == bits(plain.params)
    assert clear(told[0])


def test_a_projection_that_saves_is_told(tmp_path):
    told = []

    def project(x):
        np.clip(x, -0.2, 0.2, out=x)
        if made:
            with pytest.raises(InUseError, match="being changed just now") as error:
                made[0].save(tmp_path / "run.safetensors")
            told.append(error)

    made = []
    made.append(gs.Run(bowl, np.zeros(3), "adam", project=project, max_steps=2))
    list(made[0])
    assert len(told) == 2
    assert clear(told[0])
