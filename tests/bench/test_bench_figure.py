"""The SVG is XML, has a line for each contender, and says everything on a white ground."""

import re
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("matplotlib")

from gradstep.bench.contenders import KINDS, ON_DEVICE, OURS
from gradstep.bench.figure import against_size, look, scaling
from gradstep.bench.results import Measured, Result
from gradstep.bench.scaling import Speedup

NAMES = [OURS, "torch-fused", "numpy"]


def result(size, tensors, elements, names=NAMES, work="adam"):
    rows = [Measured(n, 2.0 * k + elements, 1.0, 1e7, 1.0, 1.0, None, 16.0, None, [2.0]) for k, n in enumerate(names)]
    return Result(work, size, "float32", tensors, elements, elements, None, None, rows, [])


ONE = [result("1x100", 1, 100), result("1x1e6", 1, 10**6, NAMES[:2])]
MANY = [result("10x1000", 10, 10**4), result("148x1000", 148, 148_000)]


def parsed(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def words(svg):
    return {"".join(x.itertext()).strip() for x in parsed(svg).iter("{http://www.w3.org/2000/svg}text")}


def lines(svg):
    """Identifier -> number of points, of each contender's line."""
    found = {}
    for group in parsed(svg).iter("{http://www.w3.org/2000/svg}g"):
        if re.match(r"panel\d+-", group.get("id", "")):
            path = group.find("{http://www.w3.org/2000/svg}path").get("d")
            found[group.get("id")] = len(re.findall("[ML]", path))
    return found


def test_a_line_for_each_contender_in_each_panel():
    assert lines(against_size([*MANY, *ONE])) == {
        **{f"panel0-{name}": 2 for name in NAMES[:2]},
        "panel0-numpy": 1,
        **{f"panel1-{name}": 2 for name in NAMES},
    }


def test_the_words_are_there():
    svg = against_size([*ONE, *MANY])
    assert {*NAMES, "adam, one tensor", "adam, several tensors", "elements", "µs a step", "10x1000"} <= words(svg)


def test_the_ground_is_white_and_the_file_the_same_each_time():
    svg = against_size(ONE)
    assert "fill: #ffffff" in svg
    assert svg == against_size(ONE)


def test_rules_have_panels_of_their_own():
    both = [*ONE, *[result("1x100", 1, 100, work="sgd")]]
    assert {name.partition("-")[0] for name in lines(against_size(both))} == {"panel0", "panel1"}


def test_scaling_has_four_panels():
    gains = [Speedup(name, size, [1, 2], [4.0, 2.0], [1.0, 2.0]) for name in NAMES[:2] for size in ("1x1e6", "1x1e7")]
    found = lines(scaling(ONE, MANY, gains))
    assert {name.partition("-")[0] for name in found} == {"panel0", "panel1", "panel2", "panel3"}
    assert [found[f"panel3-{name}"] for name in NAMES[:2]] == [2, 2]


def test_nobody_looks_like_another():
    for kinds in (KINDS, ON_DEVICE):
        looks = {name: tuple(str(look(name)[key]) for key in ("color", "linestyle", "marker")) for name in kinds}
        assert len(set(looks.values())) == len(kinds)
