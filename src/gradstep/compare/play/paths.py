"""Paths: every step of an optimizer on a surface, with all that it had in its state."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.play.optimizers import Player
from gradstep.compare.play.settings import Settings
from gradstep.errors import NonFiniteError
from gradstep.optimizer import Optimizer

BEYOND = 1e9  # a coordinate there: the path will not come back


@dataclass(frozen=True)
class Path:
    """What one optimizer did in T steps. Shapes: T + 1 moments, the start among them, by 2 coordinates.

    Attributes
    ----------
    player
        The optimizer.
    x, loss
        Where it was, and the function there, without noise; (T + 1, 2) and (T + 1,).
    gradient
        What each step was given, noise included; (T, 2).
    state
        The arrays of its state by name, such as ``adam.m``; (T + 1, 2) each.
    ended
        Why it ended before its last step; None where it did not.
    """

    player: Player
    x: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray
    state: dict[str, np.ndarray]
    ended: str | None

    @property
    def moved(self) -> np.ndarray:
        """How far each step went; (T,)."""
        return np.hypot(*np.diff(self.x, axis=0).T)

    @property
    def rate(self) -> np.ndarray:
        """How far each coordinate went for each unit of its gradient; NaN where that was zero; (T, 2)."""
        with np.errstate(all="ignore"):
            return np.abs(np.diff(self.x, axis=0) / np.where(self.gradient == 0, np.nan, self.gradient))

    def as_json(self) -> dict[str, Any]:
        """All of it with every digit; None where a number is not finite."""
        return {
            "optimizer": self.player.label,
            "hyper": dict(self.player.numbers),
            "stage": str(self.player),
            "x": numbers(self.x),
            "loss": numbers(self.loss),
            "gradient": numbers(self.gradient),
            "state": {name: numbers(values) for name, values in self.state.items()},
            "moved": numbers(self.moved),
            "rate": numbers(self.rate),
            "ended": self.ended,
        }


def numbers(values: np.ndarray) -> list[Any]:
    """An array as nested lists, with None where a number is not finite."""
    out = values.astype(object)
    out[~np.isfinite(values)] = None
    return out.tolist()


def trace(settings: Settings) -> list[Path]:
    """The paths of all optimizers, from one start with one sequence of noise."""
    draws = np.random.default_rng(settings.surface.seed).standard_normal((settings.steps, 2))
    with np.errstate(all="ignore"):  # overflow is what a diverging path does
        return [_path(settings, player, settings.surface.noise * draws) for player in settings.players]


def _path(settings: Settings, player: Player, noise: np.ndarray) -> Path:
    function = settings.surface.function()
    theta = np.array(settings.start)
    opt = Optimizer({"x": theta}, player.stage, threads=1)
    state = opt.state["x"]
    value, gradient = function(theta)
    at, losses, gradients = [theta.copy()], [float(value)], [np.empty(2)][:0]
    kept = {name: [slot.copy()] for name, slot in state.items()}
    ended = None
    for step in range(settings.steps):
        noisy = gradient + noise[step]
        try:
            opt.step({"x": noisy})
        except NonFiniteError as error:
            ended = f"ended before step {step + 1}: {error}"
            break
        value, gradient = function(theta)
        if not (np.isfinite(value) and np.abs(theta).max() < BEYOND):
            ended = f"diverged at step {step + 1}"
            break
        at.append(theta.copy())
        losses.append(float(value))
        gradients.append(noisy)
        for name, slot in state.items():
            kept[name].append(slot.copy())
    return Path(
        player,
        np.array(at),
        np.array(losses),
        np.array(gradients).reshape(-1, 2),
        {name: np.array(values) for name, values in kept.items()},
        ended,
    )
