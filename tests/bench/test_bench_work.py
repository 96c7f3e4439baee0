"""Sizes as they are written, the numbers that everyone starts from, and who fits beside whom."""

import numpy as np
import pytest

from gradstep.bench.contenders import KINDS, OURS, Kind, choose
from gradstep.bench.plan import batches, need, sets_of
from gradstep.bench.work import FULL, MATRICES, QUICK, Size, Work, numbers, read_sizes
from gradstep.errors import GradstepValueError

OTHERS = [Kind(name, None, "numpy") for name in "ab"]
OURS_ALONE = Kind(OURS, None, "numpy")


def test_sizes_are_read_and_written_alike():
    assert read_sizes("1x100, 148x1000,1x1e6,1x1.5e6") == (
        Size(1, 100),
        Size(148, 1000),
        Size(1, 1_000_000),
        Size(1, 1_500_000),
    )
    assert [str(size) for size in read_sizes(FULL)] == FULL.split(",")
    assert FULL.startswith(QUICK)
    assert Size(148, 1000).elements == 148_000
    assert [str(Size(1, n)) for n in (100, 10**5, 3 * 10**5, 840_000, 123_456)] == [
        *("1x100", "1x1e5", "1x3e5", "1x840000", "1x123456"),
    ]


def test_sizes_of_matrices():
    (both,) = read_sizes("2x768x768+1x768x3072")
    assert both == Size(2, (768, 768), Size(1, (768, 3072)))
    assert both.shapes == [(768, 768), (768, 768), (768, 3072)]
    assert (both.tensors, both.elements, both.largest) == (3, 768 * 768 * 2 + 768 * 3072, 768 * 3072)
    assert (str(both), str(read_sizes(MATRICES)[0])) == ("2x768x768+1x768x3072", MATRICES)
    assert [size.has_matrices for size in (both, *read_sizes("1x1e+6,3x5+2x4"))] == [True, False, False]
    assert [x.shape for x in numbers(Work("muon"), Size(2, (3, 4), Size(1, 5)), 0)] == [(3, 4), (3, 4), (5,)]


def test_squares_of_state_count_by_their_sides():
    # theta, and for 10x30 a square of 10 and one of 30; four sets of gradients, the first parameters and a set
    assert need(Work("shampoo"), Size(1, (10, 30)), [OURS_ALONE]) == 4 * (300 + 100 + 900 + 4 * 300 + 2 * 300)


@pytest.mark.parametrize(
    "text",
    [
        "2x3+",
        "2x3+x4",
        "2x3x",
        "2x3x0",
        "2x3x1.5",
        "",
        "100",
        "x",
        "1x",
        "x5",
        "0x5",
        "5x0",
        "-1x5",
        "1x5.5",
        "1x1e-3",
        "1x1e999",
        "axb",
    ],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(GradstepValueError, match="cannot read the size"):
        read_sizes(text)


def test_a_size_given_twice_is_refused():
    with pytest.raises(GradstepValueError, match="the size 1x1e6 is given twice"):
        read_sizes("1x1e6,1x1000000")


def test_unknown_names_are_refused_with_close_ones():
    with pytest.raises(GradstepValueError, match="unknown rule 'adm'; did you mean adam"):
        Work("adm")
    with pytest.raises(GradstepValueError, match="unknown dtype 'float16'; did you mean"):
        Work(dtype="float16")
    with pytest.raises(GradstepValueError, match="unknown contender 'torch-fusd'; did you mean"):
        choose("numpy,torch-fusd")


def test_a_library_stands_for_all_of_its_ways_and_gradstep_is_always_first():
    assert [kind.name for kind in choose("numpy")] == [OURS, "numpy"]
    assert [kind.name for kind in choose("torch")] == [OURS, *(name for name in KINDS if name.startswith("torch-"))]
    assert [kind.name for kind in choose("numpy, torch-fused")] == [OURS, "torch-fused", "numpy"]
    assert [kind.name for kind in choose(None)] == list(KINDS)
    assert "gradstep-unguarded" in [kind.name for kind in choose("gradstep")]


def test_numbers_depend_on_the_seed_and_on_what_they_are_for():
    work, size = Work(), Size(3, 50)
    one, again, gradients = numbers(work, size, 0), numbers(work, size, 0), numbers(work, size, 1)
    assert [x.shape for x in one] == [(50,)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, gradients, strict=True))
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one[0], numbers(Work(seed=1), size, 0)[0])
    assert {numbers(Work(dtype=name), size, 0)[0].dtype.name for name in ("float32", "bfloat16")} == {"float32"}
    assert numbers(Work(dtype="float64"), size, 0)[0].dtype == np.float64


def test_what_memory_is_needed_counted_by_hand():
    work, size = Work("adam"), Size(1, 10**6)
    # theta, m, v; four sets of gradients; the first parameters and a set on its way: 3 + 4 + 2 arrays of 4 MB
    assert need(work, size, [OURS_ALONE]) == 9 * 4e6
    # another library: its own three arrays, a temporary, and sets of its own
    assert need(work, size, [OURS_ALONE, Kind("x", None, "torch", spare=1)]) == (9 + 4 + 4) * 4e6
    assert need(Work("adam", chain=True), size, [OURS_ALONE]) == 10 * 4e6
    assert need(Work("sgd", "float64"), size, [OURS_ALONE]) == (1 + 4 + 2) * 8e6
    assert [sets_of(work, Size(1, n)) for n in (2**24, 2**24 + 1)] == [4, 2]


def test_batches_by_free_memory():
    work, size, kinds = Work("adam"), Size(1, 10**6), [OURS_ALONE, *OTHERS]
    names = lambda groups: [[kind.name for kind in group] for group in groups]  # noqa: E731
    groups, skipped = batches(work, size, kinds, None)
    assert (names(groups), skipped) == ([[OURS, "a", "b"]], [])
    groups, skipped = batches(work, size, kinds, 12 * 4e6 / 0.9 + 1)  # room for two
    assert (names(groups), skipped) == ([[OURS, "a"], [OURS, "b"]], [])
    groups, skipped = batches(work, size, kinds, 9 * 4e6 / 0.9 + 1)  # room for one
    assert names(groups) == [[OURS]]
    assert [who.contender for who in skipped] == ["a", "b"]
    assert skipped[0].reason == "needs 0.048 GB beside gradstep, and 0.036 GB of memory may be used"
    groups, skipped = batches(work, size, kinds, 1e6)
    assert groups == []
    assert [who.contender for who in skipped] == [OURS, "a", "b"]
    assert skipped[0].reason == "needs 0.036 GB, and 0.0009 GB of memory may be used"
