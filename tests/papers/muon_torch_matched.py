"""Muon as torch 2.13 has it with adjust_lr_fn="match_rms_adamw": muon_torch.py's."""

from functools import partial

from . import muon_torch

CITATION, DEFAULTS = muon_torch.CITATION, muon_torch.DEFAULTS
trajectory = partial(muon_torch.trajectory, matched=1)
