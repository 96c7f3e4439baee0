"""Where arrays lie: what may be written, what overlaps."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.array_utils import byte_bounds
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import gradstep as gs
from gradstep.array.memory import Regions, address, check_writable, packed
from support import clear


def check(**arrays):
    check_writable(list(arrays), list(arrays.values()))


base = np.zeros(60)
table = np.zeros((6, 10))


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": base[:30], "b": base[30:]},
        {"a": base[::2], "b": base[1::2]},
        {"a": base[::-1]},
        {"a": base[::-2], "b": base[::2]},
        {"a": table[:, :5], "b": table[:, 5:]},
        {"a": table[:, ::2].T, "b": table[:, 1::2]},
        {"a": table.T},
        {"a": table[::-1, ::-2]},
        {"a": np.einsum("ii->i", table[:, :6])},
        {"a": base[:0], "b": base},
        {"a": base[7:7], "b": base},
        {"a": base.reshape(3, 4, 5).transpose(2, 0, 1)},
        {"a": np.array(1.0)[...]},
        {"a": base[3:4].reshape(()), "b": base[:3]},
        {"a": np.zeros(8, "c16")[::2].real},
        {"a": np.zeros(8, "c16").real},
        {"a": np.lib.stride_tricks.as_strided(base, (1, 5), (0, 8))},
    ],
    ids=str,
)
def test_arrays_that_lie_apart(arrays):
    check(**arrays)


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": base, "b": base},
        {"a": base, "b": base[:]},
        {"a": base[:31], "b": base[30:]},
        {"a": base[::2], "b": base[::3]},
        {"a": base, "b": base[10:11]},
        {"a": table[0], "b": table[:, 3]},
        {"a": table, "b": table.T},
        {"a": base.view("c16"), "b": base[5:6]},
        {"a": base[:1], "b": base.view("u1")[7:9]},
        {"c": np.zeros(3), "a": base[:40], "b": base[50:], "d": base[39:41]},
    ],
    ids=str,
)
def test_arrays_that_share_memory(arrays):
    for order in (arrays, dict(reversed(arrays.items()))):
        with pytest.raises(gs.GradstepValueError, match=r"parameters '\w' and '\w' share memory") as error:
            check(**order)
        assert clear(error)


@pytest.mark.parametrize(
    "x",
    [
        as_strided(base, (4, 4), (8, 8)),
        as_strided(base, (5,), (0,)),
        as_strided(base, (5,), (4,)),
        as_strided(base[10:], (3, 3), (8, -8)),
        sliding_window_view(base, 3, writeable=True),
    ],
    ids=str,
)
def test_an_array_that_overlaps_itself(x):
    with pytest.raises(gs.GradstepValueError, match="parameter 'a' has elements that share memory") as error:
        check(a=x)
    assert clear(error)


def test_read_only(tmp_path):
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    np.zeros(4).tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float64, "r")
    for x in (frozen, mapped, np.broadcast_to(np.zeros(1), 3), np.frombuffer(bytes(16))):
        with pytest.raises(gs.GradstepValueError, match="parameter 'a' is read-only; hand in a copy") as error:
            check(a=x)
        assert clear(error)
    check(a=np.memmap(tmp_path / "x", np.float64, "r+"))


def test_what_cannot_be_changed_in_place():
    with pytest.raises(gs.GradstepTypeError, match="parameter 'a' is a float64, which cannot be changed in place"):
        check(a=np.float64(1.0))


def test_one_object_twice_in_any_namespace():
    strict = pytest.importorskip("array_api_strict")
    x = strict.zeros(3)
    check(a=x, b=strict.zeros(3))
    with pytest.raises(gs.GradstepValueError, match="'a' and 'b' share memory"):
        check(a=x, b=x)


def test_torch():
    torch = pytest.importorskip("torch")
    x = torch.zeros(6, 4, requires_grad=True)
    check(a=x, b=torch.zeros(3))
    check(a=x.detach()[:3], b=x.detach()[3:])
    check(a=x.detach()[:, ::2], b=x.detach()[:, 1::2])
    check(a=x.detach().T, b=torch.zeros(0))
    check(a=torch.zeros(3, dtype=torch.complex64))
    for other in (x, x.detach(), x.detach()[0], x.detach().T, x.detach()[:, 1]):
        with pytest.raises(gs.GradstepValueError, match=r"'\w' and '\w' share memory"):
            check(a=x, b=other)
    with pytest.raises(gs.GradstepValueError, match="elements that share memory"):
        check(a=torch.zeros(1).expand(3))


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 12), st.integers(1, 4)), max_size=6),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_regions(rows, begin, length):
    """Whatever truly shares a byte is found; what lies outside all bounds is not."""
    memory = np.zeros(128, np.uint8)
    arrays = [memory[start:][: n * step : step] for start, n, step in rows]
    start = memory.__array_interface__["data"][0]
    touches = Regions(arrays).touches(start + begin, start + begin + length)
    bounds = [(a - start, b - start) for a, b in (byte_bounds(x) for x in arrays if x.size)]
    assert touches == any(a < begin + length and begin < b for a, b in bounds)


@given(st.data())
def test_overlap_is_found_as_numpy_finds_it(data):
    memory = np.zeros((6, 8), np.float32)

    def view(label):
        x = memory
        for axis in range(2):
            n = x.shape[axis]
            cut = slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)), label)))
            x = np.moveaxis(np.moveaxis(x, axis, 0)[cut][:: data.draw(st.sampled_from([1, 2, 3, -1, -2]))], 0, axis)
        return x.T if data.draw(st.booleans()) else x

    arrays = {name: view(name) for name in "abc"}
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    overlapping = any(np.shares_memory(arrays[i], arrays[j]) for i, j in pairs)
    if overlapping:
        with pytest.raises(gs.GradstepValueError, match="share memory"):
            check(**arrays)
    else:
        check(**arrays)


@pytest.mark.parametrize("dtype", ["f4", "c16", "u1"])
def test_together(dtype):
    arrays = [np.full(shape, k + 1, dtype) for k, shape in enumerate([(3,), (), (0,), (2, 0), (5, 7), (100,)])]
    copies = packed(arrays)
    for x, y in zip(arrays, copies, strict=True):
        assert (x.dtype, x.shape, x.tolist()) == (y.dtype, y.shape, y.tolist())
        assert y.flags.c_contiguous
        assert y.flags.writeable
        assert address(y) % 64 == 0 or not y.size
    assert not any(np.shares_memory(x, y) for k, x in enumerate(copies) for y in copies[:k])


class TestPeak:
    """Making an optimizer, or reporting a bad gradient, takes no more than one further copy of one tensor."""

    N = 1 << 20

    @staticmethod
    def peak(function, warm=None):
        """Bytes at the most while ``function`` runs, and those that are left afterwards, above those before."""
        (warm or function)()  # kernels, and modules that an error loads
        tracemalloc.start()
        try:
            kept = function()
            now, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return most, now, kept

    @pytest.mark.parametrize("engine", ["auto", "eager"])
    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
    @pytest.mark.parametrize("tx", [gs.sgd(lr=0.1), gs.adam(), gs.chain(gs.sgd(lr=0.1), gs.ema(decay=0.9))], ids=repr)
    def test_making(self, tx, dtype, engine):
        w = np.ones(self.N, dtype)
        most, now, opt = self.peak(*(lambda x=x: gs.Optimizer({"w": x}, tx, engine=engine) for x in (w, w[:99])))
        state = sum(x.nbytes for x in opt.state["w"].values())
        wide = self.N * max(w.itemsize, 4)  # of state: 16 bits are computed in 32
        assert state <= now < state + 0.1 * w.nbytes
        assert most < state + 1.1 * wide

    @pytest.mark.parametrize(
        "options", [{"state_dtype": "8bit"}, {"state_dtype": "bfloat16"}, {"master": True}], ids=str
    )
    def test_making_in_fewer_bits(self, options):
        w = np.ones(self.N, "f2" if "master" in options else "f4")
        most, now, opt = self.peak(*(lambda x=x: gs.Optimizer({"w": x}, gs.adam(), **options) for x in (w, w[:99])))
        state = sum(x.nbytes for x in opt.state["w"].values())
        assert state <= now < state + 0.1 * w.nbytes
        assert most < state + 1.1 * 4 * self.N

    @pytest.mark.parametrize("engine", ["auto", "eager"])
    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
    @pytest.mark.parametrize("place", [0, 123_456, -1])
    def test_a_bad_gradient(self, dtype, engine, place):
        w, g = np.ones(self.N, dtype), np.ones(self.N, dtype)
        g[place] = np.nan
        opt = gs.Optimizer({"w": w}, gs.sgd(lr=0.1), engine=engine)

        def step():
            with pytest.raises(gs.NonFiniteError, match=rf"'w' is not finite: \[{place % self.N}\] = \(?nan"):
                opt.step({"w": g})

        most, _, _ = self.peak(step)
        assert most < 0.5 * w.nbytes + 400_000


def test_many_parameters_are_checked_in_linear_time():
    def seconds(n):
        names, arrays = [f"w{k}" for k in range(n)], [np.zeros(3) for _ in range(n)]
        began = time.process_time()
        check_writable(names, arrays)
        return time.process_time() - began

    assert seconds(64_000) < 40 * min(seconds(4_000) for _ in range(3))
