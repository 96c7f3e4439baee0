"""Time of a step beside its peers, in one process: the measurements of ``gradstep bench``.

:class:`~gradstep.bench.work.Work` and :class:`~gradstep.bench.work.Size` say what is done,
:func:`~gradstep.bench.side_by_side.measure` has the contenders do it side by side, and its
:class:`~gradstep.bench.results.Result` is a table. ``docs/benchmarks.md`` says how, and what that does not show.
"""

from gradstep.bench.contenders import KINDS, ON_DEVICE, OURS, Kind, choose
from gradstep.bench.device import Device
from gradstep.bench.results import Measured, Result
from gradstep.bench.side_by_side import measure
from gradstep.bench.work import FULL, LARGE, MATRICES, QUICK, Size, Work, read_sizes

__all__ = [
    "FULL",
    "KINDS",
    "LARGE",
    "MATRICES",
    "ON_DEVICE",
    "OURS",
    "QUICK",
    "Device",
    "Kind",
    "Measured",
    "Result",
    "Size",
    "Work",
    "choose",
    "measure",
    "read_sizes",
]
