"""A test of whether the rows that a sparse gradient names are all that an update moves; for guests."""

from collections.abc import Mapping, Sequence

import numpy as np

from gradstep.form.chain import Program
from gradstep.step import Snapshot, Step, Values

ROWS_ALONE = "torch.SparseAdam"  # which moves the rows of a sparse gradient, and nothing else of its state either


def rows_suffice(made: Program, values: Values, t: int, memory: Sequence[Mapping[str, float]]) -> bool:
    """Return True where the update after ``t`` leaves alone what has a gradient of zero: rows are all that moves.

    It is tried out on a few numbers: no list of rules is to be kept, and a weight decay of 0 counts as none.

    Parameters
    ----------
    made, values
        What is run, and the hyperparameters of each group.
    t, memory
        Updates made, and the host's numbers of each group.
    """
    if made.reduces:
        return False
    for own, numbers in zip(values, memory, strict=True):
        theta = np.array([3.0, -1e-3, 0.5, -700.0])
        probe = Step(made, {"x": theta.copy()}, [own], engine="eager")
        slots = [np.full(4, 0.7 + k) for k, _ in enumerate(probe.slots["x"])]
        probe.restore(Snapshot(t, 0, [numbers]), list(zip(probe.slots["x"].values(), slots, strict=True)))
        probe((np.zeros(4),), [own])
        if not all(map(np.array_equal, [*probe.params, *probe.slots["x"].values()], [theta, *slots])):
            return False
    return True
