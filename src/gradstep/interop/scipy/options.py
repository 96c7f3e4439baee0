"""The options of ``minimize(options=...)``, and the stop that a run gets from them."""

import warnings
from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning

from gradstep.form.hyper import Hyper, checked
from gradstep.interop.scipy.function import FunAndJac
from gradstep.loop.minimize import DEFAULT_STEPS
from gradstep.loop.run import Run
from gradstep.loop.stop import Point, Reason, Stop
from gradstep.naming import real


@dataclass(frozen=True)
class Options:
    """SciPy's usual options, besides hyperparameters.

    Attributes
    ----------
    maxiter
        Updates at most; a whole number, ``1e3`` too, or infinity.
    maxfev
        Calls of ``fun``, those for differences among them, after which a run ends where it stands.
    tol
        What ``minimize(tol=...)`` becomes: ``gtol``, unless that is given.
    gtol
        It has converged where no element of the gradient, but for those that a bound holds back, is larger (1e-5).
    ftol
        It has converged where ``|f - f0| / max(|f|, |f0|, 1)``, from one point to the next, is not larger.
    xtol
        It has converged where no element of x has changed by more in a step.
    disp
        Whether a few lines are printed at the end.
    return_all
        Whether the result has all points, in ``allvecs``.
    """

    maxiter: float = DEFAULT_STEPS
    maxfev: float = np.inf
    tol: float = 1e-5
    gtol: float | None = None
    ftol: float = -np.inf
    xtol: float = -np.inf
    disp: bool = False
    return_all: bool = False

    def __post_init__(self) -> None:
        for own in fields(self):
            if own.type in (float, float | None) and (value := getattr(self, own.name)) is not None:
                object.__setattr__(self, own.name, real(f"options: {own.name}", value))


def split_options(
    given: dict[str, Any], hyper: Collection[str], arguments: Collection[str], name: str
) -> tuple[Options, dict[str, Hyper], dict[str, Any]]:
    """Sort the options that ``minimize`` hands on: SciPy's, hyperparameters, and other arguments of the optimizer.

    Of anything else ``name``, a method, warns.
    """
    hessian = [given.pop(key, None) for key in ("hess", "hessp")]
    if hessian != [None, None]:
        warnings.warn(f"{name} uses no Hessian (hess, hessp).", RuntimeWarning, stacklevel=4)
    known = {own.name for own in fields(Options)}
    if unknown := [key for key in given if key not in {*known, *hyper, *arguments}]:
        warnings.warn(f"Unknown solver options: {', '.join(unknown)}", OptimizeWarning, stacklevel=4)
    options = Options(**{key: value for key, value in given.items() if key in known and value is not None})
    values = {key: checked(key, value, "options") for key, value in given.items() if key in hyper}
    return options, values, {key: x for key, x in given.items() if key in arguments and key not in {*known, *hyper}}


@dataclass(frozen=True)
class Tolerances(Stop):
    """The stop that the options ask for."""

    run: Run
    function: FunAndJac
    options: Options

    def check(self, point: Point, memory: dict[str, Any]) -> Reason | None:  # noqa: ARG002
        """End where the gradient, or a change of x or of the value, is within its tolerance, or at ``maxfev`` calls."""
        asked = self.options
        (g,) = self.run.opt.fitting(self.run.evaluation().free)
        gtol = asked.tol if asked.gtol is None else asked.gtol
        found = [("the gradient's largest element", np.abs(g).max(initial=0.0), gtol)]
        if self.function.before is not None and self.function.now is not None:
            (x, f), (x0, f0) = self.function.now, self.function.before
            found.append(("the value's relative change", abs(f - f0) / max(abs(f), abs(f0), 1.0), asked.ftol))
            found.append(("the largest change of x", np.abs(x - x0).max(initial=0.0), asked.xtol))
        for what, size, most in found:
            if size <= most and not point.problem:
                return Reason("converged", f"{what}, {size:.3g}, is at most {most:g}")
        if self.function.calls >= asked.maxfev:
            return Reason("budget", f"{self.function.calls} evaluations are made")
        return None
