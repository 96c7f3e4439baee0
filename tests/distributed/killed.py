"""A training in threads that is killed at a phase of its save, by ``python killed.py FOLDER SIZE STEPS PHASE``.

The phase is a number: the process ends itself, without a word, before that call into what writes checkpoints; 0: it is
left alone. It goes on from the folder where there is a checkpoint, and prints the hash at its end.
"""

import os
import sys
from pathlib import Path

import training

from gradstep.checkpoint import folder
from gradstep.distributed import Sharded, in_threads

CALLS = ("begin", "write_shard", "commit")


def main(path, size, steps, phase):
    calls = 0

    def counted(act):
        def call(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == phase:
                os._exit(9)
            return act(*arguments, **options)

        return call

    for name in CALLS:
        setattr(folder, name, counted(getattr(folder, name)))
    folder.write_text = counted(folder.write_text)
    folder._delete = counted(lambda save: None)  # folders before it stay, as where it is killed there

    def train(comm):
        opt = Sharded(training.parameters(), comm=comm, micro_batches=6, **training.SETTINGS["adamw_clip_ema"]())
        if (Path(path) / folder.MANIFEST).exists():
            opt.restore(path)
        while opt.t < steps:
            opt.step(training.gradient(opt.t, i, opt.params) for i in opt.mine)
            opt.save(path)
        return training.digest(opt.params)

    (found,) = set(in_threads(size, train))
    print("hash", found, calls, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
