"""``gradstep report`` and ``watch --web``: pages and tables of what a folder holds."""

import csv
import importlib.util
import json
import re

import pytest

from gradstep.cli import common as served
from gradstep.cli import main


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder of a small study."""
    folder = tmp_path_factory.mktemp("study") / "s"
    words = ["quadratic", "--optimizers", "sgd,adam", "--seeds", "2", "--trials", "2", "--steps", "40", "--jobs", "1"]
    assert main(["compare", *words, "--out", str(folder), "--csv", str(folder) + ".csv", "--json"]) == 0
    return folder


def test_compare_writes_tables_beside_its_report(study):
    with study.with_suffix(".csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10  # two trials, two seeds, one look; twice


def test_a_study_becomes_a_page(study, tmp_path, capsys):
    page = tmp_path / "page.html"
    before = (study / "report.html").read_bytes()
    assert main(["report", str(study), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"wrote {page}\n"
    assert page.read_bytes() == before  # the same study, the same page
    assert main(["report", str(study), "--static", "-o", str(page)]) == 0
    assert page.stat().st_size < 1_000_000
    assert main(["report", str(study)]) == 0
    assert (study / "report.html").read_bytes() == before


def test_tables_alone_need_no_page(study, tmp_path, capsys):
    table = tmp_path / "runs.csv"
    assert main(["report", str(study), "--csv", str(table)]) == 0
    assert capsys.readouterr().out == f"wrote {table}\nwrote {tmp_path / 'runs-points.csv'}\n"
    assert sorted(x.name for x in tmp_path.iterdir()) == ["runs-points.csv", "runs.csv"]
    assert table.read_text() == study.with_suffix(".csv").read_text()


def test_without_pyarrow_nothing_is_begun(study, tmp_path, capsys, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else real(name))
    for words in (["report", str(study)], ["compare", "quadratic", "--out", str(tmp_path / "new")]):
        assert main([*words, "--csv", str(tmp_path / "x.csv"), "--parquet", str(tmp_path / "x.parquet")]) == 2
        assert "Parquet files take pyarrow, which is missing; pip install pyarrow" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_neither_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"gradstep: there is neither a study (study.db) nor a run (run.json) in {tmp_path}.\n"
    )
    assert main(["watch", "--web", str(tmp_path)]) == 2
    assert "there is no study in" in capsys.readouterr().err


PROBLEM = """
import numpy as np

def loss(params, batch=None):
    x = params["x"]
    return float(x @ x), {"x": 2 * x}

loss.params = {"x": np.ones(3)}
"""


def test_a_run_becomes_the_page_that_it_had(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PROBLEM)
    words = ["run", "mine.py:loss", "--optimizer", "sgd", "--lr", "0.1", "--max-steps", "20", "--out", "a"]
    assert main([*words, "--json"]) == 0
    capsys.readouterr()
    assert main(["report", "a", "-o", "again.html"]) == 0
    assert capsys.readouterr().out == "wrote again.html\n"
    once, again = ((tmp_path / x).read_text() for x in ("a/report.html", "again.html"))
    assert again == once
    assert main(["report", "a", "--csv", "x.csv"]) == 2
    assert capsys.readouterr().err == "gradstep: a holds a run, and --csv is for studies; leave it out.\n"
    (tmp_path / "a/result.json").write_text("{")
    assert main(["report", "a"]) == 2
    assert re.search(
        r"result\.json cannot be read \(.*\); gradstep run --resume a writes it anew\.", capsys.readouterr().err
    )
    (tmp_path / "a/result.json").unlink()
    assert main(["report", "a"]) == 0  # as after a crash
    assert "It was broken off after step 20" in (tmp_path / "a/report.html").read_text()
    capsys.readouterr()
    for file in ("history.jsonl", "checkpoint.safetensors"):
        (tmp_path / "a" / file).unlink()
    assert main(["report", "a"]) == 2
    assert "the run in a has made no step yet; gradstep run --resume a goes on with it." in capsys.readouterr().err


def test_watch_serves_the_page_of_the_study(study, monkeypatch):
    """The routes that the server is given, without serving them."""
    given = {}
    monkeypatch.setattr(
        served, "serve", lambda routes, port, query="", no_browser=False: given.update(routes, port=port)
    )
    assert main(["watch", "--web", str(study), "--port", "0", "--no-browser"]) == 0
    said = json.loads(given["/state"]({}).body)
    assert said["finished"] is True
    assert "Verdict" in said["main"]
    assert set(given) >= {"/", "/live.js", "/page.js", "/charts.js", "/page.css", "/dark.css", "/plotly.js", "/state"}
