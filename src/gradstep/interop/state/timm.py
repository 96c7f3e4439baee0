"""Places of the slots in the state of timm's optimizers."""

from collections.abc import Mapping
from typing import Any

from gradstep.interop.state.common import Places
from gradstep.interop.state.kind import STEP, Kind

_MEAN = {"m": "exp_avg", "v": "exp_avg_sq"}
_BUFFER = {"b": "momentum_buffer"}
_BELIEF = {"m": "exp_avg", "s": "exp_avg_var"}
_MOVING = {"momentum_buffer": "momentum"}
_COUNTED = {STEP: "int"}
_NEAR = 1e-3  # what float32 may leave of a sum of weights


def of_betas(found: Mapping[str, Any], group: Mapping[str, Any], t: int) -> str:
    """Say whether LaProp's weights of squares are other ones than those that its beta2 gives."""
    expected = 1 - group["betas"][1] ** t
    if abs(float(found["exp_avg_lr_2"]) - expected) <= _NEAR * expected:
        return ""
    return "exp_avg_lr_2 is not what its beta2 gives, which has been another one; here it is counted from t"


def weights(group: Mapping[str, Any], t: int) -> dict[str, Any]:
    """Return LaProp's weights of squares, which are counted from t here."""
    return {"exp_avg_lr_2": 1 - group["betas"][1] ** t}


def _kind(name: str, places: Places, **others: Any) -> Kind:
    return Kind(f"timm.optim.{name}", places, **others)


KINDS: Mapping[str, Kind] = {
    "AdaBelief": _kind("AdaBelief", {"adabelief": _BELIEF, "adabelief_rectified": _BELIEF}, forms=_COUNTED),
    "AdamWLegacy": _kind(
        "AdamWLegacy",
        {"adam": _MEAN, "amsgrad_corrected": {**_MEAN, "top": "max_exp_avg_sq"}},
        only_with={"max_exp_avg_sq": "amsgrad"},
    ),
    "Adan": _kind(
        "Adan",
        {"adan": {"m": "exp_avg", "v": "exp_avg_diff", "n": "exp_avg_sq", "last": "-neg_pre_grad"}},
        grouped=(STEP,),
        forms=_COUNTED,
    ),
    "Adopt": _kind("Adopt", {"adopt": _MEAN, "adopt_unclipped": _MEAN}),
    "LaProp": _kind(
        "LaProp",
        {"laprop": _MEAN},
        numbers={"laprop.c": "exp_avg_lr_1"},
        forms={"exp_avg_lr_1": "float"},
        unread=("exp_avg_lr_2",),
        added=weights,
        differs=of_betas,
    ),
    "Lamb": _kind("Lamb", {"lamb": _MEAN, "lamb_timm": _MEAN}, grouped=(STEP,)),
    "Lars": _kind("Lars", {"lars_timm": {"v": "momentum_buffer"}}, is_counted=False, only_with=_MOVING),
    "Lion": _kind("Lion", {"lion": {"m": "exp_avg"}}, is_counted=False),
    "MADGRAD": _kind(
        "MADGRAD",
        {"madgrad": {"s": "s", "v": "grad_sum_sq", "x0": "x0"}},
        forms=_COUNTED,
        only_with={"x0": "momentum"},
    ),
    "NAdamLegacy": _kind(
        "NAdamLegacy",
        {"nadam_torch": _MEAN},
        numbers={"nadam_torch.product": "m_schedule"},
        forms={STEP: "int", "m_schedule": "float"},
    ),
    "NAdamW": _kind("NAdamW", {"nadam_timm": _MEAN}),
    "NvNovoGrad": _kind(
        "NvNovoGrad",
        {"novograd_timm": {"m": "exp_avg"}},
        numbers={"novograd_timm.v": "exp_avg_sq"},
        forms={STEP: "int", "exp_avg_sq": "double"},
    ),
    "RAdamLegacy": _kind("RAdamLegacy", {"radam_torch": _MEAN}, forms=_COUNTED),
    "RMSpropTF": _kind(
        "RMSpropTF",
        {
            "scale_by_rms_inside": {"v": "square_avg"},
            "scale_by_centered_rms_inside": {"v": "square_avg", "mean": "grad_avg"},
            "momentum": {"v": "-momentum_buffer"},
            "unfolded_momentum": _BUFFER,
        },
        only_with={**_MOVING, "grad_avg": "centered"},
    ),
    "SGDW": _kind(
        "SGDW",
        {"unfolded_momentum": _BUFFER, "unfolded_nesterov": _BUFFER},
        is_counted=False,
        only_with=_MOVING,
    ),
}
REFUSED: Mapping[str, str] = {}
