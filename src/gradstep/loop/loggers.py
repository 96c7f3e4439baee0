"""Callbacks that hand a run's numbers to other tools: ``gs.Run(..., callbacks=[gs.loggers.tensorboard(writer)])``.

The names are the same everywhere: ``train/loss``, ``opt/lr``, ``opt/grad_norm``, ``opt/update_ratio``, ``opt/skipped``,
``time/step_us``, and what ``evaluate`` gave, such as ``val/loss``. None of them is imported here: each logger takes the
object that you have made, and what it writes, and where, is its own business.
"""

import math
from collections.abc import Callable
from typing import Any

from gradstep.loop.step import Step
from gradstep.naming import whole

Logger = Callable[[Step], None]


def numbers(step: Step, last: Step | None = None) -> dict[str, float]:
    """Return the finite numbers of a step by name; ``last``: the step that was logged before it."""
    values = {
        "train/loss": step.value,
        "opt/lr": step.lr,
        "opt/grad_norm": step.grad_norm,
        "opt/update_ratio": step.update_ratio,
        "opt/skipped": float(step.skipped),
        **step.metrics,
    }
    if last is not None and step.evaluations > last.evaluations:
        each = (step.seconds - last.seconds) / (step.evaluations - last.evaluations)
        values["time/step_us"] = 1e6 * each
    return {name: x for name, x in values.items() if math.isfinite(x)}


def tensorboard(writer: Any, every: int = 1) -> Logger:
    """Log to a ``SummaryWriter`` of torch, tensorboardX or TensorBoard: ``add_scalar`` against t.

    Parameters
    ----------
    writer
        Anything with ``add_scalar(tag, value, global_step)``.
    every
        Steps from one that is logged to the next.
    """
    return _Logger(_to_tensorboard, writer, every)


def mlflow(client: Any, every: int = 1) -> Logger:
    """Log to MLflow: ``log_metrics`` against t, in the run that is active.

    Parameters
    ----------
    client
        The module ``mlflow``, or anything with ``log_metrics(metrics, step)``.
    every
        Steps from one that is logged to the next.
    """
    return _Logger(_to_mlflow, client, every)


def wandb(run: Any, every: int = 1) -> Logger:
    """Log to Weights & Biases or trackio: ``log`` against t, with ``seconds`` and ``grad_evals`` as further axes.

    Parameters
    ----------
    run
        What ``wandb.init()`` or ``trackio.init()`` gave, or the module itself.
    every
        Steps from one that is logged to the next.
    """
    return _Logger(_to_wandb, run, every)


trackio = wandb  # the same interface


class _Logger:
    """A callback that hands each ``every``-th step, and each with metrics, to a tool.

    It can be copied and pickled where the tool's object can.
    """

    def __init__(self, log: Callable[[Any, Step, dict[str, float]], None], tool: Any, every: int) -> None:
        self.log, self.tool, self.every = log, tool, whole("every", every, least=1)
        self.last: Step | None = None

    def __call__(self, step: Step) -> None:
        if step.t % self.every == 0 or step.metrics:
            self.log(self.tool, step, numbers(step, self.last))
            self.last = step


def _to_tensorboard(writer: Any, step: Step, values: dict[str, float]) -> None:
    for name, x in values.items():
        writer.add_scalar(name, x, step.t)


def _to_mlflow(client: Any, step: Step, values: dict[str, float]) -> None:
    client.log_metrics(values, step=step.t)


def _to_wandb(run: Any, step: Step, values: dict[str, float]) -> None:
    run.log({**values, "seconds": step.seconds, "grad_evals": step.evaluations}, step=step.t)
