"""Schedules over the whole of a run, by name: ``adamw:lr=warmup_cosine`` has its peak and its warm-up searched."""

from collections.abc import Callable, Mapping
from typing import Any

from gradstep.errors import GradstepValueError
from gradstep.naming import find

SHARE = "warmup_share"  # of a run's updates, in which the rate rises
DEFAULT_SHARE = 0.1
_Shape = Callable[[float, int, int], Any]


def _shapes() -> Mapping[str, _Shape]:
    """Schedules of a peak, the number of updates, and how many of them rise."""
    from gradstep import schedules as s  # which an import of the package need not wait for

    return {
        "linear": lambda peak, steps, _: s.linear(peak, steps),
        "cosine": lambda peak, steps, _: s.cosine(peak, steps),
        "warmup": lambda peak, _, rise: s.warmup(rise, s.constant(peak)),
        "warmup_linear": lambda peak, steps, rise: s.warmup(rise, s.linear(peak, steps - rise)),
        "warmup_cosine": lambda peak, steps, rise: s.warmup_cosine(peak, steps, rise),
        "inverse_sqrt": lambda peak, _, rise: s.inverse_sqrt(peak, max(rise, 1)),
        "wsd": lambda peak, steps, rise: s.wsd(peak, steps, rise, max(1, (steps - rise) // 5)),
    }


def rises(shape: str) -> bool:
    """Return True for a shape that has a warm-up."""
    return shape not in ("linear", "cosine")


def check_shape(owner: str, shape: str, held: Mapping[str, float]) -> None:
    """Refuse a name of no shape, and a share of the warm-up that is out of range or has none.

    Raises
    ------
    GradstepValueError
        For these; with close matches of the name.
    """
    find(
        f"{owner}: a learning rate is a number or one of these schedules over the whole run, and not", shape, _shapes()
    )
    share = held.get(SHARE)
    if share is not None and not rises(shape):
        raise GradstepValueError(f"{owner}: {shape} has no warm-up; leave {SHARE} out, or take warmup_{shape}.")
    if share is not None and not 0 <= share < 1:
        raise GradstepValueError(f"{owner}: {SHARE} is a part of the run, from 0 to below 1, not {share:g}.")


def over_a_run(shape: str, peak: float, steps: int, share: float = DEFAULT_SHARE) -> Any:
    """Return a schedule over a run.

    Parameters
    ----------
    shape
        ``"linear"`` and ``"cosine"`` fall from the peak to 0; ``"warmup_linear"`` and ``"warmup_cosine"`` rise to it
        first; ``"warmup"`` stays there; ``"inverse_sqrt"`` falls with the root of t; ``"wsd"`` falls in the last
        fifth of what the warm-up leaves.
    peak
        The highest rate.
    steps
        Updates of the run.
    share
        Of them in the warm-up, of a shape that has one; rounded to whole updates.

    Returns
    -------
    Schedule
        Of t, the number of updates made.
    """
    return _shapes()[shape](peak, steps, min(round(share * steps), steps - 1))
