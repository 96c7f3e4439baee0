"""A network that is taught a differential equation: Burgers' equation, whose solution is known."""

from functools import cache
from itertools import repeat

import numpy as np

from gradstep.compare.problems.data import SPLITS
from gradstep.compare.problems.problem import NOISY, Problem, Split, Task, Values, labelled, size_option
from gradstep.compare.problems.tape import Array, Params, Var, gradients, tanh, value
from gradstep.compare.problems.targets import frozen

VISCOSITY = 0.1
BATCH, WIDTH = 64, 16
EDGE = 32  # places on each of the three edges that are given: t = 0, x = -1, x = 1


def pinn(batch: float = BATCH, width: float = WIDTH) -> Problem:
    """A physics-informed network for Burgers' equation: Raissi, Perdikaris and Karniadakis 2019 (J. Comput. Phys. 378).

    ``u_t + u u_x = 0.1 u_xx`` for x in -1 to 1 and t in 0 to 1, with ``u = -sin(pi x)`` at first and 0 at both ends.
    The loss is the mean square of what the equation leaves over, at random places, and of the error on the edges.
    Validation and test look at the solution: the mean square of its error.
    """
    many, wide = size_option("burgers-pinn", "batch", batch), size_option("burgers-pinn", "width", width)

    def begin(seed: int) -> Task:
        params = _start(seed, wide)

        @np.errstate(over="ignore", invalid="ignore")  # a run that diverges shows in its loss
        def value_and_grad(places: Array) -> tuple[float, Params]:
            return gradients(lambda p: loss(p, places), params)

        @np.errstate(over="ignore", invalid="ignore")
        def evaluate(split: Split) -> Values:
            places, solved = looked_at(split)
            if split == "train":
                return {"loss": value(lambda p: loss(p, places), params)}
            return {"loss": value(lambda p: _square(jet(p, places)[0] - solved), params)}

        rng = np.random.default_rng([seed, many])
        return Task(params, (_places(rng, many) for _ in repeat(None)), value_and_grad, evaluate)

    return Problem(
        name=labelled("burgers-pinn", {"batch": batch, "width": width}, {"batch": BATCH, "width": WIDTH}),
        summary=f"Burgers' equation by a network of two hidden layers of {wide}, {many} places at a time",
        source="formula (Basdevant et al. 1986)",
        size=f"{wide * wide + 5 * wide + 1} parameters",
        target=frozen("burgers-pinn", "train", NOISY),
        steps=400,
        every=10,
        scale={"theta/g": 3e-2, "theta": 3e-2},
        family="physics and control",
        begin=begin,
    )


def loss(p: dict[str, Var], places: Array) -> Var:
    """Mean square of what the equation leaves over at some (x, t), and of the error on the edges."""
    u, u_x, u_t, u_xx = jet(p, places)
    edge = np.linspace(-1, 1, EDGE)
    first = np.stack([edge, np.zeros(EDGE)], axis=1)
    ends = np.concatenate([np.stack([np.full(EDGE, x), (edge + 1) / 2], axis=1) for x in (-1.0, 1.0)])
    left_over = u_t + u * u_x - VISCOSITY * u_xx
    return _square(left_over) + _square(jet(p, first)[0] + np.sin(np.pi * edge)[:, None]) + _square(jet(p, ends)[0])


def jet(p: dict[str, Var], places: Array) -> tuple[Var, Var, Var, Var]:
    """The output of the network at some (x, t), its derivatives by x and by t, and the second one by x."""
    z = places @ p["w1"] + p["b1"]
    x, t, xx = p["w1"][:1], p["w1"][1:], 0 * p["b1"]
    for k in "23":
        y = tanh(z)
        slope = 1 - y * y
        x, t, xx = slope * x, slope * t, slope * xx - 2 * y * slope * x * x
        z, x, t, xx = y @ p[f"w{k}"] + p[f"b{k}"], x @ p[f"w{k}"], t @ p[f"w{k}"], xx @ p[f"w{k}"]
    return z, x, t, xx


def solution(places: Array) -> Array:
    """The solution at some (x, t > 0), after Cole and Hopf: two integrals over a Gaussian, by Gauss and Hermite."""
    node, weight = np.polynomial.hermite.hermgauss(64)
    y = np.pi * (places[:, :1] - node * np.sqrt(4 * VISCOSITY * places[:, 1:]))
    density = weight * np.exp(-np.cos(y) / (2 * np.pi * VISCOSITY))
    return -(np.sin(y) * density).sum(axis=1) / density.sum(axis=1)


@cache
def looked_at(split: Split) -> tuple[Array, Array]:
    """Places of a split, and the solution there in a column."""
    places = _places(np.random.default_rng(SPLITS.index(split)), 512)
    return places, solution(places)[:, None]


def _places(rng: np.random.Generator, many: int) -> Array:
    return rng.uniform((-1, 0), 1, (many, 2))


def _square(x: Var) -> Var:
    return (x * x).mean()


def _start(seed: int, wide: int) -> Params:
    rng = np.random.default_rng(seed)
    params: Params = {}
    for k, (inputs, outputs) in enumerate(((2, wide), (wide, wide), (wide, 1)), 1):
        params[f"w{k}"] = rng.standard_normal((inputs, outputs)) * np.sqrt(2 / (inputs + outputs))
        params[f"b{k}"] = np.zeros(outputs)
    return params
