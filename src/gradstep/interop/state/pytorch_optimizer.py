"""Places of the slots in the state of pytorch_optimizer's optimizers, whose groups count the updates."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.interop.state.common import Places
from gradstep.interop.state.kind import STEP, Arrays, Kind
from gradstep.interop.state.timm import of_betas, weights

_MEAN = {"m": "exp_avg", "v": "exp_avg_sq"}
_BUFFER = {"b": "momentum_buffer"}
_MOVING = {"momentum_buffer": "momentum"}
_BELIEF = {"m": "exp_avg", "s": "exp_avg_var"}
_OF_CAME = {"r": "exp_avg_sq_row", "c": "exp_avg_sq_col", "s_r": "exp_avg_res_row", "s_c": "exp_avg_res_col"}
_SUMS = ("accumulator_0", "accumulator_1")  # of SM3, in the shapes that they have here


def _matrices(found: Arrays, _shape: tuple[int, ...]) -> Arrays:
    """Return CAME's means of rows with a last axis of one, and those of columns with one before the last.

    A vector's squares are its rows, and of the second estimate, which does nothing to a vector, there is none.
    """
    out = dict(found)
    if (squares := out.pop("exp_avg_sq", None)) is not None:
        rows = to_numpy(squares).reshape(-1, 1)
        column = rows.mean(0, np.float64, keepdims=True).astype(rows.dtype)
        out |= dict(zip(_OF_CAME.values(), (rows, column, np.zeros_like(rows), np.zeros_like(column)), strict=True))
        return out
    for key in _OF_CAME.values():
        if key in out:
            out[key] = np.expand_dims(to_numpy(out[key]), -1 if key.endswith("row") else -2)
    return out


def _no_matrices(made: Arrays, shape: tuple[int, ...]) -> Arrays:
    """Return CAME's means as they are kept there."""
    out = {key: x for key, x in made.items() if key not in _OF_CAME.values()}
    if not out or "exp_avg_sq_row" not in made:
        return out
    if len(shape) < 2:
        return {**out, "exp_avg_sq": made["exp_avg_sq_row"].reshape(shape)}
    return out | {key: made[key].squeeze(-1 if key.endswith("row") else -2) for key in _OF_CAME.values()}


def _as_column(found: Arrays, shape: tuple[int, ...]) -> Arrays:
    """Return a vector's sums in SM3 as a column, with the largest of them."""
    if len(shape) > 1 or found.get(_SUMS[0]) is None:
        return found
    rows = to_numpy(found[_SUMS[0]]).reshape(-1, 1)
    return {**found, _SUMS[0]: rows, _SUMS[1]: rows.max(0, keepdims=True)}


def _as_vector(made: Arrays, shape: tuple[int, ...]) -> Arrays:
    """Return SM3's sums as they are kept there."""
    if len(shape) > 1 or _SUMS[0] not in made:
        return made
    out = {key: x for key, x in made.items() if key != _SUMS[1]}
    return {**out, _SUMS[0]: made[_SUMS[0]].reshape(shape)}


def _with_point(made: Arrays, _shape: tuple[int, ...]) -> Arrays:
    """Return what D-Adaptation keeps with its point, which it writes before it reads it."""
    return {**made, "z": made["x0"] - made["s"]} if "x0" in made else made


def _kind(name: str, places: Places, *grouped: str, forms: Mapping[str, str] | None = None, **others: Any) -> Kind:
    kinds = {STEP: "int", **(forms or {})}
    return Kind(f"pytorch_optimizer.{name}", places, grouped=(STEP, *grouped), forms=kinds, **others)


KINDS: Mapping[str, Kind] = {
    "ADOPT": _kind("ADOPT", {"adopt_ahead": _MEAN}),
    "AdEMAMix": _kind("AdEMAMix", {"ademamix_paper": {"m1": "exp_avg", "m2": "exp_avg_slow", "v": "exp_avg_sq"}}),
    "AdaBelief": _kind("AdaBelief", {"adabelief": _BELIEF, "adabelief_rectified": _BELIEF}),
    "AdaDelta": _kind("AdaDelta", {"adadelta": {"s": "square_avg", "u": "acc_delta"}}),
    "AdaMax": _kind("AdaMax", {"adamax_eps_inside": {"m": "exp_avg", "u": "exp_inf"}}),
    "Adan": _kind("Adan", {"adan": {"m": "exp_avg", "v": "exp_avg_diff", "n": "exp_avg_sq", "last": "-previous_grad"}}),
    "CAME": _kind("CAME", {"came": {"m": "exp_avg", **_OF_CAME}}, unread=("RMS",), here=_matrices, back=_no_matrices),
    "DAdaptAdam": _kind(
        "DAdaptAdam",
        {"dadapt_adam": {**_MEAN, "s": "s"}},
        "d",
        "numerator_weighted",
        numbers={"dadapt_adam.d": "d", "dadapt_adam.product": "numerator_weighted"},
        forms={"d": "float", "numerator_weighted": "vector"},
    ),
    "DAdaptSGD": _kind(
        "DAdaptSGD",
        {"dadapt_sgd": {"s": "s", "x0": "x0"}},
        "d",
        "numerator_weighted",
        "g0_norm",
        numbers={
            "dadapt_sgd.d": "d",
            "dadapt_sgd.product": "numerator_weighted",
            "dadapt_sgd.first": "g0_norm",
        },
        forms={"d": "float", "numerator_weighted": "vector", "g0_norm": "float"},
        unread=("z",),
        back=_with_point,
    ),
    "FTRL": _kind("FTRL", {"ftrl": {"n": "n", "z": "z"}}),
    "LaProp": _kind(
        "LaProp",
        {"laprop_eps_hat": _MEAN},
        numbers={"laprop_eps_hat.c": "exp_avg_lr_1"},
        forms={"exp_avg_lr_1": "float"},
        unread=("exp_avg_lr_2",),
        added=weights,
        differs=of_betas,
    ),
    "Lamb": _kind("Lamb", {"lamb_bounded": _MEAN}, unread=("weight_norm", "adam_norm", "trust_ratio")),
    "Lion": _kind("Lion", {"lion": {"m": "exp_avg"}}),
    "MADGRAD": Kind(
        "pytorch_optimizer.MADGRAD",
        {"madgrad": {"s": "s", "v": "grad_sum_sq", "x0": "x0"}},
        counter="k",
        only_with={"x0": "momentum"},
        forms={STEP: "index"},
    ),
    "NovoGrad": _kind(
        "NovoGrad",
        {"novograd": {"m": "moments"}},
        numbers={"novograd.v": "grads_ema"},
        forms={"grads_ema": "double"},
    ),
    "Prodigy": _kind(
        "Prodigy",
        {"prodigy": {**_MEAN, "s": "s", "x0": "p0"}},
        "d",
        "d_max",
        "d_numerator",
        numbers={"prodigy.d": "d", "prodigy.most": "d_max", "prodigy.product": "d_numerator"},
        forms={"d": "float", "d_max": "float", "d_numerator": "vector"},
        first=1,
    ),
    "SGDW": _kind("SGDW", {"unfolded_momentum": _BUFFER, "unfolded_nesterov": _BUFFER}, only_with=_MOVING),
    "SM3": _kind(
        "SM3",
        {"sm3_optax": {"m": "momentum_buffer", "r": _SUMS[0], "c": _SUMS[1]}},
        here=_as_column,
        back=_as_vector,
    ),
    "SignSGD": _kind("SignSGD", {"signum": {"m": "momentum_buffer"}}, only_with=_MOVING),
    "StableAdamW": _kind("StableAdamW", {"stable_adamw": _MEAN}, added=lambda _group, _t: {"kahan_comp": None}),
    "Tiger": _kind("Tiger", {"signum": {"m": "exp_avg"}}),
    "Yogi": _kind("Yogi", {"yogi_corrected": _MEAN}),
}
_NO_X = "it keeps z, and makes its average x of z and the parameters; here x is kept, and parameters made of both"
REFUSED: Mapping[str, str] = {"ScheduleFreeAdamW": _NO_X, "ScheduleFreeSGD": _NO_X}
