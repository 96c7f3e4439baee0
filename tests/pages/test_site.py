"""The documentation site as it is built: strictly, with nothing from elsewhere, and alive in a browser."""

import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from website import live, pages, wasm

import gradstep as gs
from browser import Watched, check_axe, chromium, needs_browser

pytest.importorskip("mkdocs", reason="pip install '.[docs]'")
pytestmark = needs_browser

ROOT = Path(__file__).parents[2]
ALIVE = ".gs-alive .gs-path"
LOADED = re.compile(r"<(?:script|img|iframe|source)[^>]* src=\"([^\"]*)|<link[^>]* href=\"([^\"]*)|url\((https?:[^)]*)")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = [
        (page.name, address)
        for page in [*site.rglob("*.html"), *site.rglob("*.css")]
        if page.name != "report.html"  # a page of its own, with tests of its own
        for found in LOADED.findall(page.read_text("utf-8"))
        for address in found
        if address.startswith(("http:", "https:", "//"))
    ]
    assert [x for x in loaded if "canonical" not in x[1]] == []


def test_all_that_is_registered_has_a_page(site):
    for folder, names in (("rules", gs.rules.__all__), ("stages", gs.stages.__all__), ("schedules", pages.SCHEDULES)):
        assert {path.stem for path in (site / folder).glob("*.html")} == {*names, "index"}
    kinds = {"Schedule", "from_json", "to_json"}
    assert pages.SCHEDULES.keys() == {*gs.schedules.__all__} - kinds


@pytest.mark.skipif(not wasm.can_link(), reason="no wasm-ld in PATH: Debian has it as lld")
@pytest.mark.parametrize(
    ("page", "scheme", "width"),
    [
        ("index", "light", 1300),
        ("playground", "dark", 400),
        ("rules/adam", "light", 400),
        ("rules/prodigy", "dark", 1300),
        ("stages/cautious", "light", 1300),
    ],
)
def test_rules_run_on_their_pages(address, page, scheme, width):
    with chromium() as browser:
        watched = Watched(browser, f"{address}{page}.html", ALIVE, within=(address, "blob:"))
        seen = watched(scheme, width)
        drawn = "() => [...document.querySelectorAll('.gs-picture .gs-path')].map((e) => e.getAttribute('d'))"
        before = seen.evaluate(drawn)
        assert len(before) >= 2
        assert all(len(d.split("L")) > 50 for d in before)
        seen.locator(".gs-card input[type=range]").first.focus()
        seen.keyboard.press("Home")  # the least rate, or the least norm
        assert seen.evaluate(drawn)[0] != before[0]
        assert seen.evaluate(drawn)[1] == before[1]
        assert seen.evaluate("document.documentElement.scrollWidth") <= width
        check_axe(seen)
        watched.check_quiet()


def test_pages_of_text_are_for_all_readers(address):
    with chromium() as browser:
        page = browser.new_page()
        for name in ("404", "own-problems", "api/optimizer", "constructors/torch"):
            page.goto(f"{address}{name}.html")
            check_axe(page)


def test_pages_of_what_does_not_run_say_why():
    alive = set(live.chains())
    for name in {*gs.rules.__all__, *gs.stages.__all__} - alive:
        make = pages.rule_page if name in gs.rules.__all__ else pages.stage_page
        assert "It doesn't run in the browser: it " in make(getattr(gs, name), alive), name
    assert "It doesn't run" not in pages.stage_page(gs.cautious, alive)


def test_without_a_linker_pages_have_still_pictures():
    assert "WebAssembly (`wasm-ld`)" in pages.playground(runs=False)
    assert "gs-live" in pages.rule_page(gs.adam, {"adam"})
    still = pages.rule_page(gs.adam, set())
    assert "gs-live" not in still
    assert "<svg" in still
