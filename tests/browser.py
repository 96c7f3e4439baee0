"""Reports in a real browser: one Chromium, pages with the network blocked, and what is readable on them."""

import contextlib
import re
import shutil

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = [pytest.mark.process, pytest.mark.skipif(BROWSER is None, reason="no chromium in PATH")]
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
QUIET += ["--disable-background-networking", "--disable-component-update"]
TEXT_CONTRAST = 4.5  # WCAG 2.2, AA, for text
LINE_CONTRAST = 2.0  # a lower bar for lines: they are 2.5 pixels wide, dashed apart, and named in a legend

# Every element or Plotly label that shows text of its own: [text, its colour].
TEXTS = """() => [...document.querySelectorAll('main *')].filter((e) =>
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length
    && !e.closest('noscript'))
  .map((e) => { const s = getComputedStyle(e); return [e.textContent.trim(), e.closest('svg') ? s.fill : s.color]; })"""
LINES = """() => [...document.querySelectorAll('.legend .legendlines path')].map((e) => getComputedStyle(e).stroke)"""
PAPERS = """() => [...document.querySelectorAll('body, pre')].map((e) => getComputedStyle(e).backgroundColor)"""


@contextlib.contextmanager
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


class Watched:
    """Pages of one report by theme and width, with all that they asked for and all that they complained of.

    ``drawn``: the selector of what is there when all is drawn. ``within``: how addresses begin that a page may ask
    for; none but its own is one, where that is left out.
    """

    def __init__(self, browser, url, drawn, within=None):
        self.browser, self.url, self.drawn, self.within = browser, url, drawn, within
        self.pages, self.requests, self.complaints = {}, [], []

    def __call__(self, scheme="light", width=1200):
        if (scheme, width) not in self.pages:
            context = self.browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
            self.pages[scheme, width] = page = context.new_page()
            self.watch(page)
            page.goto(self.url)
            page.wait_for_selector(self.drawn)
        return self.pages[scheme, width]

    def watch(self, page):
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.route("**/*", lambda route: route.continue_() if self.allows(route.request.url) else route.abort())

    def allows(self, url):
        return url == self.url if self.within is None else url.startswith(self.within)

    def check_quiet(self):
        """The pages asked for nothing but what they may, and the console stayed empty."""
        asked = [url for url in self.requests if not self.allows(url)]
        assert not asked, asked
        assert self.within or self.requests == [self.url] * len(self.pages)
        assert not self.complaints, self.complaints


def check_axe(page):
    """axe finds nothing serious on a page as it stands."""
    found = axe.Axe().run(page).response["violations"]
    grave = [x for x in found if x["impact"] in ("serious", "critical")]
    told = [(page.url, x["id"], [node["html"][:200] for node in x["nodes"]]) for x in grave]
    assert not told, told


def luminance(colour):
    r, g, b = (int(x) / 255 for x in re.findall(r"\d+", colour)[:3])
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in (r, g, b)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def check_readable(page, scheme):
    """The texts on a page, after a look that all of them and all lines can be read."""
    papers, texts, lines = page.evaluate(PAPERS), page.evaluate(TEXTS), page.evaluate(LINES)
    assert (luminance(papers[0]) > 0.9) == (scheme == "light")
    for paper in papers:
        assert [t for t in texts if contrast(t[1], paper) < TEXT_CONTRAST] == []
        assert [line for line in lines if contrast(line, paper) < LINE_CONTRAST] == []
    return {text for text, _ in texts}, lines
