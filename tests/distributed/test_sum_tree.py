"""The tree gives one sum for any number of micro-batches and of processes; the oracle adds by recursion."""

import math

import numpy as np
import pytest

from gradstep.distributed.tree import Counter, expected, nodes, share

MOST_LEAVES, MOST_PROCESSES = 16, 9


def naive(xs):
    """Add by the definition: the larger half is as many as the largest power of two below their number."""
    if len(xs) == 1:
        return xs[0]
    half = 1 << (len(xs) - 1).bit_length() - 1
    return naive(xs[:half]) + naive(xs[half:])


def leaves(k, dtype):
    rng = np.random.default_rng(k)
    return (rng.normal(size=(k, 50)) * 10.0 ** rng.integers(-6, 6, (k, 1))).astype(dtype)


def by_processes(xs, size, add=np.add):
    """Let each process add up its part, and one add up what they send."""
    owner = Counter(add)
    for rank in range(size):
        mine, own = share(len(xs), size, rank), Counter(add)
        for i in mine:
            own.take(xs[i].copy(), (i, 1))
        assert [node for node, _ in own.held] == nodes(mine)
        for node, x in own.held:
            owner.take(x, node)
    return owner.total()


def in_place(left, right):
    left += right
    return left


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("add", [np.add, in_place])
def test_any_number_of_leaves_and_processes(dtype, add):
    for k in range(1, MOST_LEAVES + 1):
        xs = leaves(k, dtype)
        wanted = naive(list(xs)).tobytes()
        for size in range(1, MOST_PROCESSES + 1):
            assert by_processes(xs, size, add).tobytes() == wanted, (k, size)


@pytest.mark.parametrize("k", [33, 48, 64, 100])
def test_more_leaves_than_that(k):
    xs = leaves(k, "float32")
    for size in (1, 2, 3, 7, 40, 101):
        assert by_processes(xs, size).tobytes() == naive(list(xs)).tobytes(), size


def test_a_running_sum_is_another():
    """The control: without the tree, the order shows."""
    xs = leaves(16, "float32")
    running = xs[0].copy()
    for x in xs[1:]:
        running = running + x
    assert (running != naive(list(xs))).mean() > 0.3


def test_every_number_has_one_process():
    for k in range(1, 40):
        for size in range(1, 45):
            each = [share(k, size, rank) for rank in range(size)]
            assert [i for own in each for i in own] == list(range(k))
            assert {len(own) for own in each} <= {k // size, -(-k // size)}


def test_what_is_sent_is_little():
    """One node where the processes divide the numbers and both are powers of two; twice the logarithm else, at most."""
    for k in range(1, 130):
        for size in range(1, 20):
            most = max(map(len, expected(k, size)))
            assert most <= max(1, 2 * math.ceil(math.log2(k))), (k, size)
            if k % size == 0 and (k // size).bit_count() == 1:
                assert most == 1, (k, size)


def test_a_counter_holds_no_more_than_a_binary_number():
    own = Counter(lambda a, b: a + b)
    for i in range(1000):
        own.take(1, (i, 1))
        assert len(own.held) == (i + 1).bit_count()
    assert own.total() == 1000
    assert own.held == []
