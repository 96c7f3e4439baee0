"""Any rule of Gradstep as an optimiser of PyBOP. Copy this file and pints_optimiser.py.

    Gradstep(problem, rule="adamw", weight_decay=0.01).run()

PyBOP's own AdamW ignores the bounds of its parameters; this one keeps within them. Without ``lr`` the learning rate is
the least standard deviation of the parameters. Tried with PyBOP 26.3 and PINTS 0.6.1.
"""

from pints_optimiser import optimiser
from pybop import BasePintsOptimiser


class Gradstep(BasePintsOptimiser):
    """Minimize a problem of PyBOP; ``rule`` and ``hyper`` are those of :class:`gradstep.Optimizer`."""

    def __init__(self, problem, options=None, rule="adam", **hyper):
        super().__init__(problem, optimiser(rule, **hyper), options)
