"""Kills studies with SIGKILL while their workers start or work. Prints the processes that were left after a while.

``python orphans.py KILLS SECONDS watched|unwatched``
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """
import sys
from gradstep.cli import main
from gradstep.compare import workers
if sys.argv.pop(1) == "unwatched":
    workers._settings = lambda backend: {}
sys.exit(main())
"""
CALL = ["compare", "quadratic", "--optimizers", "adam,sgd,momentum", "--seeds", "3", "--trials", "4"]
CALL += ["--steps", "20000", "--jobs", "2", "--out"]


def members(group):
    """The processes of a group that run, and the words with which they were started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # processes end while one looks
            state, _, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text()
    return found


def left(folder, how, pause, seconds):
    """The number of processes that outlive a study by so many seconds, and whether it had any worker."""
    call = [sys.executable, "-c", STUDY, how, *CALL, folder]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    study = subprocess.Popen(call, start_new_session=True, **quiet)
    try:
        end = time.monotonic() + 60
        while not (worked := any("LokyProcess" in words for words in members(study.pid).values())):
            if time.monotonic() > end or study.poll() is not None:
                break
            time.sleep(0.01)
        time.sleep(pause)
        study.kill()
        study.wait()
        end = time.monotonic() + seconds
        while (there := members(study.pid)) and time.monotonic() < end:
            time.sleep(0.05)
        return len(there), worked
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(study.pid, signal.SIGKILL)


def main(kills, seconds, how):
    rng = random.Random(9)
    seen = []
    for k in range(kills):
        with tempfile.TemporaryDirectory() as folder:
            seen.append(left(folder, how, 0.0 if k == 0 else rng.uniform(0.0, 1.5), seconds))
    print(json.dumps({"left": sum(n for n, _ in seen), "worked": sum(worked for _, worked in seen)}))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3])
