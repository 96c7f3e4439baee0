"""Steps over what sparse gradients name alone: rows, as ``torch.nn.Embedding`` has them, or other coordinates."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gradstep.array import rows
from gradstep.checkpoint.transfer import uninterrupted
from gradstep.interop.torch.local import as_array, as_tensor, in_numpy, torch
from gradstep.step import Snapshot, Step, Values

# Torch takes sparse gradients for these although each of their steps moves all rows: the gradient is made dense.
DENSE = {"unfolded_momentum", "unfolded_nesterov"}


class Rows:
    """The rows of parameters and state that sparse gradients name, with a step of their own.

    Rows in NumPy's memory need none of it.

    Parameters
    ----------
    whole
        The step of the whole parameters; its state is changed where the rows lie, and its count.
    values
        Hyperparameters of each group.
    params
        Local tensors, in order.
    grads
        Sparse; equal indices are added up.
    """

    def __init__(self, whole: Step, values: Values, params: Sequence[Any], grads: Sequence[Any]) -> None:
        self.whole = whole
        found = [(g.detach() if g.layout is torch.sparse_coo else g.detach().to_sparse_coo()).coalesce() for g in grads]
        places = [tuple(g.indices()) for g in found]
        rows = [_array(x.detach()[place]) for x, place in zip(params, places, strict=True)]
        self.grads = tuple(_array(g.values()) for g in found)
        self.step = Step(whole.program, dict(zip(whole.names, rows, strict=True)), values, groups=whole.groups)
        self._pairs = [(x.detach(), place, row) for x, place, row in zip(params, places, rows, strict=True)]
        started: list[tuple[Any, Any]] = []
        for (name, own), place in zip(self.step.slots.items(), places, strict=True):
            for key, row in own.items():
                slot = as_tensor(whole.slots[name][key])
                started.append((row, _array(slot[place])))
                self._pairs.append((slot, place, row))
        self.step.restore(Snapshot(whole.t, whole.skipped, whole.memory, whole.own), started)

    def rehearse(self, values: Values, policy: str, taken: Mapping[str, float]) -> None:
        """Do all of an update but the writing: its errors, and no change."""
        self.step.rehearse(self.grads, values, policy, taken=taken)

    def __call__(self, values: Values, policy: str, taken: Mapping[str, float]) -> bool:
        """Make an update; false where it was left out."""
        if not self.step.with_inputs(self.grads, values, policy, {}, taken):
            return False

        def act() -> None:
            for x, place, row in self._pairs:
                x[place] = _tensor(row, x)
            self.whole.restore(Snapshot(self.step.t, self.whole.skipped, self.step.memory, self.step.own))

        uninterrupted(act)()
        return True


def has_rows(g: Any) -> bool:
    """Return True for a sparse gradient whose coordinates are numbers of rows, as those of an embedding."""
    return g.layout is torch.sparse_coo and g.sparse_dim() == 1


def as_rows(g: Any) -> rows.Rows:
    """Return such a gradient as :func:`gradstep.rows`, in the same memory; equal indices are left for the step."""
    g = g.detach()
    return rows.rows(g._indices()[0].numpy(), as_array(g._values()))


def _array(x: Any) -> Any:
    return as_array(x) if in_numpy(x) else x


def _tensor(row: Any, x: Any) -> Any:
    return torch.from_numpy(row.view(np.int16)).view(x.dtype) if x.dtype == torch.bfloat16 else as_tensor(row)
