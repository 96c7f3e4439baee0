"""Studies: the table, the same numbers for any number of processes, the file."""

import json
import math
import os
from dataclasses import replace

import pytest

from gradstep.compare import make_spec, run_study
from gradstep.compare.naming import Named
from gradstep.compare.protocol import Contender, RunResult
from gradstep.compare.statistics import Spread
from gradstep.compare.study import to_json
from gradstep.compare.table import best_lr, make_row
from gradstep.errors import GradstepValueError
from gradstep.files import writable_folder, write_text

INF = math.inf


def made_up(lr, seed, loss, to_target, accuracy=None, diverged=None):
    final = {} if diverged is not None else {"loss": loss} | ({"accuracy": accuracy} if accuracy else {})
    curve = [accuracy] if accuracy else []
    return RunResult("adam", lr, seed, [0], [1.0], [loss], curve, to_target, final, diverged, 0.1)


ADAM = Contender(Named("adam"), (0.1, 1.0, 10.0))


def test_the_row_of_made_up_runs():
    runs = [
        *(made_up(0.1, seed, 0.3, INF, accuracy=0.8) for seed in range(3)),
        made_up(1.0, 0, 0.1, 40.0, accuracy=0.95),
        made_up(1.0, 1, 0.2, INF, accuracy=0.85),
        made_up(1.0, 2, 0.4, 60.0, accuracy=0.9),
        *(made_up(10.0, seed, 0.0, 10.0, diverged=7) for seed in range(3)),
    ]
    row = make_row(ADAM, runs, step_us=12.0)
    assert (row.lr, row.at_edge, row.hits, row.seeds) == (1.0, False, 2, 3)
    assert row.steps_to_target == Spread(60.0, 40.0, INF)
    assert row.loss == Spread(0.2, 0.1, 0.4)
    assert row.accuracy == Spread(0.9, 0.85, 0.95)
    assert (row.diverged, row.runs, row.step_us) == (3, 9, 12.0)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ({0.1: [3, 3, 3], 1.0: [1, 1, 9], 10.0: [2, 2, 2]}, 1.0),  # by median, not by mean
        ({0.1: [1, 1, 1], 1.0: [1, 1, 1], 10.0: [1, 1, 1]}, 0.1),  # of equals the smallest
        ({0.1: [9, 9, 9], 1.0: [1, INF, INF], 10.0: [INF, INF, INF]}, 0.1),
        ({0.1: [INF] * 3, 1.0: [INF] * 3, 10.0: [INF] * 3}, 0.1),
    ],
)
def test_the_best_learning_rate(losses, best):
    runs = [
        made_up(lr, seed, loss, INF, diverged=3 if loss == INF else None)
        for lr, values in losses.items()
        for seed, loss in enumerate(values)
    ]
    assert best_lr(ADAM, runs) == best
    assert make_row(ADAM, runs, step_us=0.0).at_edge == (best != 1.0)


def test_a_diverged_run_ends_with_infinite_loss_and_no_accuracy():
    runs = [made_up(1.0, 0, 0.1, 10.0, accuracy=0.9), made_up(1.0, 1, 0.2, INF, diverged=5)]
    row = make_row(replace(ADAM, lrs=(1.0,)), runs, step_us=0.0)
    assert row.loss == Spread(INF, 0.1, INF)
    assert row.accuracy == Spread(0.45, 0.0, 0.9)
    assert not row.at_edge


def test_a_table_row_for_each_optimizer_the_fastest_first(small_study):
    rows = small_study.table()
    assert {row.optimizer for row in rows} == {"sgd", "adam:beta1=0.8", "momentum:lr=1e+30"}
    steps = [row.steps_to_target.median for row in rows]
    assert steps == sorted(steps)
    assert rows[-1].optimizer == "momentum:lr=1e+30"
    assert (rows[-1].diverged, rows[-1].runs) == (2, 2)
    assert all(row.step_us > 0 for row in rows)


def test_results_do_not_depend_on_the_number_of_processes():
    spec = make_spec("digits-mlp", "adam:lr=0.01,sgd:lr=0.3,rmsprop:lr=1e30", seeds=2, steps=40)
    heard = []
    one = run_study(spec, jobs=1)
    two = run_study(spec, jobs=2, on_result=heard.append)
    assert heard == two.runs
    assert [(r.optimizer, r.lr, r.seed) for r in two.runs] == [(t.contender.label, t.lr, t.seed) for t in spec.trials()]
    timeless = [[replace(r, seconds=0.0) for r in study.runs] for study in (one, two)]
    assert timeless[0] == timeless[1]
    tables = [[replace(row, step_us=0.0) for row in study.table()] for study in (one, two)]
    assert tables[0] == tables[1]


def test_an_interrupt_stops_the_study(monkeypatch):
    spec = make_spec("quadratic", "sgd", seeds=2, steps=5)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(spec, jobs=2, on_result=interrupt)


def test_the_file_is_strict_json_with_every_run(small_study, tmp_path):
    path = tmp_path / "results.json"
    small_study.save(path)

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert content["target"] == small_study.problem.goal
    assert content["spec"]["problem"] == "digits-softmax"
    assert len(content["runs"]) == len(small_study.runs) == 22
    first = content["runs"][0]
    assert first["steps"] == small_study.runs[0].steps
    assert first["loss"] == small_study.runs[0].loss  # every digit
    lost = [r for r in content["runs"] if r["diverged"] is not None]
    assert lost
    assert all(r["to_target"] is None for r in lost)
    assert [row["optimizer"] for row in content["table"]] == [row.optimizer for row in small_study.table()]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_json_has_null_for_what_is_not_finite():
    assert (
        to_json({"a": (INF, -INF, math.nan, 1.5), "b": [{"c": None}]})
        == '{"a": [null, null, null, 1.5], "b": [{"c": null}]}'
    )


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_text(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_files_get_the_usual_permissions(tmp_path):
    write_text(tmp_path / "written", "x")
    (tmp_path / "usual").touch()
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_folder_that_takes_no_files_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GradstepValueError, match=r"cannot write to the folder .*file/deeper: Not a directory"):
        writable_folder(tmp_path / "file" / "deeper")
    assert writable_folder(tmp_path / "new" / "deeper").is_dir()
    assert not list((tmp_path / "new" / "deeper").iterdir())
