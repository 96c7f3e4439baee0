"""Adafactor as torch 2.13 has it with eps1=None: adafactor_torch.py's with the spacing of float64 at 1."""

from functools import partial

from . import adafactor_torch

CITATION = adafactor_torch.CITATION
DEFAULTS = {key: x for key, x in adafactor_torch.DEFAULTS.items() if key != "eps1"}
trajectory = partial(adafactor_torch.trajectory, eps1=2.0**-52)
