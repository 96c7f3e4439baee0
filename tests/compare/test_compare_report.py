"""The report's words and figures, without a browser."""

import json
import re
from dataclasses import replace

import pytest
from plotly.graph_objects import Figure

from gradstep.compare import compare
from gradstep.compare.report import figures, plots, write_report
from gradstep.compare.report.page import make_page
from gradstep.compare.report.verdict import verdict
from gradstep.compare.statistics import median
from gradstep.compare.table import entries
from gradstep.compare.wording import board_cells, board_headings, chosen, entry_cells, headings

PROBLEM = "digits-softmax"


def sentences(text):
    return re.split(r"(?<=\.) (?=[A-Z])", text)


@pytest.fixture(scope="session")
def pair():
    """Two optimizers on two problems."""
    return compare("sgd,adam", ["diabetes", "quadratic"], seeds=3, trials=2, steps=300, jobs=1)


def test_figures_are_valid_plotly(small_study):
    for make in (figures.accuracy_curves, figures.loss_curves, figures.sensitivity):
        text = json.dumps(make(small_study, PROBLEM), allow_nan=False)
        assert Figure(json.loads(text.replace('"ink"', '"black"'))).data  # the page puts the theme's colour for ink


def test_no_two_optimizers_look_alike():
    looks = {(plots.COLOURS[i % 7], plots.DASHES[i // 3 % 6]) for i in range(35)}
    assert len(looks) == 35


def test_the_thick_line_is_the_median_of_the_thin_ones(small_study):
    traces = [t for t in figures.loss_curves(small_study, PROBLEM)["data"] if t["name"] == "sgd"]
    *thin, thick = traces
    assert [t["line"]["width"] for t in traces] == [1, 1, 2.5]
    assert thick["y"] == pytest.approx(
        [median(values) for values in zip(*(t["y"] for t in thin), strict=True)], rel=1e-4
    )


def test_divergence_is_marked_and_capped(small_study):
    figure = figures.sensitivity(small_study, PROBLEM)
    trace = next(t for t in figure["data"] if t["name"].startswith("momentum"))
    start = median([r.loss[0] for r in small_study.runs if r.loss])
    assert trace["marker"]["symbol"] == ["x"]
    assert trace["y"] == pytest.approx([start], rel=1e-4)
    assert trace["text"] == ["2 of 2 diverged"]
    others = [t for t in figure["data"] if t is not trace]
    assert {symbol for t in others for symbol in t["marker"]["symbol"]} == {"circle"}


def test_the_verdict_is_three_sober_sentences(small_study):
    said = sentences(verdict(small_study, PROBLEM))
    assert len(said) == 3
    best, second, *_ = entries(small_study, PROBLEM)
    assert best.optimizer in said[0]
    assert f"{best.steps.median:g} steps" in said[0]
    assert f"followed by {second.optimizer} with " in said[0]
    assert "of 2 paired seeds" in said[0]
    assert said[2].startswith("This does not show")


def test_the_verdict_of_one_optimizer_that_does_not_arrive():
    alone = compare("momentum:lr=1e30", PROBLEM, seeds=2, steps=20, jobs=1)
    said = sentences(verdict(alone, PROBLEM))
    assert len(said) == 3
    assert said[0].startswith("No optimizer reached the target (validation accuracy ≥ ")
    assert make_page(alone)


def test_a_study_of_several_problems_has_a_page(pair):
    page = make_page(pair)
    for problem in pair.problems:
        assert f"{problem}: " in page
    assert len(re.findall('class="chart"', page)) == 4


def test_a_study_that_has_only_begun_has_a_page(pair):
    begun = replace(pair, runs=pair.runs[:3], timings=[])
    assert "No run has been judged yet." in make_page(begun)


def test_paired_seeds_are_counted(small_study):
    """With the second optimizer's runs slowed down in one seed, the first is ahead in that seed."""
    best, second, *_ = entries(small_study, PROBLEM)
    level = small_study.target(PROBLEM).level

    def at(r, step):
        values = [level if k >= step else 0.0 for k in r.steps]
        return replace(r, accuracy=values)

    def changed(made):
        return replace(small_study, runs=[made(r) if r.phase == "eval" and r.finished else r for r in small_study.runs])

    times = {best.optimizer: [10, 30], second.optimizer: [50, 20]}
    said = verdict(changed(lambda r: at(r, times[r.optimizer][r.seed])), PROBLEM)
    assert "with a median of 35 steps, which it beat in 1 of 2 paired seeds" in said
    tied = verdict(changed(lambda r: at(r, 20)), PROBLEM)
    assert all(name in tied.split(" reached ")[0] for name in times)  # all that tie are named
    assert " first, all after a median of 20 steps." in tied


def test_every_row_has_a_cell_for_every_heading(small_study, pair):
    for entry in entries(small_study, PROBLEM):
        assert len(entry_cells(small_study, entry)) == len(headings(small_study, PROBLEM))
    for row in pair.table():
        assert len(board_cells(pair, row)) == len(board_headings(pair))


def test_cells_say_what_is_missed_and_what_lies_at_the_edge(small_study):
    best = entries(small_study, PROBLEM)[0]
    entry = replace(best, hyper={"lr": 0.3}, at_edge=True, diverged=2, runs=10)
    shown = [text for text, _ in entry_cells(small_study, entry)]
    assert shown[1] == "0.3*"
    assert shown[-1] == "2/10"
    lost = [text for text, _ in entry_cells(small_study, entries(small_study, PROBLEM)[-1])]
    assert lost[1:5] == ["1e+30", "∞", "0/2", "∞"]
    assert chosen(replace(entry, hyper={"lr": 0.3, "beta1": 0.5})) == "lr=0.3*, beta1=0.5"


def test_the_page_is_whole_and_points_nowhere(small_study, tmp_path):
    path = tmp_path / "report.html"
    write_report(small_study, path)
    page = path.read_text("utf-8")
    ours = re.sub(r"<script>/\*.*?</script>", "", page, flags=re.DOTALL)  # without Plotly's own code
    assert len(ours) < 200_000 < len(page)
    assert not re.findall(r"https?://|src=|<link|@import|url\(", ours)
    assert "$" not in re.sub(r"<script.*?</script>", "", ours, flags=re.DOTALL)
    for word in (small_study.command, "Verdict", "Sensitivity", small_study.environment["engine"]):
        assert word in page


def test_names_are_escaped(small_study):
    hostile = replace(small_study, environment={"machine": "</script><b>&"})
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in make_page(hostile)
