"""The tables in docs/results are what its runs give, counted here once more from the file of runs."""

import math
import re
import statistics
from functools import cache
from pathlib import Path

import pytest

from gradstep.compare.problems import find_problem

parquet = pytest.importorskip("pyarrow.parquet")
FOLDER = Path(__file__).parents[1] / "docs/results"
LEVELS = {"easy": "steps_to_easy", "middle": "steps_to_target", "hard": "steps_to_hard"}


@cache
def runs():
    return [row for row in parquet.read_table(FOLDER / "runs.parquet").to_pylist() if row["phase"] == "eval"]


@cache
def times(column):
    """Steps of the judging runs by problem and optimizer."""
    found = {}
    for run in runs():
        found.setdefault(run["problem"], {}).setdefault(run["optimizer"].replace(":lr=warmup_cosine", " ~"), []).append(
            run[column]
        )
    return found


def median(values):
    ordered = sorted(values)  # infinity takes part; of an even number the mean of the middle two
    return statistics.fmean(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1])


def priced(problem, values):
    one = find_problem(problem)
    return median([min(x, one.steps + one.every) for x in values])


def tables(first):
    """The tables of the page whose first heading is ``first``, as lists of rows."""
    page = (FOLDER / "README.md").read_text("utf-8")
    blocks = re.findall(r"(?:^\|.*\|$\n)+", page, re.MULTILINE)
    found = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]
    return [[head, *rows] for head, _, *rows in found if head[0] == first]


def test_all_runs_are_there():
    middle = times("steps_to_target")
    assert {len(own) for found in middle.values() for own in found.values()} == {12}
    assert len(middle) >= 20
    assert len({frozenset(found) for found in middle.values()}) == 1


def test_the_table_of_optimizers_is_that_of_the_runs():
    middle = times("steps_to_target")
    [head, *rows] = next(found for found in tables("optimizer") if "score" in found[0])
    names = set(next(iter(middle.values())))
    assert {row[0] for row in rows} == names
    least = {problem: min(median(own) for own in found.values()) for problem, found in middle.items()}
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        name = cells["optimizer"]
        own = {problem: found[name] for problem, found in middle.items()}
        ratios = [median(x) / least[p] if math.isfinite(median(x)) else math.inf for p, x in own.items()]
        score = statistics.fmean(max(0.0, 4 - ratio) / 3 for ratio in ratios)
        logs = [math.log(priced(p, middle[p]["adamw ~"]) / priced(p, x)) for p, x in own.items()]
        assert cells["score"].split()[0] == f"{score:.2f}"
        assert cells["speed-up"].split()[0] == f"{math.exp(statistics.fmean(logs)):.2f}"
        assert cells[next(key for key in head if key.startswith("solved"))] == str(sum(map(math.isfinite, ratios)))
        hits = sum(math.isfinite(x) for steps in own.values() for x in steps)
        assert cells[next(key for key in head if key.startswith("hit"))] == str(hits)


def test_the_table_of_problems_is_that_of_the_runs():
    middle = times("steps_to_target")
    [_, *rows] = next(iter(tables("problem")))
    assert {row[0] for row in rows} == set(middle)
    for problem, least, names, baseline, solved in rows:
        found = {name: median(own) for name, own in middle[problem].items()}
        assert float(least) == min(found.values())
        assert found[names.split(",")[0].split(" and ")[0]] == min(found.values())
        assert float(baseline) == found["adamw ~"]
        assert solved == str(sum(map(math.isfinite, found.values())))


def test_what_a_schedule_gains_is_that_of_the_runs():
    [head, *rows] = next(iter(tables("rule")))
    assert head == ["rule", *LEVELS]
    for name, *cells in rows:
        for cell, column in zip(cells, LEVELS.values(), strict=True):
            logs = [
                math.log(priced(problem, found[name]) / priced(problem, found[name + " ~"]))
                for problem, found in times(column).items()
            ]
            assert float(cell) == pytest.approx(math.exp(statistics.fmean(logs)), abs=0.00501)
