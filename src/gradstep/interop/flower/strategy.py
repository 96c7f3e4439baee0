"""Flower's FedAvg with an optimizer behind its average; this file is imported where Flower is."""

import inspect
import logging
from collections.abc import Iterable
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord  # pyright: ignore[reportMissingImports]
from flwr.serverapp import Grid  # pyright: ignore[reportMissingImports]
from flwr.serverapp.strategy import FedAvg  # pyright: ignore[reportMissingImports]

from gradstep.errors import GradstepValueError, NonFiniteError
from gradstep.form.rule import Rule, Stage
from gradstep.interop.flower.server import ServerOptimizer

_OF_FEDAVG = frozenset(inspect.signature(FedAvg.__init__).parameters) - {"self"}
_LOG = logging.getLogger("flwr")


class Strategy(FedAvg):  # pyright: ignore[reportUntypedBaseClass]
    """FedAvg whose average goes through a :class:`ServerOptimizer`; for ``flwr.serverapp.ServerApp``.

    Parameters
    ----------
    rule, **options
        As for :class:`ServerOptimizer` (``"adam", lr=0.1``); those that FedAvg knows (``fraction_train``,
        ``min_train_nodes``, ``weighted_by_key``, ...) go to FedAvg.

    Attributes
    ----------
    server
        The :class:`ServerOptimizer`: ``strategy.server.t``, ``strategy.server.save("server.safetensors")``.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For what the optimizer refuses.
    """

    def __init__(self, rule: str | Rule | Stage, **options: Any) -> None:
        fedavg = {name: value for name, value in options.items() if name in _OF_FEDAVG}
        self.server = ServerOptimizer(rule, **{name: x for name, x in options.items() if name not in fedavg})
        self._current: dict[str, Any] | None = None
        super().__init__(**fedavg)

    def summary(self) -> None:
        """Log the rule, then what FedAvg logs."""
        _LOG.info("\t├──> Server optimizer: %r", self.server)
        super().summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send out as FedAvg does; the model is kept, to be compared with what comes back."""
        self._current = {name: array.numpy() for name, array in arrays.items()}
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The next global model and FedAvg's metrics; no model where nobody answered or the average is not finite.

        Flower then keeps the model that it has. Updates are counted, not rounds: ``server_round`` plays no part.

        Raises
        ------
        GradstepValueError
            Before ``configure_train``, and for clients that send other layers than they got.
        """
        mean, metrics = super().aggregate_train(server_round, replies)
        if mean is None:
            return None, metrics
        if self._current is None:
            raise GradstepValueError("aggregate_train comes after configure_train, which says where the clients began.")
        try:
            model = self.server.step(self._current, {name: array.numpy() for name, array in mean.items()})
        except NonFiniteError as error:
            _LOG.warning("aggregate_train: round %d changes nothing: %s", server_round, error)
            return None, metrics
        return ArrayRecord({name: Array(x) for name, x in model.items()}), metrics
