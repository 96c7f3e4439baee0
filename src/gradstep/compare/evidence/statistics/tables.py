"""Checks of a statistic's table: numbers, the axes that it needs, no hole."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.errors import GradstepValueError

Array = NDArray[np.float64]


def table(name: str, values: Any, axes: str, positive: bool = False, resampled: bool = False) -> Array:
    """``values`` as a float64 array with these axes.

    Infinity is a miss and welcome; NaN would be a run that is missing, and no statistic guesses what it had been.

    Parameters
    ----------
    name
        What the caller calls it, for the refusals.
    values
        Array or nest of numbers.
    axes
        Their names: ``"problem, solver, seed"``.
    positive
        Whether they are times, and so may not be negative.
    resampled
        Whether any number of other axes may come before these.

    Raises
    ------
    GradstepValueError
        For anything but numbers, other axes, an empty one, NaN, or a negative time.
    """
    names = axes.split(", ")
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise GradstepValueError(f"{name}: give numbers in one full array [{axes}].") from None
    if array.ndim < len(names) or (array.ndim > len(names) and not resampled):
        raise GradstepValueError(f"{name}: give an array [{axes}], not one of shape {array.shape}.")
    if array.size == 0:
        raise GradstepValueError(f"{name}: nothing in an array [{axes}] of shape {array.shape}; run something first.")
    _refuse(name, names, np.isnan(array), "is NaN, a run that is missing; finish the study, or leave its problem out")
    if positive:
        _refuse(name, names, array < 0, "is negative, but it is a time; give steps, evaluations or seconds")
    return array


def solver_number(name: str, number: int, solvers: int) -> int:
    """``number`` if there is such a solver.

    Raises
    ------
    GradstepValueError
        Otherwise; negative numbers do not count from the end.
    """
    if not 0 <= number < solvers:
        raise GradstepValueError(f"{name}: there is no solver {number}; give a number from 0 to {solvers - 1}.")
    return number


def _refuse(name: str, names: list[str], wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        place = np.argwhere(wrong)[0][-len(names) :]
        where = ", ".join(f"{axis} {i}" for axis, i in zip(names, place, strict=True))
        raise GradstepValueError(f"{name}: the value of {where} {why}.")
