"""The flat table of runs as CSV and as Parquet, and what a notebook shows."""

import csv
import importlib.util
import math

import numpy as np
import pytest
from report_studies import made_study, steps_to

from gradstep.compare.evidence import statistics
from gradstep.compare.show.export import COLUMNS, check_parquet, rows, write_csv, write_parquet, write_tables
from gradstep.errors import GradstepError


@pytest.fixture(scope="module")
def study():
    return made_study(lost=lambda run: {"diverged": 20} if run[1] == "sgd" and run[4] == 1 else None)


def test_a_row_for_each_run(study):
    found = rows(study)
    assert len(found) == len(study.runs) == 231
    row = next(x for x in found if (x["optimizer"], x["phase"], x["seed"]) == ("adam", "eval", 3))
    assert list(row) == list(COLUMNS)
    assert row["steps_to_target"] == steps_to(0.08, 0.1, 3)
    assert row["seconds_to_target"] == pytest.approx(row["steps_to_target"] * 200e-6)
    assert row["hyper"] == "lr=0.1"
    lost = next(x for x in found if x["diverged"] is not None)
    assert (lost["steps_to_target"], lost["target_loss"], lost["final_loss"]) == (math.inf, None, None)


def test_csv_reads_back_to_the_bit(study, tmp_path):
    write_csv(study, tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    kinds = [
        {name: None if text == "" else COLUMNS[name](text) for name, text in row.items()} | {"hyper": row["hyper"]}
        for row in back
    ]
    assert kinds == rows(study)


def test_parquet_reads_back_to_the_bit(study, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(study, tmp_path / "runs.parquet")
    assert parquet.read_table(tmp_path / "runs.parquet").to_pylist() == rows(study)


def test_without_pyarrow_a_sentence_names_it(study, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (check_parquet, lambda: write_parquet(study, tmp_path / "runs.parquet")):
        with pytest.raises(
            GradstepError, match=r"take pyarrow, which is missing; pip install pyarrow, or write --csv\."
        ):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_table_profile_and_distribution(study):
    profile = study.profile("seconds")
    middle = statistics.medians(study.times("seconds"))
    np.testing.assert_array_equal(profile.scores.estimate, statistics.scores(middle))
    assert [curve.y.tolist() for curve in profile.curves] == [c.y.tolist() for c in statistics.profiles(middle)]
    ecdf = study.ecdf()
    assert len(ecdf.curves) == 7
    for view in (profile, ecdf):
        assert view._repr_html_().startswith("<svg")
    table = study.table()
    assert table[0].optimizer == "adam"
    assert study._repr_html_() == table._repr_html_()
    assert table._repr_html_().count("<tr>") == 8
    alone = made_study(problems=("quadratic",))
    assert "steps to target" in alone._repr_html_()


def test_points_are_all_evaluations_of_all_runs(tmp_path):
    study = made_study()
    assert write_tables(study, tmp_path / "runs.csv", None) == [tmp_path / "runs.csv", tmp_path / "runs-points.csv"]
    with (tmp_path / "runs-points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(run.steps) for run in study.runs)
    run = study.runs[-1]
    own = [
        row
        for row in rows
        if all(row[key] == str(getattr(run, key)) for key in ("problem", "optimizer", "phase", "seed"))
    ]
    assert [int(row["step"]) for row in own] == run.steps
    assert [float(row["loss"]) for row in own] == run.loss
