"""Every template with markup in all fields: it stays text. The package has its files, and the core needs no Jinja2."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from markupsafe import Markup

from gradstep.compare.show.pages.templates import SHARED, macros, render, templates, text_of
from gradstep.compare.show.report.parts import Section
from support import SOURCE, script

EVIL = "</script></style><img src=x onerror=alert(1)><!-- <b title='a' \"b\">&amp; {{ 7 * 7 }} $x"
PLOT = SimpleNamespace(key=EVIL, title=EVIL, caption=EVIL, label=EVIL)
SELECT = SimpleNamespace(key=EVIL, label=EVIL, kind="choice", options=[(EVIL, EVIL)], groups={})
GROUPED = SimpleNamespace(key=EVIL, label=EVIL, kind="choice", options=[], groups={EVIL: [(EVIL, EVIL)]})
# For each macro its arguments, and how often the text must be there.
CALLS = {
    "answer": ([EVIL], 1),
    "paragraph": ([EVIL, EVIL], 2),
    "titled": ([EVIL, EVIL], 2),
    "folded": ([EVIL, EVIL], 2),
    "code": ([EVIL], 1),
    "beside": ([[EVIL, EVIL], EVIL], 3),
    "by_problem": ([EVIL, EVIL], 2),
    "choices": ([[SELECT, GROUPED]], 9),
    "chart": ([EVIL, EVIL], 2),
    "figure": ([PLOT, EVIL, EVIL, False], 11),
    "details": ([{EVIL: EVIL}], 2),
    "plain": ([[EVIL], [[EVIL, EVIL]]], 3),
    "sortable": ([EVIL, [EVIL], [[(EVIL, EVIL), (EVIL, EVIL)]], (0,)], 7),
    "pairs": ([EVIL, EVIL, [EVIL], [(EVIL, [(EVIL, EVIL, EVIL)])]], 7),
    "runs": ([[EVIL], [[EVIL]]], 2),
}
FIGURES = {EVIL: {"data": [{"name": EVIL}]}}
PAGES = {
    ("gradstep.compare.show.report", "page.html"): (
        {"problems": EVIL, "setting": EVIL, "unfinished": EVIL, "sections": [Section(EVIL, EVIL, [EVIL])]},
        9,
    ),
    ("gradstep.compare.show.report", "live.html"): ({}, 0),
    ("gradstep.compare.show.play", "play.html"): ({}, 0),
    ("gradstep.runs", "report.html"): (
        {
            "title": EVIL,
            "lead": EVIL,
            "facts": {EVIL: EVIL},
            "warnings": [EVIL],
            "charts": {EVIL: EVIL},
            "command": EVIL,
            "settings": {EVIL: EVIL},
            "environment": {EVIL: EVIL},
        },
        15,
    ),
    (SHARED, "frame.html"): ({"title": EVIL}, 1),
    (SHARED, "standalone.html"): (
        {"title": EVIL, "main": EVIL, "figures": FIGURES, "plotly": EVIL, "text_of": text_of},
        2,
    ),
}


class Seen(HTMLParser):
    """Tags, and how often the text is there, in what is shown or in attributes."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.shown = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_comment(self, data):
        self.tags.append("comment")

    def handle_data(self, data):
        self.shown.append(data)

    @property
    def count(self):
        values = [value or "" for _, value in self.attributes]
        return sum(text.count(EVIL) for text in [*values, "".join(self.shown)])


def check_text(page, count):
    seen = Seen(page)
    assert not {"img", "b", "comment"} & set(seen.tags)
    assert not {"onerror", "title"} & {name for name, _ in seen.attributes}
    assert seen.count == count
    assert "49" not in page


def test_the_macros_are_all_here():
    assert {name for name, x in vars(macros).items() if callable(x)} - {"scrolled"} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_markup_in_a_macro_stays_text(name):
    arguments, count = CALLS[name]
    made = getattr(macros, name)(*arguments)
    assert isinstance(made, Markup)
    check_text(made, count)


def test_markup_in_a_static_figure_stays_text():
    check_text(macros.figure(PLOT, EVIL, EVIL, True), 9)


@pytest.mark.parametrize(("package", "name"), PAGES)
def test_markup_in_a_page_stays_text(package, name):
    values, count = PAGES[package, name]
    page = render(package, name, **values)
    if name == "standalone.html":
        assert r"\u003c/script\u003e\u003c/style\u003e\u003cimg" in page  # the figures, in a script of JSON
    check_text(page, count)


def test_every_template_is_one_of_these():
    pages = {path.name for path in (SOURCE / "gradstep").rglob("*.html")}
    assert pages == {name for _, name in PAGES} | {"macros.html"}
    for path in (SOURCE / "gradstep").rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"\|\s*safe", text), path  # the filter that switches escaping off
        assert "autoescape" not in text, path


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(Exception, match="'title' is undefined"):
        render(SHARED, "frame.html")
    assert templates().autoescape is True


@pytest.mark.process
def test_neither_the_core_nor_a_comparison_that_draws_nothing_loads_what_draws():
    code = "import sys, gradstep, gradstep.cli; print(*sys.modules)"
    assert not {"jinja2", "matplotlib", "plotly"} & set(script(code).split())
    code = "import sys, gradstep.compare, gradstep.compare.evidence.evidence; print(*sys.modules)"
    assert not {"matplotlib", "plotly.graph_objects"} & set(script(code).split())
