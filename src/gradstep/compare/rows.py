"""What a table is made of."""

from dataclasses import dataclass

from gradstep.compare.statistics import Spread


@dataclass(frozen=True)
class Entry:
    """One optimizer on one problem.

    Attributes
    ----------
    trial, hyper
        The trial that was judged, and its hyperparameters beside those that the label holds.
    at_edge
        Whether its learning rate is the lowest or highest of several that were tried: the best may lie outside.
    steps
        To the target, over seeds; a miss is infinity.
    hits, seeds
        Seeds that reached the target, of how many.
    target_loss
        Median over seeds of the loss after the last step on the target's data, by which ties are broken.
    loss, accuracy
        On test data (or where nothing is held back, on all) after the last step. A run that did not get there has loss
        infinity and accuracy 0. ``accuracy`` is None where there are no classes.
    diverged, failed, runs
        Runs that diverged and that ended with an error, in any phase, of how many.
    step_us, optimizer_us, state_bytes
        As in :class:`~gradstep.compare.record.Timing`; NaN where that is missing.
    """

    problem: str
    optimizer: str
    trial: int
    hyper: dict[str, float]
    at_edge: bool
    steps: Spread
    hits: int
    seeds: int
    target_loss: float
    loss: Spread
    accuracy: Spread | None
    diverged: int
    failed: int
    runs: int
    step_us: float
    optimizer_us: float
    state_bytes: float


@dataclass(frozen=True)
class Row:
    """One optimizer on all problems.

    Attributes
    ----------
    hits, seeds
        Over all problems.
    solved
        Problems that its median seed solved.
    entries
        One for each problem that has runs of it to judge by.
    """

    optimizer: str
    hits: int
    seeds: int
    solved: int
    entries: tuple[Entry, ...]
