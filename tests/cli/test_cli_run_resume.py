"""A run that was broken off, in whatever way, and resumed is the run that was not, to the last bit."""

import json
import random
import re
import signal
import subprocess
import sys
import time

import pytest

import gradstep as gs
from gradstep.cli import main
from own import files, outcome, refused, rows, run
from support import COMMAND, environment

STEPS = 2000
USUAL = ["mine.py:Seeded", "--optimizer", "clip_by_global_norm:max_norm=0.5,adam", "--lr", "cosine(0.05, 2500)"]
USUAL += ["--seed", "3", "--evaluate-every", "50", "--plateau", "1000", "--keep", "3"]

pytestmark = pytest.mark.usefixtures("mine", "no_report")


def started(folder, *arguments, wait="0.001"):
    return subprocess.Popen(
        [*COMMAND, "run", *map(str, arguments), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(WAIT=wait),
    )


def broken_off(process, number, lines):
    """Let a process write so many lines, and send it a signal; its exit code and standard error."""
    for _ in range(lines):
        process.stdout.readline()
    process.send_signal(number)
    return process.wait(timeout=30) if process.communicate(timeout=30) else None


def whole(capsys, mine, steps=STEPS):
    run(capsys, *USUAL, "--max-steps", steps, "--out", "whole")
    return outcome(mine / "whole")


@pytest.mark.process
def test_killed_ten_times(capsys, mine):
    expected, rng, done = whole(capsys, mine), random.Random(0), []  # noqa: S311
    arguments = [*USUAL, "--max-steps", STEPS, "--save-every", "20", "--out", "a"]
    for _ in range(10):
        process = started(mine, *arguments)
        for _ in range(rng.randint(1, 120)):  # as many steps at least, whatever else the machine does
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.02))  # and anywhere within one
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        arguments = ["--resume", "a"]
        found = mine / "a/checkpoint.safetensors"
        done.append(gs.load(found).t if found.exists() else 0)
    assert done == sorted(done)
    assert len(set(done)) > 5, done  # most of them got on
    assert 0 < done[-1] < STEPS
    run(capsys, "--resume", "a")
    assert outcome(mine / "a") == expected
    for kept in ("params", "best"):
        one, two = (getattr(gs.load(mine / out / "checkpoint.safetensors"), kept) for out in ("whole", "a"))
        assert {name: x.tobytes() for name, x in one.items()} == {name: x.tobytes() for name, x in two.items()}


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_broken_off_before_the_first_checkpoint_was_due(number, capsys, mine):
    expected = whole(capsys, mine, 300)
    code = broken_off(started(mine, *USUAL, "--max-steps", 300, "--out", "a"), number, lines=60)
    assert code == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    if number == signal.SIGKILL:
        assert files(mine / "a") == ["history.jsonl", "run.json"]
    else:
        assert json.loads((mine / "a/result.json").read_text())["kind"] == "signal"
    first = run(capsys, "--resume", "a")[0]
    assert first.endswith(
        " begins in a" if number == signal.SIGKILL else f" goes on from step {first.split()[-3]} in a"
    )
    assert outcome(mine / "a") == expected


def half(capsys, *more):
    run(capsys, *USUAL, "--max-steps", "200", "--save-every", "60", "--out", "a", *more)


def test_a_torn_last_line_of_the_history(capsys, mine):
    expected = whole(capsys, mine, 300)
    half(capsys)
    with (mine / "a/history.jsonl").open("ab") as file:
        file.write(b'{"t": 201, "value": 0.1, "evaluations": 201}\n{"t": 202, "val')
    assert main(["run", "--resume", "a", "--max-steps", "300"]) == 0
    told = "gradstep: a/history.jsonl: cut off at its end: 1 damaged line (15 bytes).\n"
    assert capsys.readouterr().err == told
    assert outcome(mine / "a") == expected


def damage(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_told_of_in_one_line_and_the_one_before_is_taken(capsys, mine):
    expected = whole(capsys, mine, 300)
    half(capsys)
    damage(mine / "a/checkpoint.safetensors")
    assert main(["run", "--resume", "a", "--max-steps", "190"]) == 0
    out, err = capsys.readouterr()
    assert " goes on from step 180 in a" in out
    assert err.startswith(f"gradstep: checkpoint '{mine}/a/checkpoint.safetensors' is damaged: the array ")
    assert err.endswith(f"The run goes on from '{mine}/a/checkpoint.1.safetensors'.\n")
    assert err.count("\n") == 1
    kept = sorted((mine / "a").glob("*.safetensors"))
    assert [gs.load(path).t for path in kept] == [180, 120, 190]  # the damaged one is not among them
    run(capsys, "--resume", "a", "--max-steps", "300")
    assert outcome(mine / "a") == expected


def test_all_checkpoints_damaged(capsys, mine):
    half(capsys)
    for path in (mine / "a").glob("*.safetensors"):
        damage(path)
    before = {path: (mine / "a" / path).read_bytes() for path in files(mine / "a")}
    assert "is damaged: the array" in refused(capsys, "--resume", "a")
    assert {path: (mine / "a" / path).read_bytes() for path in files(mine / "a")} == before


def test_a_problem_file_that_has_changed_is_told_of_once(capsys, mine):
    half(capsys)
    with (mine / "mine.py").open("a") as file:
        file.write("# another line\n")
    for code, says in ((0, f"{mine / 'mine.py'} is not as it was when the run was begun"), (0, "")):
        assert main(["run", "--resume", "a"]) == code
        err = capsys.readouterr().err
        assert err.count("\n") == bool(says)
        assert says in err


def test_a_problem_file_that_is_gone_or_of_other_parameters(capsys, mine):
    half(capsys)
    text = (mine / "mine.py").read_text()
    (mine / "mine.py").write_text(text.replace("rng.normal(size=3)", "rng.normal(size=4)"))
    assert main(["run", "--resume", "a"]) == 2
    assert "parameter 'layer.w' has the shape (3,) in the file, and (4,) here" in capsys.readouterr().err
    (mine / "mine.py").unlink()
    said = refused(capsys, "--resume", "a")
    assert said.endswith("is gone; name the file: gradstep run FILE.py:Seeded --resume a.")


@pytest.mark.parametrize(
    ("options", "first", "then"),
    [
        ([], ["--max-steps", "100"], ["--max-steps", "200"]),
        (["--plateau", "40"], ["--max-steps", "15"], ["--max-steps", "200"]),
        (["--plateau", "1000"], ["--max-evaluations", "101"], ["--max-evaluations", "201"]),
        (["--max-steps", "200"], ["--target", "0.5"], ["--target", "0.0"]),
        (["--optimizer", "lbfgs:memory=2"], ["--max-steps", "3"], ["--max-steps", "200"]),
        (["--max-steps", "200"], ["--grad-norm", "1.0"], ["--grad-norm", "0.0"]),
    ],
)
def test_further_limits_extend_a_run_that_has_ended(options, first, then, capsys, mine):
    usual = ["mine.py:fit", "--optimizer", "adam:lr=0.2,beta1=0.5", *options]
    run(capsys, *usual, *then, "--out", "whole")
    run(capsys, *usual, *first, "--out", "a")
    assert len(rows(mine / "a")) < len(rows(mine / "whole"))
    run(capsys, "--resume", "a", *then)
    assert outcome(mine / "a") == outcome(mine / "whole")


def test_a_plateau_that_ended_a_run_is_made_longer(capsys, mine):
    usual = ["mine.py:fit", "--optimizer", "sgd:lr=1.2", "--max-steps", "60", "--plateau"]
    run(capsys, *usual, "9", "--out", "whole")
    run(capsys, *usual, "4", "--out", "a")
    assert len(rows(mine / "a")) == len(rows(mine / "whole")) - 5
    run(capsys, "--resume", "a", "--plateau", "9")
    assert outcome(mine / "a") == outcome(mine / "whole")


def test_a_run_that_has_ended_ends_again_as_it_was(capsys, mine):
    half(capsys)
    before = outcome(mine / "a")
    lines = run(capsys, "--resume", "a")
    assert "goes on from step 200" in lines[0]
    assert outcome(mine / "a") == before


def test_a_run_that_ended_at_a_number_that_is_not_finite_does_so_again(capsys, mine):
    run(capsys, "mine.py:not_finite", "--lr", "0.02", "--out", "a", code=1)
    before = outcome(mine / "a")
    run(capsys, "--resume", "a", code=1)
    assert outcome(mine / "a") == before


@pytest.mark.parametrize(
    "option", ["--seed 3", "--optimizer adam", "--lr 0.1", "--out b", "--save-every 5", "--keep 2", "--save-seconds 3"]
)
def test_what_a_run_was_begun_with_is_not_given_again(option, capsys, mine):
    half(capsys)
    said = refused(capsys, "--resume", "a", *option.split())
    assert said == f"--resume goes on with the run as it was; leave out {option.split()[0]}."


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99}'])
def test_a_folder_whose_run_cannot_be_read(text, capsys, mine):
    half(capsys)
    (mine / "a/run.json").write_text(text)
    assert "does not describe a run that this version can resume" in refused(capsys, "--resume", "a")


@pytest.mark.process
def test_a_second_process_is_kept_out(capsys, mine):
    first = started(mine, *USUAL, "--max-steps", 100000, "--out", "a")
    first.stdout.readline()
    first.stdout.readline()
    for arguments in (["--resume", "a"], [*USUAL, "--out", "a"]):
        said = refused(capsys, *arguments)
        assert said == f"another process is at work in {mine / 'a'}; wait for its end, or take another folder."
    assert broken_off(first, signal.SIGTERM, 1) == 143
    t = gs.load(mine / "a/checkpoint.safetensors").t
    run(capsys, "--resume", "a", "--max-steps", t)
    assert [row["t"] for row in rows(mine / "a")] == list(range(1, t + 1))


def test_a_folder_that_cannot_be_written(capsys, mine, monkeypatch):
    half(capsys)
    before = outcome(mine / "a")

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # chmod keeps no superuser out
    assert refused(capsys, "--resume", "a") == "cannot write to the folder a: Permission denied."
    assert outcome(mine / "a") == before


# No file may be longer than some bytes: what the system says of it comes at the same calls as that the disk is full.
FULL = """
import resource, sys
from gradstep.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)
sys.exit(main())
"""


def on_a_full_disk(size, arguments, folder):
    command = [sys.executable, "-W", "error", "-c", FULL, str(size), "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment(), check=False)


@pytest.mark.process
@pytest.mark.parametrize("json_lines", [False, True])
def test_a_full_disk_stops_nothing_and_the_end_says_so(json_lines, capsys, mine):
    pytest.importorskip("resource")
    expected = whole(capsys, mine, 300)
    arguments = [*USUAL, "--max-steps", 300, "--save-every", 10, "--out", "a", *(["--json"] if json_lines else [])]
    done = on_a_full_disk(20_000, arguments, mine)
    assert done.returncode == 2
    first, last = done.stderr.splitlines()  # once, and not at each checkpoint
    path = str(mine / "a/checkpoint.safetensors")
    assert first.startswith(f"gradstep: the checkpoint {path!r} could not be written: File too large;")
    assert first.endswith("the run goes on.")
    assert last == "gradstep: not saved: a: File too large."
    if json_lines:
        assert json.loads(done.stdout.splitlines()[-1])["params_sha256"] == expected[0]["params_sha256"]
    else:
        assert "why it ended         300 steps are made." in done.stdout
        assert expected[0]["params_sha256"] in done.stdout
        assert "wrote" not in done.stdout
    t = gs.load(mine / "a/checkpoint.safetensors").t
    assert 0 < t < 300
    assert len(rows_that_are_whole(mine / "a")) >= t
    assert main(["run", "--resume", "a"]) == 0
    out, err = capsys.readouterr()
    assert " goes on from step " in out.splitlines()[0]
    assert re.fullmatch(r"(gradstep: a/history.jsonl: cut off at its end: 1 damaged line \(\d+ bytes\).\n)?", err), err
    assert outcome(mine / "a") == expected


def rows_that_are_whole(folder):
    return [line for line in (folder / "history.jsonl").read_text().splitlines(keepends=True) if line.endswith("}\n")]


@pytest.mark.process
def test_no_room_for_the_report_alone(mine):
    pytest.importorskip("resource")
    done = on_a_full_disk(1_000_000, [*USUAL, "--max-steps", 5, "--out", "a"], mine)
    assert (done.returncode, done.stderr) == (2, "gradstep: not saved: a: File too large.\n")
    assert files(mine / "a") == ["checkpoint.safetensors", "history.jsonl", "result.json", "run.json"]


@pytest.mark.process
def test_an_error_on_a_full_disk(mine):
    pytest.importorskip("resource")
    done = on_a_full_disk(1_000, ["mine.py:wrong_shape", "--out", "a"], mine)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("What was done could not be saved: File too large.")


NOISY = """
import numpy as np

rng = np.random.default_rng(3)


def noisy(params):
    w = params["w"]
    return float(w @ w), {"w": 2 * w + rng.normal(size=3)}


noisy.params = {"w": np.ones(3)}


class Noisy:
    params = noisy.params

    def __init__(self, seed):
        self.rng = {"first": np.random.default_rng(seed), "second": np.random.Generator(np.random.MT19937(seed))}

    def value_and_grad(self, params):
        return float(params["w"] @ params["w"]), {"w": 2 * params["w"] + sum(r.normal() for r in self.rng.values())}


class Unknown(Noisy):
    def __init__(self, seed):
        self.own, self.rng = np.random.default_rng(seed), 7

    def value_and_grad(self, params):
        return float(params["w"] @ params["w"]), {"w": 2 * params["w"] + self.own.normal()}
"""


@pytest.mark.parametrize(("name", "is_saved"), [("noisy", True), ("Noisy", True), ("Unknown", False)])
def test_random_generators_of_a_problem_go_on(name, is_saved, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise.py").write_text(NOISY)
    run(capsys, f"noise.py:{name}", "--max-steps", 40, "--out", "whole")
    run(capsys, f"noise.py:{name}", "--max-steps", 17, "--out", "a")
    run(capsys, "--resume", "a", "--max-steps", 40)
    assert (outcome(tmp_path / "a") == outcome(tmp_path / "whole")) == is_saved
