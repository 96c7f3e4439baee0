"""The report in a real browser, with the network blocked: quiet, readable in light and dark, by keyboard, narrow."""

from itertools import pairwise

import pytest
from report_studies import made_study

from browser import Watched, check_axe, check_readable, contrast, luminance, needs_browser
from gradstep.compare.show.report import write_report

pytestmark = needs_browser

UNNAMED = """() => [...document.querySelectorAll('a, button, select, summary, [role=img], [role=region]')]
  .filter((e) => e.getClientRects().length)
  .filter((e) => !((e.getAttribute('aria-label') || '').trim() || (e.textContent || '').trim()
    || [...(e.labels ?? [])].some((l) => l.textContent.trim())))
  .map((e) => e.outerHTML.slice(0, 100))"""
LEVELS = """() => [...document.querySelectorAll('h1, h2, h3')].filter((e) => e.getClientRects().length)
  .map((e) => Number(e.tagName[1]))"""
SAYS_THAT_IT_SCROLLS = """() => [...document.querySelectorAll('.scroll')].filter((e) => e.checkVisibility())
  .map((e) => [!e.nextElementSibling.hidden, e.scrollWidth > e.clientWidth])"""
DRAWN = """() => [...document.querySelectorAll('.chart')].filter((e) => !e.closest('[hidden]'))
  .every((e) => e.querySelector('.main-svg'))"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    def lost(run):
        return (
            {"diverged": 20}
            if run[1] == "sgd" and run[4] == 1
            else {"error": "it broke"}
            if run[3:] == (0, 1000)
            else None
        )

    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(made_study(lost=lost), path)
    return path.as_uri()


@pytest.fixture(scope="module")
def watched(browser, report):
    return Watched(browser, report, "#health-rate-0 .main-svg")  # the last one


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
    page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    shown, lines = check_readable(page, scheme)
    check_axe(page)
    assert {"1. Verdict", "12. Appendix", "sgd", "learning rate", "score by steps ↕"[:14], "it broke"} <= shown
    assert len(lines) > 7 * 6


def test_a_heading_sorts_the_table_both_ways(open_report):
    page = open_report()
    table = page.locator(".results").first
    heading = table.locator("thead button")
    column = "(table, k) => [...table.tBodies[0].rows].map((r) => r.cells[k].dataset.value)"
    for k in range(heading.count()):
        heading.nth(k).click()
        rising = table.evaluate(column, k)
        heading.nth(k).press("Enter")  # also from the keyboard
        falling = table.evaluate(column, k)
        key = str if k in (0, heading.count() - 1) else lambda text: float(text.replace("Infinity", "inf"))
        assert rising == sorted(rising, key=key), k
        assert [key(x) for x in falling] == sorted(map(key, falling), reverse=True), k
        assert table.locator("thead th").nth(k).get_attribute("aria-sort") == "descending"
        assert table.locator("[aria-sort]").count() == 1


def test_every_table_is_reached_by_the_keyboard(open_report):
    page = open_report()
    reached = """() => [...document.querySelectorAll('table')]
      .filter((t) => t.scrollWidth > t.parentElement.clientWidth)
      .every((t) => t.closest('[tabindex="0"][role=region][aria-label]'))"""
    assert page.evaluate(reached)


@pytest.mark.parametrize("width", [1200, 400])
def test_wide_tables_scroll_and_the_page_does_not(open_report, width):
    page = open_report(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    told = page.evaluate(SAYS_THAT_IT_SCROLLS)
    assert len(told) > 2
    assert all(says == cut for says, cut in told)
    assert any(cut for _, cut in told)
    if width == 400:
        wide = "(() => { const s = document.querySelector('.scroll'); return s.scrollWidth > s.clientWidth })()"
        assert page.evaluate(wide)
        box, title = (page.locator(f"#profile-steps {x}").bounding_box() for x in (".legend", ".xtitle"))
        assert box["y"] >= title["y"] + title["height"]  # below the curves and their axis, not on them


def test_everything_has_a_name(open_report):
    page = open_report()
    assert page.evaluate(UNNAMED) == []
    assert page.locator("html").get_attribute("lang") == "en"
    levels = page.evaluate(LEVELS)
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    for label in page.locator("section").evaluate_all("all => all.map((s) => s.getAttribute('aria-labelledby'))"):
        assert page.locator(f"#{label}").inner_text()
    charts = page.locator(".chart:visible")
    assert charts.count() > 10
    for chart in charts.all():
        assert chart.get_attribute("role") == "img"
        assert "The link named data has the numbers." in chart.get_attribute("aria-label")


def test_a_choice_of_problem_goes_for_all_sections(open_report):
    page = open_report(width=1000)
    page.select_option("#sensitivity-problem", "digits-mlp")
    page.wait_for_selector("#accuracy-1 .main-svg")
    page.wait_for_function(DRAWN)
    for name in ("board", "curves", "budget", "health"):
        assert page.locator(f"#{name}-problem").input_value() == "digits-mlp"
    assert (
        page.locator("[data-problem]:visible").evaluate_all("all => all.map((e) => e.dataset.problem)")
        == ["digits-mlp"] * 5
    )


def test_an_axis_of_seconds_is_steps_times_their_cost(open_report):
    page = open_report(width=1010)
    last = "() => document.getElementById('loss-0').data.filter((t) => t.meta.part === 'median').map((t) => t.x.at(-1))"
    assert page.evaluate(last) == [100] * 7
    page.select_option("#axis", "seconds")
    page.wait_for_function("() => document.querySelector('#loss-0 .xtitle').textContent === 'seconds'")
    assert sorted(page.evaluate(last)) == pytest.approx([100 * (100 + 20 * k) / 1e6 for k in range(7)])
    page.select_option("#axis", "gradients")
    page.wait_for_function("() => document.querySelector('#loss-0 .xtitle').textContent === 'gradient evaluations'")
    assert page.evaluate(last) == [100] * 7


def test_links_give_the_data_and_the_picture(open_report):
    page = open_report()
    with page.expect_download() as given:
        page.get_by_label("data of By steps").first.click()
    assert given.value.suggested_filename == "profile-steps.csv"
    assert given.value.path().read_text().startswith("line,times the steps of the best,")
    with page.expect_download() as given:
        page.get_by_label("SVG of By steps").first.click()
    assert given.value.suggested_filename == "profile-steps.svg"
    assert given.value.path().read_text().startswith('<svg xmlns="http://www.w3.org/2000/svg"')


def test_figures_follow_the_theme(open_report):
    page = open_report(width=1020)
    colour = "() => getComputedStyle(document.querySelector('#loss-0 .xtitle')).fill"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({colour})() !== light", arg=light)
    assert luminance(page.evaluate(colour)) > luminance(light)


def test_targets_are_drawn_across(open_report):
    """From one end of the axes to the other."""
    page = open_report()
    line = page.locator("#loss-0 .shapelayer path").bounding_box()
    axes = page.locator("#loss-0 .nsewdrag").bounding_box()
    assert line["width"] == pytest.approx(axes["width"], abs=2)


def test_without_scripts_there_are_pictures(browser, report):
    context = browser.new_context(
        java_script_enabled=False, color_scheme="dark", viewport={"width": 1200, "height": 900}
    )
    page = context.new_page()
    page.goto(report)
    figures, stills = page.locator("figure"), page.locator("figure > noscript > svg")
    assert figures.count() == stills.count() > 20
    for still in stills.all():
        box = still.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 150
    assert page.locator(".chart:visible, .scripted:visible").count() == 0
    assert (
        contrast(page.locator("figure text").first.evaluate("(e) => getComputedStyle(e).fill"), "rgb(20, 23, 28)") > 4.5
    )
    context.close()


def test_the_page_itself_forbids_requests(browser, report):
    page = browser.new_page()
    page.goto(report)
    assert page.evaluate("fetch('http://127.0.0.1:9/').catch((e) => e.message)") == "Failed to fetch"
    violation = """() => new Promise((resolve) => {
        document.addEventListener('securitypolicyviolation', (e) => resolve(e.effectiveDirective));
        fetch('http://127.0.0.1:9/').catch(() => 0); })"""
    assert page.evaluate(violation) == "connect-src"
    page.close()
