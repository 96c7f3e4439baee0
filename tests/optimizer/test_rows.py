"""Gradients of some rows, ``gs.rows``: their sums, the rows that move, both engines, refusals, interrupts, files."""

import numpy as np
import pytest

import gradstep as gs
from support import at_line, fingerprint, same, states

ENGINES = pytest.mark.parametrize("engine", ["compiled", "eager"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
INDEX = [[7, 2, 7, 0, 7], [3, 3], [11, 4, 2], [], [5]]


def random(rng, shape, dtype):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def calls(dtype, row=(3,), seed=0):
    rng = np.random.default_rng(seed)
    return [gs.rows(own, random(rng, (len(own), *row), dtype)) for own in INDEX]


def as_whole(g, shape):
    """The gradient as a whole array: rows of equal indices added up one by one, as they come."""
    out, seen = np.zeros(shape, g.values.dtype), set()
    for k, x in zip(g.index.tolist(), g.values, strict=True):
        out[k] = out[k] + x if k in seen else x
        seen.add(k)
    return out


@ENGINES
@DTYPES
@pytest.mark.parametrize(
    "row", [(), (3,), (2, 5), (16,), (3, 7)]
)  # the last two are long enough to be stepped in place
@pytest.mark.parametrize("tx", [gs.sgd(lr=0.1), gs.adagrad(lr=0.1), gs.chain(gs.maximize, gs.adagrad(lr=0.1)),
                                gs.chain(gs.decay(weight_decay=0.0), gs.sgd(lr=0.1))])  # fmt: skip
def test_bits_are_those_of_whole_gradients(tx, row, dtype, engine):
    start = random(np.random.default_rng(1), (12, *row), dtype)
    a, b = start.copy(), start.copy()
    sparse, whole = gs.Optimizer(a, tx, engine=engine), gs.Optimizer(b, tx, engine=engine)
    state, c = gs.init(tx, start), start
    for g in calls(dtype, row):
        sparse.step(g)
        whole.step(as_whole(g, a.shape))
        c, state = gs.update(tx, c, g, state)
        assert same(a, b)
        assert same(a, c)
        assert same(states(sparse), states(whole))
    assert sparse.t == state.t == len(INDEX)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_is_lazy_and_counts_all_updates(dtype):
    """By hand, row by row: the averages of a row are of its own gradients, their correction of all updates."""
    theta = random(np.random.default_rng(1), (12, 3), dtype)
    params = {"compiled": theta.copy(), "eager": theta.copy()}
    opts = {engine: gs.Optimizer(x, "adam", lr=0.1, engine=engine) for engine, x in params.items()}
    exact = theta.astype(np.float64)
    m, v = np.zeros_like(exact), np.zeros_like(exact)
    for t, g in enumerate(calls(dtype), start=1):
        total = as_whole(g, theta.shape).astype(np.float64)
        for k in sorted(set(g.index.tolist())):
            m[k] = 0.9 * m[k] + 0.1 * total[k]
            v[k] = 0.999 * v[k] + 0.001 * total[k] ** 2
            exact[k] -= 0.1 * m[k] / (1 - 0.9**t) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
        for opt in opts.values():
            opt.step(g)
        assert same(params["compiled"], params["eager"])
        tolerance = 1e-12 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(params["eager"], exact, rtol=tolerance, atol=tolerance)


@ENGINES
def test_beside_whole_gradients_in_groups_with_a_schedule(engine):
    def made():
        params = {"table": np.ones((9, 2)), "w": np.ones(4), "bias": np.ones(3)}
        lr = gs.schedules.cosine(0.1, 10)
        groups = {"bias": {"lr": 0.01}, "w": gs.adamw(lr=0.1)}
        return gs.Optimizer(params, "adagrad", lr=lr, groups=groups, engine=engine)

    a, b = made(), made()
    for k, g in enumerate(calls(np.float64, (2,))):
        g = gs.rows(g.index % 9, g.values)
        others = {"w": np.full(4, k + 1.0), "bias": np.full(3, 2.0)}
        a.step({"table": g, **others})
        b.step({"table": as_whole(g, (9, 2)), **others})
        assert fingerprint(a) == fingerprint(b)


@ENGINES
@pytest.mark.parametrize("stage", [gs.clip_by_global_norm, gs.clip_by_norm])
def test_norms_and_clipping_see_rows(stage, engine):
    w = np.zeros((6, 2))
    opt = gs.Optimizer(w, gs.chain(stage(1.0), gs.sgd(lr=1.0)), engine=engine)
    opt.step(gs.rows([4, 1, 4], np.array([[1.0, 0.0], [0.0, 4.0], [2.0, 0.0]])))
    np.testing.assert_allclose(w[[4, 1]], [[-0.6, 0.0], [0.0, -0.8]], rtol=1e-15)
    assert opt.clipped
    assert not w[[0, 2, 3, 5]].any()


@ENGINES
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_the_guard_sees_rows(bad, engine):
    w = np.ones((6, 2))
    opt = gs.Optimizer({"w": w, "b": np.ones(2)}, "adagrad", engine=engine)
    grads = {"w": gs.rows([4, 1, 4], np.array([[1.0, 0.0], [0.0, bad], [2.0, 0.0]])), "b": np.ones(2)}
    before = fingerprint(opt)
    with pytest.raises(gs.NonFiniteError, match=r"'w' .*\[1, 1\] = "):
        opt.step(grads)
    assert isinstance(opt.look(grads), gs.NonFiniteError)
    with pytest.raises(gs.NonFiniteError):
        opt.rehearse(grads)
    with pytest.raises(gs.NonFiniteError):
        gs.update(gs.adagrad(), opt.params, grads, gs.init(gs.adagrad(), opt.params))
    assert fingerprint(opt) == before
    opt.on_nonfinite = "skip"
    opt.step(grads)
    assert (opt.t, opt.skipped) == (0, 1)


@ENGINES
@pytest.mark.parametrize(
    ("g", "error", "words"),
    [
        (lambda: gs.rows([6], np.ones((1, 2))), gs.GradstepValueError, "has the index 6, and its parameter 6 rows"),
        (lambda: gs.rows([0, -1], np.ones((2, 2))), gs.GradstepValueError, "has the index -1"),
        (lambda: gs.rows([0], np.ones((1, 3))), gs.GradstepValueError, r"should have \(1, 2\)"),
        (lambda: gs.rows([0], np.ones((2, 2))), gs.GradstepValueError, "a row for each of 1 indices"),
        (lambda: gs.rows([0], np.ones((1, 2), np.float32)), gs.GradstepTypeError, "rows of dtype float32"),
        (lambda: gs.rows([0.0], np.ones((1, 2))), gs.GradstepTypeError, "must be whole numbers on one axis"),
        (lambda: gs.rows([[0]], np.ones((1, 2))), gs.GradstepTypeError, "must be whole numbers on one axis"),
        (lambda: gs.rows([True], np.ones((1, 2))), gs.GradstepTypeError, "must be whole numbers on one axis"),
        (lambda: gs.rows([0], [[1.0, 2.0]]), gs.GradstepTypeError, "values are of type list"),
        (lambda: gs.rows([0], np.ma.ones((1, 2))), gs.GradstepTypeError, "masked"),
    ],
)
def test_rows_that_do_not_fit(g, error, words, engine):
    opt = gs.Optimizer(np.ones((6, 2)), "sgd", engine=engine)
    before = fingerprint(opt)
    with pytest.raises(error, match=words):
        opt.step(g())
    with pytest.raises(error, match=words):
        gs.update(gs.sgd(), opt.params, g(), gs.init(gs.sgd(), opt.params))
    assert fingerprint(opt) == before


@ENGINES
@pytest.mark.parametrize(
    ("tx", "words"),
    [
        (gs.momentum(), "momentum with these hyperparameters moves all rows"),
        (gs.adamw(), "adamw with these hyperparameters moves all rows"),
        (gs.chain(gs.l2(weight_decay=0.1), gs.sgd()), "l2 with these hyperparameters moves all rows"),
        (gs.chain(gs.decay(weight_decay=0.1), gs.adam()), "decay with these hyperparameters moves all rows"),
        (gs.chain(gs.sgd(), gs.ema()), "ema with these hyperparameters moves all rows"),
        (gs.chain(gs.accumulate(k=2), gs.sgd()), "accumulate gathers gradients of several calls"),
        (gs.muon(), "muon sees whole arrays"),
        (gs.lamb(), "lamb sums over whole arrays"),
    ],
)
def test_what_cannot_leave_rows_alone_refuses(tx, words, engine):
    opt = gs.Optimizer(np.ones((6, 2)), tx, engine=engine)
    before = fingerprint(opt)
    g = gs.rows([1], np.ones((1, 2)))
    with pytest.raises(gs.GradstepTypeError, match=words):
        opt.step(g)
    with pytest.raises(gs.GradstepTypeError, match=words):
        gs.update(tx, opt.params, g, gs.init(tx, opt.params))
    assert fingerprint(opt) == before
    opt.step(np.ones((6, 2)))


@ENGINES
def test_whole_gradients_of_a_group_may_decay_beside_rows(engine):
    """The same stages for both groups, and so one step; only the parameter with rows must have no decay."""

    def made(decay):
        params = {"w": np.full(3, 2.0), "table": np.ones((6, 2))}
        tx = gs.chain(gs.decay(weight_decay=0.5), gs.sgd(lr=0.5))
        return gs.Optimizer(params, tx, groups={"table": {"weight_decay": decay}}, engine=engine)

    grads = {"w": np.ones(3), "table": gs.rows([1], np.ones((1, 2)))}
    opt = made(0.0)
    opt.step(grads)
    assert opt.params["w"].tolist() == [1.0] * 3  # 2 - 0.5 0.5 2 - 0.5
    assert opt.params["table"][:, 0].tolist() == [1.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    opt = made(0.5)
    before = fingerprint(opt)
    with pytest.raises(gs.GradstepTypeError, match=r"gradient 'table' is gs\.rows, and decay with these"):
        opt.step(grads)
    assert fingerprint(opt) == before


def test_equal_indices_are_summed_in_jax():
    jnp = pytest.importorskip("jax").numpy
    x = np.array([[1.0, 2.0], [0.5, 0.25], [4.0, 8.0], [16.0, 32.0]], np.float32)
    table, tx = jnp.ones((5, 2)), gs.sgd(lr=1.0)
    after, _ = gs.update(tx, table, gs.rows([3, 1, 3, 3], jnp.asarray(x)), gs.init(tx, table))
    assert np.asarray(after).tolist() == [[1, 1], [0.5, 0.75], [1, 1], [-20, -41], [1, 1]]
    assert table.tolist() == [[1, 1]] * 5


def test_numbers_have_no_rows_and_stored_bits_neither():
    opt = gs.Optimizer(np.ones(()), "sgd")
    with pytest.raises(gs.GradstepValueError, match="which has no rows"):
        opt.step(gs.rows([0], np.ones(1)))
    opt = gs.Optimizer(np.ones((6, 2), np.float32), "adam", state_dtype="8bit")
    with pytest.raises(gs.GradstepTypeError, match="not for state_dtype="):
        opt.step(gs.rows([0], np.ones((1, 2), np.float32)))
    assert opt.t == 0
    for call in (gs.scalars, lambda *own: gs.apply(own[0], own[1], own[2], own[3].slots, {})):
        with pytest.raises(gs.GradstepTypeError, match=r"gs\.update does"):
            call(gs.sgd(), np.ones(3), gs.rows([0], np.ones(1)), gs.init(gs.sgd(), np.ones(3)))


@ENGINES
@pytest.mark.parametrize("act", ["look", "raise"])
@pytest.mark.parametrize("way", ["gathered", "placed", "placed alone"])
def test_a_step_is_whole_at_each_line(act, way, engine):
    class Late(Exception):
        pass

    k, seen = 1, set()
    while True:
        width = 2 if way == "gathered" else 16
        params = {"table": np.zeros((6, 4))[:, ::2] if way == "gathered" else np.zeros((6, 16)), "w": np.zeros(3)}
        grads = {"table": gs.rows([1, 4, 1], np.ones((3, width))), "w": np.ones(3)}
        if way == "placed alone":
            del params["w"], grads["w"]
        opt = gs.Optimizer(params, "adagrad", lr=1.0, engine=engine)
        opt.step(grads)

        def handler(opt=opt):
            if act == "raise":
                raise Late
            try:
                now = opt.parts()
            except gs.InUseError:
                return
            seen.add(now.t)
            check(opt)

        def check(opt=opt, params=params, k=k):
            own = opt.state["table"]["adagrad.s"]
            assert (own[1] == 4.0 * opt.t).all(), k
            assert (own[4] == opt.t).all(), k
            if "w" in params:
                assert (opt.state["w"]["adagrad.s"] == opt.t).all(), k
                assert (opt.params["table"][4] == opt.params["w"][0]).all(), k

        try:
            if not at_line(k, handler, lambda opt=opt, grads=grads: opt.step(grads)):
                break
        except Late:
            pass
        assert opt.t in (1, 2)
        check()
        opt.step(grads)
        check()
        k += 1 if engine == "compiled" else 4  # the eager engine has many lines, and all that is of rows is in both
    assert act == "raise" or engine == "eager" or seen == {1, 2}


@ENGINES
def test_saved_and_resumed(engine, tmp_path):
    def made():
        return gs.Optimizer(
            {"table": np.ones((12, 3))}, gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.1)), engine=engine
        )

    a, b = made(), made()
    own = calls(np.float64)
    for g in own[:3]:
        a.step({"table": g})
    a.save(tmp_path / "a.safetensors")
    b.restore(tmp_path / "a.safetensors")
    for g in own[3:]:
        a.step({"table": g})
        b.step({"table": g})
    assert fingerprint(a) == fingerprint(b)


def test_a_run_and_diagnostics():
    target = np.arange(24.0).reshape(12, 2)

    def objective(w, index):
        g = w[index] - target[index]
        return float((g * g).sum() / 2), gs.rows(index, g)

    w = np.zeros((12, 2))
    batches = gs.Batches(np.arange(12), size=4, seed=0)
    run = gs.Run(objective, w, "adagrad", lr=2.0, stop=gs.stop.steps(600), batches=batches)
    list(run)
    np.testing.assert_allclose(run.params, target, atol=0.2)
    opt = gs.Optimizer(np.zeros((12, 2)), "sgd", lr=1.0, diagnostics=True)
    opt.step(gs.rows([3, 3], np.array([[1.0, 0.0], [2.0, 4.0]])))
    assert (opt.diagnostics.grad_norm, opt.diagnostics.update_norm) == (5.0, 5.0)


def test_many_counts_of_rows_and_whole_gradients_between():
    rng, w = np.random.default_rng(3), np.zeros((50, 2))
    x = w.copy()
    a, b = gs.Optimizer(w, "adagrad", lr=0.1), gs.Optimizer(x, "adagrad", lr=0.1)
    for n in (40, 41, 9, 0, 100, 1, 43):
        g = gs.rows(rng.integers(0, 50, n), rng.normal(size=(n, 2)))
        a.step(g)
        b.step(as_whole(g, w.shape))
        a.step(np.ones_like(w))
        b.step(np.ones_like(w))
        assert fingerprint(a) == fingerprint(b)


def test_a_method_that_needs_whole_gradients_refuses():
    def objective(w):
        return float((w[:2] ** 2).sum()), gs.rows([0, 1], 2 * w[:2])

    w = np.ones((4, 2))
    with pytest.raises(gs.GradstepTypeError, match="lbfgs needs whole gradients"):
        gs.minimize(objective, w, "lbfgs")
    assert (w == 1.0).all()
