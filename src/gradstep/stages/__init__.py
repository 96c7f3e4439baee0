"""Stages that are no update rules: what comes before a rule or after it in a chain, in the same form as a rule."""

from gradstep.stages.accumulate import accumulate
from gradstep.stages.agc import agc_columns, agc_rows
from gradstep.stages.cautious import cautious
from gradstep.stages.centralize import centralize_columns, centralize_rows
from gradstep.stages.clip import clip_by_global_norm, clip_by_norm, clip_by_value
from gradstep.stages.decay import cautious_decay, corrected_decay, decay, l1_decay, l2
from gradstep.stages.ema import ema, ema_corrected, ema_warmed, polynomial_average, swa
from gradstep.stages.lookahead import lookahead
from gradstep.stages.mars import mars
from gradstep.stages.maximize import maximize
from gradstep.stages.noise import gradient_noise
from gradstep.stages.project import project_box, project_l1_ball, project_l2_ball, project_nonnegative, project_simplex
from gradstep.stages.proximal_decay import proximal_decay
from gradstep.stages.schedule_free import schedule_free
from gradstep.stages.unscale import unscale

__all__ = [
    "accumulate", "agc_columns", "agc_rows", "cautious", "cautious_decay", "centralize_columns", "centralize_rows",
    "clip_by_global_norm", "clip_by_norm", "clip_by_value", "corrected_decay", "decay", "ema", "ema_corrected",
    "ema_warmed", "gradient_noise", "l1_decay", "l2", "lookahead", "mars", "maximize", "polynomial_average",
    "project_box", "project_l1_ball", "project_l2_ball", "project_nonnegative", "project_simplex", "proximal_decay",
    "schedule_free", "swa", "unscale",
]
