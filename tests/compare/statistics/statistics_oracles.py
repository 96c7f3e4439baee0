"""What other people's packages say of random tables: ``python statistics_oracles.py`` writes ``oracles.json``.

The packages (rliable, perfprof, statsmodels) need not be there for the tests: what they said is in the file, with their
versions. Where they are, the tests ask them again about other tables.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from statistics_cases import random_times

RECORD = Path(__file__).with_name("oracles.json")
PACKAGES = ("rliable", "arch", "perfprof", "statsmodels", "numpy", "pandas", "scipy")


def of_rliable(seed):
    """IQM and its percentile interval, with the draws that made it, and the probability of improvement.

    rliable has [seed, problem] and takes more for better, hence the signs.
    """
    from rliable import library, metrics

    whole = random_times(seed, 5, 2, 7, misses=0.0)
    missed = random_times(seed, 5, 2, 7, misses=0.3)
    x, y = missed[:, 0].T, missed[:, 1].T
    np.random.seed(seed)  # noqa: NPY002 - rliable draws from the global generator
    _, bounds = library.get_interval_estimates(
        {"x": whole[:, 0].T}, lambda v: np.array([metrics.aggregate_iqm(v)]), reps=60, confidence_interval_size=0.9
    )
    np.random.seed(seed)  # noqa: NPY002
    draws = [np.random.choice(7, (7, 5)).T.tolist() for _ in range(60)]  # noqa: NPY002
    return {
        "whole": whole.tolist(),
        "missed": missed.tolist(),
        "draws": draws,
        "iqm": [float(metrics.aggregate_iqm(v)) for v in (whole[:, 0], whole[:, 1], missed[:, 0], missed[:, 1])],
        "interval": np.ravel(bounds["x"]).tolist(),
        "improvement": float(metrics.probability_of_improvement(-x, -y)),
    }


def of_perfprof(seed):
    """The corners of the profiles that perfprof draws up to a ratio of 10."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from perfprof import perfprof

    times = random_times(seed, 9, 4)
    times[0] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it divides infinity by infinity
        _, lines = perfprof(times, ["-"] * 4, thmax=10.0)
    plt.close("all")
    corners = [None if line is None else [np.asarray(z, float).tolist() for z in line[0].get_data()] for line in lines]
    return {"times": times.tolist(), "corners": corners}


def of_statsmodels(seed):
    """Holm's correction."""
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(seed).beta(0.5, 3, size=12)
    p[3] = p[7]
    return {"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist()}


ORACLES = {"rliable": of_rliable, "perfprof": of_perfprof, "statsmodels": of_statsmodels}


def main():
    record = {"versions": {name: version(name) for name in PACKAGES}}
    record |= {name: [ask(seed) for seed in range(3)] for name, ask in ORACLES.items()}
    text = json.dumps(record)
    RECORD.write_text(text.replace(', "', ',\n"') + "\n", "utf-8")


if __name__ == "__main__":
    main()
