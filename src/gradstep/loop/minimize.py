"""``gs.minimize``: a run to its end, with SciPy's result."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradstep.array.namespaces import copied
from gradstep.array.tree import flatten
from gradstep.errors import GradstepError
from gradstep.loop.batches import UsedUpError
from gradstep.loop.run import Run
from gradstep.loop.stop import Kind, steps

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

DEFAULT_STEPS = 10_000
_STATUS: dict[Kind, int] = {"converged": 0, "budget": 1, "batches": 1, "non-finite": 2, "signal": 3, "callback": 99}


def minimize(value_and_grad: Callable[..., Any], x0: Any, rule: Any = "adam", **options: Any) -> "OptimizeResult":
    """Minimize an objective.

    Parameters
    ----------
    value_and_grad, x0, rule, **options
        As for :class:`gradstep.Run`. Without a limit of steps, evaluations or seconds it makes
        10 000 steps at most.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun``, ``jac``: where it ended, a nest like ``x0`` (NaN and None where no batch is left to evaluate
        on); ``x_best``, ``fun_best``, ``t_best``: the best point met (None where none is kept); ``success``,
        ``status``, ``message``; ``nit`` (updates), ``nfev``, ``njev`` (evaluations), ``skipped``, ``seconds``,
        ``history``. ``status`` is 0 where a tolerance, a target or a plateau was reached, 1 where steps, evaluations,
        seconds or batches were used up, 2 for a number that is not finite, 3 for a signal, 99 for a callback.
        ``success`` is true for 0, and for 1 where no tolerance was asked for.

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
    run = Run(value_and_grad, x0, rule, **options)
    if not run.stop.limits():
        run.stop |= steps(DEFAULT_STEPS)
    for _ in run:
        pass
    return OptimizeResult(summary(run))


def summary(run: Run) -> dict[str, Any]:
    """Return the fields of SciPy's result for a run that has ended."""
    reason = run.reason
    assert reason is not None  # noqa: S101 - it has ended
    try:
        here = run.evaluation()
    except UsedUpError:
        here = None
    status = _STATUS[reason.kind]
    wanted = any(stop.arrives for stop in run.stop)
    nest, leaves = flatten(run.params)
    return {
        "x": nest.build([copied(x) for x in leaves]),
        "fun": math.nan if here is None else here.value,
        "jac": None if here is None else here.grads,
        "success": status == 0 or (status == 1 and not wanted),
        "status": status,
        "message": f"{reason.message[0].upper()}{reason.message[1:]}".rstrip(".") + ".",
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
