"""Checkpoints of several processes: whole or not there, for any other number of processes, and for one without MPI."""

import json
import shutil

import numpy as np
import pytest
import training
from training import gradient, parameters

import gradstep as gs
from gradstep.distributed import Sharded, in_threads
from gradstep.errors import CheckpointError, GradstepError

STEPS = 5


def made(comm, setting, seed=0):
    return Sharded(parameters(seed), comm=comm, micro_batches=6, **training.SETTINGS[setting]())


def go(opt, until):
    for t in range(opt.t, until):
        opt.step(gradient(t, i, opt.params) for i in opt.mine)


def part(path, setting, until, first=False):
    """Return the training of a process up to some step, from a checkpoint on, into the next one."""

    def f(comm):
        opt = made(comm, setting, seed=0 if first else 7)
        if not first:
            opt.restore(path)
        go(opt, until)
        opt.save(path, extra={"until": until})
        return training.digest(opt.params)

    return f


@pytest.mark.parametrize("setting", training.SETTINGS)
def test_any_number_of_processes_goes_on(setting, tmp_path):
    """1, 2, 4, 3 and 1 processes, a step each, have the bits of one that was left alone."""
    wanted, path = [], tmp_path / "run"
    alone = made(None, setting)
    for t in range(STEPS):
        go(alone, t + 1)
        wanted.append(training.digest(alone.params))
    for t, size in enumerate((1, 2, 4, 3, 1)):
        assert set(in_threads(size, part(path, setting, t + 1, first=t == 0))) == {wanted[t]}, size
        assert sorted(x.name for x in path.iterdir()) == ["manifest.json", f"save-{t + 1}"]
        found = gs.load(path)
        assert (found.t, found.extra) == (t + 1, {"until": t + 1})
        assert training.digest(found.params) == wanted[t]


@pytest.mark.parametrize("setting", training.SETTINGS)
def test_it_is_what_one_optimizer_saves(setting, tmp_path):
    """The arrays and the metadata, to the last bit; and a plain optimizer goes on from it, and the other way round."""
    alone = Sharded(parameters(), micro_batches=6, **training.SETTINGS[setting]())
    go(alone, 2)
    plain = gs.Optimizer(parameters(), **training.SETTINGS[setting]())
    for size in (1, 3):
        path = tmp_path / str(size)
        in_threads(size, part(path, setting, 2, first=True))
        plain.restore(path)
        plain.save(tmp_path / "plain.safetensors", extra={"until": 2})
        one, several = gs.load(tmp_path / "plain.safetensors"), gs.load(path)
        assert one.metadata == several.metadata
        assert one.arrays.keys() == several.arrays.keys()
        for name, x in one.arrays.items():
            assert (x.shape, x.dtype, x.tobytes()) == (
                several.arrays[name].shape,
                several.arrays[name].dtype,
                several.arrays[name].tobytes(),
            ), name

        def back(comm):
            opt = made(comm, setting, seed=3)
            opt.restore(tmp_path / "plain.safetensors")
            go(opt, 4)
            return training.digest(opt.params)

        if size == 1:
            go(alone, 4)
        assert set(in_threads(2, back)) == {training.digest(alone.params)}


def saved(tmp_path, size=2):
    path = tmp_path / "run"
    in_threads(size, part(path, "adam", 1, first=True))
    return path, path / "save-1"


def refused(path, words):
    with pytest.raises(CheckpointError, match=words):
        gs.load(path)

    def f(comm):
        opt = made(comm, "adam", seed=2)
        before = training.digest(opt.params)
        with pytest.raises(CheckpointError, match=words) as info:
            opt.restore(path)
        assert (training.digest(opt.params), opt.t) == (before, 0)
        return str(info.value)

    assert len(set(in_threads(3, f))) == 1


def test_without_a_manifest_there_is_no_checkpoint(tmp_path):
    path, _ = saved(tmp_path)
    (path / "manifest.json").unlink()
    refused(path, "no save in it has been finished")


def test_a_missing_file(tmp_path):
    path, save = saved(tmp_path)
    (save / "shard-1.safetensors").unlink()
    refused(path, "lacks shard-1.safetensors")


def test_a_file_of_another_save(tmp_path):
    path, save = saved(tmp_path)
    other = tmp_path / "other"
    in_threads(2, part(other, "adam", 2, first=True))
    shutil.copy(other / "save-1" / "shard-1.safetensors", save / "shard-1.safetensors")
    refused(path, "has another shard-1.safetensors than was written")


@pytest.mark.parametrize("name", ["shard-0.safetensors", "manifest.json"])
def test_any_bit_that_is_turned(name, tmp_path):
    path, save = saved(tmp_path)
    file = (path if name == "manifest.json" else save) / name
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            gs.load(path)
    file.write_bytes(whole)
    assert gs.load(path).t == 1


def test_a_manifest_of_a_later_format(tmp_path):
    path, _ = saved(tmp_path)
    from gradstep.checkpoint import folder

    manifest = folder.read_manifest(path)
    folder.commit(path, manifest["folder"], manifest["files"], manifest["metadata"])
    assert gs.load(path).t == 1
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"format":1', '"format":9'))
    refused(path, "damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rule": "adamw"}, "its rule is adam"),
        ({"params": {"embed": np.zeros(3, "f4")}}, "has the shape|is in the file alone"),
        ({"params": {**parameters(), "more": np.zeros(3, "f4")}}, "parameter 'more' is in this optimizer alone"),
        ({"params": {**parameters(), "w": np.zeros((33, 64), "f4")}}, "parameter 'w' has the shape"),
        ({"groups": {"b": "freeze"}}, "'b'"),
        ({"params": {name: x.astype("f8") for name, x in parameters().items()}}, "float32 in the file"),
    ],
)
def test_of_another_optimizer(change, words, tmp_path):
    path, _ = saved(tmp_path)

    def f(comm):
        options = {"params": parameters(1), "rule": "adam", "micro_batches": 6, "comm": comm, **change}
        options["params"] = {name: x.copy() for name, x in options["params"].items()}
        opt = Sharded(**options)
        before = training.digest(opt.params)
        with pytest.raises(CheckpointError, match=words) as info:
            opt.restore(path)
        assert training.digest(opt.params) == before
        return str(info.value)

    assert len(set(in_threads(2, f))) == 1


def test_hyperparameters_come_with_it_or_stay(tmp_path):
    def f(comm):
        opt = Sharded(parameters(), "adam", lr=0.5, groups={"b": {"beta1": 0.5}}, comm=comm)
        opt.save(tmp_path / "run")
        for hyper in (True, False):
            other = Sharded(parameters(), "adam", lr=0.1, groups={"b": {"beta1": 0.1}}, comm=comm)
            other.restore(tmp_path / "run", hyper=hyper)
            assert (other.hyper["lr"], other.groups["b"]["beta1"]) == ((0.5, 0.5) if hyper else (0.1, 0.1))

    in_threads(3, f)


def test_one_that_cannot_write_keeps_the_old_one(tmp_path, monkeypatch):
    path, _ = saved(tmp_path)
    from gradstep.checkpoint import folder

    write = folder.write_shard

    def fails(path, name, rank, *more):
        if rank == 1:
            raise OSError(28, "No space left on device")
        return write(path, name, rank, *more)

    monkeypatch.setattr(folder, "write_shard", fails)

    def f(comm):
        opt = made(comm, "adam")
        opt.restore(path)
        go(opt, 2)
        with pytest.raises(GradstepError, match=r"process 1: OSError: .*No space left"):
            opt.save(path)

    in_threads(3, f)
    assert gs.load(path).t == 1
    monkeypatch.undo()
    in_threads(2, part(path, "adam", 2))
    assert sorted(x.name for x in path.iterdir()) == ["manifest.json", "save-3"]
    assert gs.load(path).t == 2


def test_extra_that_is_no_json(tmp_path):
    def f(comm):
        with pytest.raises(GradstepError, match="cannot be saved as JSON"):
            made(comm, "adam").save(tmp_path / "run", extra=object())

    in_threads(2, f)


def test_the_manifest_is_plain_json(tmp_path):
    path, _ = saved(tmp_path, size=3)
    data = json.loads((path / "manifest.json").read_text())["manifest"]
    assert (data["folder"], len(data["files"]), data["metadata"]["optimizer"]["t"]) == ("save-1", 3, 1)


def test_a_folder_of_the_users_own_that_is_called_like_a_save_is_left(tmp_path):
    own = tmp_path / "run" / "save-1"
    own.mkdir(parents=True)
    (own / "thesis.txt").write_text("three years")
    (own / "shard-0.safetensors").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "shard-0.safetensors").write_text("somebody else's")
    (tmp_path / "run" / "save-2").symlink_to(outside)
    opt = gs.distributed.Sharded({"w": np.ones(3)}, "adam")
    for _ in range(3):
        opt.step([{"w": np.ones(3)}])
        opt.save(tmp_path / "run")
    assert (own / "thesis.txt").read_text() == "three years"
    assert (outside / "shard-0.safetensors").read_text() == "somebody else's"
    names = sorted(x.name for x in (tmp_path / "run").iterdir())
    assert names == ["manifest.json", "save-1", "save-2", "save-5"]
    assert gs.load(tmp_path / "run").t == 3
