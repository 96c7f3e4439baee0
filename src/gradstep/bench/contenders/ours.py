"""Gradstep itself, and a kernel that only moves data."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gradstep as gs
from gradstep.bench.contenders.base import Arrays, Contender, UnavailableError, load
from gradstep.bench.work import DECAY, MAX_NORM, Work
from gradstep.form.rule import Rule, Stage


class GradstepContender(Contender):
    """``gs.Optimizer`` over a dict of NumPy arrays; all of ``opt.step(grads)`` is timed.

    Parameters
    ----------
    work, arrays
        See :class:`~gradstep.bench.contenders.base.Kind`.
    **options
        Of ``gs.Optimizer``.
    """

    def __init__(self, work: Work, arrays: Arrays, **options: Any) -> None:
        self.dtype = self.dtype_of(work)
        if work.threads is not None:
            options = {"threads": work.threads, **options}
        self.params = self.gradients(arrays)
        self.optimizer = gs.Optimizer(self.params, self.stage(work), **options)
        self.step = self.optimizer.step

    def dtype_of(self, work: Work) -> Any:
        """Return the library's own dtype."""
        return load("ml_dtypes").bfloat16 if work.dtype == "bfloat16" else np.dtype(work.dtype)

    def stage(self, work: Work) -> Rule | Stage:
        """Return the stage or chain of the optimizer."""
        return stage_of(work)

    def gradients(self, arrays: Arrays) -> dict[str, Any]:
        """A dict by name."""
        return {f"w{k}": np.array(x, self.dtype) for k, x in enumerate(arrays)}

    def parameters(self) -> list[NDArray[Any]]:
        """Return the parameters as NumPy arrays."""
        return list(self.params.values())

    def held(self) -> tuple[int, int]:
        """Return the bytes of parameters and of arrays beside them."""
        kept = sum(x.nbytes for slots in self.optimizer.state.values() for x in slots.values())
        return sum(x.nbytes for x in self.params.values()), kept


def stage_of(work: Work) -> Rule | Stage:
    """The rule, or the chain around it."""
    if not work.chain:
        return work.declared
    return gs.chain(gs.clip_by_global_norm(MAX_NORM), work.declared, gs.ema(decay=DECAY))


class Moving:
    """Reads and writes as many arrays as the work does, and computes no more than the one sum that uses them all."""

    def stage(self, work: Work) -> Rule:
        """A rule that is never registered."""
        state = tuple(f"s{k}" for k in range(work.slots))
        return replace(
            gs.adam, name="streams", update=_moved, scalars=_none, state=state, defaults={}, units={}, numbers=()
        )


class Streams(Moving, GradstepContender):
    """That, on the CPU."""

    def __init__(self, work: Work, arrays: Arrays) -> None:
        super().__init__(work, arrays, on_nonfinite="ignore")
        if self.optimizer.engine != "compiled":
            raise UnavailableError("only a compiled kernel shows what the memory can do")


def _moved(theta: Any, g: Any, *state: Any) -> tuple[Any, ...]:
    first, *others = (*state, theta + g)
    return first, g, *others


def _none() -> dict[str, float]:
    return {}
