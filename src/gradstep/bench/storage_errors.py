"""Accuracy lost to fewer bits: each way to store parameters and state, against the same run in float64.

The problem is a separable quadratic with noise: the gradient at theta is h (theta - target) + 0.3 h noise, with
curvatures h spread evenly in logarithm over three decades, so that numbers of all sizes meet in one block of 8-bit
state. Everyone sees the same noise and computes gradients at its own parameters. All begin at numbers that bfloat16
can hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gradstep as gs
from gradstep.bench.contenders.base import load
from gradstep.bench.contenders.ours import stage_of
from gradstep.bench.work import Work

STEPS, ELEMENTS, NOISE = 2000, 4096, 0.3
MASTER = "bfloat16 parameters, float32 masters"

# What is stored how: the parameters' dtype, and options of gs.Optimizer.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "float32": ("float32", {}),
    "bfloat16 state": ("float32", {"state_dtype": "bfloat16"}),
    "8-bit state": ("float32", {"state_dtype": "8bit"}),
    "bfloat16 parameters, to the nearest": ("bfloat16", {}),
    "bfloat16 parameters, stochastic": ("bfloat16", {"rounding": "stochastic"}),
    MASTER: ("bfloat16", {"master": True}),
    "bfloat16 parameters, stochastic, 8-bit state": ("bfloat16", {"rounding": "stochastic", "state_dtype": "8bit"}),
}


@dataclass(frozen=True)
class StorageError:
    """The distance of a variant's end from that of the float64 run.

    Attributes
    ----------
    variant
        What is stored how.
    largest, rms
        Over all elements, of the distance over the length of the path that the element took in float64.
    bytes_per_parameter
        Parameters and state.
    """

    variant: str
    largest: float
    rms: float
    bytes_per_parameter: float


@dataclass(frozen=True)
class Problem:
    """The problem: curvatures, where the minimum is, and where all begin."""

    curvature: NDArray[Any]
    target: NDArray[Any]
    start: NDArray[Any]

    def gradient(self, theta: NDArray[Any], noise: NDArray[Any]) -> NDArray[Any]:
        """In float64, at parameters of any dtype."""
        return self.curvature * (theta.astype(np.float64) - self.target + NOISE * noise)


def make_problem(seed: int, elements: int = ELEMENTS) -> Problem:
    """The problem of that seed."""
    rng = np.random.default_rng([seed, 0])
    curvature = 10.0 ** rng.uniform(-3, 0, elements)
    start = rng.standard_normal(elements, np.float32)
    held = (start.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)  # the upper half is a bfloat16
    return Problem(curvature, rng.standard_normal(elements), held.astype(np.float64))


def storage_errors(work: Work, steps: int | None = None) -> list[StorageError]:
    """The end of each variant after ``steps`` updates (:data:`STEPS`) of the work's rule at its default numbers.

    Raises
    ------
    GradstepError
        Without ml_dtypes, which gives NumPy its bfloat16.
    """
    problem = make_problem(work.seed)
    exact = gs.Optimizer({"w": problem.start.copy()}, stage_of(work), threads=work.threads)
    others = {name: _optimizer(problem, work, dtype, options) for name, (dtype, options) in VARIANTS.items()}
    rng, path = np.random.default_rng([work.seed, 1]), np.zeros(problem.start.size)
    for _ in range(steps or STEPS):
        noise = rng.standard_normal(problem.start.size)
        before = exact.params["w"].copy()
        for optimizer in (exact, *others.values()):
            w = optimizer.params["w"]
            optimizer.step({"w": problem.gradient(w, noise).astype(w.dtype)})
        path += np.abs(exact.params["w"] - before)
    end = exact.params["w"]
    found: list[StorageError] = []
    for name, optimizer in others.items():
        w, state = optimizer.params["w"], optimizer.state["w"]
        size = (w.nbytes + sum(x.nbytes for x in state.values())) / w.size
        found.append(_error(name, w, end, path, size))
        if name == MASTER:
            found.append(_error("  the masters themselves", state["master"], end, path, size))
    return found


def _optimizer(problem: Problem, work: Work, dtype: str, options: Mapping[str, Any]) -> gs.Optimizer:
    real: Any = load("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    params = {"w": problem.start.astype(real)}
    return gs.Optimizer(params, stage_of(work), threads=work.threads, seed=work.seed, **options)


def _error(name: str, w: NDArray[Any], end: NDArray[Any], path: NDArray[Any], size: float) -> StorageError:
    relative = np.abs(w.astype(np.float64) - end) / path
    return StorageError(name, float(relative.max()), float(np.sqrt(np.mean(relative**2))), size)
