"""Successive halving: trials that are behind early are stopped, and the best go on to several times the steps.

A trial that goes on is made again from its start, to a later update: so a run depends on nothing but its settings, and
one that was stopped is the beginning of the one that was not.
"""

from collections.abc import Sequence
from dataclasses import replace

from gradstep.compare.record import Options, RunRecord

LEFT = 2  # trials that make all steps, at least: curves cross late


def sizes(options: Options, trials: int) -> list[int]:
    """Return how many trials are at each rung, from the first: all; at each next one the best part of them."""
    found = [trials]
    while options.search == "halving" and len(found) < options.rungs and (left := -(-found[-1] // options.eta)) >= LEFT:
        found.append(left)
    return found


def rungs(options: Options, trials: int, steps: int, every: int) -> list[tuple[int | None, int]]:
    """Return the rungs of a search: the update at which trials are stopped, and how many trials there are.

    The last one has None: all steps are made. Updates are those of an evaluation. Without halving it is the only one.

    Parameters
    ----------
    options
        Of the study.
    trials
        Of one optimizer in one search.
    steps, every
        Updates in a run, and between two evaluations.
    """
    last = len(sizes(options, trials)) - 1
    updates = [-(-steps // (every * options.eta ** (last - k))) * every for k in range(last)]
    stops = sorted({x for x in updates if x < steps})
    return list(zip([*stops, None], sizes(options, trials), strict=False))


def planned_steps(found: Sequence[tuple[int | None, int]], steps: int) -> int:
    """Return the steps of all trials of a search, if none ends by itself: those made again are counted again."""
    return sum((steps if stop is None else stop) * trials for stop, trials in found)


def serves(run: RunRecord | None, until: int | None) -> bool:
    """Return True for a run that came as far as is asked, or ended by itself before; None: all steps."""
    return run is not None and (run.stopped is None or (until is not None and run.stopped >= until))


def longer(a: RunRecord, b: RunRecord) -> RunRecord:
    """Return the one of two runs of one key that was stopped later, or not at all; of equals the first."""
    return a if serves(a, b.stopped) else b


def cut(run: RunRecord, until: int | None) -> RunRecord:
    """Return a run as it is if it is stopped at an update; itself, where it did not come there."""
    if until is None or until == run.stopped or until not in run.steps:
        return run
    n = run.steps.index(until) + 1
    curves = {key: getattr(run, key)[:n] for key in ("steps", "batch_loss", "loss", "accuracy")}
    return replace(run, **curves, final={}, diverged=None, error=None, stopped=until)


def ended(run: RunRecord, until: int | None) -> RunRecord:
    """Return a run as if its study were of so many steps: what it is worth there is what it came to."""
    return replace(cut(run, until), stopped=None)
