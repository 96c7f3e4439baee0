"""The rules as other libraries have them: what is imported here is registered, and so is in every law.

A variant that differs in its scalars alone has the update of the rule that it varies (:func:`gradstep.rule.variant`).
"""

from gradstep.variants.adabelief import adabelief_rectified
from gradstep.variants.adafactor import (
    adafactor_keras,
    adafactor_mlx_sized,
    adafactor_mlx_unsized,
    adafactor_optax,
    adafactor_optax_128,
    adafactor_optax_unfactored,
    adafactor_timm,
    adafactor_timm_rate,
    adafactor_torch,
    adafactor_torch_dtype,
)
from gradstep.variants.adagrad import adagrad_decaying, adagrad_inside, adagrad_without_eps
from gradstep.variants.adam import adam_eps_hat, adam_eps_root, adam_uncorrected
from gradstep.variants.adamax import adamax_eps_inside, adamax_eps_outside, adamax_uncorrected
from gradstep.variants.adan import adan_optax
from gradstep.variants.ademamix import ademamix_paper
from gradstep.variants.adopt import adopt_ahead, adopt_unclipped
from gradstep.variants.amsgrad import (
    amsgrad_corrected,
    amsgrad_eps_hat,
    amsgrad_optax,
    amsgrad_optax_mean,
    amsgrad_optax_square,
    amsgrad_optax_uncorrected,
)
from gradstep.variants.asgd import asgd_torch
from gradstep.variants.cautious import cautious_heavyball, cautious_mean
from gradstep.variants.decay import decay_from_second
from gradstep.variants.ema import ema_after_first, ema_warmed_tf
from gradstep.variants.ftrl import ftrl_keras
from gradstep.variants.lamb import lamb_bounded, lamb_timm
from gradstep.variants.lamb_keras import lamb_keras
from gradstep.variants.laprop import laprop_eps_hat
from gradstep.variants.lars import lars_optax, lars_optax_nesterov, lars_timm
from gradstep.variants.mars import mars_timm
from gradstep.variants.momentum import unfolded_momentum, unfolded_nesterov
from gradstep.variants.momo import momo_optax
from gradstep.variants.muon import (
    muon_keras,
    muon_keras_plain,
    muon_mlx,
    muon_mlx_plain,
    muon_moonlight,
    muon_optax,
    muon_torch,
    muon_torch_matched,
    muon_torch_plain,
    muon_torch_plain_matched,
)
from gradstep.variants.nadam import nadam_optax, nadam_timm, nadam_torch
from gradstep.variants.novograd import novograd_timm
from gradstep.variants.polyak import polyak_optax, polyak_optax_plus
from gradstep.variants.radam import radam_optax, radam_optax_nesterov, radam_torch
from gradstep.variants.rms import (
    scale_by_centered_rms,
    scale_by_centered_rms_corrected,
    scale_by_centered_rms_inside,
    scale_by_centered_rms_inside_corrected,
    scale_by_rms,
    scale_by_rms_corrected,
    scale_by_rms_inside,
    scale_by_rms_inside_corrected,
)
from gradstep.variants.schedule_free import (
    schedule_free_adamw_keras,
    schedule_free_adamw_optax,
    schedule_free_adamw_rooted,
    schedule_free_sgd_optax,
)
from gradstep.variants.sign import sign_sgd
from gradstep.variants.sm3 import sm3_optax
from gradstep.variants.sophia import sophia_optax
from gradstep.variants.yogi import yogi_corrected

__all__ = [
    "adabelief_rectified",
    "adafactor_keras",
    "adafactor_mlx_sized",
    "adafactor_mlx_unsized",
    "adafactor_optax",
    "adafactor_optax_128",
    "adafactor_optax_unfactored",
    "adafactor_timm",
    "adafactor_timm_rate",
    "adafactor_torch",
    "adafactor_torch_dtype",
    "adagrad_decaying",
    "adagrad_inside",
    "adagrad_without_eps",
    "adam_eps_hat",
    "adam_eps_root",
    "adam_uncorrected",
    "adamax_eps_inside",
    "adamax_eps_outside",
    "adamax_uncorrected",
    "adan_optax",
    "ademamix_paper",
    "adopt_ahead",
    "adopt_unclipped",
    "amsgrad_corrected",
    "amsgrad_eps_hat",
    "amsgrad_optax",
    "amsgrad_optax_mean",
    "amsgrad_optax_square",
    "amsgrad_optax_uncorrected",
    "asgd_torch",
    "cautious_heavyball",
    "cautious_mean",
    "decay_from_second",
    "ema_after_first",
    "ema_warmed_tf",
    "ftrl_keras",
    "lamb_bounded",
    "lamb_keras",
    "lamb_timm",
    "laprop_eps_hat",
    "lars_optax",
    "lars_optax_nesterov",
    "lars_timm",
    "mars_timm",
    "momo_optax",
    "muon_keras",
    "muon_keras_plain",
    "muon_mlx",
    "muon_mlx_plain",
    "muon_moonlight",
    "muon_optax",
    "muon_torch",
    "muon_torch_matched",
    "muon_torch_plain",
    "muon_torch_plain_matched",
    "nadam_optax",
    "nadam_timm",
    "nadam_torch",
    "novograd_timm",
    "polyak_optax",
    "polyak_optax_plus",
    "radam_optax",
    "radam_optax_nesterov",
    "radam_torch",
    "scale_by_centered_rms",
    "scale_by_centered_rms_corrected",
    "scale_by_centered_rms_inside",
    "scale_by_centered_rms_inside_corrected",
    "scale_by_rms",
    "scale_by_rms_corrected",
    "scale_by_rms_inside",
    "scale_by_rms_inside_corrected",
    "schedule_free_adamw_keras",
    "schedule_free_adamw_optax",
    "schedule_free_adamw_rooted",
    "schedule_free_sgd_optax",
    "sign_sgd",
    "sm3_optax",
    "sophia_optax",
    "unfolded_momentum",
    "unfolded_nesterov",
    "yogi_corrected",
]
