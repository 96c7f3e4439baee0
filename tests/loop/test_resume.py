"""A run that was broken off, wherever that was, goes on with the bits of one that was not."""

import errno
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from loop.cases import bowl, never
from loop.resumed import CASES, LAST, X0, make, sums, whole
from support import SOURCE, bits, clear, states

cases = pytest.mark.parametrize("name", CASES)


def went_on(run, name, before):
    """Whether the run's rest is that of the uninterrupted one."""
    values = [*before, *(step.value for step in run)]
    expected, all_values = whole(name)
    assert repr(values) == repr(all_values)
    assert sums(run) == expected


def test_the_cases_are_what_they_are_for():
    assert {name: whole(name)[0]["reason"].kind for name in CASES} == {
        **dict.fromkeys(CASES, "budget"),
        **dict.fromkeys(("metric", "best"), "converged"),
    }
    assert whole("metric")[0]["counts"][0] == 8
    assert 0 < whole("best")[0]["best"][2] < whole("best")[0]["counts"][0]
    assert whole("skip")[0]["counts"][2] > 1
    assert "scaled(factor=0.125" in whole("lowered")[0]["plateau"][2]
    assert whole("bounds")[0]["params"] != whole("plain")[0]["params"]


@cases
@pytest.mark.parametrize("at", [0, 1, 2, 7, "last"])
def test_stopped_at_any_step_and_resumed(name, at, tmp_path):
    path = tmp_path / "run.safetensors"
    first = make(name, save_to=path)
    values = []
    if at == 0:
        first.save(path)
    else:
        for step in first:
            values.append(step.value)
            if len(values) == at:
                first.save(path)
                break
    second = make(name, save_to=path, resume=True)
    assert second.t == first.t
    assert second.reason is None
    went_on(second, name, values)
    assert second.history == [] if at == "last" else len(second.history) == len(whole(name)[1]) - len(values)


@cases
def test_each_checkpoint_of_a_run_is_as_good_as_another(name, tmp_path):
    """Written by the run itself, after each step; the newest, and the one before it."""
    path = tmp_path / "run.safetensors"
    run = make(name, save_to=path, save_every=1, keep=3)
    for k, _ in enumerate(run):
        if k == 4:
            break
    files = [path, tmp_path / "run.1.safetensors", tmp_path / "run.2.safetensors"]
    assert {file.name for file in tmp_path.iterdir()} >= {file.name for file in files[:2]}
    for file in files:
        if file.exists():
            again = make(name)
            again.restore(file)
            list(again)
            assert sums(again) == whole(name)[0]


def interrupted(hook, at):
    """Raises KeyboardInterrupt in one of the functions, in the midst of its ``at``-th call and of its work."""
    calls = iter(range(1000))

    def wrap(key, f):
        if key != hook:
            return f

        def function(*arguments):
            given = f(*arguments)
            if next(calls) == at:
                raise KeyboardInterrupt
            return given

        return function

    return wrap


PLACES = [
    *(
        (name, hook)
        for name, case in CASES.items()
        for hook in ("value_and_grad", "evaluate", "project")
        if hook in case()
    ),
    *((name, "callbacks") for name in CASES),
]


@pytest.mark.parametrize(("name", "hook"), PLACES)
@pytest.mark.parametrize("at", [1, 2, 3])
def test_interrupted_within_a_function(name, hook, at, tmp_path):
    """Gone on with in place, or saved and restored in another run: nothing is lost, and nothing done twice."""
    path = tmp_path / "run.safetensors"
    run = make(name, wrap=interrupted(hook, at), callbacks=lambda step: None)
    with pytest.raises(KeyboardInterrupt):
        list(run)
    run.save(path)
    other = make(name)
    other.restore(path)
    list(other)
    assert sums(other) == whole(name)[0]
    list(run)
    assert sums(run) == whole(name)[0]


@cases
def test_looked_at_between_the_steps(name, tmp_path):
    """`here` evaluates where the run stands, once; saved there, that evaluation is made again."""
    path = tmp_path / "run.safetensors"
    run = make(name)
    for step in run:
        run.evaluation()
        assert run.evaluation() is run.evaluation()
        if step.t == 3:
            run.save(path)
            other = make(name)
            other.restore(path)
            list(other)
            assert sums(other) == whole(name)[0]
    assert sums(run) == whole(name)[0]


@cases
def test_rewound_within_its_loop(name, tmp_path):
    path = tmp_path / "run.safetensors"
    run = make(name)
    rewound = False
    for _ in run:
        if run.t == 2 and not path.exists():
            run.save(path)
        if run.t == 5 and not rewound:
            run.restore(path)
            rewound = True
            assert run.t == 2
    assert rewound
    assert sums(run) == whole(name)[0]


def process(*arguments, **options):
    env = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{Path(__file__).parents[1]}"}
    command = [sys.executable, "-W", "error", "-m", "loop.resumed", *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True, **options)


@pytest.mark.process
@pytest.mark.parametrize("name", ["random", "metric"])
def test_in_a_new_process(name, tmp_path):
    for until in ("4", ""):
        done = process(name, tmp_path / "run.safetensors", until)
        out, _ = done.communicate(timeout=120)
        assert done.returncode == 0
    assert out.strip() == repr(whole(name)[0])


@pytest.mark.process
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX")
def test_killed_ten_times(tmp_path):
    """SIGKILL at random times, most of them in the midst of a step or of a checkpoint."""
    rng = np.random.default_rng(0)
    path = tmp_path / "run.safetensors"
    kills = 0
    while True:
        running = process("random", path, "", 60, 0.01, stderr=subprocess.DEVNULL)
        if kills < 10:
            before, deadline = None if not path.exists() else path.stat().st_ino, time.monotonic() + 60
            while running.poll() is None and time.monotonic() < deadline:  # until it has begun to save, if it can
                if path.exists() and path.stat().st_ino != before:
                    break
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.01))
            if running.poll() is None:
                running.kill()
                kills += 1
                running.communicate(timeout=60)
                continue
        out, _ = running.communicate(timeout=60)
        break
    assert kills == 10
    assert running.returncode == 0
    run = make("random", max_steps=60)
    list(run)
    assert out.strip() == repr(sums(run))
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def damage(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def test_a_damaged_file_and_the_one_before_it(tmp_path):
    path, before = tmp_path / "run.safetensors", tmp_path / "run.1.safetensors"
    for _ in make("batches", save_to=path, save_every=3):
        pass
    damage(path)
    with pytest.warns(RuntimeWarning, match=r"run\.1\.safetensors") as seen:
        run = make("batches", save_to=path, resume=True)
    assert len(seen) == 1
    assert run.t == 9
    list(run)  # which writes a whole file over the damaged one, and keeps that
    assert sums(run) == whole("batches")[0]
    before.write_bytes(path.read_bytes())
    for file in (path, before):
        damage(file)
    with pytest.raises(gs.CheckpointError) as error:
        make("batches", save_to=path, resume=True, value_and_grad=never)
    assert clear(error)


def test_the_newest_is_missing(tmp_path):
    """A crash between two renames could leave it so."""
    path = tmp_path / "run.safetensors"
    list(make("batches", save_to=path, save_every=3))
    path.unlink()
    run = make("batches", save_to=path, resume=True)
    assert run.t == 9
    list(run)
    assert sums(run) == whole("batches")[0]


def test_nothing_there_is_a_beginning(tmp_path):
    run = make("plain", save_to=tmp_path / "run.safetensors", resume=True)
    went_on(run, "plain", [])
    assert run.resume()
    assert not make("plain", save_to=tmp_path / "other.safetensors").resume()


OTHERS = {
    "rule": {"rule": "sgd"},
    "shape": {"x0": np.ones(4), "value_and_grad": never},
    "dtype": {"x0": np.ones(3, "f4")},
    "names": {"x0": {"w": np.ones(3)}},
    "state": {"state_dtype": "8bit", "x0": np.ones(3, "f4")},
    "groups": {"groups": {"par*": {"lr": 0.2}}},
    "rng": {"rng": np.random.default_rng(0)},
}


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
def test_a_file_of_another_run_is_refused(options, tmp_path):
    path = tmp_path / "run.safetensors"
    list(make("plain", save_to=path))
    with pytest.raises(gs.CheckpointError):
        make("plain", save_to=path, resume=True, **options)
    run = make("plain", **options)
    before = sums(run)
    with pytest.raises(gs.CheckpointError) as error:
        run.restore(path)
    assert "Nothing was changed." in str(error.value)
    assert sums(run) == before


@pytest.mark.parametrize("spoil", ["run", "best"])
def test_a_file_whose_run_makes_no_sense_is_refused(spoil, tmp_path, monkeypatch):
    """Written whole, by something else."""
    path = tmp_path / "run.safetensors"
    run = make("plain")
    next(iter(run))
    write = gs.loop.state.write
    other = {"run": {"drawn": "many"}, "best": {"value": 1.0, "t": 0, "by": 5}}
    monkeypatch.setattr(gs.loop.state, "write", lambda p, a, m, k: write(p, a, {**m, spoil: other[spoil]}, k))
    run.save(path)
    before = sums(run)
    with pytest.raises(gs.CheckpointError) as error:
        run.restore(path)
    assert clear(error)
    assert sums(run) == before


def test_a_file_of_its_optimizer(tmp_path):
    """Then what a run has besides is as at its beginning, with one batch and evaluation for each update."""
    path = tmp_path / "opt.safetensors"
    reference = make("batches", keep_best=False)
    for step in reference:
        if step.t == 4:
            reference.opt.save(path)
    run = make("batches", keep_best=False)
    run.restore(path)
    assert (run.t, run.evaluations, run._now.drawn) == (4, 4, 4)
    list(run)
    assert sums(run) == sums(reference)


def test_parameters_of_an_optimizers_file_are_put_into_the_bounds(tmp_path):
    path = tmp_path / "opt.safetensors"
    make("plain").opt.save(path)
    run = make("plain", bounds=(0, 1))
    run.restore(path)
    run.evaluation()
    assert run.params.tolist() == [1.0, 1.0, 0.0]


def test_what_is_not_saved_with_a_run_is_as_in_the_new_one(tmp_path):
    """Rules, callbacks and history are the new run's; hyperparameters are the file's."""
    path = tmp_path / "run.safetensors"
    list(make("plain", max_steps=4, save_to=path))
    run = make("plain", max_steps=6, lr=0.5, save_to=path, resume=True)
    assert run.opt.lr == 0.1
    assert [step.t for step in run] == [5, 6]
    assert run.reason.message == "6 steps are made"


def full(monkeypatch, times):
    """The disk is full, so many times."""
    left, fsync = [times], os.fsync

    def refuse(handle):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr("os.fsync", refuse)


def test_a_full_disk_does_not_end_a_run(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    full(monkeypatch, times=2)
    run = make("plain", save_to=path, save_every=3)
    with pytest.warns(RuntimeWarning, match="No space left on device") as seen:
        unsaved = [run.unsaved is not None and run.unsaved.errno == errno.ENOSPC for _ in run]
    assert len(seen) == 2
    assert unsaved == [False, False, True, True, True, True, True, True, False, False]  # at 3, at 6, not at 9
    assert run.unsaved is None
    assert sums(run) == whole("plain")[0]
    assert gs.load(path).t == LAST
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["run.1.safetensors", "run.safetensors"]


def test_the_last_one_that_could_not_be_written(tmp_path, monkeypatch):
    full(monkeypatch, times=99)
    run = make("plain", save_to=tmp_path / "run.safetensors")
    with pytest.warns(RuntimeWarning, match="could not be written"):
        list(run)
    assert run.unsaved.errno == errno.ENOSPC
    assert run.reason.kind == "budget"
    assert list(tmp_path.iterdir()) == []


def test_when_a_checkpoint_is_written(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def seen(**options):
        path.unlink(missing_ok=True)
        run = make("plain", save_to=path, keep=1, **options)
        at = []
        for _ in run:
            now[0] += 1.0
            at.append(gs.load(path).t if path.exists() else 0)
        return at, gs.load(path).t

    assert seen() == ([0] * 10, 10)
    assert seen(save_every=4) == ([0, 0, 0, 4, 4, 4, 4, 8, 8, 8], 10)
    assert seen(save_seconds=3) == ([0, 0, 0, 4, 4, 4, 7, 7, 7, 10], 10)
    assert seen(save_every=5, save_seconds=3) == ([0, 0, 0, 4, 4, 4, 7, 7, 7, 10], 10)


def test_nothing_is_warned_of_in_a_usual_run(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(make("metric", save_to=tmp_path / "run.safetensors", save_every=1))


def test_extra_is_given_back(tmp_path):
    run = gs.Run(bowl, X0, "adam", max_steps=2)
    list(run)
    run.save(tmp_path / "run.safetensors", extra={"note": [1, 2]})
    found = gs.Run(bowl, X0, "adam").restore(tmp_path / "run.safetensors")
    assert found.extra == {"note": [1, 2]}
    assert bits(found.params["params"]) == bits(run.params)
    assert {f"{name}/{key}" for name, own in found.state.items() for key in own} == states(run.opt).keys()


def test_a_run_of_a_model_that_has_grown_goes_on_and_counts_what_is_new_by_itself(tmp_path):
    def grown(p):
        return sum(float(x @ x) for x in p.values()), {key: 2 * x for key, x in p.items()}

    path, old = tmp_path / "run.safetensors", {"a": np.ones(2)}
    run = gs.Run(grown, old, "adam", lr=0.01, max_steps=50)
    list(run)
    run.save(path)
    new = gs.Run(grown, {**old, "b": np.ones(3)}, "adam", lr=0.01, max_steps=51)
    with pytest.raises(gs.CheckpointError, match="Nothing was changed"):
        new.restore(path)
    found = new.restore(path, strict=False)
    assert new.t == 50
    assert bits(new.params["a"]) == bits(run.params["a"])
    assert new.best is None
    assert "b" in " ".join(map(str, found.anew))
    list(new)
    assert np.allclose(np.abs(new.params["b"] - 1), 0.01)  # one learning rate, as a first step is


def test_a_run_restored_by_name_takes_the_best_point_where_it_fits(tmp_path):
    path = tmp_path / "run.safetensors"
    bowl = lambda x: (float(x @ x), 2 * x)  # noqa: E731
    run = gs.Run(bowl, np.ones(2), "adam", lr=0.01, max_steps=50)
    list(run)
    run.save(path)
    other = gs.Run(bowl, np.ones(2), gs.chain(gs.clip_by_norm(1.0), gs.adam(lr=0.01)), max_steps=60)
    other.restore(path, strict=False)
    assert bits(other.best) == bits(run.best)
