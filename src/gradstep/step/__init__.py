"""One step: gradients and the values of hyperparameters go in; parameters and state are written in place."""

from gradstep.step.joint import JointStep, joint_step
from gradstep.step.progress import Own, Snapshot
from gradstep.step.start import check_parameters, start_slots
from gradstep.step.step import Step, Values, choose_nonfinite

__all__ = [
    "JointStep",
    "Own",
    "Snapshot",
    "Step",
    "Values",
    "check_parameters",
    "choose_nonfinite",
    "joint_step",
    "start_slots",
]
