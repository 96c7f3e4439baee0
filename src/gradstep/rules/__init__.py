"""The update rules, one file each. What is imported here is registered, is in every law, and is ``gradstep.NAME``."""

from gradstep.rules.adabelief import adabelief
from gradstep.rules.adadelta import adadelta
from gradstep.rules.adafactor import adafactor
from gradstep.rules.adagrad import adagrad
from gradstep.rules.adam import adam
from gradstep.rules.adamax import adamax
from gradstep.rules.adamaxw import adamaxw
from gradstep.rules.adamw import adamw
from gradstep.rules.adan import adan
from gradstep.rules.ademamix import ademamix
from gradstep.rules.adopt import adopt
from gradstep.rules.amsgrad import amsgrad
from gradstep.rules.asgd import asgd
from gradstep.rules.came import came
from gradstep.rules.dadapt_adam import dadapt_adam
from gradstep.rules.dadapt_sgd import dadapt_sgd
from gradstep.rules.dog import dog
from gradstep.rules.dowg import dowg
from gradstep.rules.ftrl import ftrl
from gradstep.rules.lamb import lamb
from gradstep.rules.laprop import laprop
from gradstep.rules.lars import lars
from gradstep.rules.ldog import ldog
from gradstep.rules.lion import lion
from gradstep.rules.madgrad import madgrad
from gradstep.rules.momentum import momentum
from gradstep.rules.momo import momo
from gradstep.rules.muon import muon
from gradstep.rules.nadam import nadam
from gradstep.rules.nadamw import nadamw
from gradstep.rules.nesterov import nesterov
from gradstep.rules.novograd import novograd
from gradstep.rules.polyak import polyak
from gradstep.rules.prodigy import prodigy
from gradstep.rules.psgd_kron import psgd_kron
from gradstep.rules.radam import radam
from gradstep.rules.rmsprop import rmsprop
from gradstep.rules.rprop import rprop
from gradstep.rules.schedule_free_adamw import schedule_free_adamw
from gradstep.rules.schedule_free_sgd import schedule_free_sgd
from gradstep.rules.sgd import sgd
from gradstep.rules.sgdw import sgdw
from gradstep.rules.shampoo import shampoo
from gradstep.rules.signum import signum
from gradstep.rules.simplified_ademamix import simplified_ademamix
from gradstep.rules.sm3 import sm3
from gradstep.rules.soap import soap
from gradstep.rules.sophia import sophia
from gradstep.rules.stable_adamw import stable_adamw
from gradstep.rules.yogi import yogi

__all__ = [
    "adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "ademamix",
    "adopt", "amsgrad", "asgd", "came", "dadapt_adam", "dadapt_sgd", "dog", "dowg", "ftrl", "lamb", "laprop",
    "lars", "ldog", "lion", "madgrad", "momentum", "momo", "muon", "nadam", "nadamw", "nesterov", "novograd",
    "polyak", "prodigy", "psgd_kron", "radam", "rmsprop", "rprop", "schedule_free_adamw", "schedule_free_sgd", "sgd",
    "sgdw", "shampoo", "signum", "simplified_ademamix", "sm3", "soap", "sophia", "stable_adamw", "yogi",
]
