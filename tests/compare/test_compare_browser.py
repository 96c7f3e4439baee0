"""The report in a real browser, with the network blocked: quiet, readable in light and dark, sortable, narrow."""

import pytest

from browser import Watched, check_readable, contrast, luminance, needs_browser
from gradstep.compare.report import write_report

pytestmark = needs_browser


@pytest.fixture(scope="module")
def report(small_study, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(small_study, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def watched(browser, report):
    return Watched(browser, report, "#sensitivity .legend")


@pytest.fixture
def open_report(watched):
    """Open the report; after each test: it asked for nothing but itself, and the console stayed empty."""
    yield watched
    watched.check_quiet()


def test_contrast_is_that_of_the_standard():
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(118, 118, 118)", "rgb(255, 255, 255)") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_and_lines_are_readable(open_report, scheme):
    page = open_report(scheme)
    shown, lines = check_readable(page, scheme)
    assert {"Verdict", "sgd", "validation accuracy", "learning rate", "0.01"} <= shown  # axis and legend are among them
    assert len(lines) == 9


def test_a_heading_sorts_the_table_both_ways(open_report):
    page = open_report()
    column = "() => [...document.querySelectorAll('.results tbody tr')].map((r) => r.cells[%d].dataset.value)"
    heading = page.locator(".results thead button")
    for k in range(heading.count()):
        heading.nth(k).click()
        rising = page.evaluate(column % k)
        heading.nth(k).press("Enter")  # also from the keyboard
        falling = page.evaluate(column % k)
        key = str if k == 0 else float
        assert rising == sorted(rising, key=key), k
        assert [key(x) for x in falling] == sorted(map(key, falling), reverse=True), k
        assert page.locator(".results thead th").nth(k).get_attribute("aria-sort") == "descending"
        assert page.locator(".results [aria-sort]").count() == 1


def test_a_narrow_screen_scrolls_the_table_and_not_the_page(open_report):
    page = open_report(width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(
        "(() => { const s = document.querySelector('.scroll'); return s.scrollWidth > s.clientWidth })()"
    )
    box = page.locator("#loss .legend").bounding_box()
    title = page.locator("#loss .xtitle").bounding_box()
    assert box["y"] >= title["y"] + title["height"]  # the legend is below the curves and their axis, not on them


def test_labels_for_those_who_do_not_see(open_report):
    page = open_report()
    charts = page.locator(".chart")
    assert charts.count() == 3
    for k in range(3):
        assert charts.nth(k).get_attribute("role") == "img"
        assert "A line for each optimizer: " in charts.nth(k).get_attribute("aria-label")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    for label in page.locator("section").evaluate_all("all => all.map((s) => s.getAttribute('aria-labelledby'))"):
        assert page.locator(f"#{label}").inner_text()


def test_figures_follow_the_theme(open_report):
    page = open_report("light")
    colour = "() => getComputedStyle(document.querySelector('#loss .xtitle')).fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({colour})() !== light", arg=light)
    assert luminance(page.evaluate(colour)) > luminance(light)
    page.emulate_media(color_scheme="light")


def test_the_page_itself_forbids_requests(browser, report):
    page = browser.new_page()
    page.goto(report)
    assert page.evaluate("fetch('http://127.0.0.1:9/').catch((e) => e.message)") == "Failed to fetch"
    violation = """() => new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (e) => resolve(e.effectiveDirective));
        fetch('http://127.0.0.1:9/').catch(() => 0); })"""
    assert page.evaluate(violation) == "connect-src"
    page.close()
