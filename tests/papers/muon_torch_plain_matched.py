"""Muon as torch 2.13 has it with nesterov=False, adjust_lr_fn="match_rms_adamw"."""

from functools import partial

from . import muon_torch

CITATION, DEFAULTS = muon_torch.CITATION, muon_torch.DEFAULTS
trajectory = partial(muon_torch.trajectory, nesterov=0, matched=1)
