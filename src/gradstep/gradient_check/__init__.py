"""Comparison of a function's gradients with its derivatives."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gradstep.checkpoint.rng import Rng, put_back, taken
from gradstep.errors import GradstepValueError
from gradstep.gradient_check.function import RealFunction
from gradstep.gradient_check.judge import Judge
from gradstep.gradient_check.report import HEADINGS, Element, GradientReport, ParameterCheck
from gradstep.loop.user import Objective

__all__ = ["HEADINGS", "Element", "GradientReport", "ParameterCheck", "check_gradient"]

NO_BATCH: Any = type("NoBatch", (), {"__repr__": lambda _: "none"})()


def check_gradient(
    value_and_grad: Callable[..., Any],
    params: Any,
    *,
    batch: Any = NO_BATCH,
    seed: int = 0,
    directions: int = 3,
    rtol: float | None = None,
    rng: Rng | None = None,
    progress: Callable[[str, int], Any] | None = None,
) -> GradientReport:
    """Compare the gradients that a function gives with derivatives measured.

    Parameters
    ----------
    value_and_grad
        ``value_and_grad(params)`` or ``value_and_grad(params, batch)`` gives a value and the gradients, in a nest like
        ``params`` or a dict by dotted name. It must give the same for the same parameters.
    params
        An array of floats or a nest of them, where to check; they are not changed. The gradient ``g`` of a complex
        parameter is torch's: moving it by ``t * d`` changes the value by ``t * sum(conj(g) * d).real``.
    batch
        What the function is given beside the parameters, if it takes that.
    seed
        Of the random directions.
    directions
        How many to try in each parameter.
    rtol
        How far a gradient may be off, relative to its size. By default what the digits of the parameter, the
        gradient and the value allow: 1e-7 in float64, 8e-4 in float32, 2e-4 for a value of eight digits. What the
        measurement itself is uncertain by comes on top.
    rng
        The generator that the function draws from, or a dict of several by name: it is put back before each call, so
        that all calls draw the same, and in the end to where it was.
    progress
        Called before each evaluation with the name of the parameter at hand and the number of evaluations so far.

    Returns
    -------
    GradientReport
        ``ok``, where all gradients are right, and a line for each parameter: right, wrong (with the worst element, and
        what is wrong with it if that can be seen) or undecided: at a kink, where the derivatives from the two sides
        differ and the gradient lies between them; where the value has too few digits, or measurements contradict each
        other. A gradient is called wrong only where two measurements say so and none says the contrary, and right only
        where it is seen to three thousandths.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        When a gradient is missing or does not fit its parameter; when the function changes parameters, or does not give
        the same again though ``rng`` is put back; when ``rng`` is no generator of NumPy.
    NonFiniteError
        When the value or a gradient is NaN or infinite.
    UserCodeError
        When the function raises something.

    Notes
    -----
    Where the function takes complex parameters and carries them through to its value, the derivative is
    Im f(x + ihd) / h with h = 1e-30, exact but for rounding: Squire and Trapp, Using complex variables to estimate
    derivatives of real functions, SIAM Review 40 (1998); Martins, Sturdza and Alonso, The complex-step derivative
    approximation, ACM Trans. Math. Softw. 29 (2003). Since ``abs``, ``.real`` and conversions break it silently,
    it is believed only as far as central differences agree, which are extrapolated from three steps, and are all there
    is where it is not possible. They are made in float64 also for parameters of fewer bits, if the function takes it.
    How far a value may be off is estimated from differences of values near by, and from the digits that they have:
    Moré and Wild, Estimating computational noise, SIAM J. Sci. Comput. 33 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> import gradstep as gs
    >>> x = np.array([1.0, 2.0])
    >>> gs.check_gradient(lambda x: (np.sum(x**2), 2 * x), x).ok
    True
    >>> print(gs.check_gradient(lambda x: (np.sum(x**2), x + 0), x).parameters[0].message)
    2 of 2 elements tested are wrong; at [1]: gradient 2, derivative 4: it is 1/2 of what it should be
    """
    return _checked(value_and_grad, params, batch, seed, directions, rtol, rng, progress)


def first_look(
    value_and_grad: Callable[..., Any], params: Any, *, batch: Any = NO_BATCH, rng: Rng | None = None
) -> GradientReport:
    """Compare as :func:`check_gradient` does along one direction, with few evaluations where all is right.

    The noise of the value, which takes the most of them, is measured where something does not look right.
    """
    return _checked(value_and_grad, params, batch, 0, 1, None, rng, None, is_quick=True)


def _checked(
    value_and_grad: Callable[..., Any],
    params: Any,
    batch: Any,
    seed: int,
    directions: int,
    rtol: float | None,
    rng: Rng | None,
    progress: Callable[[str, int], Any] | None,
    is_quick: bool = False,
) -> GradientReport:
    if not isinstance(directions, int) or directions < 1:
        raise GradstepValueError(f"directions must be a whole number of at least 1, not {directions!r}.")
    if not isinstance(seed, int) or seed < 0:
        raise GradstepValueError(f"seed must be a whole number of at least 0, not {seed!r}.")
    if rtol is not None and not 0 < rtol < 1:
        raise GradstepValueError(f"rtol must be between 0 and 1, not {rtol!r}.")
    listener = _Listener(progress)
    batches = () if batch is NO_BATCH else (batch,)
    generators: Rng = {} if rng is None else rng
    before = taken(generators)
    try:
        function = RealFunction(_objective(value_and_grad), params, batches, generators, listener.called)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of the function at points that only the check evaluates
            found: list[ParameterCheck] = []
            for measures in (False, True) if is_quick else (True,):
                judge = Judge(function, np.random.default_rng(seed), rtol, measures)
                found = []
                for k, listener.name in enumerate(function.names):
                    found.append(judge.parameter(k, directions))
                    if not measures and not found[-1].ok:
                        break
                else:
                    break
    finally:
        put_back(generators, before)
    return GradientReport(all(p.ok for p in found), function.value, tuple(found))


class _Listener:
    """Counts evaluations, and tells them with the name of the parameter at hand."""

    def __init__(self, progress: Callable[[str, int], Any] | None) -> None:
        self.progress, self.name, self.count = progress, "", 0

    def called(self) -> None:
        """Note one more evaluation."""
        if self.progress is not None:
            self.progress(self.name, self.count)
        self.count += 1


def _objective(function: Callable[..., Any]) -> Objective:
    if isinstance(function, Objective):
        return function
    name = getattr(function, "__name__", "")
    return Objective(function, name if name.isidentifier() else "value_and_grad")
