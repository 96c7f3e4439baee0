"""The report's words and figures, without a browser."""

import json
import re
from dataclasses import replace

import pytest
from plotly.graph_objects import Figure

from gradstep.compare.report import figures, plots, write_report
from gradstep.compare.report.page import make_page
from gradstep.compare.report.verdict import verdict
from gradstep.compare.statistics import median
from gradstep.compare.study import Study
from gradstep.compare.wording import headings, row_cells


def sentences(text):
    return re.split(r"(?<=\.) (?=[A-Z])", text)


def test_figures_are_valid_plotly(small_study):
    for make in (figures.accuracy_curves, figures.loss_curves, figures.sensitivity):
        text = json.dumps(make(small_study), allow_nan=False)
        assert Figure(json.loads(text.replace('"ink"', '"black"'))).data  # the page puts the theme's colour for ink


def test_no_two_optimizers_look_alike():
    looks = {(plots.COLOURS[i % 7], plots.DASHES[i // 3 % 6]) for i in range(35)}
    assert len(looks) == 35


def test_the_thick_line_is_the_median_of_the_thin_ones(small_study):
    traces = [t for t in figures.loss_curves(small_study)["data"] if t["name"] == "sgd"]
    *thin, thick = traces
    assert [t["line"]["width"] for t in traces] == [1, 1, 2.5]
    assert thick["y"] == pytest.approx(
        [median(values) for values in zip(*(t["y"] for t in thin), strict=True)], rel=1e-4
    )


def test_divergence_is_marked_and_capped(small_study):
    figure = figures.sensitivity(small_study)
    trace = next(t for t in figure["data"] if t["name"].startswith("momentum"))
    start = median([r.loss[0] for r in small_study.runs])
    assert trace["marker"]["symbol"] == ["x"]
    assert trace["y"] == pytest.approx([start], rel=1e-4)
    assert trace["text"] == ["2 of 2 diverged"]
    others = [t for t in figure["data"] if t is not trace]
    assert {symbol for t in others for symbol in t["marker"]["symbol"]} == {"circle"}


def test_the_verdict_is_three_sober_sentences(small_study):
    said = sentences(verdict(small_study))
    assert len(said) == 3
    best, second, *_ = small_study.table()
    assert best.optimizer in said[0]
    assert f"{best.steps_to_target.median:g} steps" in said[0]
    assert f"followed by {second.optimizer} with " in said[0]
    assert "of 2 paired seeds" in said[0]
    assert said[2].startswith("This does not show")


def test_the_verdict_of_one_optimizer_and_of_none_that_arrives(small_study):
    alone = Study(
        replace(small_study.spec, contenders=small_study.spec.contenders[2:]),
        small_study.runs_of("momentum:lr=1e+30"),
        small_study.step_us,
        small_study.environment,
    )
    said = sentences(verdict(alone))
    assert len(said) == 3
    assert said[0].startswith(f"No optimizer reached the target ({small_study.problem.goal})")
    assert make_page(alone)


def test_paired_seeds_are_counted(small_study):
    """With the second optimizer's runs slowed down in one seed, the first is ahead in that seed."""
    best, second, *_ = small_study.table()

    def steps(r):
        if r.lr in (best.lr, second.lr) and r.optimizer in (best.optimizer, second.optimizer):
            mine = {best.optimizer: [10.0, 30.0], second.optimizer: [50.0, 20.0]}[r.optimizer]
            return replace(r, to_target=mine[r.seed])
        return r

    changed = replace(small_study, runs=[steps(r) for r in small_study.runs])
    assert "with a median of 35 steps, which it beat in 1 of 2 paired seeds" in verdict(changed)
    level = replace(changed, runs=[replace(r, to_target=20.0) for r in changed.runs])
    first = verdict(level).split(" reached ")[0]
    assert all(row.optimizer in first for row in level.table())  # all that tie are named
    assert " first, all after a median of 20 steps." in verdict(level)


def test_every_row_has_a_cell_for_every_heading(small_study):
    for row in small_study.table():
        assert len(row_cells(row)) == len(headings(small_study))


def test_cells_say_what_is_missed_and_what_lies_at_the_edge(small_study):
    best = small_study.table()[0]
    row = replace(best, lr=0.3, at_edge=True, diverged=2, runs=10)
    shown = [text for text, _ in row_cells(row)]
    assert shown[1] == "0.3*"
    assert shown[-1] == "2/10"
    lost = [text for text, _ in row_cells(small_study.table()[-1])]
    assert lost[2:5] == ["∞", "0/2", "∞"]


def test_the_page_is_whole_and_points_nowhere(small_study, tmp_path):
    path = tmp_path / "report.html"
    write_report(small_study, path)
    page = path.read_text("utf-8")
    ours = re.sub(r"<script>/\*.*?</script>", "", page, flags=re.DOTALL)  # without Plotly's own code
    assert len(ours) < 200_000 < len(page)
    assert not re.findall(r"https?://|src=|<link|@import|url\(", ours)
    assert "$" not in re.sub(r"<script.*?</script>", "", ours, flags=re.DOTALL)
    for word in (small_study.spec.command, "Verdict", "Sensitivity", small_study.environment["engine"]):
        assert word in page


def test_names_are_escaped(small_study):
    hostile = replace(small_study, environment={"machine": "</script><b>&"})
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in make_page(hostile)
