"""timm.optim on the CPU: parameters in float64, state by the names of ``state_dict()``."""

import sys
from pathlib import Path

if __name__ == "__main__":  # this folder has a file of the library's own name: look in tests/ instead
    sys.path[0:1] = []
    sys.path.append(str(Path(__file__).parents[2]))

import timm
import timm.optim
import torch

from references.cases import Case, Problem, Trajectory
from references.record.common import main
from references.record.of_torch import followed


def run(case: Case, task: Problem) -> Trajectory:
    """One of its optimizers."""
    return followed(getattr(timm.optim, case.constructor), case, task)


if __name__ == "__main__":
    versions = {"timm": (timm.__version__, "1.0.31"), "torch": (torch.__version__, "2.13.0")}
    main("timm", versions, run)
