"""The arithmetic against cases worked out by hand."""

import pytest

from gradstep.bench.numbers import Summary, gigabytes_per_second, moved, ratio, slope, summary
from gradstep.bench.results import Measured, Result, Skipped
from gradstep.bench.tables import HEADINGS, cells, digits, remarks, title


def test_median_and_quartiles():
    assert summary([4.0, 1.0, 3.0, 2.0, 5.0]) == Summary(3.0, 2.0, 4.0)
    assert summary([1.0, 2.0]) == Summary(1.5, 1.25, 1.75)
    assert summary([7.0]) == Summary(7.0, 7.0, 7.0)


def test_a_ratio_pairs_the_rounds():
    # Both slow down tenfold in the second round: the ratio of medians would be 20 / 10, of the pairs it is 3, 2, 2.
    assert ratio([3.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    assert ratio([30.0, 1.0], [10.0, 1.0]) == 2.0


def test_bytes_of_a_step():
    # Adam in float32 reads theta, g, m, v and writes theta, m, v: 28 bytes an element
    assert moved(gradients=4, parameters=4, kept=8, chain=False) == 28
    # with a norm before it and an average behind: g twice, theta, m, v, average read and written
    assert moved(gradients=4, parameters=4, kept=12, chain=True) == 40
    assert moved(gradients=8, parameters=8, kept=0, chain=False) == 24


def test_gigabytes_per_second():
    assert gigabytes_per_second(28_000_000, 1000.0) == 28.0  # 28 MB in 1 ms


def test_the_slope_of_the_upper_decade():
    x = [1.0, 10.0, 100.0, 300.0, 1000.0]
    assert slope(x, [5.0, 5.0, 2e2, 6e2, 2e3]) == pytest.approx(1.0, abs=1e-12)
    assert slope(x, [1.0, 1.0, 1e4, 9e4, 1e6]) == pytest.approx(2.0, abs=1e-12)
    assert slope(x, [9.0, 9.0, 3.0, 3.0, 3.0]) == pytest.approx(0.0, abs=1e-12)


def test_digits():
    assert [digits(x) for x in (0.1234, 1.234, 12.34, 123.4, 12345.6)] == ["0.12", "1.23", "12.3", "123", "12,346"]


def test_cells_of_a_row():
    row = Measured("numpy", 12.34, 11.0, 150.0, 2.5, 28.04, 0.456, 16.04, 3_140_000, [12.34])
    shown = dict(zip(HEADINGS, cells(row), strict=True))
    assert shown == {
        "contender": "numpy",
        "µs/step": "12.3",
        "quartiles": "11.0 to 150",
        "/ gradstep": "2.50",
        "GB/s": "28.0",
        "of stream": "46 %",
        "bytes/param": "16.04",
        "peak extra": "3.1 MB",
    }
    unknown = dict(zip(HEADINGS, cells(Measured("x", 1.0, 1.0, 1.0, 1.0, 1.0, None, 8.0, None, [])), strict=True))
    assert (unknown["of stream"], unknown["peak extra"]) == ("-", "-")


def test_a_title_and_what_is_said_beneath():
    quiet = Result("adam", "1x10", "float32", 1, 10, 10, None, 0.01, [], [Skipped("keras", "is slow")])
    loud = Result("adam", "2x500000", "float64", 2, 10**6, 5 * 10**5, 31.44, 0.256, [], [Skipped("keras", "is slow")])
    assert title(quiet) == "adam, 1x10 float32: 1 tensor, 10 elements"
    assert title(loud) == "adam, 2x500000 float64: 2 tensors, 1,000,000 elements; stream 31.4 GB/s"
    assert remarks([quiet]) == ["not measured: keras: is slow"]
    assert remarks([quiet, loud]) == [
        "not measured: keras: is slow",
        "other programs took up to 26 % of the cores meanwhile: measure again when all is quiet",
    ]
    assert remarks([loud])[1].startswith("other programs took 26 % of the cores")
