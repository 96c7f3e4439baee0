"""Stages that are no update rules: what comes before a rule or after it in a chain, in the same form as a rule."""

from gradstep.stages.accumulate import accumulate
from gradstep.stages.cautious import cautious
from gradstep.stages.clip import clip_by_global_norm, clip_by_norm, clip_by_value
from gradstep.stages.decay import decay, l2
from gradstep.stages.ema import ema, ema_corrected, ema_warmed, polynomial_average, swa
from gradstep.stages.lookahead import lookahead
from gradstep.stages.mars import mars
from gradstep.stages.maximize import maximize
from gradstep.stages.proximal_decay import proximal_decay
from gradstep.stages.unscale import unscale

__all__ = [
    "accumulate", "cautious", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "decay", "ema", "ema_corrected",
    "ema_warmed", "l2", "lookahead", "mars", "maximize", "polynomial_average", "proximal_decay", "swa", "unscale",
]
