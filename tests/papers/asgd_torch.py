"""Averaged SGD as torch 2.13 has it: asgd.py's, which is the same while lr is."""

from . import asgd

CITATION, DEFAULTS, trajectory = "torch 2.13, torch/optim/asgd.py", asgd.DEFAULTS, asgd.trajectory
