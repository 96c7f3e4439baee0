"""Hyperparameters that change from step to step: ``t -> float``, where ``t`` is the number of updates made so far.

The first update has ``t = 0``. Every schedule is a frozen dataclass: it compares, hashes and prints as the call that
made it, and goes through JSON by :func:`to_json` and :func:`from_json`. The value comes first, then the counts of
updates. Ends are exact: ``start`` (``peak`` where there is none) is the value at ``t = 0`` to the last bit, and what
ends at ``steps`` gives ``final`` itself there and ever after. Values have the unit of the hyperparameter; all
arithmetic is float64.

Making a schedule raises :class:`~gradstep.GradstepTypeError` for an argument of the wrong type and
:class:`~gradstep.GradstepValueError` for one out of range (NaN and infinity are); calling it does so for its ``t``.
"""

from gradstep.schedules.base import Schedule
from gradstep.schedules.combined import noisy, product, scaled
from gradstep.schedules.composed import inverse_sqrt, join, one_cycle, warmup, warmup_cosine, wsd
from gradstep.schedules.curves import inverse_time, k_decay, power, rex, tanh
from gradstep.schedules.cycles import chebyshev, cyclic, one_cycle_three_phase, piecewise_interpolate
from gradstep.schedules.decaying import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    linear,
    piecewise,
    polynomial,
    step,
)
from gradstep.schedules.saving import from_json, to_json

__all__ = [
    "Schedule",
    "chebyshev",
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "from_json",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "k_decay",
    "linear",
    "noisy",
    "one_cycle",
    "one_cycle_three_phase",
    "piecewise",
    "piecewise_interpolate",
    "polynomial",
    "power",
    "product",
    "rex",
    "scaled",
    "step",
    "tanh",
    "to_json",
    "warmup",
    "warmup_cosine",
    "wsd",
]
