"""The library in the hands of benchopt, a runner and a clock by others: the smallest setting of benchmarks/benchopt."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("benchopt")
pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks/benchopt"
# How much of the way to the optimum may be left after 1000 steps; of all others 1e-7. At a constant rate rmsprop and
# nadam circle around it (as torch's do), and decay outside the gradient pulls adamw aside.
LEFT = {"rmsprop": 1e-3, "nadam": 1e-4, "adamw": 1e-4}


def without_network():
    """A prefix that takes the network away from a command, where the system allows this."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if not shutil.which(prefix[0]):
        return []
    return [] if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode else prefix


def benchopt(verb, *arguments):
    here = str(Path(sys.executable).parent)  # benchopt starts a shell that looks for python
    path = os.pathsep.join([here, os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "BENCHOPT_RAISE_ON_ERROR": "1"}
    command = [*without_network(), sys.executable, "-m", "benchopt", verb, FOLDER, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def curves(tmp_path_factory):
    """By data set and solver: iterations, seconds, values, and by how much the optimum can lie lower."""
    import pyarrow.parquet as parquet

    path = tmp_path_factory.mktemp("benchopt") / "smallest.parquet"
    benchopt("run", "--config", FOLDER / "smallest.yml", "--no-cache", "--output", path)
    found = {}
    for row in parquet.read_table(path).to_pylist():
        points = found.setdefault(row["dataset_name"].partition("[")[0], {}).setdefault(row["solver_name"], [])
        points.append([row[x] for x in ("stop_val", "time", "objective_value", "objective_gap_at_most")])
    return {data: {solver: np.array(points).T for solver, points in rows.items()} for data, rows in found.items()}


@pytest.fixture(params=["breast_cancer", "simulated"])
def on_data(request, curves):
    return curves[request.param]


def solvers(on_data, start):
    return {name: curve for name, curve in on_data.items() if name.startswith(start)}


def test_every_solver_ran_on_all_data(curves):
    assert set(curves) == {"breast_cancer", "simulated"}
    for on_data in curves.values():
        counts = {start: len(solvers(on_data, start)) for start in ("gradstep[", "gradstep-", "torch", "scipy")}
        assert counts == {"gradstep[": 12, "gradstep-": 3, "torch": 2 if find_spec("torch") else 0, "scipy": 1}


def test_they_are_looked_at_after_equal_iterations_on_a_clock_that_runs(on_data):
    (reference,) = solvers(on_data, "gradstep[lr=0.1,rule=adam]").values()
    for name, (iterations, seconds, *_) in on_data.items():
        assert (np.diff(seconds) > 0).all(), name
        if name != "scipy-lbfgs":  # which ends by itself
            assert iterations.tolist() == reference[0].tolist(), name
    assert reference[0][-1] == 991


def test_the_reference_is_the_optimum_that_scikit_learn_finds(curves):
    from benchopt.benchmark import Benchmark
    from sklearn.linear_model import LogisticRegression

    folder = Benchmark(FOLDER)
    (data,) = [d.get_instance().get_data() for d in folder.get_datasets() if d.name == "breast_cancer"]
    objective = folder.get_benchmark_objective().get_instance()
    objective.set_data(**data)
    strength = 1 / (objective.lmbd * len(data["y"]))
    model = LogisticRegression(C=strength, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    optimum = objective.evaluate_result(model.fit(data["x"], data["y"]).coef_[0])["value"]
    assert curves["breast_cancer"]["scipy-lbfgs"][2].min() == pytest.approx(optimum, rel=1e-14, abs=0)


def test_no_value_lies_farther_above_the_optimum_than_its_gradient_says(on_data):
    optimum = on_data["scipy-lbfgs"][2].min()
    for name, (_, _, values, at_most) in on_data.items():
        assert (values >= optimum - 1e-15).all(), name
        assert (values - optimum <= at_most + 1e-15).all(), name


def test_every_rule_goes_to_the_optimum(on_data):
    optimum = on_data["scipy-lbfgs"][2].min()
    for name, (_, _, values, _) in solvers(on_data, "gradstep").items():
        rule = name.rpartition("rule=")[2].rstrip("]")
        assert values[-1] - optimum < LEFT.get(rule, 1e-7) * (values[0] - optimum), name


@pytest.mark.parametrize(
    "ours",
    [
        "gradstep[lr=0.1,rule=adam]",
        "gradstep-convention[constructor=torch.Adam,lr=0.1]",
        "gradstep-convention[constructor=optax.adam,lr=0.1]",
    ],
)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")
def test_adam_is_as_far_as_torchs_after_every_iteration(on_data, ours, fused):
    theirs = on_data[f"torch-adam[fused={fused},lr=0.1]"][2]
    np.testing.assert_allclose(on_data[ours][2], theirs, rtol=1e-14)
    # eps stands elsewhere in Keras, and that can be seen
    assert not np.allclose(on_data["gradstep-convention[constructor=keras.Adam,lr=0.1]"][2], theirs, rtol=1e-9, atol=0)


def test_the_folder_passes_benchopts_own_tests():
    benchopt("test", "--skip-install", "-p", "no:benchmark", "-p", "no:cacheprovider")
