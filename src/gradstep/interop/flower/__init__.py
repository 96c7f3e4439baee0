"""Flower's server with the rules of this package: the clients' average moves the global model, round by round.

:class:`ServerOptimizer` works on dicts of NumPy arrays and needs no Flower. ``Strategy`` is Flower's FedAvg (of
``flwr.serverapp.strategy``) with a ``ServerOptimizer`` behind its average.
"""

from typing import TYPE_CHECKING, Any

from gradstep.errors import GradstepError
from gradstep.interop.flower.server import ServerOptimizer

if TYPE_CHECKING:
    from gradstep.interop.flower.strategy import Strategy

__all__ = ["ServerOptimizer", "Strategy"]


def __getattr__(name: str) -> Any:
    if name != "Strategy":
        raise AttributeError(f"module 'gradstep.interop.flower' has no attribute {name!r}")
    try:
        from gradstep.interop.flower.strategy import Strategy
    except ImportError as error:
        raise GradstepError(
            "gs.interop.flower.Strategy is Flower's, and Flower is not installed: pip install 'flwr>=1.42', or step a "
            "gs.interop.flower.ServerOptimizer in a loop of your own."
        ) from error
    return Strategy
