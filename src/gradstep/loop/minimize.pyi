# Written by `python tests/stubs.py`: what editors read of `gs.minimize`.
import collections.abc
import os
import typing
from types import NoneType
from typing import Any, Literal, Union

import gradstep.loop.plateau
import gradstep.loop.stop
from scipy.optimize import OptimizeResult

DEFAULT_STEPS: int
called: Any  # this and the next are for the package alone
summary: Any

def minimize(
    value_and_grad: collections.abc.Callable[..., typing.Any] | None = None,
    x0: Any = None,
    rule: Any = None,
    *,
    callback: collections.abc.Callable[..., typing.Any] | None = None,
    args: tuple[typing.Any, ...] = (),
    stop: gradstep.loop.stop.Stop | None = None,
    max_steps: int | None = None,
    max_evaluations: int | None = None,
    seconds: float | None = None,
    grad_norm: float | None = None,
    target: float | None = None,
    batches: collections.abc.Callable[[int], typing.Any] | collections.abc.Iterable[typing.Any] | None = None,
    evaluate: collections.abc.Callable[[typing.Any], typing.Any] | None = None,
    evaluate_every: int = 100,
    bounds: Any = None,
    project: collections.abc.Callable[[typing.Any], typing.Any] | None = None,
    on_plateau: gradstep.loop.plateau.reduce_lr | None = None,
    callbacks: collections.abc.Sequence[collections.abc.Callable[..., typing.Any]] | collections.abc.Callable[..., typing.Any] = (),
    keep_best: bool | str | None = None,
    mode: Union[Literal['min', 'max'], collections.abc.Mapping[str, Literal['min', 'max']], NoneType] = None,
    history: bool = True,
    on_nonfinite: str = 'stop',
    save_to: str | os.PathLike[str] | None = None,
    save_every: int | None = None,
    save_seconds: float | None = None,
    keep: int = 2,
    resume: bool = False,
    rng: typing.Any | None = None,
    diagnostics: bool = True,
    groups: collections.abc.Mapping[str, typing.Any] | None = None,
    engine: str = 'auto',
    threads: int | None = None,
    state_dtype: str | None = None,
    master: bool = False,
    rounding: str = 'nearest',
    seed: int = 0,
    fun: Any = None,
    method: Any = None,
    maxiter: Any = None,
    maxfev: Any = None,
    tol: Any = None,
    jac: Any = None,
    **hyper: Any,
) -> OptimizeResult:
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
