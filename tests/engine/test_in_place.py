"""Rows of a table that are stepped where they lie: every bit is that of the whole gradient, whatever comes."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.memory import address
from support import fingerprint, same, states

pytest.importorskip("llvmlite")
from gradstep.engine.cpu import row_places


def placed(opt):
    """The engine of rows where they lie; None: they are gathered."""
    return getattr(opt._step._engine, "placed", None)


def random(rng, shape, dtype):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def whole(index, values, shape):
    """The gradient as a whole array: rows of equal indices added up one by one, as they come."""
    out, seen = np.zeros(shape, values.dtype), set()
    for k, x in zip(index.tolist(), values, strict=True):
        out[k] = out[k] + x if k in seen else x
        seen.add(k)
    return out


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_bits_of_many_counts_with_equal_rows_and_whole_gradients_between(dtype, threads):
    rng = np.random.default_rng(5)
    start = {
        "table": random(rng, (4000, 70), dtype),
        "wide": random(rng, (9, 3, 11), dtype),
        "w": random(rng, 5, dtype),
    }
    a, b = ({key: x.copy() for key, x in start.items()} for _ in range(2))
    sparse, dense = (gs.Optimizer(x, "adagrad", lr=0.1, threads=threads) for x in (a, b))
    for n, m in [(40, 3), (41, 0), (3000, 30), (0, 1), (9, 9), (2500, 7)]:
        index = {"table": rng.integers(0, 4000, n), "wide": rng.integers(0, 9, m)}
        values = {key: random(rng, (len(x), *a[key].shape[1:]), dtype) for key, x in index.items()}
        w = random(rng, 5, dtype)
        sparse.step({"w": w, **{key: gs.rows(index[key], values[key]) for key in index}})
        assert placed(sparse) is not None
        dense.step({"w": w, **{key: whole(index[key], values[key], a[key].shape) for key in index}})
        assert same(a, b)
        assert same(states(sparse), states(dense))
        for opt in (sparse, dense):
            opt.step({key: np.ones_like(x) for key, x in a.items()})
        assert fingerprint(sparse) == fingerprint(dense)
    assert sparse.t == 12


def test_rows_alone_are_stepped_in_one_call():
    table = np.ones((50, 16))
    opt = gs.Optimizer(table, "sgd", lr=1.0)
    opt.step(gs.rows([3, 4, 3], np.ones((3, 16))))
    engine = opt._step._engine
    engine.placed.load = None  # what goes in parts would call it
    opt.step(gs.rows([3, 9, 3], np.ones((3, 16))))
    assert table[[3, 4, 9, 0], 0].tolist() == [-3.0, 0.0, 0.0, 1.0]
    assert opt.t == engine.applied == 2


@pytest.mark.parametrize(
    ("tx", "width", "options"),
    [
        (gs.sgd(lr=0.1), 15, {}),
        (gs.chain(gs.clip_by_norm(1.0), gs.sgd(lr=0.1)), 16, {}),
        (gs.sgd(lr=0.1), 16, {"diagnostics": True}),
        (gs.sgd(lr=0.1), 16, {"engine": "eager"}),
    ],
    ids=["short rows", "sums", "meters", "eager"],
)
def test_what_is_gathered(tx, width, options):
    opt = gs.Optimizer(np.ones((9, width)), tx, **options)
    opt.step(gs.rows([3], np.ones((1, width))))
    assert placed(opt) is None
    assert opt.t == 1


def strange():
    """Values as they may come: strided, in the other byte order, read-only."""
    x = np.arange(96.0, dtype="f4").reshape(3, 32) / 64
    fixed = x[:, :16].copy()
    fixed.flags.writeable = False
    return {
        "strided": x[:, ::2],
        "swapped": x[:, :16].astype(">f4"),
        "read-only": fixed,
        "turned": x[:, :3].T.repeat(1),
    }


@pytest.mark.parametrize("index", [[1, 2, 0], [2, 2, 1]], ids=["different", "equal"])
class TestValues:
    @pytest.mark.parametrize("kind", ["strided", "swapped", "read-only"])
    def test_of_other_forms(self, kind, index):
        values = strange()[kind]
        a, b = np.ones((5, 16), "f4"), np.ones((5, 16), "f4")
        sparse, dense = gs.Optimizer(a, "sgd", lr=0.5), gs.Optimizer(b, "sgd", lr=0.5)
        for _ in range(2):
            sparse.step(gs.rows(index, values))
            dense.step(whole(np.array(index), np.array(values, "f4"), (5, 16)))
        assert placed(sparse) is not None
        assert same(a, b)

    def test_that_lie_in_the_table(self, index):
        a = np.random.default_rng(0).normal(size=(5, 16))
        b = a.copy()
        sparse, dense = gs.Optimizer(a, "sgd", lr=0.5), gs.Optimizer(b, "sgd", lr=0.5)
        for _ in range(2):
            dense.step(whole(np.array(index), a[:3].copy(), (5, 16)))
            sparse.step(gs.rows(index, a[:3]))
            assert same(a, b)

    @pytest.mark.parametrize("names", ["ab", "ba"])
    def test_that_lie_in_a_parameter_of_another_rule(self, names, index):
        """Whichever of the two is written first."""
        rng = np.random.default_rng(0)
        start = {name: rng.normal(size=(5, 16)) for name in names}
        params, other = ({name: x.copy() for name, x in start.items()} for _ in range(2))
        groups = {"b": gs.momentum(lr=0.5)}
        sparse, dense = (gs.Optimizer(x, "sgd", lr=0.5, groups=groups) for x in (params, other))
        for _ in range(2):
            values = params["b"][:3].copy()
            dense.step({"a": whole(np.array(index), values, (5, 16)), "b": params["a"].copy()})
            sparse.step({"a": gs.rows(index, params["b"][:3]), "b": params["a"]})
            assert same(params, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 6, -1])
def test_what_is_refused_changes_nothing(bad):
    table = np.ones((6, 16))
    opt = gs.Optimizer(table, "adagrad", lr=0.1)
    good = gs.rows([1, 5], np.ones((2, 16)))
    opt.step(good)
    before = fingerprint(opt)
    values = np.ones((3, 16))
    is_index = bad in (6, -1)
    if not is_index:
        values[2, 3] = bad
    with pytest.raises(
        gs.GradstepValueError if is_index else gs.NonFiniteError, match="index" if is_index else r"\[4, 3\]"
    ):
        opt.step(gs.rows([1, 2, bad if is_index else 4], values))
    assert fingerprint(opt) == before
    opt.step(good)
    assert opt.t == 2


def test_a_table_of_another_form_is_refused():
    table = np.ones((6, 32))
    opt = gs.Optimizer(table, "sgd")
    opt.step(gs.rows([1], np.ones((1, 32))))
    table.shape = (12, 16)
    with pytest.raises(gs.GradstepValueError, match="was float64"):
        opt.step(gs.rows([1], np.ones((1, 16))))
    table.shape = (6, 32)
    opt.step(gs.rows([1], np.ones((1, 32))))
    assert opt.t == 2


def test_a_schedule_that_begins_to_decay_is_refused_then():
    tx = gs.chain(gs.decay(weight_decay=lambda t: 0.1 if t > 1 else 0.0), gs.sgd(lr=0.5))
    opt = gs.Optimizer(np.ones((6, 16)), tx)
    g = gs.rows([1], np.ones((1, 16)))
    opt.step(g)
    opt.step(g)
    before = fingerprint(opt)
    with pytest.raises(gs.GradstepTypeError, match="decay with these hyperparameters moves all rows"):
        opt.step(g)
    assert fingerprint(opt) == before


@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("rows", [1, 5, 1 << 40])
def test_rows_are_found_and_added_as_in_python(rows, n):
    rng = np.random.default_rng(n)
    index = rng.integers(0, min(rows, 200), n) * max(1, rows // 200)
    values = rng.normal(size=(n, 3))
    seen, target = np.empty(1 << (n + n // 2).bit_length(), np.int64), np.full(n, -1)
    chunks, found = np.full((n, 3), -1), np.zeros(1, np.int64)
    words = np.array([
        n, rows, address(seen), (n + n // 2).bit_length(), address(target), address(chunks), 24, address(found),
        2, 0, 1000, 8, 16, 5000, 24,
    ])  # fmt: skip
    find, add = row_places.functions()
    count = find(id(index), id(values), address(words))
    numbers = {}
    for k in index.tolist():
        numbers.setdefault(k, len(numbers))
    assert found[0] == address(values)
    assert count == len(numbers)
    assert target.tolist() == [numbers[k] for k in index.tolist()]
    assert chunks[:count].tolist() == [[1000 + 8 * k, -1, 5000 + 24 * k] for k in numbers]
    total = np.full((count, 3), np.nan)
    add["float64"](address(target), n, address(values), 3, address(total))
    sums = {}
    for k, x in zip(index.tolist(), values.tolist(), strict=True):
        sums[k] = [a + b for a, b in zip(sums[k], x, strict=True)] if k in sums else x
    assert total.tolist() == list(sums.values())
    if n:
        index[n // 2] = -1 if n % 2 else rows
        assert find(id(index), id(values), address(words)) == row_places.OUTSIDE
