"""P12: every file that a release has written stays readable: those in tests/golden, which are never written again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
from golden import write
from gradstep.checkpoint import format as file_format
from gradstep.cli import main
from gradstep.compare import Study
from gradstep.errors import CheckpointError

GOLDEN = Path(write.__file__).parent
VERSIONS = sorted(path.name for path in GOLDEN.iterdir() if (path / "expected.json").is_file())


@pytest.fixture(params=VERSIONS)
def version(request):
    """The folder of a release."""
    return GOLDEN / request.param


def expected(version):
    return json.loads((version / "expected.json").read_text(encoding="utf-8"))


def named(version):
    """By name of its file: how the optimizer of a checkpoint is made."""
    cases = dict(write.cases())
    return {path.stem: cases[path.stem] for path in sorted((version / "checkpoints").glob("*.safetensors"))}


def gone_on(version, name, made):
    """Where two more steps lead, from a file; and the epoch in it."""
    opt, rng = write.optimizer(*made), np.random.default_rng(7)
    found = opt.restore(version / "checkpoints" / f"{name}.safetensors", rng=rng)
    write.go(opt, 2, rng)
    return write.come_to(opt), found.extra["epoch"]


def near(found, wanted):
    """Equal but for the last digits, in which the powers of two machines' libraries may differ."""
    return (
        all(np.allclose(found[key], x, rtol=1e-6, atol=1e-9) for key, x in wanted.items())
        and found.keys() == wanted.keys()
    )


def test_checkpoints_of_every_release_go_on_as_they_did(version, figure):
    pytest.importorskip("ml_dtypes")
    wanted, cases = expected(version), named(version)
    assert len(cases) >= 50
    for name, made in cases.items():
        led, epoch = gone_on(version, name, made)
        assert near(led, wanted[name]), name
        assert epoch == 3
    opt = write.optimizer(*write.OTHERS["float32"])
    opt.restore(version / "sharded")
    one = gs.load(version / "checkpoints" / "float32.safetensors").arrays
    assert all((x == one[key]).all() for key, x in gs.load(version / "sharded").arrays.items())
    figure(
        "P12",
        f"{version.name}: optimizers that go on as they did {len(cases)} / {len(cases)}; a folder of processes too",
    )


def test_runs_and_studies_of_every_release_are_read(version, tmp_path, figure):
    shutil.copytree(version, tmp_path / "old")
    assert main(["run", "--resume", str(tmp_path / "old/run"), "--max-steps", "20"]) == 0
    result = json.loads((tmp_path / "old/run/result.json").read_text(encoding="utf-8"))
    wanted = expected(version)
    assert result["best"] == pytest.approx(wanted["run"], rel=1e-9)
    study = Study.load(tmp_path / "old/study")
    assert json.loads(json.dumps(write.numbers(study))) == wanted["study"]
    assert main(["report", str(tmp_path / "old/study"), "--static", "--out", str(tmp_path / "page.html")]) == 0
    figure("P12", f"{version.name}: a run gone on with, a study read as it was")


def test_a_release_has_its_files():
    """Whoever sets another version writes its files too."""
    assert gs.__version__ in VERSIONS


def test_control_a_reader_of_later_formats_alone(monkeypatch, control):
    monkeypatch.setattr(file_format, "FORMAT", 0)
    refused = 0
    for path in sorted((GOLDEN / "0.1.0/checkpoints").glob("*.safetensors")):
        with pytest.raises(CheckpointError, match="format 1"):
            gs.load(path)
        refused += 1
    control("P12", f"a reader to which these formats are unknown: refused {refused} / {refused}")


def test_control_a_slot_of_another_name(version, monkeypatch, control):
    """The moments of a file under other names, as if the rule had been changed: refused, and not begun anew."""
    arrays = file_format.read

    def renamed(*args, **options):
        found, manifest = arrays(*args, **options)
        return {key.replace("adam.m", "adam.mean"): x for key, x in found.items()}, manifest

    monkeypatch.setattr("gradstep.checkpoint.transfer.read", renamed)
    with pytest.raises(CheckpointError):
        gone_on(version, "adam", dict(write.cases())["adam"])
    control("P12", "a slot of another name: refused")
