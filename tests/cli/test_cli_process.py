"""The command as a process of its own: in a pipe, at a terminal, interrupted."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import COMMAND, at_a_terminal, environment, script

pytest.importorskip("pty", reason="terminals are emulated on POSIX alone")
SMALL = ["compare", "quadratic", "--optimizers", "adam,sgd:lr=0.3", "--seeds", "2", "--steps", "40", "--jobs", "1"]
LONG = ["compare", "quadratic", "--optimizers", "sgd,adam", "--seeds", "1000", "--steps", "300", "--jobs", "2"]


def test_rows_are_live_at_a_terminal(tmp_path):
    code, output, _ = at_a_terminal(SMALL, tmp_path)
    assert code == 0, output
    assert re.search(r"adam.*10/10.*hit", output)
    assert "\x1b[?25l" in output  # the cursor is hidden while rows are live
    assert output.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in output
    assert "\x1b[3" in output  # colour
    assert (tmp_path / "gradstep-compare" / "quadratic" / "report.html").exists()


def test_no_color_is_honoured(tmp_path):
    code, output, _ = at_a_terminal(SMALL, tmp_path, NO_COLOR="1")
    assert code == 0, output
    assert not re.search(r"\x1b\[(3[0-9]|9[0-9]|38;)", output)


def test_ctrl_c_is_one_line_and_130_and_leaves_no_file_and_no_process(tmp_path):
    code, output, session = at_a_terminal(LONG, tmp_path, until=r"sgd .*[1-9]/5000")  # the workers are at work
    assert code == 130, output
    after = output.rsplit("\x1b[?25h", 1)[1]
    assert after.split() == ["gradstep:", "interrupted"]
    assert "Traceback" not in output
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    deadline = time.monotonic() + 10
    while (left := living(session)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def living(session):
    """Processes of a session, those aside that are dead and not yet collected by init."""
    listed = subprocess.run(
        ["ps", "-s", str(session), "-o", "stat=,args="], capture_output=True, text=True, check=False
    )
    return [line for line in listed.stdout.splitlines() if not line.startswith("Z")]


def test_an_interrupt_in_a_pipe_too(tmp_path):
    process = subprocess.Popen(
        COMMAND + LONG,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout.readline().startswith("quadratic: 2 optimizers")
    time.sleep(1)  # into the work, or the start of the workers: at any time it must be the same
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "gradstep: interrupted\n")
    assert out == ""


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


def test_a_terminal_without_greek_shows_question_marks(tmp_path):
    shown = subprocess.run(
        [*COMMAND, "show", "adam"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="ascii"),
        check=True,
    )
    assert b"?" in shown.stdout
    assert shown.stderr == b""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signal masks are read from /proc")
def test_workers_do_not_hear_ctrl_c():
    code = """if True:
        import contextlib, os, pathlib
        from gradstep.compare import make_spec, run_study
        masks = set()
        def look(_):
            for status in pathlib.Path("/proc").glob("[0-9]*/status"):
                with contextlib.suppress(OSError):  # processes end while one looks
                    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    command = (status.parent / "cmdline").read_text()
                    if int(lines["PPid"]) == os.getpid() and "LokyProcess" in command:
                        masks.add(int(lines["SigBlk"], 16))
        run_study(make_spec("quadratic", "sgd:lr=1", seeds=2, steps=5), jobs=2, on_result=look)
        print(*masks)
    """
    masks = [int(mask) for mask in script(code).split()]
    assert masks
    assert all(mask & 1 << (signal.SIGINT - 1) for mask in masks)
