"""A rule as a method of SciPy's: ``minimize(f, x0, jac=g, method=gs.interop.scipy.method("adam", lr=0.05))``."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from scipy.optimize import OptimizeResult

from gradstep.conventions import arguments
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.scipy.function import FunAndJac, sides
from gradstep.interop.scipy.options import Tolerances, split_options
from gradstep.loop.minimize import called, summary
from gradstep.loop.run import Run
from gradstep.loop.stop import Reason, Stop, steps
from gradstep.optimizer import Optimizer

__all__ = ["method"]


class method:  # noqa: N801 - reads as SciPy's keyword
    """A rule as a method for :func:`scipy.optimize.minimize`.

    Its ``options=`` are those of :class:`~gradstep.interop.scipy.options.Options`, and any hyperparameter by its name,
    or its constructor's. Without a function ``jac`` gradients are forward differences, which call ``fun`` once more for
    each element (``jac="3-point"`` and the like never reach a method). The result has the fields of
    :func:`gradstep.minimize`, but no ``history``; only ``status`` 0, by a tolerance, is a ``success``, as with SciPy's
    own methods.

    Parameters
    ----------
    rule, **options
        As for :class:`gradstep.Optimizer`.
    stop
        A rule of :mod:`gradstep.stop` by which a run ends too.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For what no optimizer takes; when it is called, for constraints, complex ``x0``, and what does not fit.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> from scipy.optimize import minimize
    >>> adam = gs.interop.scipy.method("adam", lr=0.1)
    >>> result = minimize(lambda x: x @ x, np.ones(2), jac=lambda x: 2 * x, method=adam)
    >>> result.success, result.nit + 1 == result.nfev
    (True, True)
    """

    def __init__(self, rule: Any, *, stop: Stop | None = None, **options: Any) -> None:
        self.rule, self.stop = rule, stop
        self.options: dict[str, Any] = {"diagnostics": False, **options}  # minimize reads no norms
        self.hyper = frozenset(Optimizer(np.zeros(1), rule, **options).hyper)

    def __call__(
        self,
        fun: Callable[..., Any],
        x0: Any,
        args: tuple[Any, ...] = (),
        jac: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Callable[..., Any] | None = None,
        **given: Any,
    ) -> OptimizeResult:
        """Minimize with ``minimize``'s arguments, its options by name; return SciPy's result."""
        x = np.atleast_1d(np.asarray(x0))
        if np.iscomplexobj(x):
            raise GradstepTypeError("x0 is complex, and SciPy's methods are for real numbers; gs.minimize takes it.")
        if constraints is not None and not (isinstance(constraints, tuple | list | dict) and not constraints):
            raise GradstepValueError("constraints: a rule knows none; use bounds=, or gs.minimize(..., project=...).")
        options, own, more = split_options(given, self.hyper, arguments(self.rule), f"Method {self.rule}")
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        within = None if bounds is None else sides(bounds, x)
        function = FunAndJac(fun, jac, args, within)
        run = Run(function, x, self.rule, stop=self.stop, bounds=within, history=False, **self.options | more)
        run.opt.hyper.replace({**run.opt.hyper, **own})
        run.opt.reset()  # a state may start at a hyperparameter
        run.stop |= Tolerances(run, function, options)
        if np.isfinite(options.maxiter):
            run.stop |= steps(cast("int", options.maxiter))  # which takes 1e3 too
        call, _ = called(callback)
        run.evaluation()  # evaluated here, outside the iterator, so that errors of fun pass unchanged
        path = [run.params.copy()]
        for _ in run:
            value = run.evaluation().value
            if options.return_all:
                path.append(run.params.copy())
            try:
                call(run.params.copy(), value)
            except StopIteration:
                run.reason = Reason("callback", "`callback` raised `StopIteration`")
        found = OptimizeResult(summary(run))
        found.update(success=found.success and found.status == 0, nfev=function.calls)
        del found["history"]
        if options.return_all:
            found["allvecs"] = path
        if options.disp:
            print(found.message, *(f"{name}: {found[name]}" for name in ("fun", "nit", "nfev", "njev")), sep="\n")  # noqa: T201
        return found
