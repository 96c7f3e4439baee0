"""The command as a process of its own: in a pipe, at a terminal, interrupted."""

import contextlib
import json
import re
import signal
import subprocess
import time

import pytest

from compare_support import table_of, timeless
from gradstep.compare import Study, compare
from gradstep.compare.store import Reader
from gradstep.errors import GradstepError
from support import COMMAND, at_a_terminal, environment

pytest.importorskip("pty", reason="terminals are emulated on POSIX alone")
pytestmark = pytest.mark.process
SMALL = ["compare", "quadratic", "--optimizers", "adam,sgd:lr=0.3", "--trials", "3", "--seeds", "2", "--steps", "40"]
SMALL += ["--jobs", "1"]
# Half of it is done in about two seconds, so that there is time to end it.
LONG = ["compare", "digits-softmax", "--optimizers", "sgd,adam", "--trials", "20", "--seeds", "10", "--steps", "300"]
LONG += ["--jobs", "2", "--out", "study"]
TOTAL = 2 * (20 + 10 + 1)


def test_rows_are_live_at_a_terminal(tmp_path):
    code, output, _ = at_a_terminal(SMALL, tmp_path)
    assert code == 0, output
    assert re.search(r"adam[^\r]*6/6\x1b\[0m hit 0/2 +[▁▂▃▄▅▆▇█]{5}", output)
    assert "…" not in output  # the table fits
    assert "\x1b[?25l" in output  # the cursor is hidden while rows are live
    assert output.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in output
    assert "\x1b[3" in output  # colour
    assert (tmp_path / "gradstep-compare" / "quadratic" / "report.html").exists()


def test_no_color_is_honoured(tmp_path):
    code, output, _ = at_a_terminal(SMALL, tmp_path, NO_COLOR="1")
    assert code == 0, output
    assert not re.search(r"\x1b\[(3[0-9]|9[0-9]|38;)", output)


def test_ctrl_c_is_one_line_and_130_and_keeps_what_is_finished(tmp_path):
    code, output, session = at_a_terminal(LONG, tmp_path, until=r"all .*[1-9]/62")  # the workers are at work
    assert code == 130, output
    after = " ".join(output.rsplit("\x1b[?25h", 1)[1].split())
    found = re.fullmatch(
        r"gradstep: interrupted; (\d+) of 62 runs are kept in study, and the same command goes on\.", after
    )
    assert found, after
    assert "Traceback" not in output
    assert len(Study.load(tmp_path / "study").runs) == int(found[1])
    assert 0 < int(found[1]) < TOTAL
    assert ended(session) == []


def ended(session):
    """Processes of a session that are still there after a while."""
    deadline = time.monotonic() + 10
    while (left := living(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def living(session):
    """Processes of a session, those aside that are dead and not yet collected by init."""
    listed = subprocess.run(
        ["ps", "-s", str(session), "-o", "stat=,args="], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]


def begun(tmp_path, arguments=LONG, least=5):
    """The command in a session of its own, when so many runs are kept."""
    process = subprocess.Popen(
        COMMAND + arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout.readline().startswith("digits-softmax: 2 optimizers")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(GradstepError):  # it is not there yet
            if len(Reader(tmp_path / "study").read().runs) >= least:
                return process
        time.sleep(0.05)
    raise AssertionError("nothing was kept in a minute")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_pipe_ends_the_workers_too(number, code, tmp_path):
    process = begun(tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code
    kept = len(Study.load(tmp_path / "study").runs)
    said = f"gradstep: interrupted; {kept} of {TOTAL} runs are kept in study, and the same command goes on.\n"
    assert err == said
    assert "Traceback" not in out
    assert ended(process.pid) == []


def test_before_anything_is_kept_an_interrupt_is_one_line(tmp_path):
    process = subprocess.Popen(
        COMMAND + LONG, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL
    )
    time.sleep(0.7)  # into the imports, or the start of the workers: at any time it must be the same
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=20)[1]
    assert process.returncode in (130, -signal.SIGINT)  # Python itself may not be up
    assert process.returncode != 130 or re.fullmatch(r"gradstep: interrupted(; .*)?\n", err), err


def test_killed_half_way_and_run_again_it_is_the_study_of_one_that_was_not(tmp_path):
    """SIGKILL, which nothing can catch; its workers end by themselves."""
    process = begun(tmp_path)
    process.kill()
    process.communicate(timeout=20)
    assert ended(process.pid) == []
    kept = Study.load(tmp_path / "study")
    assert 5 <= len(kept.runs) < TOTAL
    again = subprocess.run(
        COMMAND + LONG, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=True, timeout=120
    )
    found = re.search(rf"(\d+) of {TOTAL} runs are there already", again.stdout)
    assert len(kept.runs) <= int(found[1]) < TOTAL
    resumed = Study.load(tmp_path / "study")
    whole = compare("sgd,adam", "digits-softmax", trials=20, seeds=10, steps=300, jobs=2)
    assert resumed.spec == whole.spec
    assert timeless(resumed) == timeless(whole)
    assert table_of(resumed) == table_of(whole)


def test_an_extension_that_is_killed_loses_nothing(tmp_path):
    def make(arguments):
        command = COMMAND + arguments
        subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment(), check=True, timeout=120)
        return Study.load(tmp_path / "study")

    def seconds():
        return {run.key: run.seconds for run in Reader(tmp_path / "study").read().runs}.items()

    small = [{"20": "8", "10": "3"}.get(x, x) for x in LONG]
    before = make(small)
    process = begun(tmp_path, LONG, len(before.runs) + 3)
    process.kill()
    process.communicate(timeout=20)
    assert ended(process.pid) == []
    kept, made = Study.load(tmp_path / "study"), seconds()
    assert (kept.spec.trials, kept.finished) == (20, False)
    assert {run.key for run in before.runs} < {key for key, _ in made}
    assert make(small) == before
    whole = compare("sgd,adam", "digits-softmax", trials=20, seeds=10, steps=300, jobs=2)
    study = make(LONG)
    assert study.spec == whole.spec
    assert timeless(study) == timeless(whole)
    assert table_of(study) == table_of(whole)
    assert made <= seconds()  # not made again


def test_watch_follows_a_study_to_its_end(tmp_path):
    process = begun(tmp_path)
    watcher = subprocess.run(
        [*COMMAND, "watch", "study", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        check=True,
        timeout=120,
    )
    process.communicate(timeout=60)
    assert process.returncode == 0
    events = [json.loads(line) for line in watcher.stdout.splitlines()]
    runs = [(e["optimizer"], e["phase"], e["trial"], e["seed"]) for e in events if e["event"] == "run"]
    assert len(runs) == len(set(runs)) == TOTAL
    assert events[-1]["event"] == "end"


def test_a_reader_that_leaves_early_is_no_traceback(tmp_path):
    arguments = [*SMALL, "--json"]
    process = subprocess.Popen(
        COMMAND + arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=30) == 1


def test_a_reader_that_leaves_at_once_is_no_error(tmp_path):
    command = [*COMMAND, "show", "--list"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment())
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 1


def test_a_terminal_without_greek_has_its_letters_spelt(tmp_path):
    shown = subprocess.run(
        [*COMMAND, "show", "adam"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="ascii"),
        check=True,
    )
    assert b"theta" in shown.stdout
    assert b"?" not in shown.stdout
    assert shown.stderr == b""
