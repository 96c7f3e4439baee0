"""What is recorded and compared: the cases of cases.json, the problem they all step on, and what a run leaves."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
STEPS = 30
SHAPES = {"a": (8,), "b": (2, 3)}  # two, so that the norm of one tensor is not the norm of all
SEED = 20240117
DTYPES = {
    "torch": ("float64",),
    "optax": ("float64",),
    "optax.contrib": ("float64",),
    "keras": ("float32", "float64"),
    "mlx": ("float32",),
    "tf1": ("float32",),
    "timm": ("float64",),
    "pytorch_optimizer": ("float64",),
}


def inverse_time(base: float, rate: float) -> Callable[[Any], Any]:
    """The schedule base / (1 + rate k), k = 0 at the first step; of numbers, or of whatever a library counts in."""
    return lambda k: base / (1.0 + rate * k)


@dataclass(frozen=True)
class Case:
    """A constructor of a library, its arguments as JSON, and the dtype of the parameters."""

    library: str
    constructor: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"

    @property
    def call(self) -> str:
        """What one would type: the name of the case."""
        words = (f"{key}={_typed(value)}" for key, value in self.arguments.items())
        return f"{self.constructor}({', '.join(words)})"

    @property
    def key(self) -> str:
        """Of its array in the library's recording."""
        return f"{self.dtype}/{self.call}"

    def __str__(self) -> str:
        return f"{self.library}/{self.key}"

    def shaped(self, task: "Problem") -> "Problem":
        """The problem as the constructor takes it: Muon is for matrices, and has ``a`` as a column."""
        if (self.library, self.constructor) not in {("torch", "Muon"), ("keras", "Muon"), ("mlx", "Muon")}:
            return task
        start, *grads = ({name: x.reshape(len(x), -1) for name, x in own.items()} for own in (task.start, *task.grads))
        return Problem(start, grads)

    def given(self, schedule: Callable[[float, float], Any] = inverse_time) -> dict[str, Any]:
        """The arguments as Python; ``schedule`` makes what stands where JSON names a schedule."""
        return {
            key: schedule(*value["inverse_time"])
            if isinstance(value, dict)
            else tuple(value)
            if isinstance(value, list)
            else value
            for key, value in self.arguments.items()
        }


def _typed(value: Any) -> str:
    if isinstance(value, dict):
        return f"inverse_time({', '.join(map(repr, value['inverse_time']))})"
    return repr(tuple(value) if isinstance(value, list) else value)


def cases(library: str) -> list[Case]:
    """All cases of a library in all their dtypes."""
    listed = json.loads((FOLDER / "cases.json").read_text("utf-8"))[library]
    return [
        Case(library, constructor, arguments, dtype)
        for dtype in DTYPES[library]
        for constructor, settings in listed.items()
        for arguments in settings
    ]


Arrays = dict[str, np.ndarray]


def loss(k: int) -> float:
    """The loss that comes with step k, for those that take one; below zero from the twentieth on."""
    return 20 / (1 + k) - 1


def curvature(grads: Arrays) -> Arrays:
    """The diagonal of the Hessian that comes with some gradients, for those that take one."""
    return {name: abs(g) for name, g in grads.items()}


@dataclass(frozen=True)
class Problem:
    """Where the parameters start, and the gradient of each step."""

    start: Arrays
    grads: list[Arrays]


def problem(dtype: str, seed: int = SEED, steps: int = STEPS, low: float = 1e-3, high: float = 1e2) -> Problem:
    """Gradients log-uniform between ``low`` and ``high``, with both signs and zeros among them.

    ``a[0]`` has no gradient for the first third of the steps, one element in twelve of the others is zero,
    and so is the whole gradient of every eighth step.
    """
    rng = np.random.default_rng(seed)
    start = {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}
    grads = []
    for k in range(steps):
        step = {}
        for name, shape in SHAPES.items():
            size = np.exp(rng.uniform(np.log(low), np.log(high), shape))
            x = size * rng.choice([-1.0, 1.0], shape) * (rng.uniform(size=shape) > 1 / 12)
            if name == "a" and k < steps // 3:
                x[0] = 0.0
            step[name] = (x * (k % 8 != 7)).astype(dtype)
        grads.append(step)
    return Problem(start, grads)


@dataclass(frozen=True)
class Trajectory:
    """What a library did: ``theta[k]`` after k updates, its own ``state[k - 1]`` then, and what it says of itself."""

    theta: list[Arrays]
    state: list[Arrays]
    about: Mapping[str, Any] = field(default_factory=dict)


Run = Callable[[Case, Problem], Trajectory]


def read(library: str) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    """A library's recording: what it says of itself, and its arrays by key."""
    with np.load(FOLDER / f"{library}.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("about"))), arrays


def recorded(case: Case, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[Problem, Trajectory]:
    """One case of a recording."""
    task, rows = case.shaped(task_of(arrays, case.dtype)), _rows(arrays[case.key])
    theta = [task.start, *(_under("theta/", row) for row in rows)]
    state = [_under("state/", row) for row in rows]
    return task, Trajectory(theta, state, about["cases"][case.key])


def task_of(arrays: Mapping[str, np.ndarray], dtype: str) -> Problem:
    """The problem of a recording."""
    (start,) = _rows(arrays[f"{dtype}/start"])
    return Problem(start, _rows(arrays[f"{dtype}/gradient"]))


def _rows(table: np.ndarray) -> list[Arrays]:
    return [{name: table[name][k] for name in table.dtype.names} for k in range(len(table))]


def _under(prefix: str, row: Arrays) -> Arrays:
    return {name.removeprefix(prefix): x for name, x in row.items() if name.startswith(prefix)}
