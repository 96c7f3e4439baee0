"""Paths: every step of an optimizer on a surface, with its state."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradstep.compare.show.play.optimizers import Player
from gradstep.compare.show.play.settings import Settings
from gradstep.errors import NonFiniteError
from gradstep.optimizer import Optimizer

BEYOND = 1e9  # a path with a coordinate there has diverged


@dataclass(frozen=True)
class Path:
    """The path of one optimizer in T steps. Shapes: T + 1 moments, the start among them, by 2 coordinates.

    Attributes
    ----------
    player
        The optimizer.
    x, loss
        Its coordinates, and the function there, without noise; (T + 1, 2) and (T + 1,).
    gradient
        The gradients handed to each step, noise included; (T, 2).
    state
        The arrays of its state by name, such as ``adam.m``; (T + 1, 2) each.
    ended
        Reason for an end before the last step, or None.
    """

    player: Player
    x: np.ndarray
    loss: np.ndarray
    gradient: np.ndarray
    state: dict[str, np.ndarray]
    ended: str | None

    @property
    def moved(self) -> np.ndarray:
        """Lengths of the steps; (T,)."""
        return np.hypot(*np.diff(self.x, axis=0).T)

    @property
    def rate(self) -> np.ndarray:
        """Change of each coordinate over its gradient, as absolute values; NaN where the gradient was zero; (T, 2)."""
        with np.errstate(all="ignore"):
            return np.abs(np.diff(self.x, axis=0) / np.where(self.gradient == 0, np.nan, self.gradient))

    def as_json(self) -> dict[str, Any]:
        """Return the path with every digit; None where a number is not finite."""
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
    """Return an array as nested lists, with None where a number is not finite."""
    out = values.astype(object)
    out[~np.isfinite(values)] = None
    return out.tolist()


def trace(settings: Settings) -> list[Path]:
    """Return the paths of all optimizers, from one start with one sequence of noise."""
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
    kept = {name: [_of_coordinates(slot)] for name, slot in state.items() if slot.size <= theta.size}  # no squares
    ended = None
    for step in range(settings.steps):
        noisy = gradient + noise[step]
        try:
            opt.step({"x": noisy}, loss=losses[-1])
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
        for name, values in kept.items():
            values.append(_of_coordinates(state[name]))
    return Path(
        player,
        np.array(at),
        np.array(losses),
        np.array(gradients).reshape(-1, 2),
        {name: np.array(values) for name, values in kept.items()},
        ended,
    )


def _of_coordinates(slot: np.ndarray) -> np.ndarray:
    """Copy a slot as a number for each coordinate; one that has a single number has it for both."""
    return np.broadcast_to(slot.reshape(-1), 2).copy()
