"""A training of two processes of gloo on two hosts: ``python linked.py ADDRESS RANK FOLDER STEPS``.

It goes on from the folder, says each step in FOLDER-RANK.log, and prints the hash at its end, or one sentence.
"""

import sys
import time
from datetime import timedelta
from pathlib import Path

import training
from torch import distributed

from gradstep.distributed import Sharded
from gradstep.errors import GradstepError

SILENCE = 8  # seconds without an answer after which a process gives up


def say(*words):
    sys.stdout.write(f"{' '.join(map(str, words))}\n")
    sys.stdout.flush()


def main(address, rank, path, steps):
    distributed.init_process_group(
        "gloo", init_method=f"tcp://{address}", rank=rank, world_size=2, timeout=timedelta(seconds=SILENCE)
    )
    comm = distributed.group.WORLD
    opt = Sharded(training.parameters(), comm=comm, micro_batches=6, **training.SETTINGS["adamw_clip_ema"]())
    if (Path(path) / "manifest.json").exists():
        opt.restore(path)
    say("begins at", opt.t)
    while opt.t < steps:
        opt.step(training.gradient(opt.t, i, opt.params) for i in opt.mine)
        opt.save(path)
        time.sleep(0.05)
        say("step", opt.t)
    say("hash", training.digest(opt.params))
    distributed.destroy_process_group()


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    except GradstepError as error:
        say(error)
        sys.exit(2)
