"""The table in docs/results is what its runs give, counted here once more from the file of runs."""

import csv
import math
import re
import statistics
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs/results"


def runs():
    with (FOLDER / "runs.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["phase"] == "eval"]


def median(values):
    ordered = sorted(values)  # infinity takes part; of an even number the mean of the middle two
    return statistics.fmean(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1])


def test_the_table_is_that_of_the_runs():
    page = (FOLDER / "README.md").read_text("utf-8")
    head, *rows = [line.strip("| ").split(" | ") for line in re.findall(r"^\| .*\|$", page, re.MULTILINE)]
    assert head[:3] == ["optimizer", "solved", "hit"]
    found = {}
    for run in runs():
        found.setdefault((run["optimizer"], run["problem"]), []).append(float(run["steps_to_target"]))
    assert {len(times) for times in found.values()} == {10}
    assert {(row[0], problem) for row in rows for problem in head[3:]} == set(found)
    for name, solved, hit, *cells in rows:
        times = [found[name, problem] for problem in head[3:]]
        assert [float(cell.replace("∞", "inf")) for cell in cells] == [median(x) for x in times]
        assert solved == f"{sum(math.isfinite(median(x)) for x in times)}/{len(times)}"
        assert hit == f"{sum(math.isfinite(x) for own in times for x in own)}/100"
