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
) -> OptimizeResult: ...
