"""``gradstep checkpoint join``: one file of a checkpoint of several processes."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.cli.app import run
from gradstep.distributed import Sharded, in_threads


@pytest.fixture
def folder(tmp_path):
    """A checkpoint of two processes."""

    def train(comm):
        opt = Sharded({"w": np.ones(9000)}, "adam", comm=comm, micro_batches=2)
        opt.step([{"w": np.arange(9000.0) + i} for i in opt.mine])
        opt.save(tmp_path / "run", extra=["mine"])

    in_threads(2, train)
    return tmp_path / "run"


def test_join(folder, tmp_path, capsys):
    out = tmp_path / "one.safetensors"
    assert run(["checkpoint", "join", str(folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote {out}: 3 arrays at t = 1\n"
    one, several = gs.load(out), gs.load(folder)
    assert one.metadata == several.metadata
    assert {name: x.tobytes() for name, x in one.arrays.items()} == {
        name: x.tobytes() for name, x in several.arrays.items()
    }
    opt = gs.Optimizer({"w": np.zeros(9000)}, "adam")
    assert opt.restore(out).extra == ["mine"]
    assert opt.t == 1


def test_what_is_not_finished_is_one_line(folder, tmp_path, capsys):
    (folder / "manifest.json").unlink()
    out = tmp_path / "one.safetensors"
    assert run(["checkpoint", "join", str(folder), "--out", str(out)]) == 2
    assert "no save in it has been finished" in capsys.readouterr().err
    assert not out.exists()
