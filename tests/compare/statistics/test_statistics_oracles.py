"""Statistics beside rliable, perfprof and statsmodels: what they said once, and what they say where they are."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statistics_oracles import ORACLES, RECORD

from gradstep.compare.evidence.statistics import Draws, holm, improvement, interval, iqm, profiles

RECORDED = json.loads(RECORD.read_text("utf-8"))


def cases(name):
    """Three recorded answers, and three that are asked for now."""
    recorded = [pytest.param(lambda k=k: RECORDED[name][k], id=f"recorded-{k}") for k in range(3)]
    return recorded + [pytest.param(lambda k=k: asked(name, k), id=f"live-{k}") for k in range(100, 103)]


def asked(name, seed):
    pytest.importorskip(name)
    return ORACLES[name](seed)


def close(found, expected):
    assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", cases("rliable"))
def test_rliable(case):
    case = case()
    whole, missed = np.array(case["whole"]), np.array(case["missed"])
    close([iqm(v[:, k : k + 1])[0] for v in (whole, missed) for k in range(2)], case["iqm"])
    found = interval(iqm, whole, Draws(np.array(case["draws"])), level=0.9)
    close([found.estimate[0], found.low[0], found.high[0]], [case["iqm"][0], *case["interval"]])
    close(improvement(missed).estimate[0, 1], case["improvement"])


@pytest.mark.parametrize("case", cases("perfprof"))
def test_perfprof(case):
    case = case()
    for profile, corners in zip(profiles(np.array(case["times"])), case["corners"], strict=True):
        if corners is None:
            assert profile.at(10.0) == 0
        else:
            close(profile.at(corners[0]), corners[1])
            assert set(profile.x[profile.x <= 10]) <= set(corners[0])


@pytest.mark.parametrize("case", cases("statsmodels"))
def test_statsmodels(case):
    case = case()
    close(holm(case["p"]), case["holm"])
