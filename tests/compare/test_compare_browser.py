"""The report in a real browser, with the network blocked: quiet, readable in light and dark, sortable, narrow."""

import re
import shutil

import pytest

from gradstep.compare.report import write_report

sync_api = pytest.importorskip("playwright.sync_api")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium in PATH")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
TEXT_CONTRAST = 4.5  # WCAG 2.2, AA, for text
LINE_CONTRAST = 2.0  # a lower bar for lines: they are 2.5 pixels wide, dashed apart, and named in a legend

# Every element or Plotly label that shows text of its own: [text, its colour].
TEXTS = """() => [...document.querySelectorAll('main *')].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
    && !e.closest('.modebar, noscript'))
  .map((e) => { const s = getComputedStyle(e); return [e.textContent.trim(), e.closest('svg') ? s.fill : s.color]; })"""
LINES = """() => [...document.querySelectorAll('.legend .legendlines path')].map((e) => getComputedStyle(e).stroke)"""
PAPERS = """() => [...document.querySelectorAll('body, pre')].map((e) => getComputedStyle(e).backgroundColor)"""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(small_study, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(small_study, path)
    return path.as_uri()


@pytest.fixture(scope="module")
def watched(browser, report):
    """Pages of the report by theme and width, with all that they asked for and all that they complained of."""
    pages, requests, complaints = {}, [], []

    def opened(scheme="light", width=1200):
        if (scheme, width) not in pages:
            context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
            pages[scheme, width] = page = context.new_page()
            page.on("request", lambda request: requests.append(request.url))
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.route("**/*", lambda route: route.continue_() if route.request.url == report else route.abort())
            page.goto(report)
            page.wait_for_selector("#sensitivity .legend")
        return pages[scheme, width]

    return opened, pages, requests, complaints


@pytest.fixture
def open_report(watched, report):
    """Open the report; after each test: it asked for nothing but itself, and the console stayed empty."""
    opened, pages, requests, complaints = watched
    yield opened
    assert requests == [report] * len(pages)
    assert complaints == []


def luminance(colour):
    r, g, b = (int(x) / 255 for x in re.findall(r"\d+", colour)[:3])
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (r, g, b)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(118, 118, 118)", "rgb(255, 255, 255)") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_and_lines_are_readable(open_report, scheme):
    page = open_report(scheme)
    papers, texts, lines = page.evaluate(PAPERS), page.evaluate(TEXTS), page.evaluate(LINES)
    assert (luminance(papers[0]) > 0.9) == (scheme == "light")
    shown = {text for text, _ in texts}
    assert {"Verdict", "sgd", "validation accuracy", "learning rate", "0.01"} <= shown  # axis and legend are among them
    assert len(lines) == 9
    for paper in papers:
        assert [t for t in texts if contrast(t[1], paper) < TEXT_CONTRAST] == []
        assert [line for line in lines if contrast(line, paper) < LINE_CONTRAST] == []


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
