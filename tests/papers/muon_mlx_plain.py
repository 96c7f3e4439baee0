"""Muon as MLX 0.32 has it with nesterov=False: muon_mlx.py's."""

from functools import partial

from . import muon_mlx

CITATION, DEFAULTS = muon_mlx.CITATION, muon_mlx.DEFAULTS
trajectory = partial(muon_mlx.trajectory, nesterov=0)
