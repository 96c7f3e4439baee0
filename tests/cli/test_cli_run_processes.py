"""``gradstep run`` in processes of MPI: one run, which one of them shows, and one end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from own import outcome, run
from support import COMMAND, environment

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("mine", "no_report")]
STEPS = 10
USUAL = ["mine.py:Sent", "--micro-batches", "5", "--optimizer", "clip_by_global_norm:max_norm=0.5,adam"]
USUAL += ["--evaluate-every", "3", "--max-steps", str(STEPS)]
# While a batch is evaluated one of the processes gets a signal, or raises something.
SENT = """

class Sent(Function):
    def batches(self, k):
        if str(k) == os.environ.get("AT"):
            if "SIGNAL" not in os.environ:
                raise OSError("no disk")
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        return Function.batches(self, k)
"""


@pytest.fixture
def processes(monkeypatch):
    """The module of the tests of processes."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "distributed"))
    import processes

    return processes


def in_processes(processes, library, size, arguments, folder, **more):
    """Each process's exit code, and what all of them have printed together."""
    start, own = processes.mpiexec(library, folder)
    script = '"$@"; echo $? > code-${OMPI_COMM_WORLD_RANK:-$PMI_RANK}'  # mpiexec ends the others at a code but 0
    command = [*start, str(size), "sh", "-c", script, "sh", *COMMAND, "run", *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(**processes.ENVIRONMENT, **own, **more),
        stdin=subprocess.DEVNULL,
        timeout=processes.TIMEOUT,
        check=False,
    )
    codes = [int((folder / f"code-{rank}").read_text()) for rank in range(size)]
    said = [line for line in done.stderr.splitlines() if line.startswith("gradstep: ")]
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return codes, done.stdout, said


@pytest.fixture
def alone(capsys, mine):
    """The outcome of one process that was left alone."""
    with (mine / "mine.py").open("a") as file:
        file.write(SENT)
    run(capsys, *USUAL, "--out", "alone")
    return outcome(mine / "alone")


@pytest.mark.parametrize(("library", "name"), [("openmpi", "SIGTERM"), ("mpich", "SIGINT")])
def test_a_signal_to_one_ends_all_with_a_checkpoint_and_fewer_go_on(processes, library, name, alone, mine):
    number = {"SIGTERM": 15, "SIGINT": 2}[name]
    sent = {"AT": "23", "SIGNAL": str(number)}  # the last process, in the fifth evaluation
    codes, out, said = in_processes(processes, library, 3, [*USUAL, "--json", "--out", "a"], mine, **sent)
    assert codes == [128 + number] * 3
    assert said == ([] if name == "SIGTERM" else ["gradstep: interrupted"])
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [x["event"] for x in events] == ["run", *["step"] * 4, "end"]
    assert (events[0]["processes"], events[-1]["reason"]) == (3, f"the signal {name} came to process 2")
    codes, out, said = in_processes(processes, library, 2, ["--resume", "a"], mine)
    assert (codes, said) == ([0, 0], [])
    assert out.count("goes on from step 4 in a") == 1
    assert out.count("2 processes share the 5 batches of a step") == 1
    assert outcome(mine / "a") == alone


def test_an_error_of_one_is_one_line_and_what_was_done_is_saved(processes, alone, mine):
    codes, _, said = in_processes(processes, "mpich", 2, [*USUAL, "--json", "--out", "a"], mine, AT="19")
    assert codes == [2, 2]
    (line,) = said
    assert line.startswith("gradstep: process 1: Sent.batches raised OSError: no disk (mine.py, line ")
    assert line.endswith("). What was done is saved: gradstep run --resume a")
    found = subprocess.run([*COMMAND, "run", "--resume", "a"], env=environment(), check=False, capture_output=True)
    assert found.returncode == 0, found.stderr
    assert outcome(mine / "a") == alone


def test_another_mpi_than_that_of_mpiexec_is_told():
    code = "from gradstep.cli import main; import sys; sys.exit(main(['run', 'mine.py:Function']))"
    for rank, said in (("0", 1), ("1", 0)):
        own = {"PMI_SIZE": "2", "PMI_RANK": rank, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.modules['mpi4py'] = None; {code}"],
            env={**environment(), **own},
            capture_output=True,
            text=True,
            check=False,
        )
        told = "gradstep: 2 processes were started, and mpi4py is missing; pip install 'gradstep[mpi]'.\n"
        assert (done.returncode, done.stderr) == (2, told * said)
