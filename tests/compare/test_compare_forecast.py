"""What a study costs and can show, told before it is made."""

import json

import numpy as np
import pytest

from gradstep.cli import main
from gradstep.compare import make_spec, run_study
from gradstep.compare.evidence.statistics.power import beats, claimed, power, simulated
from gradstep.compare.forecast import forecast
from gradstep.compare.workers import Workers


def test_runs_are_those_that_a_study_makes():
    plan = make_spec(["quadratic", "rosenbrock"], "sgd,adam:lr=0.1", seeds=2, trials=3, searches=2, steps=20)
    study = run_study(plan, None, Workers(1))
    found = forecast(plan)
    assert found.runs == {problem: sum(run.problem == problem for run in study.runs) for problem in study.problems}
    assert sum(found.runs.values()) == len(study.runs)
    assert all(0 <= seconds < 10 for seconds in found.seconds.values())


def test_made_up_times_have_the_medians_and_the_noise_that_were_asked_for():
    rng = np.random.default_rng(1)
    logs = np.log(simulated(rng, [[0.0, 1.0]], seeds=400, searches=50, noise=0.3, between=0.5))[0].reshape(2, 50, 400)
    np.testing.assert_allclose(np.median(logs, axis=(1, 2)), [0, 1], atol=0.15)
    np.testing.assert_allclose(logs.std(axis=2).mean(axis=1), 0.3, rtol=0.02)
    np.testing.assert_allclose(logs.mean(axis=2).std(axis=1), 0.5, rtol=0.25)
    within = logs - logs.mean(axis=2, keepdims=True)
    assert np.corrcoef(within.reshape(2, -1))[0, 1] == pytest.approx(0.1, abs=0.02)


def test_power_rises_with_the_factor_and_with_seeds_and_is_none_where_nothing_can_be_claimed():
    options = {"noise": 0.35, "studies": 100}
    factors = [power(1, 2, 10, factor=factor, **options) for factor in (1.0, 1.5, 2.0)]
    assert factors[0] <= 0.05 < factors[1] < factors[2]
    assert power(1, 2, 20, factor=1.5, **options) > factors[1]
    assert power(1, 2, 3, factor=10.0, **options) == 0.0
    assert power(7, 2, 10, factor=1.5, **options) > factors[1]
    assert not claimed(np.ones((1, 2, 3))).any()


@pytest.mark.parametrize("optimizers", [2, 3, 6])
def test_the_least_power_is_of_claims_that_a_report_makes(optimizers):
    """Looking at the pairs of the first alone never says more than a report, and of two optimizers all that it says."""
    rng = np.random.default_rng(optimizers)
    centre = np.zeros((4, optimizers))
    centre[:, 0] = -0.12
    studies = [simulated(rng, centre, 6, 2, noise=0.25, between=0.1) for _ in range(60)]
    least, told = (np.array([f(x) for x in studies]) for f in (lambda x: beats(x, 2), lambda x: claimed(x, 2)[0, 1]))
    assert not (least & ~told).any()
    assert 0 < least.sum() <= told.sum() < 60
    assert optimizers > 2 or (least == told).all()


def test_the_command_prints_a_plan_and_makes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = ["compare", "quadratic", "--optimizers", "sgd,adam", "--steps", "30", "--plan"]
    assert main([*asked, "--seeds", "6"]) == 0
    text = capsys.readouterr().out
    assert "24 runs, about" in text
    assert "quicker by" in text
    assert main([*asked, "--seeds", "3"]) == 0
    assert "No optimizer can be claimed to be quicker than another: that takes 6 seeds" in capsys.readouterr().out
    assert main([*asked, "--seeds", "6", "--json", "--jobs", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["jobs"], [row["runs"] for row in found["plan"]], len(found["power"])) == (3, [24], 6)
    assert list(tmp_path.iterdir()) == []
