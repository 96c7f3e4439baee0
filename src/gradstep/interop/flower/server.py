"""One update of the global model from the average of the clients' models."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradstep.checkpoint import Checkpoint, load
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.files import AnyPath
from gradstep.form.rule import Rule, Stage
from gradstep.interop.flower.model import BUFFERS, Buffers, Layers, as_buffer, check_alike, check_same
from gradstep.naming import Closed
from gradstep.optimizer import Optimizer


class ServerOptimizer(Closed):
    """A rule that moves the global model; the gradient is ``current - aggregated``.

    That is the FedOpt family of Reddi et al. 2021 (arXiv:2003.00295, Algorithm 2), with the rules of this package:
    ``"sgd"`` with ``lr=1`` is plain averaging, ``"adam"`` is Adam, with its bias correction by the updates made.

    Parameters
    ----------
    rule, **options
        As for :class:`gradstep.Optimizer`, and with its errors; ``groups`` go by the layers' names.
    buffers
        Name patterns of the floating layers that clients compute and do not train, such as the running variance of a
        batch normalization, which a rule would carry below zero: they take the average. Left out: the names that torch,
        Keras and Flax give to these; where layers have numbers for names, give those of the buffers. Layers of integers
        and booleans are buffers whatever their names.

    Attributes
    ----------
    optimizer
        The :class:`gradstep.Optimizer` over the server's own copy of the layers; None before the first update.
    """

    optimizer: Optimizer | None

    def __init__(self, rule: str | Rule | Stage, *, buffers: str | Iterable[str] = BUFFERS, **options: Any) -> None:
        self._buffers = Buffers(buffers)
        self._made_of: tuple[Any, dict[str, Any]] = (rule, options)
        self.optimizer = None
        self._new({}, groups=None)  # raise errors in the rule now, not in the first round

    def __repr__(self) -> str:
        return f"<ServerOptimizer {self.optimizer or self._made_of[0]!r}>"

    def _instead(self, name: str) -> str | None:
        known = self.optimizer is not None and name in self.optimizer.hyper
        return f"server.optimizer.hyper[{name!r}] = ..." if known else None

    @property
    def t(self) -> int:
        """Updates made; a round that failed is none."""
        return 0 if self.optimizer is None else self.optimizer.t

    def step(self, current: Mapping[str, Any], aggregated: Mapping[str, Any] | None) -> Layers:
        """Return the next global model: new arrays of the shapes and dtypes of ``current``.

        Parameters
        ----------
        current
            The global model that the clients started from, by name: floating and complex layers are optimized, but for
            those that are ``buffers``. These, integer and boolean ones (counters, masks) take the average; for integers
            rounded half to even.
        aggregated
            The average of what the clients sent: the same names and shapes. None or empty: nobody answered;
            ``current`` comes back, and no update is counted.

        Raises
        ------
        NonFiniteError, GradstepValueError, GradstepTypeError
            When a layer of the average is NaN, infinite or too large for the rule; or missing, new, or of another shape
            or dtype than before. Neither state nor t has changed.
        """
        for what, layers in (("current model", current), ("aggregate", {} if aggregated is None else aggregated)):
            if not isinstance(layers, Mapping):
                kind = type(layers).__name__
                raise GradstepTypeError(f"the {what} is a {kind}; hand in a dict of its layers' arrays by name.")
        now = {name: np.array(x) for name, x in current.items()}
        if not aggregated:
            return now
        mean = {name: np.asarray(x) for name, x in aggregated.items()}
        check_alike(now, mean)
        untrained = self._buffers.among(now)
        params = {name: x for name, x in now.items() if name not in untrained}
        buffers = {name: as_buffer(name, mean[name], x) for name, x in now.items() if name in untrained}
        with np.errstate(over="ignore", invalid="ignore"):  # the optimizer refuses numbers that are not finite, by name
            grads = {name: np.asarray(x - mean[name]).astype(x.dtype, copy=False) for name, x in params.items()}
        opt = self.optimizer or self._new({name: x.copy() for name, x in params.items()})
        check_same(opt.params, params)
        for name, x in params.items():
            opt.params[name][...] = x
        made = opt.t
        opt.step(grads)
        self.optimizer = opt
        after = {name: x.copy() for name, x in opt.params.items()} | buffers
        return now if opt.t == made else {name: after[name] for name in now}

    def save(self, path: AnyPath, **options: Any) -> None:
        """Write layers, state and t into a file: see :meth:`gradstep.Optimizer.save`."""
        if self.optimizer is None:
            raise GradstepValueError("there is nothing to save before the first update: call step first.")
        self.optimizer.save(path, **options)

    def restore(self, path: AnyPath, **options: Any) -> Checkpoint:
        """Go on from a file, also before the first update: see :meth:`gradstep.Optimizer.restore`."""
        opt = self.optimizer or self._new(load(path).params)
        found = opt.restore(path, **options)
        self.optimizer = opt
        return found

    def _new(self, params: Layers, **instead: Any) -> Optimizer:
        rule, options = self._made_of
        return Optimizer(params, rule, **options | instead)
