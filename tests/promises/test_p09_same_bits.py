"""P9: same input, same bits: for any number of threads, any of NumPy's levels of CPU features, either engine."""

import numpy as np
import pytest

from promises.conftest import run_program
from promises.resume import ENGINES


def levels():
    """What is switched off: nothing, the newer half of the optional features, all."""
    found = np._core._multiarray_umath
    names = [name for name in found.__cpu_dispatch__ if found.__cpu_features__[name]]
    return [" ".join(names[k:]) for k in (len(names), len(names) // 2, 0)]


@pytest.mark.process
def test_one_hash_for_all_settings(full, figure):
    """Of one rule of each form, or of every rule: another test holds all of them to one hash at two CPU levels."""
    hashes = {}
    for off in levels():
        for rule, by_setting in run_program("spread.py", *["full"] * full, NPY_DISABLE_CPU_FEATURES=off).items():
            hashes.setdefault(rule, []).extend(by_setting.values())
    assert {rule for rule, found in hashes.items() if len(set(found)) > 1} == set()
    settings = {len(found) for found in hashes.values()}
    assert settings == {3 * 3 * len(ENGINES)}
    assert len({found[0] for found in hashes.values()}) == len(hashes)  # rules differ from one another
    if len(ENGINES) == 2:
        settings = "(3 threads x 3 CPU levels x 2 engines)"
        figure("P9", f"1 hash for 18 settings {settings}, for each of {{rules}} rules", rules=len(hashes))


def test_control_sums_by_shard_differ(control):
    """The norm that clips, summed as one would by threads: float32, each its share."""
    rng = np.random.default_rng(4)
    seen = set()
    for trial in range(20):
        x = rng.uniform(-1, 1, 300_001).astype("f4")
        sums = {float(sum((np.dot(part, part) for part in np.array_split(x, n)), np.float32(0))) for n in (1, 2, 4)}
        seen.add((trial, len(sums) > 1))
    assert any(several for _, several in seen)
    control("P9", "sums of squares by 1, 2 and 4 shards in float32: more than one result")
