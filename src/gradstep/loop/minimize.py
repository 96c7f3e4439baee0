"""``gs.minimize``: a run to its end, with SciPy's result."""

import math
from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

from gradstep.array.namespaces import copied
from gradstep.array.tree import flatten
from gradstep.errors import GradstepError, GradstepTypeError
from gradstep.loop.batches import UsedUpError
from gradstep.loop.evaluation import Evaluated
from gradstep.loop.run import Run
from gradstep.loop.stop import Kind, Reason, plateau, steps
from gradstep.optimizer import Optimizer

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

DEFAULT_STEPS = 10_000
_STATUS: dict[Kind, int] = {
    "converged": 0,
    "budget": 1,
    "batches": 1,
    "non-finite": 2,
    "signal": 3,
    "stalled": 4,
    "callback": 99,
}


def minimize(
    value_and_grad: Callable[..., Any] | None = None,
    x0: Any = None,
    rule: Any = None,
    *,
    callback: Callable[..., Any] | None = None,
    args: tuple[Any, ...] = (),
    **options: Any,
) -> "OptimizeResult":
    """Minimize an objective.

    Parameters
    ----------
    value_and_grad, x0, rule, **options
        As for :class:`gradstep.Run`. Without a limit of steps, evaluations or seconds it makes
        10 000 steps at most. SciPy's names are known too: ``fun`` (the objective), ``method`` (the rule), ``maxiter``
        (``max_steps``), ``maxfev`` (``max_evaluations``), ``tol`` (``grad_norm``); ``jac`` may be True, or the gradient
        of a ``fun`` that gives the value alone.
    callback
        Called after each step as SciPy calls it: with a copy of the parameters, or, where its parameter is called
        ``intermediate_result``, with an ``OptimizeResult`` of ``x`` and ``fun``. StopIteration ends the run.
    args
        Further arguments of the objective.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun``, ``jac``: where it ended, a nest like ``x0`` (NaN and None where no batch is left to evaluate
        on); ``x_best``, ``fun_best``, ``t_best``: the best point met (None where none is kept); ``success``,
        ``status``, ``message``; ``nit`` (updates), ``nfev``, ``njev`` (evaluations), ``skipped``, ``seconds``,
        ``history``. ``status`` is 0 where a tolerance, a target or a plateau was reached, 1 where steps, evaluations,
        seconds or batches were used up, 2 for a number that is not finite, 3 for a signal, 4 where a line search
        found no lower point, 99 for a callback.
        ``success`` is true for 0, and for 1 where no tolerance was asked for; but not where the value at the end is
        worse than that of the start: the message says so then.

    Raises
    ------
    GradstepError
        Where SciPy is not installed (iterate over :class:`gradstep.Run`, which needs none), and as ``Run`` does.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> result = gs.minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0]), "adam", lr=0.1, grad_norm=1e-6)
    >>> result.success, bool(abs(result.x).max() < 1e-6)
    (True, True)
    """
    try:
        from scipy.optimize import OptimizeResult
    except ImportError:
        raise GradstepError(
            "gs.minimize gives SciPy's result, and SciPy is not installed: pip install scipy, or iterate over gs.Run."
        ) from None
    run = Run(**_ours({"value_and_grad": value_and_grad, "x0": x0, "rule": rule}, options, args))
    if not run.stop.limits():
        run.stop |= steps(DEFAULT_STEPS)
    call, needs_value = called(callback)
    for _ in run:
        if callback is not None:
            here = _here(run) if needs_value else None
            try:
                call(copy_of(run), math.nan if here is None else here.value)
            except StopIteration:
                run.reason = Reason("callback", "`callback` raised `StopIteration`")
    return OptimizeResult(summary(run))


_NAMES = {
    "fun": "value_and_grad",
    "method": "rule",
    "maxiter": "max_steps",
    "maxfev": "max_evaluations",
    "tol": "grad_norm",
}


def _shown() -> Signature:
    """Return the signature with all options by name: this module's, those of a run and an optimizer, SciPy's."""
    own, *others = (signature(x).parameters.values() for x in (minimize, Run, Optimizer))
    found = {x.name: x for x in own}
    del found["options"]
    for x in (x for each in others for x in each if x.kind is Parameter.KEYWORD_ONLY):
        found.setdefault(x.name, x)
    for name in (*_NAMES, "jac"):
        found[name] = Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=Any)
    found["hyper"] = Parameter("hyper", Parameter.VAR_KEYWORD, annotation=Any)
    return Signature([*found.values()], return_annotation="OptimizeResult")


minimize.__signature__ = _shown()  # pyright: ignore[reportFunctionMemberAccess]


def _ours(own: dict[str, Any], options: dict[str, Any], args: tuple[Any, ...]) -> dict[str, Any]:
    """Return arguments of a run, from those by its names and by SciPy's.

    Raises
    ------
    GradstepTypeError
        When one is given twice, or missing.
    """
    given = {key: x for key, x in own.items() if x is not None} | options
    for theirs, ours in _NAMES.items():
        if theirs in given:
            if given[theirs] is None:
                del given[theirs]
                continue
            if given.get(ours) is not None:
                raise GradstepTypeError(f"{theirs} and {ours} are two names of one thing; give one of them.")
            given[ours] = given.pop(theirs)
    for name in ("value_and_grad", "x0"):
        if name not in given:
            raise GradstepTypeError(f"gs.minimize needs {name}: gs.minimize(value_and_grad, x0, rule).")
    jac, function = given.pop("jac", None), given["value_and_grad"]
    if callable(jac):
        given["value_and_grad"] = lambda x, *more: (function(x, *more, *args), jac(x, *more, *args))
    elif jac not in (None, True):
        raise GradstepTypeError(
            f"jac must be True, or a function that gives the gradient, not {jac!r}; differences are made by "
            f"scipy.optimize.minimize(f, x0, method=gs.interop.scipy.method(rule))."
        )
    elif args:
        given["value_and_grad"] = lambda x, *more: function(x, *more, *args)
    return given


def called(callback: Callable[..., Any] | None) -> tuple[Callable[[Any, float], Any], bool]:
    """Return a callback as a function of point and value, and whether it needs the value.

    SciPy goes by the names of its parameters.
    """
    if callback is None:
        return lambda x, value: None, False  # noqa: ARG005
    if set(signature(callback).parameters) != {"intermediate_result"}:
        return lambda x, _: callback(x), False
    from scipy.optimize import OptimizeResult

    return lambda x, value: callback(intermediate_result=OptimizeResult(x=x, fun=value)), True


def copy_of(run: Run) -> Any:
    """Return a copy of a run's parameters."""
    nest, leaves = flatten(run.params)
    return nest.build([copied(x) for x in leaves])


def _here(run: Run) -> Evaluated | None:
    """Evaluate where a run stands; None where no batch is left to evaluate on."""
    try:
        return run.evaluation()
    except UsedUpError:
        return None


def summary(run: Run) -> dict[str, Any]:
    """Return the fields of SciPy's result for a run that has ended."""
    reason = run.reason
    assert reason is not None  # noqa: S101 - it has ended
    here, status = _here(run), _STATUS[reason.kind]
    wanted = any(stop.arrives for stop in run.stop)
    success = status == 0 or (status == 1 and not wanted)
    # A small gradient or a target is there or not; a plateau is one also where the value only grew.
    shown = status == 0 and not any(isinstance(stop, plateau) for stop in run.stop)
    worse = success and not shown and here is not None and run.is_worse(here.value)
    message = f"{reason.message[0].upper()}{reason.message[1:]}".rstrip(".") + "."
    if worse:
        message += " The value is worse than that of the start."
    return {
        "x": copy_of(run),
        "fun": math.nan if here is None else here.value,
        "jac": None if here is None else here.grads,
        "success": success and not worse,
        "status": status,
        "message": message,
        "nit": run.t,
        "nfev": run.evaluations,
        "njev": run.evaluations,
        "x_best": run.best,
        "fun_best": None if run.best_t is None else run.best_value,
        "t_best": run.best_t,
        "skipped": run.skipped,
        "seconds": run.seconds,
        "history": run.history,
    }
