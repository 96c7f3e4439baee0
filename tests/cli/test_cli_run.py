"""``gradstep run``: every form of a problem, every option, the files it writes, and one line for every error."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import gradstep as gs
from gradstep.cli import main
from gradstep.runs.summary import sha256
from own import PROBLEM, files, refused, rows, run
from support import COMMAND, at_a_terminal, environment

WRITTEN = ["checkpoint.safetensors", "history.jsonl", "report.html", "result.json", "run.json"]

pytestmark = pytest.mark.usefixtures("mine")


def result(folder):
    return json.loads((folder / "result.json").read_text())


def test_a_function_and_all_files_of_its_run(capsys, mine):
    lines = run(capsys, "mine.py:fit", "--max-steps", "120", "--save-every", "50")
    assert lines[0] == "mine.py:fit by adam() begins in runs/fit"
    said = dict(line.split("  ", 1) for line in lines if "  " in line)
    assert said["why it ended"].strip() == "120 steps are made."
    assert lines[-1] == "wrote runs/fit/report.html; to go on: gradstep run --resume runs/fit --max-steps N"
    folder = mine / "runs/fit"
    assert files(folder) == ["checkpoint.1.safetensors", *WRITTEN]
    history = rows(folder)
    assert [row["t"] for row in history] == [row["evaluations"] for row in history] == list(range(1, 121))
    assert all(row["value"] > 0 and row["grad_norm"] > 0 for row in history)
    assert (gs.load(folder / "checkpoint.safetensors").t, gs.load(folder / "checkpoint.1.safetensors").t) == (120, 100)
    by_hand = gs.Run(*problem(mine), "adam", max_steps=120)
    assert [step.value for step in by_hand] == [row["value"] for row in history]
    end = result(folder)
    assert end["params_sha256"] == sha256(by_hand.params)
    assert (end["kind"], end["t"], end["evaluations"]) == ("budget", 120, 121)
    assert (end["first"], end["last"]) == (history[0]["value"], by_hand.evaluation().value)
    spec = json.loads((folder / "run.json").read_text())
    assert (spec["problem"], spec["optimizer"], spec["seed"]) == (f"{mine / 'mine.py'}:fit", "adam", 0)


def problem(folder):
    from gradstep.loop.problem_file import load

    own = load(f"{folder / 'mine.py'}:fit")
    return own.value_and_grad, own.params


def test_the_checkpoint_has_the_final_parameters_and_the_best(capsys, mine, no_report):
    run(capsys, "mine.py:Seeded", "--max-steps", "30", "--evaluate-every", "10", "--lr", "0.3", "--out", "a")
    found, end = gs.load(mine / "a/checkpoint.safetensors"), result(mine / "a")
    assert sha256(found.params) == end["params_sha256"]
    measured = {row["t"] - 1: row["val/loss"] for row in rows(mine / "a") if "val/loss" in row}
    measured[30] = end["metrics"]["val/loss"]
    assert sorted(measured) == [0, 10, 20, 30]
    best = min(measured, key=measured.get)
    assert (end["best_by"], end["best_t"], end["best"]) == ("val/loss", best, measured[best])
    sys.path.insert(0, str(mine))
    import mine as module

    assert module.fit({"layer": {"w": found.best["layer.w"]}, "b": found.best["b"]})[0] == end["best"]
    assert found.metadata["best"] == {"by": "val/loss", "t": best, "value": end["best"]}


@pytest.mark.parametrize("name", ["Object", "thing", "Seeded", "Function"])
def test_objects_classes_and_batches(name, capsys, mine, no_report):
    run(capsys, f"mine.py:{name}", "--max-steps", "20")
    assert result(mine / "runs" / name)["t"] == 20


def test_batches_that_are_used_up_end_it(capsys, mine, no_report):
    run(capsys, "mine.py:Iterated")
    end = result(mine / "runs/Iterated")
    assert (end["kind"], end["t"], end["evaluations"]) == ("batches", 3, 3)


def test_evaluate_gives_a_number_or_several(capsys, mine, no_report):
    run(capsys, "mine.py:Function", "--max-steps", "5", "--evaluate-every", "2", "--out", "a")
    assert [sorted(key for key in row if "/" in key) for row in rows(mine / "a")] == [
        ["val/loss"] if k % 2 == 0 else [] for k in range(5)
    ]
    run(capsys, "mine.py:Seeded", "--max-steps", "1", "--out", "b")
    assert set(result(mine / "b")["metrics"]) == {"val/loss", "val/w0"}


def test_the_seed_is_handed_on_and_kept(capsys, mine, no_report):
    for seed, out in ((0, "a"), (1, "b"), (1, "c")):
        run(capsys, "mine.py:Seeded", "--max-steps", "2", "--seed", seed, "--out", out)
    first, second, third = (result(mine / out)["params_sha256"] for out in "abc")
    assert first != second == third


@pytest.mark.parametrize(
    ("options", "tx"),
    [
        (["--optimizer", "adam:lr=0.01,beta1=0.8"], lambda: gs.adam(lr=0.01, beta1=0.8)),
        (
            ["--optimizer", "clip_by_global_norm:max_norm=1,adam", "--lr", "0.01"],
            lambda: gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.01)),
        ),
        (["--optimizer", "sgd", "--lr", " 0.01"], lambda: gs.sgd(lr=0.01)),
        (["--optimizer", "lbfgs:memory=3,c2=0.5"], lambda: gs.lbfgs(memory=3, c2=0.5)),
        (
            ["--lr", "warmup_cosine(0.01, steps=100, warmup_steps=5)"],
            lambda: gs.adam(lr=gs.schedules.warmup_cosine(0.01, steps=100, warmup_steps=5)),
        ),
        (
            ["--lr", "join([constant(0.1), cosine(0.1, 10)], [5])"],
            lambda: gs.adam(lr=gs.schedules.join([gs.schedules.constant(0.1), gs.schedules.cosine(0.1, 10)], [5])),
        ),
    ],
)
def test_optimizers_and_learning_rates(options, tx, capsys, mine, no_report):
    run(capsys, "mine.py:fit", "--max-steps", "12", "--out", "a", *options)
    by_hand = gs.Run(*problem(mine), tx(), max_steps=12)
    assert [step.as_json()["lr"] for step in by_hand] == [row["lr"] for row in rows(mine / "a")]
    assert result(mine / "a")["params_sha256"] == sha256(by_hand.params)


@pytest.mark.parametrize(
    ("options", "kind", "holds"),
    [
        (["--max-steps", "0"], "budget", lambda end: end["t"] == 0 and end["evaluations"] == 1),
        (["--max-steps", "7"], "budget", lambda end: end["t"] == 7),
        (["--max-evaluations", "7"], "budget", lambda end: end["evaluations"] == 7),
        (["--seconds", "0.05"], "budget", lambda end: 0.05 <= end["seconds"] < 5.0),
        (["--grad-norm", "0.5", "--lr", "0.1"], "converged", lambda end: "norm" in end["reason"]),
        (["--target", "0.1", "--lr", "0.1"], "converged", lambda end: end["last"] <= 0.1),
        (["--plateau", "3", "--optimizer", "sgd:lr=1.5"], "converged", lambda end: end["t"] == end["best_t"] + 3),
    ],
)
def test_each_limit_ends_a_run(options, kind, holds, capsys, mine, no_report):
    run(capsys, "mine.py:fit", "--out", "a", *options)
    end = result(mine / "a")
    assert end["kind"] == kind
    assert holds(end), end


def test_a_plateau_is_that_of_evaluate_where_there_is_one(capsys, mine, no_report):
    run(capsys, "mine.py:Function", "--plateau", "2", "--evaluate-every", "5", "--lr", "0", "--out", "a")
    end = result(mine / "a")
    assert (end["kind"], end["t"]) == ("converged", 10)
    assert end["reason"].startswith("val/loss has not become better")


def test_a_run_without_a_limit_ends_after_1000_steps(capsys, mine, no_report):
    run(capsys, "mine.py:fit", "--target", "-1")
    assert result(mine / "runs/fit")["t"] == 1000


def test_default_folders_do_not_collide(capsys, mine, no_report):
    for folder in ("fit", "fit-2", "fit-3"):
        run(capsys, "mine.py:fit", "--max-steps", "1")
        assert (mine / "runs" / folder / "result.json").exists()


def test_a_number_that_is_not_finite_ends_it_with_1(capsys, mine):
    lines = run(capsys, "mine.py:not_finite", "--lr", "0.02", code=1)
    end = result(mine / "runs/not_finite")
    assert (end["kind"], end["last"]) == ("non-finite", None)
    assert f"warning: not finite: the value at step {end['t'] + 1} is inf; nothing was changed." in lines
    assert files(mine / "runs/not_finite") == WRITTEN
    assert all(row["value"] < np.inf for row in rows(mine / "runs/not_finite"))


def test_bad_batches_are_skipped_when_that_is_asked_for(capsys, mine, no_report):
    run(capsys, "mine.py:Holes", "--max-steps", "20", "--on-nonfinite", "skip")
    end, history = result(mine / "runs/Holes"), rows(mine / "runs/Holes")
    bad = [8 * k % 64 % 24 == 0 for k in range(end["evaluations"] - 1)]
    assert [row["value"] is None for row in history] == bad
    assert [row["t"] for row in history] == [bad[: k + 1].count(False) for k in range(len(bad))]
    assert (end["t"], end["skipped_steps"]) == (20, sum(bad))


def test_skipping_comes_to_an_end(capsys, mine, no_report):
    run(capsys, "mine.py:Nowhere", "--on-nonfinite", "skip", code=1)
    assert (result(mine / "runs/Nowhere")["t"], result(mine / "runs/Nowhere")["evaluations"]) == (0, 100)


def test_json_lines_are_all_there_is_on_stdout(capsys, mine):
    assert main(["run", "mine.py:talks", "--max-steps", "3", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "a word from the function\n" * 4
    events = [json.loads(line) for line in out.splitlines()]
    assert [event.pop("event") for event in events] == ["run", "step", "step", "step", "end"]
    assert events[0]["folder"] == "runs/talks"
    assert events[1:4] == rows(mine / "runs/talks")
    assert events[4] == {**result(mine / "runs/talks"), "report": "runs/talks/report.html"}


def test_a_folder_with_a_space_in_a_command_to_copy(capsys, mine, no_report):
    lines = run(capsys, "mine.py:fit", "--max-steps", "1", "--out", "a b")
    assert lines[-1].endswith("gradstep run --resume 'a b' --max-steps N")


PLAIN = "mine.py:fit --max-steps 9"


def line_of(text):
    return 1 + PROBLEM[: PROBLEM.index(text)].count("\n")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "give a problem as FILE.py:NAME, or --resume FOLDER."),
        ("other.py:fit", "there is no file other.py"),
        ("mine.py:fti", "mine.py has no 'fti'; did you mean fit?"),
        ("mine.py:shape_at_once", "gradient 'layer.w' has shape (4,), its parameter (3,)."),
        ("mine.py:no_gradient", "gradients: 'layer.w' is missing"),
        ("mine.py:early", f"early raised ValueError: not at all (mine.py, line {line_of('not at all')})."),
        ("mine.py:no_number", "the value that no_number gives must be one real number, not an object of type str."),
        ("mine.py:leaves", "leaves raised SystemExit: 0 (mine.py, line "),
        ("mine.py:Numbered", "evaluate must give numbers by name, and a name was 3."),
        (f"{PLAIN} --optimizer adm", "unknown rule 'adm'; did you mean adam"),
        (f"{PLAIN} --optimizer clip_by_norm:max_norm=1", "has no rule, such as adam, after its stages."),
        (f"{PLAIN} --optimizer maximize,adam", "turn the function's sign instead of maximize."),
        (f"{PLAIN} --optimizer adam:lr=0.1 --lr 0.2", "--lr is for the one rule in --optimizer"),
        (f"{PLAIN} --optimizer lbfgs --lr 0.1", "lbfgs has no lr: its line search finds the length of each step."),
        (f"{PLAIN} --optimizer l2,lbfgs", "lbfgs is no rule, for it evaluates the function several times"),
        ("mine.py:Seeded --optimizer lbfgs", "lbfgs compares values, and with batches they may be random"),
        (f"{PLAIN} --lr cosine(", "cannot read 'cosine(': write a number, or a schedule such as cosine(0.01, 1000)."),
        (f"{PLAIN} --lr __import__('os').system('touch${{IFS}}x')", "cannot read"),
        (f"{PLAIN} --lr cosine(1e3**9)", "cannot read"),
        (f"{PLAIN} --lr None", "cannot read 'None'"),
        (f"{PLAIN} --lr {'-' * 20000}1", "cannot read '-------"),
        (f"{PLAIN} --lr csine(1,2)", "unknown schedule 'csine'; did you mean cosine"),
        (f"{PLAIN} --lr to_json(1)", "unknown schedule 'to_json'"),
        (f"{PLAIN} --lr cosine('a','b')", "cosine: peak must be a number, not 'a'"),
        (f"{PLAIN} --lr -0.1", "lr must be finite and >= 0, not -0.1"),
        (f"{PLAIN} --lr nan", "cannot read 'nan'"),
        (f"{PLAIN} --plateau 0", "--plateau"),
        (f"{PLAIN} --max-steps -1", "--max-steps"),
        (f"{PLAIN} --seconds -1", "--seconds"),
        (f"{PLAIN} --seconds nan", "--seconds"),
        (f"{PLAIN} --max-evaluations 0", "--max-evaluations"),
        (f"{PLAIN} --grad-norm -1", "--grad-norm"),
        (f"{PLAIN} --target nan", "must not be NaN"),
        (f"{PLAIN} --save-every 0", "--save-every"),
        (f"{PLAIN} --evaluate-every 0", "--evaluate-every"),
        (f"{PLAIN} --keep 0", "--keep"),
        (f"{PLAIN} --seed -1", "--seed"),
        (f"{PLAIN} --on-nonfinite maybe", "--on-nonfinite must be stop or skip, not 'maybe'."),
        (f"{PLAIN} --resume runs/x", "there is no run in runs/x: runs/x/run.json is missing."),
        ("--resume runs/x", "there is no run in runs/x: runs/x/run.json is missing."),
        (f"{PLAIN} --out mine.py/x", "cannot write to the folder mine.py/x: Not a directory."),
        (f"{PLAIN} extra", "extra"),
    ],
)
def test_one_line_says_what_is_wrong_and_nothing_is_left(line, says, capsys, mine):
    assert says in refused(capsys, *line.split())
    assert files(mine) == ["mine.py"]
    assert [path.name for path in mine.iterdir()] == ["mine.py"]


def test_an_error_on_the_way_is_saved_and_the_line_says_how_to_go_on(capsys, mine, monkeypatch, no_report):
    run(capsys, "mine.py:late", "--max-steps", "100", "--out", "whole")
    monkeypatch.setenv("LATE", "1")
    said = refused(capsys, "mine.py:late", "--max-steps", "100")
    assert said.startswith("late raised ValueError: no more (mine.py, line ")
    assert said.endswith(" What was done is saved: gradstep run --resume runs/late")
    assert gs.load(mine / "runs/late/checkpoint.safetensors").t == 57
    monkeypatch.delenv("LATE")
    run(capsys, *said.rpartition(": ")[2].split()[2:])
    assert result(mine / "runs/late")["params_sha256"] == result(mine / "whole")["params_sha256"]


@pytest.mark.parametrize(("name", "says"), [("wrong_shape", "gradient 'b' has shape (2,)"), ("Torn", "no disk")])
def test_other_errors_on_the_way_are_saved_too(name, says, capsys, mine):
    said = refused(capsys, f"mine.py:{name}")
    assert says in said
    assert said.endswith(f" What was done is saved: gradstep run --resume runs/{name}")
    assert gs.load(mine / "runs" / name / "checkpoint.safetensors").t == {"wrong_shape": 8, "Torn": 5}[name]


def test_a_folder_that_has_a_run_is_not_taken(capsys, mine, no_report):
    run(capsys, "mine.py:fit", "--max-steps", "1", "--out", "a")
    before = {path: (mine / "a" / path).read_bytes() for path in files(mine / "a")}
    said = refused(capsys, "mine.py:fit", "--out", "a")
    assert said.startswith("a has a run already; go on with it by gradstep run --resume a")
    (mine / "a/run.json").unlink()  # and what is left of one neither
    assert "has a run already" in refused(capsys, "mine.py:fit", "--out", "a")
    del before["run.json"]
    assert {path: (mine / "a" / path).read_bytes() for path in files(mine / "a")} == before


def test_a_bug_of_ours_is_no_error_of_the_user(capsys, mine, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("gradstep.runs.findings", broken)
    with pytest.raises(ZeroDivisionError):
        main(["run", "mine.py:fit", "--max-steps", "1"])


@pytest.mark.process
def test_ctrl_c_at_a_terminal(mine):
    arguments = ["run", "mine.py:fit", "--max-steps", "100000", "--optimizer", "sgd:lr=1e-6"]
    code, output, _ = at_a_terminal(arguments, mine, until=r"step .*[1-9]\d*/100000", WAIT="0.002")
    assert code == 130, output
    assert "the signal SIGINT came." in output
    assert output.splitlines()[-1] == "gradstep: interrupted"
    assert "Traceback" not in output
    assert files(mine / "runs/fit") == WRITTEN
    assert gs.load(mine / "runs/fit/checkpoint.safetensors").t == len(rows(mine / "runs/fit")) > 0


@pytest.mark.process
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_pipe(number, code, mine):
    arguments = ["run", "mine.py:fit", "--max-steps", "100000", "--json"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=mine, env=environment()
    )
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err == ("gradstep: interrupted\n" if code == 130 else "")
    end = json.loads(out.splitlines()[-1])
    assert (end["event"], end["kind"]) == ("end", "signal")
    assert gs.load(mine / "runs/fit/checkpoint.safetensors").t == end["t"] >= 19


@pytest.mark.process
def test_a_reader_that_leaves_early_is_no_traceback(mine):
    arguments = ["run", "mine.py:fit", "--max-steps", "5000", "--json"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=mine, env=environment()
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=30) == 1
    assert "checkpoint.safetensors" in files(mine / "runs/fit")
