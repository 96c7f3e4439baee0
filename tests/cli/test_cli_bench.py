"""``gradstep bench``: small real runs, the files it writes, and what it refuses."""

import importlib.util
import json
import sys
from xml.etree import ElementTree as ET

import pytest

import gradstep as gs
from gradstep.bench import Measured, Result
from gradstep.cli import main
from gradstep.environment import environment
from support import OF_GRADIENTS

TINY = ["--sizes", "1x10", "--seconds", "0.05", "--pause", "0", "--peers", "numpy"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    assert main(["bench", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_a_tiny_run(capsys, tmp_path):
    lines = run(capsys, *TINY).splitlines()
    assert lines[0].startswith("adam, 1x10 float32: 1 tensor, 10 elements")
    names = [line.split()[0] for line in lines if line.strip()]
    assert {"contender", "gradstep", "numpy"} <= set(names)
    assert list(tmp_path.iterdir()) == []


def test_several_sizes_rules_and_the_whole_phase(capsys):
    out = run(capsys, *TINY[2:], "--sizes", "1x10,2x5", "--rule", "sgd", "--chain", "--dtype", "float64")
    assert "clip_by_global_norm + sgd + ema, 1x10 float64: 1 tensor, 10 elements" in out
    assert "clip_by_global_norm + sgd + ema, 2x5 float64: 2 tensors, 10 elements" in out


def test_all_rules(capsys, monkeypatch):
    made = lambda work, size, *_: Result(str(work), str(size), work.dtype, 1, 10, 10, None, None, [], [])  # noqa: E731
    monkeypatch.setattr("gradstep.bench.measure", made)
    out = run(capsys, *TINY, "--rule", "all")
    assert [line.split(",")[0] for line in out.splitlines() if line] == OF_GRADIENTS


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        (["--rules"], [("148x1000", False), ("1x1e7", False), ("24x768x768+12x768x3072", True)]),
        (["--rules", "--sizes", "3x5x4"], [("3x5x4", True)]),
        (["--rules", "--sizes", "7x9"], [("7x9", False)]),
    ],
)
def test_rules_each_at_the_sizes_of_its_kind(arguments, sizes, capsys, monkeypatch):
    asked = []

    def made(work, size, *_):
        asked.append((str(size), work.rule))
        rows = [Measured("gradstep", 2.0, 1.0, 3.0, 1.0, 1.0, None, 4.0, 6 * size.largest, [2.0])]
        return Result(work.rule, str(size), work.dtype, 1, size.elements, size.largest, None, None, rows, [])

    monkeypatch.setattr("gradstep.bench.measure", made)
    out = run(capsys, *arguments)
    is_whole = {name: gs.rule.registry()[name].whole for name in OF_GRADIENTS}
    assert asked == [(size, name) for size, whole in sizes for name in OF_GRADIENTS if is_whole[name] is whole]
    assert ("muon" in out) is sizes[-1][1]
    assert ("1.5 arrays" in out) is sizes[-1][1]  # 6 bytes an element of float32


def test_a_rule_of_whole_arrays_has_matrices_as_its_default(capsys, monkeypatch):
    made = lambda work, size, *_: Result(str(work), str(size), work.dtype, 1, 10, 10, None, None, [], [])  # noqa: E731
    monkeypatch.setattr("gradstep.bench.measure", made)
    assert "muon, 24x768x768+12x768x3072 float32" in run(capsys, "--rule", "muon")


def test_what_is_missing_is_said(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "optax", None)
    monkeypatch.setitem(sys.modules, "jax", None)
    out = run(capsys, *TINY[:-1], "optax")
    assert out.count("not measured: optax: jax is not installed") == 1


def test_the_files(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    arguments = ["bench", *TINY, "--json", "deeper/out.json", "--plot", "deeper/out.svg"]
    monkeypatch.setattr(sys, "argv", ["gradstep", *arguments])
    out = run(capsys, *arguments[1:])
    assert out.splitlines()[-1] == "wrote deeper/out.json and deeper/out.svg"
    folder = tmp_path / "deeper"
    assert {path.name for path in folder.iterdir()} == {"out.json", "out.svg"}
    content = json.loads((folder / "out.json").read_text())
    assert set(content) == {"command", "environment", "settings", "results"}
    assert content["command"] == " ".join(["gradstep", *arguments])
    assert content["settings"] == {"seconds": 0.05, "pause": 0.0, "seed": 0, "threads": None}
    assert environment().items() <= content["environment"].items()
    assert int(content["environment"]["cores"]) >= 1
    assert content["environment"]["processor"]
    assert [set(result) for result in content["results"]] == [set(Result.__annotations__)]
    (result,) = content["results"]
    assert (result["work"], result["size"], result["tensors"], result["elements"]) == ("adam", "1x10", 1, 10)
    for row in result["rows"]:
        assert set(row) == set(Measured.__annotations__)
        assert len(row["turns_us"]) >= 3
        assert row["low_us"] <= row["us"] <= row["high_us"]
    drawn = ET.parse(folder / "out.svg").getroot()  # noqa: S314 - our own
    assert {"panel0-gradstep", "panel0-numpy"} <= {group.get("id") for group in drawn.iter()}


def test_scaling(capsys, tmp_path, monkeypatch):
    from gradstep.bench import scaling
    from gradstep.bench.work import Size

    monkeypatch.setattr(scaling, "ELEMENTS", (Size(1, 10), Size(1, 30), Size(1, 100)))
    monkeypatch.setattr(scaling, "TENSORS", (Size(1, 5), Size(3, 5)))
    monkeypatch.setattr(scaling, "THREADED", (Size(1, 50),))
    files = ["--json", "s.json", "--plot", "s.svg"] if importlib.util.find_spec("matplotlib") else ["--json", "s.json"]
    out = run(capsys, "--scaling", "--seconds", "0", "--pause", "0", "--peers", "numpy", *files)
    headings = [line.split() for line in out.splitlines() if line.lstrip().startswith("µs/step")]
    assert headings == [["µs/step", "1x10", "1x30", "1x100", "slope"], ["µs/step", "1x5", "3x5", "slope"]]
    content = json.loads((tmp_path / "s.json").read_text())
    assert set(content) == {"command", "environment", "settings", "elements", "tensors", "slopes", "threads"}
    assert set(content["slopes"]) == {"elements", "tensors"}
    assert set(content["slopes"]["elements"]) == {"gradstep", "numpy"}
    ours = next(gain for gain in content["threads"] if gain["contender"] == "gradstep")
    assert ours["threads"][0] == 1
    assert ours["speedup"][0] == 1.0


def test_errors_of_storage(capsys, tmp_path, monkeypatch):
    from gradstep.bench import storage_errors

    pytest.importorskip("ml_dtypes")
    monkeypatch.setattr(storage_errors, "STEPS", 30)
    lines = run(capsys, "--errors", "--json", "e.json").splitlines()
    assert lines[0] == "adam: distance from float64 over length of path, 30 updates"
    content = json.loads((tmp_path / "e.json").read_text())
    assert set(content) == {"command", "environment", "settings", "errors"}
    variants = [error["variant"] for error in content["errors"]]
    assert [line for line in lines if line.strip().startswith(tuple(name.strip() for name in variants))]
    assert set(storage_errors.VARIANTS) <= set(variants)


def test_errors_of_storage_need_bfloat16(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    assert main(["bench", "--errors"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "ml_dtypes" in err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--rule adm", "unknown rule 'adm'; did you mean adam"),
        ("--rule decay", "unknown rule 'decay'"),
        ("--dtype float16", "unknown dtype 'float16'; did you mean"),
        ("--peers torch-fusd", "unknown contender 'torch-fusd'; did you mean torch-fused"),
        ("--peers numpy,,optax", "unknown contender ''"),
        ("--sizes 1x10,many", "cannot read the size 'many'"),
        ("--sizes 1x10,1x10", "the size 1x10 is given twice"),
        ("--sizes 1x10 --full", "--sizes, --full, --scaling and --errors exclude one another"),
        ("--scaling --errors", "--sizes, --full, --scaling and --errors exclude one another"),
        ("--scaling --rule all", "--scaling and --errors take one rule"),
        ("--errors --dtype bfloat16", "--errors draws nothing, and takes dtypes of its own"),
        ("--seconds -1", "--seconds"),
        ("--seconds nan", "--seconds"),
        ("--pause inf", "--seconds and --pause must be finite"),
        ("--pause -1", "--pause"),
        ("--threads 0", "--threads"),
        ("--seed -1", "--seed"),
        ("--json file/x.json", "cannot write to the folder file: "),
        ("--json folder", "folder: this is a folder, not a file)"),
        ("--plot folder", "folder: this is a folder, not a file)"),
        ("adam", "adam"),
    ],
)
def test_one_line_says_what_is_wrong(line, says, capsys, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert main(["bench", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gradstep: ")
    assert err.count("\n") == 1
    assert says in err
    assert {path.name for path in tmp_path.iterdir()} == {"file", "folder"}


@pytest.mark.parametrize("package", ["rich", "matplotlib"])
def test_a_missing_package_is_told_before_the_work(package, capsys, monkeypatch, tmp_path):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    assert main(["bench", *TINY, "--plot", "x.svg"]) == 2
    assert capsys.readouterr().err == f"gradstep: {package} is missing; pip install 'gradstep[compare]'\n"
    assert list(tmp_path.iterdir()) == []


def test_without_plot_matplotlib_is_not_needed(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run(capsys, *TINY)


def test_nothing_is_written_when_drawing_fails(capsys, monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")

    def fail(_):
        raise OSError(28, "No space left on device", "x.svg")

    monkeypatch.setattr("gradstep.bench.figure.against_size", fail)
    assert main(["bench", *TINY, "--plot", "x.svg", "--json", "x.json"]) == 2
    assert capsys.readouterr().err == "gradstep: x.svg: No space left on device\n"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]  # whole


def test_threads_are_handed_on(capsys, monkeypatch):
    seen = []
    made = gs.Optimizer

    def spy(*arguments, **options):
        seen.append(options.get("threads"))
        return made(*arguments, **options)

    monkeypatch.setattr(gs, "Optimizer", spy)
    run(capsys, *TINY, "--threads", "1")
    assert set(seen) == {1}


def test_ctrl_c_is_one_line_and_130(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradstep.bench.clock.Runner.turn", interrupted)
    assert main(["bench", *TINY]) == 130
    assert capsys.readouterr().err == "gradstep: interrupted\n"
