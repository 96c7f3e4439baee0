"""Objectives whose gradient is taken where the loss near by is largest: sharpness-aware minimization."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from gradstep.array.namespaces import namespace
from gradstep.array.rows import Rows
from gradstep.array.tree import flatten
from gradstep.engine.tensor import check_gradient
from gradstep.errors import GradstepTypeError
from gradstep.form.hyper import Domain, in_domain
from gradstep.loop.evaluation import norm
from gradstep.loop.user import Handed, pair
from gradstep.naming import real

Objective = Callable[..., tuple[Any, Any]]
_TINY = 1e-12  # beside the norm, as in the authors' code


def sam(objective: Objective, rho: float = 0.05) -> Objective:
    """Return an objective with the loss at the parameters, and the gradient at rho g / ||g|| from them.

    Each call takes two of ``objective``; the parameters that it is handed stay as they are.

    Parameters
    ----------
    objective
        ``(params, ...) -> (loss, grads)``, as for :func:`gradstep.minimize` and :class:`gradstep.Run`.
    rho
        How far the second point is, in the parameters' unit.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For an objective that is no function and a rho that is not above zero; in a call, for what is no pair of value
        and gradients, and for gradients that do not fit the parameters.

    Notes
    -----
    Foret et al. 2021 (ICLR), arXiv:2010.01412, Algorithm 1; the norm is that of all arrays together. A parameter
    without a gradient stays where it is. A gradient whose norm is not finite is given back as it is, for the step to
    refuse. A random layer should draw the same numbers in both calls: seed it by the batch.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> f = gs.sam(lambda x: (float(x @ x), 2.0 * x), rho=0.5)
    >>> f(np.array([3.0, 4.0]))
    (25.0, array([6.6, 8.8]))
    """
    return _ascending("sam", objective, rho, lambda _, g: g, lambda _, g: g)


def asam(objective: Objective, rho: float = 0.5) -> Objective:
    """Return what :func:`sam` does, with the step measured against each parameter: rho theta^2 g / || |theta| g ||.

    Kwon et al. 2021 (ICML), arXiv:2102.11600, equation 8. rho is a pure number.
    """
    return _ascending("asam", objective, rho, lambda x, g: abs(x) ** 2 * g, lambda x, g: x * g)


def _ascending(name: str, objective: Objective, rho: float, direction: Any, measured: Any) -> Objective:
    if not callable(objective):
        raise GradstepTypeError(
            f"{name}: objective must be a function that gives (value, gradients), not {objective!r}."
        )
    rho = in_domain("rho", real("rho", rho), name, Domain(0.0, open_low=True))

    @wraps(objective)
    def call(params: Any, *more: Any, **named: Any) -> tuple[Any, Any]:
        loss, grads = pair(objective(params, *more, **named), f"the objective of {name}")
        nest, leaves = flatten(params)
        own = nest.leaves(Handed(nest, leaves).gradients(grads), "gradients")
        for key, x, g in zip(nest.names, leaves, own, strict=True):
            if type(g) is Rows:
                raise GradstepTypeError(f"{name} needs whole gradients, and that of {key!r} is gs.rows.")
            if g is not None:  # as of what is frozen
                check_gradient(key, g, x)
        size = norm([measured(x, g) for x, g in zip(leaves, own, strict=True) if g is not None])
        if not math.isfinite(size):
            return loss, grads
        step = rho / (size + _TINY)
        pairs = zip(leaves, own, strict=True)
        there = [x if g is None else namespace(x).asarray(x + step * direction(x, g)) for x, g in pairs]
        return loss, pair(objective(nest.build(there), *more, **named), f"the objective of {name}")[1]

    return call
