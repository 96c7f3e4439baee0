"""The loop around a step: evaluations, stops, history, and resumption after a crash."""

from gradstep.loop import loggers, stop
from gradstep.loop.batches import Batches
from gradstep.loop.lbfgs import lbfgs
from gradstep.loop.minimize import minimize
from gradstep.loop.plateau import reduce_lr
from gradstep.loop.run import Run
from gradstep.loop.sharpness import asam, sam
from gradstep.loop.step import Step

__all__ = ["Batches", "Run", "Step", "asam", "lbfgs", "loggers", "minimize", "reduce_lr", "sam", "stop"]
