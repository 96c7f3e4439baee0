"""Rates: how fast a linear rule converges on a quadratic, taken from the rule itself.

On a quadratic of curvature c the gradient is c theta, and a step of a linear rule is a linear map of theta and its
state. Its matrix is found by stepping unit vectors; its spectral radius is the factor that each step leaves of the
error in the long run. The rate of the quadratic is that of its worst curvature.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from gradstep.chain import Program, program, run
from gradstep.rule import Stage

LATER = 1000  # a rule whose scalars are those of this step at once has no beginning
LOW_RATES, HIGH_RATES = 1e-3, 1e1  # of the map, for a largest curvature of 1
ACROSS, UP = 141, 67
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
    """Whether a step is the same linear map of parameters, gradient and state at any time."""
    made = program(stage)
    hyper = made.values(made.hyper, 0)
    if made.reduces or made.remembers or _scalars(made, [hyper], 2) != _scalars(made, [hyper], LATER):
        return False
    draw = np.random.default_rng(0).standard_normal
    a, b = draw((_size(made) + 1, 8)), draw((_size(made) + 1, 8))
    with np.errstate(all="ignore"):
        parts = [_step(made, hyper, x) for x in (a, b, a + b, 1e-6 * a, 1e6 * a)]
    whole = [parts[0] + parts[1], parts[0], parts[0]]
    scaled = [parts[2], 1e6 * parts[3], 1e-6 * parts[4]]
    return all(np.allclose(x, y, rtol=1e-9, atol=1e-9) for x, y in zip(whole, scaled, strict=True))


def rates(stage: Stage, hypers: list[Mapping[str, float]], curvatures: tuple[float, ...]) -> np.ndarray:
    """The spectral radius of a step with each of ``hypers``, at the worst of the curvatures.

    Parameters
    ----------
    stage
        A linear one.
    hypers
        Hyperparameters by name, in place of the stage's own.
    """
    made = program(stage)
    size = _size(made)
    own = made.values(made.hyper, 0)
    # Axes: the hyperparameters, the curvature, and the unit vector that is stepped.
    row = [
        [np.reshape(x, (-1, 1, 1)) for x in part]
        for part in _columns(_scalars(made, [{**own, **hyper} for hyper in hypers], 2))
    ]
    unit = np.eye(size)
    theta, slots = unit[0], iter(unit[1:])
    state = [[next(slots) for _ in names] for names in made.slots]
    with np.errstate(all="ignore"):
        after, _, states = run(made.rules, theta, np.reshape(curvatures, (-1, 1)) * theta, state, row)
        shape = (len(hypers), len(curvatures), size)
        matrix = np.stack([np.broadcast_to(x, shape) for x in (after, *(x for own in states for x in own))], axis=-2)
    good = np.asarray(np.isfinite(matrix).all(axis=(-1, -2)))
    roots = np.abs(np.linalg.eigvals(np.where(good[..., None, None], matrix, 0.0))).max(axis=-1)
    return np.where(good, roots, np.inf).max(axis=-1)


def rate_map(stage: Stage, curvatures: tuple[float, float]) -> RateMap:
    """The rates of a linear stage around the learning rates that fit a largest curvature of 1, and the best of all."""
    return _rate_map(_Question(_besides(stage), curvatures, stage))


@dataclass(frozen=True)
class _Question:
    """What a map depends on; the stage itself only through what it is besides the map's axes."""

    besides: str
    curvatures: tuple[float, float]
    stage: Stage = field(compare=False)


def _besides(stage: Stage) -> str:
    hyper = {key: x for key, x in program(stage).hyper.items() if key not in ("lr", "momentum")}
    return f"{[part.rule.name for part in stage.parts]} {hyper}"


@lru_cache(maxsize=64)
def _rate_map(asked: _Question) -> RateMap:
    lr = np.geomspace(LOW_RATES, HIGH_RATES, ACROSS)
    momentum = np.linspace(0, 0.99, UP) if _has_momentum(asked.stage) else None
    rate = _on_grid(asked.stage, asked.curvatures, lr, momentum)
    return RateMap(lr, momentum, rate, best(asked.stage, asked.curvatures))


def best(stage: Stage, curvatures: tuple[float, float]) -> Best:
    """Where a linear stage converges fastest, all other hyperparameters as they are.

    Ever finer grids around the best point: the rate has a cusp there, which defeats what takes it for smooth.
    """
    low, high = np.log(1e-4), np.log(1e3)
    bottom, top = 0.0, HIGHEST_MOMENTUM
    found = Best(1.0, None, np.inf)
    for _ in range(48):
        lr = np.exp(np.linspace(low, high, 25))
        momentum = np.linspace(bottom, top, 25) if _has_momentum(stage) else None
        rate = _on_grid(stage, curvatures, lr, momentum)
        j, i = np.unravel_index(np.argmin(rate), rate.shape)
        if rate[j, i] <= found.rate:
            found = Best(float(lr[i]), None if momentum is None else float(momentum[j]), float(rate[j, i]))
        at, width = np.log(found.lr), (high - low) / 5
        low, high = at - width, at + width
        at, height = found.momentum or 0.0, (top - bottom) / 5
        bottom, top = max(0.0, at - height), min(HIGHEST_MOMENTUM, at + height)
    return found


def _has_momentum(stage: Stage) -> bool:
    return "momentum" in program(stage).hyper


def _on_grid(stage: Stage, curvatures: tuple[float, float], lr: np.ndarray, momentum: np.ndarray | None) -> np.ndarray:
    if momentum is None:
        return rates(stage, [{"lr": x} for x in lr.tolist()], curvatures)[None]
    hypers: list[Mapping[str, float]] = [{"lr": x, "momentum": y} for y in momentum.tolist() for x in lr.tolist()]
    return rates(stage, hypers, curvatures).reshape(len(momentum), len(lr))


def _size(made: Program) -> int:
    """Numbers kept for each parameter, itself among them."""
    return 1 + sum(map(len, made.slots))


def _scalars(made: Program, hypers: list[Mapping[str, float]], t: int) -> list[list[tuple[float, ...]]]:
    """For each of ``hypers`` the scalars of each part at update t."""
    out: list[list[tuple[float, ...]]] = []
    for hyper in hypers:
        row: list[tuple[float, ...]] = []
        for part, keys in zip(made.parts, made.keys, strict=True):
            numbers, _ = part.rule.host(t, {key: hyper[flat] for key, flat in keys.items()}, part.rule.memory)
            row.append(tuple(numbers.values()))
        out.append(row)
    return out


def _columns(table: list[list[tuple[float, ...]]]) -> list[np.ndarray]:
    """For each part an array (number, hyper)."""
    return [np.array(rows, float).reshape(len(table), -1).T for rows in zip(*table, strict=True)]


def _step(made: Program, hyper: Mapping[str, float], vectors: np.ndarray) -> np.ndarray:
    """One step from rows theta, g, and the state; the new theta and state."""
    theta, g, *slots = vectors
    rest = iter(slots)
    state = [[next(rest) for _ in names] for names in made.slots]
    after, _, states = run(made.rules, theta, g, state, _scalars(made, [hyper], 2)[0])
    return np.stack([after, *(x for own in states for x in own)])
