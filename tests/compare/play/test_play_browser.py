"""The page in a real browser, with the network blocked but for its own server."""

import json

import pytest

from browser import TEXT_CONTRAST, Watched, check_axe, contrast, luminance, needs_browser
from gradstep.compare.show.play import pages
from gradstep.compare.show.server import read_query

pytestmark = needs_browser

SETTINGS = "?surface=quadratic:condition=30&optimizers=momentum,keras.RMSprop:momentum=0.5,sgd&steps=60&shown=0"
DRAWN = "#map .contourlayer path"
# Every text that shows, with its colour and that of the ground it stands on.
TEXTS = """() => [...document.querySelectorAll('body *')].filter((e) => e.getClientRects().length
    && !e.closest('noscript, .skip, option, optgroup')
    && ([...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || e.matches('input[type=number]')))
  .map((e) => {
    const clear = (c) => /rgba?\\(.*, 0\\)|transparent/.test(c);
    let ground = e;
    while (ground.parentElement && clear(getComputedStyle(ground).backgroundColor)) ground = ground.parentElement;
    const own = getComputedStyle(e);
    const text = e.value === undefined ? e.textContent.trim() : e.value;
    return [text, e.closest('svg') ? own.fill : own.color, getComputedStyle(ground).backgroundColor];
  })"""
NAMELESS = """() => [...document.querySelectorAll('input, select, button, .chart, [role=region]')]
  .filter((e) => !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim()
    && !e.getAttribute('aria-labelledby')).map((e) => e.outerHTML)"""
FOCUS = """() => { const e = document.activeElement, s = getComputedStyle(e);
  return [e.id || e.className || e.textContent, s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1]; }"""
TRACES = "() => document.getElementById('contour').data.map(({ x, y, z }) => [x, y, z])"
VALUES = """() => [...document.querySelectorAll('input, select')]
  .map((e) => [e.id, e.type === 'checkbox' ? e.checked : e.value])"""
MAY_FOCUS = """() => [...document.querySelectorAll('a, input, select, button, [tabindex="0"]')]
  .filter((e) => e.getClientRects().length && e.tabIndex >= 0).map((e) => e.id || e.className || e.textContent)"""


@pytest.fixture(scope="module")
def watched(browser, server):
    return Watched(browser, server.address + SETTINGS, DRAWN, within=server.address)


@pytest.fixture
def open_page(watched):
    """Open the page, kept between tests; after each test: no request left, and the console stayed empty."""
    yield watched
    watched.check_quiet()


@pytest.fixture
def fresh(watched):
    """Open a page of one's own at an address's query."""
    contexts = []

    def open_at(query=SETTINGS, drawn="#rows tr", **options):
        context = watched.browser.new_context(viewport={"width": 1200, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        watched.watch(page)
        page.goto(watched.within + query)
        page.wait_for_selector(drawn)
        return page

    yield open_at
    for context in contexts:
        context.close()
    watched.check_quiet()


def settled(page, text, selector="#command"):
    """Wait until the page shows what was asked for."""
    page.locator(selector).filter(has_text=text).wait_for()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_readable(open_page, scheme, width):
    page = open_page(scheme, width)
    texts = page.evaluate(TEXTS)
    assert {"Optimizers at play", "momentum", "learning_rate", "Intuition, not evidence:", "steps a digit"} <= {
        t[0] for t in texts
    }
    assert (luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9) == (scheme == "light")
    assert [t for t in texts if contrast(t[1], t[2]) < TEXT_CONTRAST] == []
    check_axe(page)


@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_does_not_scroll_sideways(open_page, width):
    page = open_page("light", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for chart in page.locator(".chart:visible").all():
        box = chart.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_everything_has_a_name(open_page):
    page = open_page()
    assert page.evaluate(NAMELESS) == []
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    for label in page.locator("section").evaluate_all("all => all.map((s) => s.getAttribute('aria-labelledby'))"):
        assert page.locator(f"#{label}").inner_text()
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_a_walk_with_the_keyboard_passes_everything_and_is_seen(fresh):
    page = fresh(drawn=DRAWN)
    expected = page.evaluate(MAY_FOCUS)
    walked = []
    for _ in expected:
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUS)
        assert is_seen, name
        walked.append(name)
    assert walked == expected
    assert {
        "theme",
        "share",
        "contour",
        "run",
        "moment",
        "surface",
        "start-x",
        "optimizer-0-lr",
        "add",
        "shown",
    } <= set(walked)


def test_the_keyboard_turns_knobs_and_moves_the_start(fresh):
    page = fresh()
    page.locator("#optimizer-0-lr").focus()
    page.keyboard.press("ArrowRight")
    settled(page, "momentum:lr=0.4 ")
    assert page.evaluate("document.activeElement.id") == "optimizer-0-lr"
    assert page.locator("#optimizer-0-lr-number").input_value() == "0.4"
    assert "momentum:lr=0.4" in page.url
    page.locator("#contour").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    settled(page, "--start=-1.6,1.28")
    page.locator("#optimizer-1-centered").press("Space")
    settled(page, "centered=1")
    page.locator("#surface").select_option("himmelblau")
    settled(page, "gradstep play himmelblau")
    assert "--start" not in page.locator("#command").inner_text()


def test_a_click_moves_the_start_to_where_it_was(fresh):
    page = fresh(drawn=DRAWN)
    box = page.locator("#contour .nsewdrag").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    settled(page, "--start=")
    x, y = map(float, page.locator("#command").inner_text().split("--start=")[1].split()[0].split(","))
    assert x == pytest.approx(1, abs=0.02)
    assert y == pytest.approx(1, abs=0.02)
    assert float(page.locator("#start-x").input_value()) == x


def test_optimizers_come_and_go(fresh):
    page = fresh()
    page.locator("#add").press("Enter")
    settled(page, "sgd adabelief")
    page.locator("#optimizer-3").select_option("torch.Adam")
    settled(page, "sgd torch.Adam")
    assert page.locator("#optimizer-3-beta2").count() == 1
    page.locator(".remove").nth(0).click()
    settled(page, "condition=30 keras.RMSprop")
    assert page.locator("#rows tr").count() == page.locator(".card").count() == 3
    page.locator("#shown").select_option("2")
    settled(page, "torch.Adam is not linear", "#map-text")
    assert page.locator("#states .chart").count() == 2
    assert page.locator("#map").is_hidden()


def read(text):
    """A number as the page writes it: 0.125, or 1.250 · 10⁻⁷."""
    digits, _, power = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")).partition(" · 10")
    return float(f"{digits}e{power or 0}")


def test_the_numbers_are_the_servers(fresh):
    page = fresh()
    paths = json.loads(pages.path(read_query(SETTINGS[1:])).body)["paths"]
    for step in (60, 0, 17):
        page.locator("#moment").fill(str(step))
        for row, path in zip(page.locator("#rows tr").all(), paths, strict=True):
            x, y, above, moved = (cell.inner_text() for cell in row.locator("td").all()[1:])
            assert [read(x), read(y)] == pytest.approx(path["x"][step], rel=1e-3)
            assert read(above) == pytest.approx(path["loss"][step], rel=1e-3)
            assert moved == "" if step == 0 else read(moved) == pytest.approx(path["moved"][step - 1], rel=1e-3)
    assert page.evaluate(TRACES)[-3][0] == [pytest.approx(paths[0]["x"][17][0], rel=1e-4)]


def test_a_link_restores_the_page(fresh, watched):
    page = fresh(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#surface").select_option("noisy")
    settled(page, "play noisy")
    page.locator("#surface-seed-number").fill("7")
    page.locator("#surface-seed-number").press("Enter")
    settled(page, "noisy:seed=7")
    page.locator("#optimizer-0-momentum-number").fill("0.77")
    page.locator("#optimizer-0-momentum-number").press("Enter")
    settled(page, "momentum:momentum=0.77")
    page.locator("#start-y").fill("-1.25")
    page.locator("#start-y").press("Enter")
    settled(page, ",-1.25")
    page.locator("#shown").select_option("1")
    settled(page, "scale_by_rms_inside", "#stage")
    page.locator("#share").click()
    settled(page, "copied", "#shared")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(watched.within)
    other = fresh(link.removeprefix(watched.within))
    settled(other, "scale_by_rms_inside", "#stage")
    assert other.locator("#command").inner_text() == page.locator("#command").inner_text()
    assert other.evaluate(TRACES) == page.evaluate(TRACES)
    assert other.evaluate(VALUES) == page.evaluate(VALUES)
    assert "Seed 7." in other.locator("#summary").inner_text()


def test_a_link_that_cannot_be_read_says_why_and_shows_the_default(watched, fresh):
    page = fresh("?optimizers=adamm")
    settled(page, "unknown optimizer 'adamm'; did you mean", "#alert")
    settled(page, "gradstep play quadratic momentum adam sgd")
    assert all("400" in text for text in watched.complaints)  # the browser's own note of the status
    watched.complaints.clear()


def test_a_number_that_is_refused_says_why_and_comes_back(watched, fresh):
    page = fresh()
    page.locator("#optimizer-0-momentum-number").fill("1.5")
    page.locator("#optimizer-0-momentum-number").press("Enter")
    settled(page, "momentum must be finite and >= 0 and < 1, not 1.5", "#alert")
    assert page.locator(".knob:has(#optimizer-0-momentum) + #alert").is_visible()  # beside what caused it
    assert page.locator("#optimizer-0-momentum-number").input_value() == "0.9"
    page.locator("#optimizer-0-lr").press("ArrowLeft")
    settled(page, "momentum:lr=0.25")
    assert page.locator("#alert").is_hidden()
    watched.complaints.clear()


def test_the_theme_can_be_chosen(fresh):
    page = fresh(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    tick = "getComputedStyle(document.querySelector('#loss .xtitle')).fill"
    for theme, is_light in (("dark", False), ("light", True), ("", True)):
        page.locator("#theme").select_option(theme)
        assert (luminance(page.evaluate(ground)) > 0.9) == is_light
        assert (luminance(page.evaluate(tick)) < 0.1) == is_light
    page.emulate_media(color_scheme="dark")
    assert luminance(page.evaluate(ground)) < 0.1


def test_paths_can_be_played(fresh):
    """The page opens before the first step, with nothing of the paths; playing draws them."""
    page = fresh()
    lengths = "() => document.getElementById('contour').data.slice(1, 7).map(({ x }) => x.length)"
    assert page.locator("#moment").input_value() == "0"
    assert page.evaluate(lengths) == [1] * 6
    page.locator("#run").press("Enter")
    settled(page, "Pause", "#run")
    settled(page, "Play", "#run")
    assert page.locator("#moment").input_value() == "60"
    assert page.evaluate(lengths) == [61] * 6


def test_other_websites_may_not_show_it(watched):
    page = watched.browser.new_page()
    page.route("http://evil.example/", lambda route: route.fulfill(body=f"<iframe src='{watched.url}'></iframe>"))
    page.goto("http://evil.example/")
    assert page.evaluate(f"fetch('{watched.url}').then(() => 'read', (e) => e.message)") == "Failed to fetch"
    assert page.frames[1].url.startswith("chrome-error:")
    page.close()
