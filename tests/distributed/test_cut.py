"""The cut of arrays: everything once, ranges between blocks, and nobody with much more than a share."""

import numpy as np
import pytest

from gradstep.array.reduction import BLOCK
from gradstep.distributed.cut import Kind, Piece, cut


def draw(rng):
    sizes = rng.choice([0, 1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 40 * BLOCK + 17], int(rng.integers(0, 9)))
    return [Kind(int(n), int(rng.choice([4, 8, 16])), bool(rng.random() < 0.3)) for n in sizes]


def test_everything_once_and_between_blocks():
    rng = np.random.default_rng(0)
    for trial in range(600):
        kinds, parts = draw(rng), int(rng.integers(1, 10))
        found = cut(kinds, parts)
        assert len(found) == parts
        for k, x in enumerate(kinds):
            own = sorted(p for each in found for p in each if p.array == k)
            if x.is_whole:
                assert own == [Piece(k, 0, x.size)], trial
                continue
            ends = [0, *(p.end for p in own)]
            assert [p.begin for p in own] == ends[:-1], trial
            assert ends[-1] == x.size, trial
            assert all(end % BLOCK == 0 for end in ends[:-1]), trial
        for each in found:
            assert len({p.array for p in each}) == len(each), trial
            assert each == sorted(each), trial


def test_nobody_has_more_than_a_share_and_a_block():
    rng = np.random.default_rng(1)
    for _ in range(600):
        kinds = [Kind(x.size, x.weight, False) for x in draw(rng)]
        parts = int(rng.integers(1, 10))
        total = sum(x.size * x.weight for x in kinds)
        for own in cut(kinds, parts):
            load = sum((p.end - p.begin) * kinds[p.array].weight for p in own)
            assert load <= total / parts + BLOCK * max((x.weight for x in kinds), default=0)


def test_whole_arrays_go_where_there_is_least():
    kinds = [Kind(n, 4, True) for n in (10, 50, 20, 30)] + [Kind(20 * BLOCK, 4, False)]
    assert cut(kinds[:4], 2) == [[Piece(0, 0, 10), Piece(1, 0, 50)], [Piece(2, 0, 20), Piece(3, 0, 30)]]
    loads = [sum(p.end - p.begin for p in own) for own in cut(kinds, 3)]
    assert max(loads) - min(loads) < 2 * BLOCK


@pytest.mark.parametrize("parts", [1, 4])
def test_nothing_to_cut(parts):
    assert cut([], parts) == [[]] * parts
