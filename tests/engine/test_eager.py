"""The reference engine: results of its own, dtypes kept, scalars as the dtype has them."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.reduction import block_sums
from gradstep.engine import eager
from gradstep.engine.tensor import Tensor, bad_gradient, check_gradient
from gradstep.form.chain import program
from gradstep.rule import registry, rule, stage
from gradstep.step.host import Host
from support import OF_GUESTS, bits, case, same

pytestmark = pytest.mark.usefixtures("own_registry")


def tensor(x, tx, start=0.5):
    slots = tuple(tuple(np.full_like(x, start) for _ in own) for own in program(tx).slots)
    return Tensor("w", x, slots, 0)


def rows(tx, t=1):
    made = program(tx)
    host = Host(made, [made.values(made.hyper, t - 1)], [0], (0.0, 3e38))
    return host.table(t, [made.memory()], lambda part, rows: [[1.0] * len(made.rules[part].measure)])[0][0]


class TestUpdate:
    def test_dtype_shape_and_kind(self):
        for name in (name for name in OF_GUESTS if not registry()[name].shapes):
            for dtype in ["f4", "f8", "c8", "c16"]:
                for shape in [(), (3,), (2, 0), (2, 3)]:
                    with case(name, dtype, shape):
                        tx = registry()[name]()
                        x = np.full(shape, 2.0, dtype)
                        value, state = eager.update(program(tx), tensor(x, tx), np.ones(shape, dtype), rows(tx))
                        for y in (value, *(y for own in state for y in own)):
                            assert type(y) is np.ndarray
                            assert y.dtype == x.dtype
                            assert y.shape == shape

    def test_scalars_are_rounded_once(self):
        tx = gs.sgd(lr=0.1)
        x = np.zeros(1, "f4")
        value, _ = eager.update(program(tx), tensor(x, tx), np.array([1e10], "f4"), rows(tx))
        assert bits(value) == bits(-(np.float32(0.1) * np.array([1e10], "f4")))

    def test_no_warnings_from_branches_that_are_left_out(self):
        tx = gs.chain(gs.adamax, gs.amsgrad(name="top", lr=0.1))  # 0/0 where no gradient has come yet
        x = np.zeros(3)
        value, _ = eager.update(program(tx), tensor(x, tx, 0.0), np.zeros(3), rows(tx))
        assert value.tolist() == [0.0] * 3

    def test_one_result_twice_is_two_arrays(self):
        def twice(theta, g, a, b):
            fresh = theta - g
            return fresh, g, fresh, fresh

        tx = rule(state="a b")(twice)()
        x = np.ones(3)
        value, ((a, b),) = eager.update(program(tx), tensor(x, tx), x, rows(tx))
        for p, q in ((value, a), (value, b), (a, b), (value, x)):
            assert not np.shares_memory(p, q)
        assert same([value, a, b], [x - x] * 3)


class TestMeasured:
    def squares(self, theta, g):
        return g * g + theta

    @pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
    def test_in_float64_after_the_stages_before(self, dtype):
        def seen(theta, g, k):
            return theta, k * g

        tx = gs.chain(gs.l2(0.5), stage(lambda total: {"k": 1.0}, reduce=self.squares, over="all")(seen), gs.sgd)
        rng = np.random.default_rng(0)
        x, g = (rng.normal(size=(2, 9000)) for _ in "xg")
        x, g = (np.asarray(y[0] + 1j * y[1] if dtype == "c8" else y[0], dtype) for y in (x, g))
        out = eager.measured(program(tx), 1, tensor(x, tx), g, [(0.5,)], 0)
        x, g = (y.view("f4") if dtype == "c8" else y for y in (x, g))
        left = (g + x.dtype.type(0.5) * x).astype("f8")
        assert out == [block_sums(left * left + x.astype("f8"))]


@pytest.mark.parametrize(
    ("g", "limit", "inside"),
    [
        ([1.0, -2.0], 2.0, True), ([1.0, -2.0], np.nextafter(2.0, 0), False), ([], 0.0, True),
        ([np.nan], np.inf, False), ([np.inf], 1e308, False), ([3 + 4j], 4.0, True), ([3 - 4j], 3.9, False),
        ([complex(0, np.nan)], 1e308, False),
    ],
)  # fmt: skip
def test_within(g, limit, inside):
    assert eager.within(np.array(g), limit) is inside
    assert eager.within(np.array(g).reshape(-1, 1), limit) is inside


class TestMessages:
    @pytest.mark.parametrize(
        ("g", "text"),
        [
            (np.array([[1.0, np.nan]]), "gradient 'w' is not finite: [0, 1] = nan; nothing was changed."),
            (np.array(np.inf), "gradient 'w' is not finite: inf; nothing was changed."),
            (np.array([1.0, 5.0]), "gradient 'w' is too large for this rule in float64 (limit 2): [1] = 5.0; nothing"),
            (np.array([1j, complex(1, np.nan)]), "gradient 'w' is not finite: [1] = (1+nanj); nothing was changed."),
            (np.array([0.0, -9.0, np.nan], ">f4"), "gradient 'w' is too large for this rule in float32 (limit 2): [1]"),
        ],
    )
    def test_the_first_bad_number(self, g, text):
        assert text in str(bad_gradient("w", g, 2.0))

    def test_the_usual_gradient_passes(self):
        check_gradient("w", np.ones(3), np.zeros(3))
        check_gradient("w", np.ones(3, ">f4"), np.zeros(3, "f4"))
        check_gradient("w", np.float32(1.0), np.zeros((), "f4"))


def test_nothing_is_written_when_one_update_fails(monkeypatch):
    """All results are there before the first array is touched."""
    real, calls = eager._run, []

    def failing(*args):
        calls.append(args)
        if len(calls) == 2:
            raise MemoryError
        return real(*args)

    params = {"a": np.ones(2), "b": np.ones(2)}
    opt = gs.Optimizer(params, "adam", engine="eager")
    monkeypatch.setattr(eager, "_run", failing)
    with pytest.raises(MemoryError):
        opt.step({"a": np.ones(2), "b": np.ones(2)})
    assert same(params, {"a": np.ones(2), "b": np.ones(2)})
    assert opt.t == 0
    assert not any(x.any() for own in opt.state.values() for x in own.values())
