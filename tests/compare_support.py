"""What tests of comparisons share: studies without what a clock has measured, a problem that ends its process."""

from dataclasses import replace

ENDING = """
import os, signal
import numpy as np

class P:
    params = np.ones(2)

    def __init__(self, seed):
        self.seed = seed

    def value_and_grad(self, x):
        if self.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x @ x), 2 * x
"""


def timeless(study):
    """All runs of a study, without their seconds."""
    return [replace(run, seconds=0.0) for run in study.runs]


def table_of(study):
    """The table of a study, without what was measured by a clock."""
    blank = {"step_us": 0.0, "optimizer_us": 0.0}
    return [replace(row, entries=tuple(replace(entry, **blank) for entry in row.entries)) for row in study.table()]
