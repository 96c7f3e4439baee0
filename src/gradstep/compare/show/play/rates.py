"""Rates: how fast a linear rule converges on a quadratic, taken from the rule itself.

On a quadratic of curvature c the gradient is c theta, and a step of a linear rule is a linear map of theta and its
state. Its matrix is found by stepping unit vectors; its spectral radius is the factor that each step leaves of the
error in the long run. The rate of the quadratic is that of its worst curvature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from gradstep.form.chain import Program, program, run
from gradstep.form.rule import Stage

LATER = 1000  # a rule whose scalars are those of this step at once has no beginning
LOW_RATES, HIGH_RATES = 1e-3, 1e1  # of the map, for a largest curvature of 1
ACROSS, UP = 141, 67
LOWEST_RATE, HIGHEST_RATE = 1e-4, 1e3  # of the search
POINTS, ROUNDS = 17, 17  # a grid of the search, which is an eighth as wide in each round
HIGHEST_MOMENTUM = 1 - 1e-9


@dataclass(frozen=True)
class Best:
    """The learning rate and momentum with the least rate; momentum is None for a rule without one."""

    lr: float
    momentum: float | None
    rate: float


@dataclass(frozen=True)
class RateMap:
    """Rates over learning rates and momenta, shape (momentum, lr); one row for a rule without momentum."""

    lr: np.ndarray
    momentum: np.ndarray | None
    rate: np.ndarray
    best: Best


def is_linear(stage: Stage) -> bool:
    """Tell if a step is the same linear map of parameters, gradient and state at any time."""
    made = program(stage)
    hyper = {**made.values(made.hyper, 0), "lr": 1.0}  # it does not depend on the rate, which may overflow
    if made.reduces or made.remembers or made.random or _row(made, hyper, 2) != _row(made, hyper, LATER):
        return False
    draw = np.random.default_rng(0).standard_normal
    a, b = draw((_size(made) + 1, 8)), draw((_size(made) + 1, 8))
    with np.errstate(all="ignore"):
        both = [_step(made, hyper, x) for x in (a, b, a + b, 1e-6 * a, 1e6 * a)]
        pairs = ((both[0] + both[1], both[2]), (both[0], 1e6 * both[3]), (both[0], 1e-6 * both[4]))
        # Relative to the largest, since a sum of large numbers may be small.
        return all(np.abs(x - y).max() <= 1e-9 * np.abs(x).max() for x, y in pairs)


def rates(stage: Stage, curvatures: tuple[float, ...], **axes: Any) -> np.ndarray:
    """The spectral radius of a step at the worst of the curvatures; infinite where a number overflows.

    Parameters
    ----------
    stage
        A linear one.
    **axes
        Hyperparameters in place of the stage's own: numbers, or arrays that broadcast to the shape of the result.
    """
    made = program(stage)
    size = _size(made)
    arrays = np.broadcast_arrays(*axes.values())
    # Axes: the hyperparameters, the curvature, and the unit vector that is stepped.
    own = {key: x.reshape(-1, 1, 1) for key, x in zip(axes, arrays, strict=True)}
    unit = np.eye(size)
    theta, slots = unit[0], iter(unit[1:])
    state = [[next(slots) for _ in names] for names in made.slots]
    with np.errstate(all="ignore"):
        row = _row(made, {**made.values(made.hyper, 0), **own}, 2)
        after, _, states, _ = run(made.rules, theta, np.reshape(curvatures, (-1, 1)) * theta, state, row)
        shape = (arrays[0].size, len(curvatures), size)
        matrix = np.stack([np.broadcast_to(x, shape) for x in (after, *(x for own in states for x in own))], axis=-2)
    good = np.asarray(np.isfinite(matrix).all(axis=(-1, -2)))
    roots = np.abs(np.linalg.eigvals(np.where(good[..., None, None], matrix, 0.0))).max(axis=-1)
    return np.where(good, roots, np.inf).max(axis=-1).reshape(arrays[0].shape)


def rate_map(stage: Stage, curvatures: tuple[float, float]) -> RateMap:
    """The rates of a linear stage around the learning rates that fit a largest curvature of 1, and the best of all."""
    return _rate_map(_Key(_besides(stage), curvatures, stage))


@dataclass(frozen=True)
class _Key:
    """Key of a cached map: curvatures, and the stage without the hyperparameters of the map's axes."""

    besides: str
    curvatures: tuple[float, float]
    stage: Stage = field(compare=False)


def _besides(stage: Stage) -> str:
    hyper = {key: x for key, x in program(stage).hyper.items() if key not in ("lr", "momentum")}
    return f"{[part.rule.name for part in stage.parts]} {hyper}"


@lru_cache(maxsize=64)
def _rate_map(key: _Key) -> RateMap:
    stage, curvatures = key.stage, key.curvatures
    lr = np.geomspace(LOW_RATES, HIGH_RATES, ACROSS)
    if not _has_momentum(stage):
        return RateMap(lr, None, rates(stage, curvatures, lr=lr[None]), best(stage, curvatures))
    momentum = np.linspace(0, 0.99, UP)
    return RateMap(lr, momentum, rates(stage, curvatures, lr=lr, momentum=momentum[:, None]), best(stage, curvatures))


def best(stage: Stage, curvatures: tuple[float, float]) -> Best:
    """Return the rate and momentum at which a linear stage converges fastest, its other hyperparameters as they are.

    The rate has a cusp there, which defeats what takes it for smooth; but it falls and then rises along the learning
    rate, and so does the least of it along the momentum. So grids are narrowed to what lies beside their best point.
    """
    if not _has_momentum(stage):
        lr, rate = _best_lr(stage, curvatures)
        return Best(float(lr[0]), None, float(rate[0]))
    found = Best(1.0, 0.0, np.inf)
    low, high = 0.0, HIGHEST_MOMENTUM
    for _ in range(ROUNDS):
        momentum = np.linspace(low, high, POINTS)
        lr, rate = _best_lr(stage, curvatures, momentum=momentum[:, None])
        k = int(np.argmin(rate))
        if rate[k] < found.rate:
            found = Best(float(lr[k]), float(momentum[k]), float(rate[k]))
        low, high = momentum[max(k - 1, 0)], momentum[min(k + 1, POINTS - 1)]
    return found


def _best_lr(stage: Stage, curvatures: tuple[float, float], **besides: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best learning rate beside each value of other hyperparameters, shape (n, 1), and its rate; (n,)."""
    rows = np.arange(max((len(x) for x in besides.values()), default=1))
    x = np.tile(np.linspace(np.log(LOWEST_RATE), np.log(HIGHEST_RATE), POINTS), (len(rows), 1))
    lr = rate = rows
    for _ in range(ROUNDS):
        every = rates(stage, curvatures, lr=np.exp(x), **besides)
        k = np.argmin(every, axis=1)
        lr, rate = np.exp(x[rows, k]), every[rows, k]
        x = np.linspace(x[rows, np.maximum(k - 1, 0)], x[rows, np.minimum(k + 1, POINTS - 1)], POINTS, axis=1)
    return lr, rate


def _has_momentum(stage: Stage) -> bool:
    return "momentum" in program(stage).hyper


def _size(made: Program) -> int:
    """Numbers kept for each parameter, itself among them."""
    return 1 + sum(map(len, made.slots))


def _row(made: Program, hyper: Mapping[str, Any], t: int) -> list[list[Any]]:
    """The scalars of each part at update t, from numbers or arrays: no linear rule's scalars branch on them."""
    row: list[list[Any]] = []
    for part, keys in zip(made.parts, made.keys, strict=True):
        known = {"t": t, **{key: hyper[flat] for key, flat in keys.items()}}
        out = part.rule.scalars(**{key: known[key] for key in part.rule.arguments})
        row.append([out[key] for key in part.rule.numbers])
    return row


def _step(made: Program, hyper: Mapping[str, float], vectors: np.ndarray) -> np.ndarray:
    """One step from rows theta, g, and the state; the new theta and state."""
    theta, g, *slots = vectors
    rest = iter(slots)
    state = [[next(rest) for _ in names] for names in made.slots]
    after, _, states, _ = run(made.rules, theta, g, state, _row(made, hyper, 2))
    return np.stack([after, *(x for own in states for x in own)])
