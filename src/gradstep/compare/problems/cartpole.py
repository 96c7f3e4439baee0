"""A pole on a cart, kept upright by a policy that learns from its falls."""

from collections.abc import Iterator
from functools import cache

import numpy as np

from gradstep.compare.problems.data import SPLITS
from gradstep.compare.problems.problem import Problem, Split, Target, Task, Values, labelled, size_option
from gradstep.compare.problems.tape import Array, Params, Var, gradients, softplus, tanh

LIMIT = 100  # steps of an episode that did not fall
BATCH, WIDTH = 16, 16
SEEN = 64  # episodes of an evaluation


def policy(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """REINFORCE (Williams 1992, Machine Learning 8) on the cart-pole of Barto, Sutton and Anderson 1983.

    The loss is the part of an episode's steps that is lost by falling. Its gradient is an estimate without bias, from
    episodes: each choice weighted by the steps that follow it, less their mean in the other episodes.
    """
    many, wide = size_option("cartpole", "batch", batch, 10_000, least=2), size_option("cartpole", "width", width)

    def begin(seed: int) -> Task:
        params = _start(seed, wide)

        @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
        def value_and_grad(chances: Array) -> tuple[float, Params]:
            states, rights, alive = episodes(params, chances)
            _, grads = gradients(lambda p: surrogate(p, states, rights, alive), params)
            return float(1 - alive.mean()), grads

        @np.errstate(over="ignore", invalid="ignore")
        def evaluate(split: Split) -> Values:
            return {"loss": float(1 - episodes(params, seen(split))[2].mean())}

        return Task(params, chances(np.random.default_rng([seed, many]), many), value_and_grad, evaluate)

    return Problem(
        name=labelled("cartpole", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"a pole kept upright for {LIMIT} steps, by policy gradients from {many} episodes",
        source="simulation (Barto, Sutton and Anderson 1983)",
        size=f"{6 * wide + 1} parameters",
        # The middle one, 195 of 200 steps, counts as solved in Gym.
        target=Target("loss", 0.025, "validation", patience=2, easy=0.2, hard=0.01),
        steps=100,
        every=5,
        scale={"theta/g": 5e-1, "theta": 3e-2},
        family="physics and control",
        begin=begin,
    )


def moved(state: Array, right: Array) -> Array:
    """The state (place, speed, angle, its speed) 0.02 s later, of a cart that is pushed to the right or to the left.

    Cart of 1 kg, pole of 0.1 kg and 1 m, 10 N, no friction; Euler's method, as Gym's CartPole-v1 has it.
    """
    _, speed, angle, turning = state
    sine, cosine = np.sin(angle), np.cos(angle)
    push = (np.where(right, 10.0, -10.0) + 0.05 * turning * turning * sine) / 1.1
    spin = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine * cosine / 1.1))
    return state + 0.02 * np.stack([speed, push - 0.05 * spin * cosine / 1.1, turning, spin])


def episodes(params: Params, chances: Array) -> tuple[Array, Array, Array]:
    """Play as many episodes as ``chances`` has columns.

    Returns
    -------
    states, rights, alive
        (steps, episodes, 4), and each (steps, episodes): the states, whether the push was to the right, and whether the
        episode still went on after it.
    """
    state, goes_on = 0.1 * chances[:4] - 0.05, np.ones(chances.shape[1], dtype=bool)
    states, rights = np.zeros((LIMIT, len(goes_on), 4)), np.zeros((LIMIT, len(goes_on)), dtype=bool)
    alive = np.zeros((LIMIT, len(goes_on)), dtype=bool)
    for t, chance in enumerate(chances[4:]):
        states[t] = state.T
        hidden = np.tanh(states[t] @ params["w"] + params["b"])
        rights[t] = chance < 0.5 * (1 + np.tanh(0.5 * (hidden @ params["v"] + params["c"])[:, 0]))
        state = moved(state, rights[t])
        goes_on &= (np.abs(state[0]) < 2.4) & (np.abs(state[2]) < np.pi / 15)
        alive[t] = goes_on
        if not goes_on.any():
            break
    return states, rights, alive


def surrogate(p: dict[str, Var], states: Array, rights: Array, alive: Array) -> Var:
    """A function whose gradient, where the episodes were played, is the estimate of that of the loss."""
    to_go = alive[::-1].cumsum(axis=0)[::-1]
    others = (to_go.sum(axis=1, keepdims=True) - to_go) / (alive.shape[1] - 1)
    acted = np.concatenate([np.ones_like(alive[:1]), alive[:-1]])
    x = states[acted]
    z = tanh(x @ p["w"] + p["b"]) @ p["v"] + p["c"]
    surprise = softplus(z * np.where(rights[acted], -1.0, 1.0)[:, None])
    return (surprise * (to_go - others)[acted][:, None]).sum() * (1 / alive.size)


def chances(rng: np.random.Generator, many: int) -> Iterator[Array]:
    """Numbers between 0 and 1 that settle the starts and the choices of so many episodes, again and again."""
    while True:
        yield rng.random((4 + LIMIT, many))


@cache
def seen(split: Split) -> Array:
    """Those of the episodes that a split is evaluated on."""
    return next(chances(np.random.default_rng(SPLITS.index(split)), SEEN))


def _start(seed: int, wide: int) -> Params:
    rng = np.random.default_rng(seed)
    w, v = rng.standard_normal((4, wide)) / 2, rng.standard_normal((wide, 1)) / np.sqrt(wide)
    return {"w": w, "b": np.zeros(wide), "v": v, "c": np.zeros(1)}
