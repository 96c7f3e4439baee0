"""The search of hyperparameters: a declared log-space, and points in it, the same for all optimizers.

A point is a number in [0, 1) for each hyperparameter that is searched. Point k of the stored table is trial k, however
many there are to be, moved by a fraction of the space that belongs to the problem and the search (Cranley and Patterson
1976); with Optuna's TPE it is what the sampler asks for after the trials before it.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from gradstep.compare.contender import Contender
from gradstep.compare.problems import Problem
from gradstep.compare.shapes import SHARE, rises

USUAL = {"theta": 1e-3, "theta/g": 1e-2}  # where a problem tells no scale: the defaults of Adam and of SGD
WIDE_DECADES = 4.0  # of rates then, and around the default of a rule whose rate is in neither unit
RATE = "lr"
DECAY = "weight_decay"


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, evenly in the logarithm: of the number itself, or of one minus it.

    ``there`` makes of a hyperparameter the argument that becomes it.
    """

    low: float
    high: float
    from_one: bool = False
    there: Callable[[float], float] | None = None

    def at(self, u: float) -> float:
        """The number at ``u`` in [0, 1), in three digits, which are more than matter."""
        x = math.exp(math.log(self.low) + u * math.log(self.high / self.low))
        x = float(f"{x:.3g}")
        x = float(f"{1 - x:.10g}") if self.from_one else x  # 0.555, not 0.5549999999999999
        return x if self.there is None else self.there(x)


WARMUP = Range(0.01, 0.3)  # shares of a run in which the rate rises
# With `tune all`, or `tune decay` the last of them: numbers that become one of these and are not zero by default.
SPACES: Mapping[str, Range] = {
    "beta1": Range(0.02, 0.5, from_one=True),
    "momentum": Range(0.02, 0.5, from_one=True),
    "beta2": Range(1e-3, 0.2, from_one=True),
    "rho": Range(1e-3, 0.2, from_one=True),
    DECAY: Range(1e-4, 1e-1),
}


def space(contender: Contender, problem: Problem, tune: str) -> dict[str, Range]:
    """Return the ranges to search for an optimizer on a problem, by its own names; none that its label holds.

    Parameters
    ----------
    contender, problem
        Of the study.
    tune
        ``"lr"``, ``"decay"`` or ``"all"``.
    """
    return {key: around(contender, problem) if found is None else found for key, found in _searched(contender, tune)}


def is_searched(contender: Contender, tune: str) -> bool:
    """Return True if there is a range to search: an optimizer whose label holds everything has one trial."""
    return bool(_searched(contender, tune))


def _searched(contender: Contender, tune: str) -> list[tuple[str, Range | None]]:
    """Names and their spaces; None: that of learning rates, which depends on the problem."""
    out: dict[str, Range | None] = {}
    if contender.rate is not None:
        out[contender.rate] = None
    if contender.shape is not None and rises(contender.shape):
        out[SHARE] = WARMUP
    if tune != "lr":
        spaces = SPACES if tune == "all" else {DECAY: SPACES[DECAY]}
        for key, x in contender.constructor.numbers.items():
            found = spaces.get(x.becomes[0]) if x.kind == "number" else None
            if found and not x.is_required and x.default is not None and x.here(x.default):
                out[key] = found if x.change is None else replace(found, there=x.there)
    return [(key, found) for key, found in out.items() if key not in contender.held]


def around(contender: Contender, problem: Problem) -> Range:
    """Learning rates around the one that fits by order of magnitude.

    It follows from what the rules do, and from no library's default: one mathematics has one range under all its names.
    """
    centre, decades = math.prod(rule.search for rule in contender.rules), problem.decades
    if not contender.mover.finds_scale:
        unit = contender.unit
        if unit in problem.scale:
            centre *= problem.scale[unit]
        else:
            own = contender.mover.defaults[RATE] or 1.0
            centre, decades = centre * USUAL[unit] if unit in USUAL else own, max(decades, WIDE_DECADES)
    reach = 10 ** (decades / 2)
    return Range(centre / reach, centre * reach)


def at(ranges: Mapping[str, Range], point: Sequence[float]) -> dict[str, float]:
    """The hyperparameters at a point."""
    return {key: x.at(u) for (key, x), u in zip(ranges.items(), point, strict=False)}


def moved(point: Sequence[float], problem: str, search: int) -> list[float]:
    """Return a point of the table as a search has it: each coordinate further by a fraction of its own, modulo 1.

    The names settle the fraction, which is independent of all others and the same for all optimizers.
    """
    return [(u + _fraction(f"{problem} {search} {axis}")) % 1.0 for axis, u in enumerate(point)]


def _fraction(text: str) -> float:
    """A number in [0, 1) for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


@cache
def table() -> tuple[tuple[float, ...], ...]:
    """The stored points, written by benchmarks/quasi_random.py: of each 2**m first ones, one in each 2**m-th part."""
    text = resources.files("gradstep.compare").joinpath("quasi_random.txt").read_text("utf-8")
    return tuple(tuple(map(float, line.split())) for line in text.splitlines())


def ask_tpe(names: Sequence[str], told: Sequence[float], seed: int, trials: int) -> list[float]:
    """The next point of a search by TPE (Bergstra and others 2011), a function of the arguments alone.

    Parameters
    ----------
    names
        Of what is searched.
    told
        What each point so far was worth: the less, the better. Finite.
    seed, trials
        Of the sampler, and how many trials there are to be: the first third is random.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, math.ceil(trials / 3)))
    study = optuna.create_study(sampler=sampler)
    for value in told:
        study.tell(_asked(study, names)[0], value)  # it asks for the same again
    return _asked(study, names)[1]


def _asked(study: Any, names: Sequence[str]) -> tuple[Any, list[float]]:
    trial = study.ask()
    return trial, [trial.suggest_float(name, 0.0, 1.0) for name in names]
