"""The page as text: whole, its own, and sober where there is nothing to show."""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
import report_studies
from plotly.graph_objects import Figure
from report_studies import SPEED, made_study

from gradstep.compare.evidence.evidence import Evidence
from gradstep.compare.protocol import read_contenders
from gradstep.compare.show.report import write_report
from gradstep.compare.show.report.curves import NAME, names_at_ends
from gradstep.compare.show.report.looks import looks
from gradstep.compare.show.report.page import content, make_page

SIX = ("quadratic", "digits-mlp", "diabetes", "rosenbrock", "beale", "rastrigin")
TITLES = ["Verdict", "Learning curves", "Leaderboard", "Performance profiles", "Run-time distributions"]
TITLES += [
    "Sensitivity to the learning rate",
    "Tuning budget",
    "Easier and harder targets",
    "Steps and seconds",
    "Pair by pair",
    "Health",
]
TITLES += ["Appendix"]
COMPLETE = TITLES[3:5] + TITLES[7:10]  # of problems with all of their runs
STUDIES = {
    "three": {},
    "six": {"problems": SIX},
    "one": {"problems": ("quadratic",), "seeds": 3},
    "one seed": {"seeds": 1},
    "defaults": {"ruleset": "defaults"},
    "all miss": {"level": 1e-9},
    "all diverge": {"lost": lambda run: {"diverged": 3}},
    "all fail": {"lost": lambda run: {"error": "NameError: name 'x' is not defined"}},
    "not settled": {"settled": False},
    "half": {"without": lambda run: run[0] == "diabetes" and run[4] == 2, "timed": False},
    "begun": {"without": lambda run: True, "timed": False},
    "one optimizer": {"speed": {"adam": 0.1}},
}
VOID = {"meta", "link", "br", "img", "input"}


class Balanced(HTMLParser):
    """Tags that end in the order in which they began, and every id once."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.hidden = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID and tag not in ("path", "circle"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        while tag == "tbody" and self.open[-1] in ("tr", "td"):  # which end by themselves
            self.open.pop()
        assert self.open.pop() == tag


def coloured(part, key=None):
    """A figure with a colour in place of those that the page takes from its theme."""
    if isinstance(part, dict):
        return {name: coloured(x, name) for name, x in part.items()}
    if isinstance(part, list):
        return [coloured(x) for x in part]
    tones = ("ink", "paper", "rule", "deep", "low", "high", "muted")
    return "black" if part in tones and key not in ("name", "xref", "yref") else part


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_a_whole_page(name):
    study = made_study(**STUDIES[name])
    page = content(study)
    titles = re.findall(r"<h2[^>]*>(\d+)\. ([^<]*)</h2>", page.main)
    absent = {"one optimizer": ["Easier and harder targets"], "begun": COMPLETE}.get(name, [])
    there = [title for title in TITLES if title not in absent]
    assert titles == [(str(k), title) for k, title in enumerate(there, 1)]
    parser = Balanced()
    parser.feed(page.main)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert set(page.figures) <= set(parser.ids)
    for section in re.findall(r"<section.*?</section>", page.main, flags=re.DOTALL):
        assert re.search(r"<p|<table|<figure", section)  # never an empty one
    for word in ("nan", "inf", "None", "NaN"):
        assert not re.search(rf">[^<]*\b{word}\b[^<]*<", page.main.replace("Infinity", "")), word
    assert "$" not in page.main


@pytest.mark.parametrize("name", ["three", "six", "one seed", "all diverge", "not settled"])
def test_figures_are_valid_plotly_and_their_stills_are_xml(name):
    page = content(made_study(**STUDIES[name]))
    for figure in page.figures.values():
        json.dumps(figure, allow_nan=False)
        assert Figure(coloured({"data": figure["data"], "layout": figure["layout"]})).data
    stills = re.findall(r"<noscript>(<svg.*?</svg>)</noscript>", page.main, flags=re.DOTALL)
    assert len(stills) == len(page.figures)
    for still in stills:
        root = ET.fromstring(still)  # noqa: S314 - ours
        assert root.get("role") == "img"
        assert root.get("aria-label")
        for path in root.iter("{http://www.w3.org/2000/svg}path"):
            assert re.fullmatch(r"M[-\d. MLHVZalmhv]*", path.get("d")), path.get("d")


def test_an_unfinished_study_says_so_at_the_top():
    half = content(made_study(**STUDIES["half"])).main
    banner = half[: half.index("<section")]
    assert (
        "This study is not finished: 224 of 231 runs are there. Only what is complete is counted below: 2 of 3"
        in banner
    )
    untimed = content(made_study(timed=False)).main
    assert "all 231 runs are there, but not yet what each step costs" in untimed[: untimed.index("<section")]
    assert 'class="banner" role="status"' not in content(made_study()).main


@pytest.mark.parametrize(
    ("name", "sentences"),
    {
        "one": ["A profile is a distribution over problems; with one there is none.", "takes 6 problems; here is 1."],
        "defaults": ["no other learning rate was tried.", "there were no trials."],
        "half": ["so there are no seconds."],
        "begun": ["There is no verdict yet", "Nothing to show yet", "diabetes: no run has been judged yet."],
        "one optimizer": ["There is one optimizer, and no pair."],
        "all miss": ["No optimizer's median seed reached a target.", "no trials of which some reached a target"],
        "one seed": ["With one seed no probability can be told."],
    }.items(),
)
def test_sections_without_data_say_why(name, sentences):
    main = unescape(content(made_study(**STUDIES[name])).main)
    for sentence in sentences:
        assert sentence in main


def test_problems_of_a_family_stand_together():
    """The scores are those of a study of these problems alone; without families there is no table of them."""

    def family(problem):
        return "nets & co" if problem in ("digits-mlp", "diabetes") else "formulas"

    pace = {"digits-mlp": 1.3, "rosenbrock": 0.5}
    made = {"factor": lambda p, o: pace.get(p, 1.0) if o == "adam" else 1.0, "family": family}
    page = content(made_study(problems=SIX, **made)).main
    table = next(x for x in re.findall("<table.*?</table>", page, re.DOTALL) if "nets &amp; co (2)" in x)
    assert "formulas (4)" in table
    shown = re.findall(r"<td[^>]*>([^<]*)</td>", table)
    names = re.findall(r"<th scope=.row.[^>]*>([^<]*)</th>", table) or shown[::3]
    numbers = [x for x in shown if re.fullmatch(r"\d\.\d+", x)]
    for k, those in enumerate((("quadratic", "rosenbrock", "beale", "rastrigin"), ("digits-mlp", "diabetes"))):
        alone = Evidence(made_study(problems=those, **made))
        expected = dict(zip(alone.study.optimizers, alone.scores().estimate, strict=True))
        assert numbers[k::2] == [f"{expected[name]:.3f}" for name in names]
    heads = '<optgroup label="formulas"><option value="quadratic">', '<optgroup label="nets &amp; co">'
    assert all(head in page for head in heads)
    plain = content(made_study(problems=SIX)).main
    assert "optgroup" not in plain
    assert "of each family" not in plain


def test_the_page_points_nowhere_and_is_not_too_big(tmp_path, monkeypatch):
    monkeypatch.setattr(report_studies, "EVERY", 2)
    speed = SPEED | {"adamax": 0.07, "nadam": 0.09, "radam": 0.05, "amsgrad": 0.077, "adadelta": 0.01}
    problems = [f"{'digits' if k < 6 else 'other'}-{k}" for k in range(11)]
    study = made_study(problems=problems, seeds=10, trials=16, speed=speed)  # as large as studies get
    path = tmp_path / "report.html"
    write_report(study, path)
    assert path.stat().st_size < 9_000_000  # 5 of them Plotly's own code
    page = path.read_text("utf-8")
    ours = re.sub(r"<script>/\*.*?</script>", "", page, flags=re.DOTALL)  # without Plotly's own code
    named = re.sub(r'xmlns="http://www.w3.org/2000/svg"', "", ours)
    assert not re.findall(r"https?://|src=|<link|@import|url\(", named)
    assert study.command in unescape(page)


def test_a_static_page_has_pictures_and_no_script_of_others(tmp_path):
    path = tmp_path / "report.html"
    write_report(made_study(), path, static=True)
    page = path.read_text("utf-8")
    assert len(page) < 2_000_000
    assert "<noscript><svg" not in page
    assert len(re.findall(r"<figure", page)) == len(re.findall(r"\n<svg xmlns", page))
    pictures = re.findall(r'href="data:image/svg\+xml;charset=utf-8,([^"]*)"', page)
    assert len(pictures) == len(re.findall(r"<figure", page))
    for picture in pictures:
        ET.fromstring(unquote(picture))  # noqa: S314 - ours


def test_data_links_hold_what_is_drawn():
    page = content(made_study())
    links = re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)" download="([^"]*)\.csv"', page.main)
    assert [name for _, name in links] == list(page.figures)
    table = {name: list(csv.DictReader(io.StringIO(unquote(text)))) for text, name in links}
    rows = [row for row in table["loss-0"] if row["line"] == "adam"]
    line = next(t for t in page.figures["loss-0"]["data"] if t["name"] == "adam" and t["meta"]["part"] == "median")
    assert [float(row["steps"]) for row in rows] == line["x"]
    assert [float(row["loss"]) for row in rows] == line["y"]
    assert [[float(row["low"]), float(row["high"])] for row in rows] == line["customdata"]


def test_what_others_wrote_is_escaped():
    study = made_study(
        lost=lambda run: {"error": "</script><img src=x onerror=alert(1)> & 'so'"} if run[4] == 0 else None
    )
    study.sessions[0].environment["machine"] = "</script><b>&"
    study.notes.append("<i>note</i>")
    page = make_page(study)
    assert "</script><img" not in page
    assert "</script><b>" not in page
    assert "<i>note" not in page
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in page


def test_no_two_optimizers_look_alike():
    labels = [f"{name}:lr={k}" for name in ("sgd", "adagrad", "adam") for k in range(1, 15)]
    found = looks(read_contenders(",".join(labels)).values())
    assert len({(x["color"], x["dash"]) for x in found}) == 42
    dashes = [{x["dash"] for x in found[k : k + 14]} for k in (0, 14, 28)]
    assert sum(map(len, dashes)) == len(set.union(*dashes))


def test_a_family_is_known_by_its_declaration():
    dash = {
        "sgd": "solid",
        "momentum": "solid",
        "adagrad": "dot",
        "adadelta": "dot",
        "keras.RMSprop": "dot",
        "adam": "dash",
        "torch.AdamW": "dash",
    }
    assert [x["dash"] for x in looks(read_contenders(",".join(dash)).values())] == list(dash.values())


def test_the_page_answers_first():
    """One short bold sentence, then the curves, before any table; contents lead to every section."""
    main = content(made_study()).main
    [first] = re.findall(r'<p class="answer"><strong>([^<]*)</strong></p>', main)
    assert first == unescape(first)
    assert first.startswith("adam and adamw are first over 3 problems, with the score ")
    assert len(first.split()) < 40
    assert main.index('class="answer"') < main.index('id="loss-0"') < main.index("<table")
    contents = main[main.index('<nav class="contents"') : main.index("</nav>")]
    assert re.findall(r'<li><a href="#([^"]*)">', contents) == re.findall(r'<h2 id="([^"]*)">', main)


@pytest.mark.parametrize(
    ("name", "sentence"),
    {
        "one": "adam",
        "one seed": "One seed does not show how surely.",
        "all miss": "No optimizer reached the target of any problem",
        "begun": "There is no verdict yet",
    }.items(),
)
def test_the_answer_is_sober(name, sentence):
    assert (
        sentence
        in re.findall(r'<p class="answer"><strong>([^<]*)</strong></p>', content(made_study(**STUDIES[name])).main)[0]
    )


def test_curves_have_every_evaluation_and_three_in_colour():
    study = made_study()
    figure = content(study).figures["loss-0"]
    medians = [trace for trace in figure["data"] if trace["meta"]["part"] == "median"]
    steps = study.evaluated("quadratic", "adam")[0].steps
    assert all(trace["x"] == steps for trace in medians)
    assert [trace["line"]["color"] == "muted" for trace in medians] == [True] * 4 + [False] * 3
    names = [trace for trace in figure["data"] if trace["meta"]["part"] == "name"]
    assert sorted(trace["text"][1] for trace in names) == sorted(trace["name"] for trace in medians[4:])
    ends = {trace["name"]: (trace["x"][-1], trace["y"][-1]) for trace in medians}
    assert all((trace["x"][0], trace["y"][0]) == ends[trace["name"]] for trace in names)
    assert not figure["layout"]["showlegend"]


@pytest.mark.parametrize("low", [0.2, 0.999])
def test_names_of_lines_that_end_together_stand_apart_on_the_axis(low):
    lines = [{"name": x, "x": [0, 9], "y": [0.1, low], "line": {}, "meta": {}} for x in ("a", "b", "c")]
    heights = sorted(trace["y"][1] for trace in names_at_ends(lines, {"range": [0.0, 1.0]}))
    assert min(np.diff(heights)) >= NAME - 1e-9
    assert heights[-1] <= 1
    logs = names_at_ends(lines, {"type": "log", "range": [-9.0, 0.0]})
    assert min(np.diff(np.log10(sorted(trace["y"][1] for trace in logs)))) >= 9 * NAME - 1e-9


def test_long_names_stand_in_a_legend():
    speed = {f"adam:beta1=0.{k}12345678": 0.1 / k for k in range(1, 6)}
    figure = content(made_study(speed=speed)).figures["loss-0"]
    shown = [trace["name"] for trace in figure["data"] if trace["showlegend"]]
    assert sorted(shown) == [*speed][:3]
    assert figure["layout"]["showlegend"]


def test_runs_are_drawn_before_the_first_is_judged():
    page = content(made_study(without=lambda run: run[2] != "tune", timed=False))
    assert {trace["meta"]["part"] for trace in page.figures["loss-0"]["data"]} == {"trials"}
    assert "none has been judged yet" in page.main
