"""Still pictures show what the charts show: ticks, colours, gaps; the same bytes each time, and few of them."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from gradstep.compare.show.pages import plots
from gradstep.compare.show.pages.stills import still
from gradstep.compare.show.play import figures
from gradstep.compare.show.play.paths import trace
from gradstep.compare.show.play.settings import read
from support import script

NS = "{http://www.w3.org/2000/svg}"
EVIL = "<b title='a' \"b\">&</svg><script>"
LOOK = {"color": "#0072B2", "dash": "solid"}


def figure(x, y, label="adam", **axes):
    layout = plots.axes("steps", "loss")
    for axis, own in axes.items():
        layout[axis] |= own
    return {"data": [plots.stroke(label, LOOK, x, y, 2)], "layout": layout}


def root(picture):
    return ET.fromstring(picture)  # noqa: S314 - ours


def texts(picture):
    return [element.text for element in root(picture).iter(f"{NS}text")]


def drawn(picture):
    """Attributes of the paths on the axes."""
    [window] = root(picture).findall(f"{NS}svg")
    return [path.attrib for path in window.iter(f"{NS}path")]


def test_a_line_goes_through_its_points():
    picture = still(figure([0, 50, 100], [0.0, 1.0, 0.5], xaxis={"range": [0, 100]}, yaxis={"range": [0, 1]}))
    [line] = drawn(picture)
    ticks = ["20", "40", "60", "80", "100", "0", "0.2", "0.4", "0.6", "0.8", "1"]
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", line["d"])[1:]]
    assert points == [(66, 314), (326, 12), (586, 163)]  # 66 to 586 across, 314 up to 12
    assert (line["stroke"], line["stroke-width"]) == ("#0072B2", "2")
    assert texts(picture) == ["0", *ticks, "steps", "loss", "adam"]


def test_a_gap_is_a_gap_and_a_log_axis_has_no_place_for_zero():
    [line] = drawn(still(figure([1, 2, 3, 4], [1.0, None, 2.0, 3.0])))
    assert line["d"].count("M") == 2
    [line] = drawn(still(figure([1, 2, 3], [0.0, 1.0, 10.0], yaxis={"type": "log"})))
    assert line["d"].count("L") == 1


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([1e-4, 1.0], ["0.0001", "0.001", "0.01", "0.1", "1"]),
        ([0.5, 12.0], ["0.5", "1", "2", "5", "10"]),
        ([0.033, 0.066], ["0.04", "0.05", "0.06"]),
    ],
)
def test_a_log_axis_has_the_ticks_of_the_chart(values, ticks):
    labels = texts(still(figure([0, 1], values, yaxis=plots.log_axis(values))))
    assert labels[labels.index(ticks[0]) : labels.index("steps")] == ticks


def test_ticks_that_the_figure_gives_are_taken():
    assert texts(still(figure([1, 4], [1.0, 2.0], xaxis={"type": "log", "tickvals": [1, 2, 4]})))[:3] == ["1", "2", "4"]
    ranks = still(figure([0, 50], [1, 7], yaxis={"range": [7.5, 0.5], "dtick": 1}))
    assert [text for text in texts(ranks) if text in [*"1234567"]] == [*"1234567"]
    [line] = drawn(ranks)
    assert float(re.split("[ ML]", line["d"])[2]) < float(re.split("[ ML]", line["d"])[4])  # place 1 is on top
    hidden = still(figure([0, 1], [1, 7], yaxis={"showticklabels": False, "showgrid": False}))
    assert texts(hidden)[-2:] == ["loss", "adam"]
    assert "H586" not in hidden


def test_names_stay_text():
    picture = still(figure([0, 1], [0.0, 1.0], EVIL), EVIL)
    assert texts(picture)[-1] == EVIL
    assert root(picture).get("aria-label") == EVIL
    assert {element.tag for element in root(picture).iter()} == {f"{NS}{tag}" for tag in ("svg", "path", "text")}


def test_a_map_has_the_shades_of_the_chart_and_paths_have_no_halo():
    settings = read({"surface": "quadratic:condition=20", "optimizers": "momentum", "steps": "20"})
    paths = drawn(still(figures.contour(settings, trace(settings))))
    assert [path.get("stroke") for path in paths if "stroke" in path and path["stroke"] == "#0072B2"] == ["#0072B2"]
    shades = [float(path["fill-opacity"]) for path in paths if "fill-opacity" in path]
    assert shades == sorted(set(shades))
    assert 5 <= len(shades) <= 8


def test_rates_are_bluer_where_they_are_better_and_blank_where_they_diverge():
    found = figures.rate_map(read({"surface": "quadratic:condition=20", "optimizers": "momentum"}))["figure"]
    ground = found["data"][0]
    picture = drawn(still({**found, "data": [ground]}))
    across = {x: 66 + 520 * (math.log10(x) + 3 + 0.16) / 4.32 for x in (0.0012, 0.1, 9.0)}

    boxes = [
        (*map(float, box), float(path["fill-opacity"]))
        for path in picture
        for box in re.findall(r"M([\d.]+) ([\d.]+)H([\d.]+)V", path["d"])
    ]
    bottom = max(y for _, y, _, _ in boxes)  # where momentum is 0

    def opacity(lr):
        there = [blue for left, y, right, blue in boxes if y == bottom and left <= across[lr] <= right]
        return there[0] if there else 0.0

    assert 0 < opacity(0.0012) < opacity(0.1)
    assert opacity(9.0) == 0  # it diverges beyond 2


@pytest.mark.process
def test_a_picture_is_the_same_in_another_process():
    code = """
from gradstep.compare.show.play import figures
from gradstep.compare.show.play.settings import read
from gradstep.compare.show.play.paths import trace
from gradstep.compare.show.pages.stills import still
settings = read({"optimizers": "momentum,adam", "steps": "30"})
print(still(figures.contour(settings, trace(settings))), still(figures.rate_map(settings)["figure"]))
"""
    one, two = script(code, PYTHONHASHSEED="1"), script(code, PYTHONHASHSEED="2")
    assert one == two
    assert len(one) < 60_000
    assert "matplotlib" not in script(code + "import sys; print(*sys.modules)").rpartition("</svg>")[2]
