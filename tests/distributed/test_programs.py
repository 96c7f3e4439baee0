"""The programs in ``examples``, as their first lines say that they are started."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import processes
import pytest

from support import environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def said(command, folder, **more):
    """The line that a command prints which ends as it should."""
    env = {**environment(), **processes.ENVIRONMENT, **more}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=processes.TIMEOUT, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("30 steps, ")]
    has_aborted = "torchrun" in str(command) and lines and processes.has_aborted("gloo", done.stderr)
    assert done.returncode == 0 or has_aborted, done.stderr
    return lines


def check(start, program, folder, **more):
    """Two processes and three print one hash; and so do those that find their checkpoint."""
    command = [str(EXAMPLES / program), "run"]
    one, two = ([*start(size), *command] for size in (2, 3))
    found = [said(one, folder, **more), said(one, folder, **more)]
    shutil.rmtree(folder / "run")
    assert [*found, said(two, folder, **more)] == [found[0]] * 3
    assert len(found[0]) == 1


@pytest.mark.process
def test_the_example_of_mpi(tmp_path):
    start, own = processes.mpiexec("mpich", tmp_path)
    check(lambda size: [*start, str(size), sys.executable], "train_mpi.py", tmp_path, **own)


@pytest.mark.process
def test_the_example_of_torchrun(tmp_path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    check(lambda size: [*run, "--nproc-per-node", str(size)], "train_torchrun.py", tmp_path)


@pytest.mark.process
def test_the_script_for_slurm_begins_goes_on_and_asks_to_be_queued_again(tmp_path):
    """In a shell, with stand-ins for what SLURM and Gradstep are asked."""
    (tmp_path / "srun").write_text(
        '#!/bin/sh\necho "$@" >> asked\n[ -e run-7 ] && exit 0\nmkdir run-7; touch run-7/run.json; exit 143\n'
    )
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho scontrol "$@" >> asked\n')
    for name in ("srun", "scontrol"):
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    env |= {"SLURM_SUBMIT_DIR": str(tmp_path)}
    codes = [
        subprocess.run(["bash", EXAMPLES / "slurm.sh"], env=env, cwd=tmp_path, check=False).returncode for _ in "ab"
    ]
    assert codes == [143, 0]
    first, requeued, second = (tmp_path / "asked").read_text().splitlines()
    assert first.startswith("gradstep run problem.py:NAME --micro-batches 64")
    assert (requeued, second) == ("scontrol requeue 7", f"gradstep run --resume {tmp_path}/run-7")
