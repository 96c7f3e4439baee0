"""The report of a run in a real browser: quiet, readable, narrow; names stay text, whatever is in them."""

import os
import sys
from pathlib import Path

import pytest

from browser import Watched, check_axe, check_readable, needs_browser
from gradstep.cli import main
from gradstep.runs.report import _charts
from gradstep.runs.summary import POINTS, Curve

pytestmark = needs_browser

EVIL = [
    "<script>console.log('a metric')</script>",
    "</script><script>console.log('a closed script')</script>",
    "<!--<script>",
    "<img src=x onerror=console.log(1)>",
    "<b>bold</b> & $title",
]
NAMED = "<b>w<!--<script>"
HOSTILE = f"""
import numpy as np

params = {{{NAMED!r}: np.ones(3)}}


class Evil:
    params = params

    def value_and_grad(self, params):
        x = params[{NAMED!r}]
        return np.sum(x * x), {{{NAMED!r}: np.full(3, np.nan) if x[0] < 0.75 else 2 * x}}

    def evaluate(self, params):
        return {{name: 1.0 for name in {EVIL!r}}}
"""
USUAL = """
import numpy as np

rng = np.random.default_rng(0)
target = rng.normal(size=4)


class Usual:
    params = {"w": np.zeros(4)}

    def batches(self, k):
        return np.random.default_rng(k).normal(size=4)

    def value_and_grad(self, params, noise):
        error = params["w"] - target + 0.1 * noise
        return np.sum(error**2), {"w": 2 * error}

    def evaluate(self, params):
        error = params["w"] - target
        return {"loss": np.sum(error**2), "largest error": np.abs(error).max()}
"""


def made(folder, file, text, name, *arguments, code=0):
    (folder / file).write_text(text)
    before, path = Path.cwd(), list(sys.path)
    os.chdir(folder)
    try:
        assert main(["run", f"{file}:{name}", *arguments]) == code
    finally:
        os.chdir(before)
        sys.path[:] = path


@pytest.fixture(scope="module")
def usual(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    options = ["--max-steps", "300", "--evaluate-every", "10", "--lr", "cosine(0.1, 200)", "--out", "a"]
    made(folder, "mine.py", USUAL, "Usual", *options)
    return Watched(browser, (folder / "a/report.html").as_uri(), "#metrics .legend")


@pytest.fixture
def page(usual):
    yield usual
    usual.check_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_of_it_is_there_and_readable(page, scheme):
    shown, lines = check_readable(page(scheme), scheme)
    titles = {"In numbers", "Warnings", "Value of the objective", "Gradient and update", "Learning rate", "Metrics"}
    assert titles <= shown
    assert {"steps", "grad_norm", "update_ratio", "val/loss", "val/largest error", "gradstep run --resume a"} <= shown
    assert "lr at an edge: the learning rate was 0 in the last 100 steps; they brought nothing." in shown
    assert "cosine(0.1, 200)" in shown
    assert len(lines) == 4
    check_axe(page(scheme))


def test_the_charts_are_drawn(page):
    drawn = "(id) => [...document.querySelectorAll('#' + id + ' .scatterlayer .js-line')].map((e) => e.getBBox().width)"
    for key, count in {"value": 1, "norms": 2, "lr": 1, "metrics": 2}.items():
        widths = page().evaluate(drawn, key)
        assert len(widths) == count, key
        assert min(widths) > 300, key


BOXES = """(selector) => [...document.querySelectorAll(selector)].map((e) => {
    const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; })"""


def apart(page, one, two):
    """Whether no element of one kind lies on one of the other; there are some of both."""
    first, second = page.evaluate(BOXES, one), page.evaluate(BOXES, two)
    assert first, one
    assert second, two
    return all(a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a in first for b in second)


@pytest.mark.parametrize("width", [1200, 400])
def test_nothing_lies_on_anything_else(page, width):
    here = page(width=width)
    assert here.evaluate("document.documentElement.scrollWidth") <= width
    for key in ("value", "norms", "lr", "metrics"):
        assert apart(here, f"#{key} .ytitle", f"#{key} .ytick text"), key
        assert apart(here, f"#{key} .xtitle", f"#{key} .xtick text"), key
    for key in ("norms", "metrics"):
        assert apart(here, f"#{key} .legend", f"#{key} .xtitle"), key
        assert apart(here, f"#{key} .legend", f"#{key} .nsewdrag"), key


def test_labels_for_those_who_do_not_see(page):
    here = page()
    assert here.locator("html").get_attribute("lang") == "en"
    assert here.locator("h1").inner_text() == "mine.py:Usual"
    assert here.locator(".chart").count() == 4
    for chart in here.locator(".chart").all():
        assert chart.get_attribute("role") == "img"
        assert "Line chart: " in chart.get_attribute("aria-label")
    for label in here.locator("section").evaluate_all("all => all.map((s) => s.getAttribute('aria-labelledby'))"):
        assert here.locator(f"#{label}").inner_text()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere < is no letter of a name")
def test_hostile_names_stay_text(browser, tmp_path):
    out, file = "<script>console.log('a folder')<", "<img src=x onerror=alert(1)><!--.py"
    options = ["--evaluate-every", "1", "--lr", "0.05", "--out", out]
    made(tmp_path, file, HOSTILE, "Evil", *options, code=1)
    watched = Watched(browser, (tmp_path / out / "report.html").as_uri(), "#metrics .legend")
    shown, _ = check_readable(watched(), "light")
    watched.check_quiet()
    assert watched().locator("h1").inner_text() == f"{file}:Evil"
    assert {name if "/" in name else f"val/{name}" for name in EVIL} <= shown
    labels = watched().locator("#metrics .legendtext").all_text_contents()
    assert sorted(labels) == sorted(name if "/" in name else f"val/{name}" for name in EVIL)
    assert any(NAMED in text and text.startswith("not finite: ") for text in shown)
    assert f"gradstep run --resume '{out}'".replace("'a folder'", """'"'"'a folder'"'"'""") in shown
    assert watched().locator("main img, main b, main script").count() == 0


def chart(key, **columns):
    summary = type("Summary", (), {"curves": {name: Curve(list(range(len(x))), x) for name, x in columns.items()}})
    return _charts(summary)[key][1]


def test_a_log_axis_where_values_span_much_and_zeros_have_no_place_on_it():
    assert chart("value", value=[1.0, 0.01])["layout"]["yaxis"]["type"] == "log"
    assert "type" not in chart("value", value=[1.0, 0.5])["layout"]["yaxis"]
    assert "type" not in chart("value", value=[1.0, -0.01])["layout"]["yaxis"]
    assert "type" not in chart("lr", lr=[0.1, 0.0])["layout"]["yaxis"]
    norms = chart("norms", grad_norm=[5.0, 4.0, 3.0], update_ratio=[0.1, 0.01, 0.0])
    assert norms["layout"]["yaxis"]["type"] == "log"
    assert [trace["y"] for trace in norms["data"]] == [[5.0, 4.0, 3.0], [0.1, 0.01]]
    assert [trace["y"] for trace in chart("norms", grad_norm=[0.0, 0.0])["data"]] == [[0.0, 0.0]]


def test_a_learning_rate_that_stays_has_no_chart():
    assert chart("lr", lr=[0.1, 0.1, 0.2])
    with pytest.raises(KeyError):
        chart("lr", lr=[0.1, 0.1, 0.1])


def test_a_long_curve_is_thinned_and_keeps_its_peaks():
    values = [1.0] * 50_000
    values[31_415], values[27_182] = 9.0, -9.0
    thin = Curve(list(range(50_000)), values).thinned()
    assert len(thin.steps) <= 2 * POINTS
    assert (thin.values[thin.steps.index(31_415)], thin.values[thin.steps.index(27_182)]) == (9.0, -9.0)
    assert thin.steps == sorted(set(thin.steps))
