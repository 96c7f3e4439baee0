"""Muon as Keras 3.15 has it with nesterov=False: muon_keras.py's."""

from functools import partial

from . import muon_keras

CITATION, DEFAULTS = muon_keras.CITATION, muon_keras.DEFAULTS
trajectory = partial(muon_keras.trajectory, nesterov=0)
