"""Gradients to addresses: small ones copied together, large ones where they lie, aliases copied."""

import gc
import weakref

import numpy as np
import pytest

from gradstep.array.memory import Regions, address
from gradstep.engine.cpu.gather import SMALL, Gather


def at(place, n, dtype):
    """The numbers that lie at an address."""
    bytes_ = (np.ctypeslib.ctypes.c_char * (n * np.dtype(dtype).itemsize)).from_address(int(place))
    return np.frombuffer(bytes_, dtype).copy()


class Gathered:
    """A gather and what it found."""

    def __init__(self, sizes, dtype, kept=()):
        self.gather = Gather(sizes, [np.dtype(dtype)] * len(sizes), Regions(list(kept)))
        self.addresses = np.zeros(len(sizes), np.int64)

    def __call__(self, arrays):
        self.gather(arrays, self.addresses)


def gathered(arrays, dtype, kept=()):
    made = Gathered([x.size for x in arrays], dtype, kept)
    made(arrays)
    return made


SIZES = [0, 1, 5, SMALL - 1, SMALL, SMALL + 1, 3 * SMALL]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("order", [1, -1])
def test_every_size(dtype, order):
    arrays = [np.arange(n, dtype=dtype) + k for k, n in enumerate(SIZES)][::order]
    gather = gathered(arrays, dtype)
    for x, place in zip(arrays, gather.addresses, strict=True):
        assert at(place, x.size, dtype).tolist() == x.tolist()
        assert (address(x) == place) == (x.size > SMALL)
    assert gather.gather.large == [k for k, x in enumerate(arrays) if x.size > SMALL]


@pytest.mark.parametrize("size", [12, 4 * SMALL])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[::2], lambda x: x[::-1], lambda x: x.reshape(2, -1).T, lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x.reshape(4, -1)),
        lambda x: np.frombuffer(b"x" + x.tobytes(), "f4", offset=1),
    ],
)  # fmt: skip
def test_every_layout_is_read_in_c_order(size, change):
    x = change(np.arange(size, dtype="f4"))
    gather = gathered([x], "f4")
    assert at(gather.addresses[0], x.size, "f4").tolist() == x.reshape(-1).tolist()
    assert gather.addresses[0] % 4 == 0


def test_what_a_step_writes_is_copied_first():
    w = np.arange(3 * SMALL, dtype="f8")
    other = np.ones(2 * SMALL)
    for g, copied in ((w[: SMALL + 1], True), (w[SMALL:], True), (other, False), (other[::2][:1], True)):
        gather = gathered([g], "f8", [w])
        assert (gather.addresses[0] != address(g)) == copied
        assert at(gather.addresses[0], g.size, "f8").tolist() == g.tolist()


def test_between_the_elements_counts_as_touching():
    memory = np.arange(8.0 * SMALL)
    strided, inner = memory[::3], memory[5 : SMALL + 9]
    assert gathered([inner], "f8", [strided]).addresses[0] != address(inner)
    assert gathered([inner], "f8", [memory[: 4 * SMALL : 4], memory[1:2], memory[6 * SMALL :]]).addresses[0] != address(
        inner
    )


def test_held_until_released():
    gather = Gathered([SMALL + 1], "f8")
    x = np.ones(2 * SMALL + 2)[::2]  # only the gather holds the contiguous copy
    gather([x])
    assert at(gather.addresses[0], x.size, "f8").tolist() == x.tolist()
    kept = weakref.ref(gather.gather.held[0])
    gather.gather.release()
    gc.collect()
    assert kept() is None


def test_a_call_lets_go_of_the_one_before():
    gather = Gathered([SMALL + 1], "f8")
    for _ in range(3):
        gather([np.ones(SMALL + 1)])
        assert len(gather.gather.held) == 1


def test_the_arena_is_reused():
    gather = gathered([np.ones(5), np.zeros(7)], "f8")
    before = gather.addresses.tolist()
    gather([np.full(5, 2.0), np.full(7, 3.0)])
    assert gather.addresses.tolist() == before
    assert at(before[0], 12, "f8").tolist() == [2.0] * 5 + [3.0] * 7


def test_another_dtype_is_never_cast_silently():
    gather = Gathered([3], "f4")
    with pytest.raises(TypeError):
        gather([np.ones(3)])
