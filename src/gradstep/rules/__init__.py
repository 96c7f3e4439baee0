"""The update rules, one file each. What is imported here is registered, is in every law, and is ``gradstep.NAME``."""

from gradstep.rules.adadelta import adadelta
from gradstep.rules.adafactor import adafactor
from gradstep.rules.adagrad import adagrad
from gradstep.rules.adam import adam
from gradstep.rules.adamax import adamax
from gradstep.rules.adamw import adamw
from gradstep.rules.amsgrad import amsgrad
from gradstep.rules.lamb import lamb
from gradstep.rules.lion import lion
from gradstep.rules.momentum import momentum
from gradstep.rules.muon import muon
from gradstep.rules.nadam import nadam
from gradstep.rules.nesterov import nesterov
from gradstep.rules.radam import radam
from gradstep.rules.rmsprop import rmsprop
from gradstep.rules.sgd import sgd

__all__ = [
    "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "amsgrad",
    "lamb", "lion", "momentum", "muon", "nadam", "nesterov", "radam", "rmsprop", "sgd",
]
