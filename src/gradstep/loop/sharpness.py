"""Objectives whose gradient is taken where the loss near by is largest: sharpness-aware minimization."""

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from gradstep.array.namespaces import as_reals, to_numpy
from gradstep.array.tree import flatten
from gradstep.engine.tensor import check_alike
from gradstep.form.hyper import Domain, in_domain
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
        For a rho that is not above zero; in a call, for gradients that are no nest like the parameters.

    Notes
    -----
    Foret et al. 2021 (ICLR), arXiv:2010.01412, Algorithm 1; the norm is that of all arrays together. A random layer
    should draw the same numbers in both calls: seed it by the batch.

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
    rho = in_domain("rho", real("rho", rho), name, Domain(0.0, open_low=True))

    @wraps(objective)
    def call(params: Any, *more: Any, **named: Any) -> tuple[Any, Any]:
        loss, grads = objective(params, *more, **named)
        nest, leaves = flatten(params)
        own = nest.leaves(grads, "gradients")
        pairs = list(zip(leaves, own, strict=True))
        for k, (x, g) in enumerate(pairs):
            check_alike(f"{name}: gradient {nest.names[k]!r}", g, x)
        sizes = [np.asarray(as_reals(to_numpy(measured(x, g))), np.float64).reshape(-1) for x, g in pairs]
        step = rho / (math.sqrt(math.fsum(float(x @ x) for x in sizes)) + _TINY)
        return loss, objective(nest.build([x + step * direction(x, g) for x, g in pairs]), *more, **named)[1]

    return call
