"""Ours beside theirs: how far two trajectories are apart, what is allowed, and the differences that are known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import gradstep as gs
from references.cases import SHAPES, Arrays, Case, Problem, curvature, loss

# How far a whole trajectory may go from the recorded one, by `distance`: some ten roundings a step over thirty steps,
# in the dtype of the parameters.
TOLERANCE = {
    ("torch", "float64"): 1e-12,
    ("optax", "float64"): 1e-12,
    ("optax.contrib", "float64"): 1e-12,
    ("keras", "float64"): 1e-12,
    ("keras", "float32"): 1e-5,  # 1 - beta2^t has 2^-24 / (1 - beta2) of error there
    ("mlx", "float32"): 5e-6,
    ("tf1", "float32"): 5e-6,
    ("timm", "float64"): 1e-12,
    ("pytorch_optimizer", "float64"): 1e-12,
}
ULPS = 4  # of one step from a recorded state, by `ulps`


@dataclass(frozen=True)
class Known:
    """A difference that has a reason: which calls it concerns, and how large it is there at most.

    ``whole`` and ``ulps`` stand for ``TOLERANCE`` and ``ULPS``, where those do not hold. The pages in docs/migrating
    tell it in these words.
    """

    library: str
    constructor: str
    dtype: str
    reason: str
    whole: float | None = None
    ulps: float | None = None
    concerns: Callable[[Mapping[str, Any]], bool] = lambda _: True
    where: str = ""  # what it concerns, in words

    def __contains__(self, case: Case) -> bool:
        its = self.library, self.constructor, self.dtype
        return its == (case.library, case.constructor, case.dtype) and self.concerns(case.arguments)

    def __str__(self) -> str:
        return f"{self.library}/{self.dtype}/{self.constructor}"


POWERS = (
    "beta2^t is taken in float32, where 1 - 0.999^t of the first step has 1.3e-5 too little, and its root, by which "
    "the step is multiplied, 6.4e-6. In float64 there is no difference."
)
RHO = (
    "rho_t = 1999 - 1993.006 at the sixth step, the first that is rectified: a rounding of either is hundreds of the "
    "difference, and both sides round, each in its own order."
)
CUBE = "A cube root is a power of 1/3 there, whose exponent is rounded, and a parameter is what it leaves of its start."


def _is_fast(arguments: Mapping[str, Any]) -> bool:
    return arguments.get("momentum") == 0.5


def _is_rectified(arguments: Mapping[str, Any]) -> bool:
    return "betas" not in arguments and arguments.get("rectify", True)


KNOWN = [
    Known(
        "torch",
        "NAdam",
        "float64",
        "torch keeps the product of momenta in float32 beside parameters in float64.",
        whole=2e-8,
        ulps=5e7,
    ),
    Known(
        "torch",
        "ASGD",
        "float64",
        "torch keeps the rate in float32 beside parameters in float64.",
        whole=6e-8,
        ulps=5e8,
    ),
    Known(
        "torch",
        "Muon",
        "float64",
        "torch makes the Newton-Schulz steps in bfloat16, whose roundings they enlarge: a singular value near "
        "zero becomes 485 times as large.",
        whole=0.12,
        ulps=2e14,
    ),
    Known("torch", "RAdam", "float64", RHO, ulps=16, concerns=lambda x: "betas" not in x, where="beta2 = 0.999"),
    Known("optax", "radam", "float64", RHO, ulps=50, concerns=lambda x: "b2" not in x, where="b2 = 0.999"),
    Known(
        "optax",
        "rmsprop",
        "float64",
        "At the first step the corrected mean of squares less the square of the corrected mean is g^2 - g^2: what is "
        "left of it is rounding, of either side, beside an eps of 1e-8.",
        whole=6e-5,
        ulps=5e11,
        concerns=lambda x: x.get("centered", False) and x.get("bias_correction", False),
        where="centered=True, bias_correction=True",
    ),
    Known(
        "pytorch_optimizer",
        "DAdaptSGD",
        "float64",
        "pytorch_optimizer sums the squares of the first gradient in float32.",
        whole=1e-7,
        ulps=2e7,
    ),
    Known(
        "pytorch_optimizer",
        "LaProp",
        "float64",
        "pytorch_optimizer rounds the rate to float32.",
        whole=5e-8,
        ulps=4e8,
    ),
    Known("pytorch_optimizer", "MADGRAD", "float64", CUBE, ulps=100, concerns=_is_fast, where="momentum = 0.5"),
    Known(
        "pytorch_optimizer",
        "StableAdamW",
        "float64",
        "The average is m + (1 - beta1) (g - m) there, which rounds otherwise where g is much less than m.",
        ulps=40,
        concerns=lambda x: isinstance(x.get("lr"), dict),
        where="lr = 0.02 / (1 + k / 4)",
    ),
    Known(
        "timm",
        "RAdamLegacy",
        "float64",
        "timm computes in float32, whatever the parameters are.",
        whole=1e-6,
        ulps=8e8,
    ),
    Known("timm", "AdaBelief", "float64", RHO, ulps=16, concerns=_is_rectified, where="betas[1] = 0.999"),
    Known(
        "timm",
        "LaProp",
        "float64",
        "The weights of squares are added up step by step there; here they are 1 - beta2^t.",
        ulps=8,
        concerns=bool,
        where="with other values than the defaults",
    ),
    Known("timm", "MADGRAD", "float64", CUBE, ulps=100, concerns=_is_fast, where="momentum = 0.5"),
    Known(
        "optax",
        "adafactor",
        "float64",
        "JAX takes the power of the count of updates in float32, and a momentum is kept in that.",
        whole=1e-7,
    ),
    Known(
        "optax.contrib",
        "simplified_ademamix",
        "float64",
        "The average of squares is g^2 + b2 (n - g^2) there, which rounds otherwise where n is much less than g^2.",
        ulps=8,
        concerns=lambda x: "b2" in x,
        where="b2 = 0.99",
    ),
    *(
        Known(
            "optax.contrib",
            name,
            "float64",
            "JAX computes the rate of a warm-up in float32.",
            whole=whole,
            concerns=lambda x: "warmup_steps" in x,
            where="warmup_steps = 10",
        )
        for name, whole in (("schedule_free_sgd", 5e-7), ("schedule_free_adamw", 1e-7))
    ),
    Known(
        "optax.contrib",
        "momo",
        "float64",
        "The step is as long as a small difference of sums says, which each side adds in its own order.",
        ulps=50,
    ),
    Known(
        "optax.contrib",
        "madgrad",
        "float64",
        "JAX takes the root of the count of updates in float32.",
        whole=4e-7,
        ulps=4e8,
    ),
    Known(
        "keras",
        "Adam",
        "float32",
        POWERS,
        whole=2e-5,
        ulps=30,
        concerns=lambda x: "beta_2" not in x,
        where="beta_2 = 0.999",
    ),
    Known("keras", "AdamW", "float32", POWERS, ulps=30, concerns=lambda x: "beta_2" not in x, where="beta_2 = 0.999"),
    Known("keras", "Nadam", "float32", POWERS, ulps=16, concerns=lambda x: "beta_2" not in x, where="beta_2 = 0.999"),
    Known(
        "keras",
        "Adafactor",
        "float64",
        "Keras takes means in float32, beside weights in float64 too.",
        whole=1e-7,
        ulps=5e8,
    ),
    Known(
        "keras",
        "Muon",
        "float64",
        "Keras takes norms in float32, beside weights in float64 too.",
        whole=4e-8,
        ulps=2e8,
    ),
    Known(
        "mlx",
        "Adam",
        "float32",
        POWERS,
        whole=1.5e-5,
        ulps=30,
        concerns=lambda x: x.get("bias_correction", False),
        where="bias_correction=True",
    ),
    Known(
        "mlx",
        "Muon",
        "float32",
        "The Newton-Schulz steps enlarge the roundings of float32, and MLX adds up its products in another order.",
        ulps=30,
    ),
]


def known(case: Case) -> Known | None:
    """The difference that this case has, or none."""
    return next((x for x in KNOWN if case in x), None)


def allowance(case: Case) -> float:
    """How far a whole trajectory of this case may go from the library's, by :func:`distance`."""
    there = known(case)
    return (there and there.whole) or TOLERANCE[case.library, case.dtype]


def allowed_ulps(case: Case) -> float:
    """How far one step of this case may end from the library's, by :func:`ulps`."""
    there = known(case)
    return (there and there.ulps) or ULPS


def made(case: Case, params: Arrays, *, by_name: bool = False) -> gs.Optimizer:
    """The optimizer that the library's own call gives here, or its name with the same arguments."""
    if by_name:
        return gs.Optimizer(params, f"{case.library}.{case.constructor}", **case.given())
    return gs.Optimizer(params, getattr(getattr(gs.conventions, case.library), case.constructor)(**case.given()))


def beside(case: Case, k: int, grads: Arrays) -> dict[str, Any]:
    """What step k takes beside its gradients."""
    return {"loss": loss(k), **({"curvature": curvature(grads)} if case.constructor == "sophia" else {})}


def copied(x: Arrays) -> Arrays:
    return {name: value.copy() for name, value in x.items()}


def followed(case: Case, task: Problem, *, by_name: bool = False) -> tuple[list[Arrays], list[Arrays]]:
    """Our parameters at the start and after each step; and after each step their averages, where they are kept."""
    params = copied(task.start)
    opt = made(case, params, by_name=by_name)
    theta, averages = [copied(params)], []
    for k, grads in enumerate(task.grads):
        opt.step(grads, **beside(case, k, grads))
        theta.append(copied(params))
        if case.arguments.get("use_ema"):
            averages.append(opt.averaged())
    return theta, averages


def distance(ours: Sequence[Arrays], theirs: Sequence[Arrays]) -> float:
    """The largest |ours - theirs| over all steps and elements, in units of the element's own size.

    That is the larger of its |theta| now and its largest |update| so far: a parameter that comes near zero after a
    large step carries the rounding of that step, whoever computes it.
    """
    worst = 0.0
    for name in SHAPES:
        mine, other = (np.array([x[name] for x in side], "f8") for side in (ours, theirs))
        updates = np.abs(np.diff(other, axis=0, prepend=other[:1]))
        size = np.maximum(np.abs(other), np.maximum.accumulate(updates, axis=0))
        worst = float(np.maximum(worst, _largest(np.abs(mine - other), size)))  # NaN, if one is
    return worst


def ulps(ours: Arrays, theirs: Arrays, before: Arrays) -> float:
    """The largest |ours - theirs| of one step, in units in the last place of max(|theta|, |update|)."""
    worst = 0.0
    for name in SHAPES:
        size = np.maximum(np.abs(theirs[name]), np.abs(theirs[name] - before[name]))
        worst = float(np.maximum(worst, _largest(np.abs(ours[name].astype("f8") - theirs[name]), np.spacing(size))))
    return worst


def _largest(error: np.ndarray, size: np.ndarray) -> float:
    """The largest error / size; NaN where one is NaN, infinite where there is an error of something of no size."""
    ratio = np.divide(error, size, out=np.where(error == 0, 0.0, np.inf), where=size != 0)
    return float(np.max(ratio))
