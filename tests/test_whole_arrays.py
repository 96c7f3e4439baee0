"""Rules of whole arrays beyond the laws: how they are declared, state of other shapes, and who refuses what."""

import math
import tracemalloc

import mpmath
import numpy as np
import pytest

import gradstep as gs
from gradstep.array.reduction import axis_sums
from gradstep.errors import RuleError
from gradstep.form.equation import equation
from gradstep.rule import rule, stage, variant
from gradstep.vocabulary import (
    columns,
    eigh,
    gram,
    iterated,
    least_norm,
    matmul,
    mean,
    norm,
    qr,
    repeat,
    rows,
    simplex,
    spacing,
    sqrt,
    transpose,
    trisolve,
    when,
    where,
)
from gradstep.vocabulary import max as largest
from papers.exact import exact
from support import bits, fingerprint

ENGINES = ["eager", "compiled"]
RULES = [gs.adafactor(), gs.muon(weight_decay=0.1)]


def problem(seed=0, dtype="f8"):
    rng = np.random.default_rng(seed)
    shapes = {"w": (5, 3), "tall": (40, 2), "wide": (2, 40), "b": (7,), "s": ()}
    return {key: rng.normal(size=shape).astype(dtype) for key, shape in shapes.items()}


@pytest.fixture(params=RULES, ids=["adafactor", "muon"])
def tx(request):
    return request.param


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


class TestState:
    def test_shapes(self, engine):
        opt = gs.Optimizer({"w": np.ones((5, 3)), "b": np.ones(4), "x": np.ones((2, 5, 3))}, "adafactor", engine=engine)
        found = {name: {key: x.shape for key, x in own.items()} for name, own in opt.state.items()}
        assert found == {
            "w": {"adafactor.r": (5, 1), "adafactor.c": (1, 3)},
            "b": {"adafactor.r": (4, 1), "adafactor.c": (1, 1)},
            "x": {"adafactor.r": (2, 5, 1), "adafactor.c": (2, 1, 3)},
        }

    def test_a_stack_is_its_matrices(self, engine):
        x, g = problem(1)["w"], problem(2)["w"]
        stack, grads = np.stack([x, 2 * x]), np.stack([g, -3 * g])
        opt, apart = (gs.Optimizer(p, "adafactor", engine=engine) for p in (stack, [x.copy(), 2 * x]))
        for _ in range(3):
            opt.step(grads)
            apart.step(list(grads))
        assert bits(stack) == bits(np.stack(apart.params))

    @pytest.mark.usefixtures("own_registry")
    def test_the_whole_of_a_stack_and_the_spacing_of_a_dtype(self, engine):
        def made(theta, g, rate):
            size = mean(theta * theta, "array") + mean(g, "all") + largest(theta, "array")
            return theta - rate * (size + spacing(g)) * where(columns(g) > 2.0, g, 0.0 * g), g

        tx = rule(lambda rate=1.0: {"rate": rate}, whole=True, power=3)(made)()
        x, g = np.arange(12.0).reshape(2, 2, 3), np.arange(12.0).reshape(2, 2, 3)[::-1]
        for dtype, eps in (("f4", 2.0**-23), ("f8", 2.0**-52)):
            params = {"x": x.astype(dtype), "two": np.ones((3, 2), dtype)}
            gs.Optimizer(params, tx, engine=engine).step({"x": g.astype(dtype), "two": np.ones((3, 2), dtype)})
            size = np.mean(x * x) + np.mean(g, axis=(1, 2), keepdims=True) + 11.0
            np.testing.assert_allclose(params["x"], x - (size + eps) * g, rtol=4 * eps)
            assert (params["two"] == 1.0).all()

    def test_it_goes_on_from_a_file_with_the_same_bits(self, tx, engine, tmp_path):
        opt, other = (gs.Optimizer(problem(), tx, engine=engine) for _ in range(2))
        for seed in (1, 2):
            opt.step(problem(seed))
        opt.save(tmp_path / "x.safetensors")
        other.restore(tmp_path / "x.safetensors")
        assert fingerprint(other) == fingerprint(opt)
        for x in (opt, other):
            x.step(problem(3))
        assert fingerprint(other) == fingerprint(opt)

    def test_a_file_with_other_shapes_is_refused(self, tmp_path):
        opt = gs.Optimizer({"w": np.ones((5, 3))}, "adafactor")
        opt.save(tmp_path / "x.safetensors")
        other = gs.Optimizer({"w": np.ones((3, 5))}, "adafactor")
        with pytest.raises(gs.CheckpointError, match=r"state 'adafactor.c' of 'w' has the shape \(1, 3\)"):
            other.restore(tmp_path / "x.safetensors")

    def test_reset(self, tx, engine):
        opt = gs.Optimizer(problem(), tx, engine=engine)
        opt.step(problem(1))
        opt.reset()
        assert not any(x.any() for own in opt.state.values() for x in own.values())

    def test_update_is_the_step(self, tx, engine):
        params = problem()
        opt, state = gs.Optimizer(problem(), tx, engine=engine), gs.init(tx, params)
        for seed in (1, 2, 3):
            opt.step(problem(seed))
            params, state = gs.update(tx, params, problem(seed), state)
        assert all(bits(params[key]) == bits(x) for key, x in opt.params.items())
        slots = {name: {key: bits(x) for key, x in own.items()} for name, own in state.slots.items()}
        assert slots == {name: {key: bits(x) for key, x in own.items()} for name, own in opt.state.items()}

    def test_a_state_of_another_shape_is_refused(self):
        params = {"w": np.ones((5, 3))}
        state = gs.init(gs.adafactor(), params)
        state.slots["w"]["adafactor.r"] = np.ones((5, 3))
        with pytest.raises(gs.GradstepValueError, match=r"of 'w' has shape \(5, 3\), and should have \(5, 1\)"):
            gs.update(gs.adafactor(), params, params, state)


class TestSteps:
    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
    def test_engines_agree(self, tx, dtype):
        chain = gs.chain(gs.clip_by_global_norm(1.0), tx, gs.ema(decay=0.9))
        seen = set()
        for engine in ENGINES:
            opt = gs.Optimizer(problem(dtype=dtype), chain, engine=engine)
            for seed in range(1, 5):
                opt.step(problem(seed, dtype))
            seen.add(fingerprint(opt))
        assert len(seen) == 1

    @pytest.mark.parametrize("engine", ENGINES)
    def test_two_in_a_chain_with_a_norm_between(self, engine):
        chain = gs.chain(gs.muon(name="first"), gs.clip_by_norm(0.5), gs.adafactor(lr=0.01, name="second"))
        params, state = problem(), gs.init(chain, problem())
        opt = gs.Optimizer(problem(), chain, engine=engine)
        for seed in range(1, 4):
            opt.step(problem(seed))
            params, state = gs.update(chain, params, problem(seed), state)
        assert all(bits(params[key]) == bits(x) for key, x in opt.params.items())

    @pytest.mark.parametrize("layout", ["strided", "fortran", "swapped"])
    def test_parameters_and_gradients_however_they_lie(self, tx, engine, layout):
        def laid(x):
            if layout == "strided":
                return np.repeat(x, 2, axis=0)[::2]
            return np.asfortranarray(x) if layout == "fortran" else x.astype(x.dtype.newbyteorder())

        x = problem()["w"]
        plain, odd = gs.Optimizer(x.copy(), tx, engine=engine), gs.Optimizer(laid(x), tx, engine=engine)
        for seed in (1, 2, 3):
            plain.step(problem(seed)["w"])
            odd.step(laid(problem(seed)["w"]))
        assert np.array_equal(plain.params, odd.params)

    def test_a_bad_gradient_changes_nothing(self, tx, engine):
        opt = gs.Optimizer(problem(), tx, engine=engine)
        opt.step(problem(1))
        before, grads = fingerprint(opt), problem(2)
        grads["tall"][3, 1] = np.nan
        with pytest.raises(gs.NonFiniteError, match=r"gradient 'tall' is not finite: \[3, 1\]"):
            opt.step(grads)
        assert fingerprint(opt) == before

    def test_diagnostics(self, tx, engine):
        opt = gs.Optimizer(problem(), tx, engine=engine, diagnostics=True)
        opt.step(problem(1))
        assert opt.diagnostics is not None

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads(self, tx, threads):
        rng = np.random.default_rng(0)
        x, g = rng.normal(size=(2, 400, 300))
        opts = [gs.Optimizer(x.copy(), tx, engine=engine, threads=threads) for engine in ENGINES]
        for opt in opts:
            opt.step(g)
            opt.step(-2 * g)
        assert bits(opts[0].params) == bits(opts[1].params)


class TestRefusals:
    def test_complex(self, tx):
        with pytest.raises(gs.GradstepTypeError, match=r"parameter 'c' is complex, and .* is for real matrices"):
            gs.Optimizer({"c": np.ones((2, 2), complex)}, tx)

    def test_more_axes(self):
        with pytest.raises(gs.GradstepValueError, match="parameter 'k' has 4 axes, and muon is for matrices"):
            gs.Optimizer({"w": np.ones((2, 2)), "k": np.ones((2, 2, 3, 3))}, "muon")
        gs.Optimizer({"w": np.ones((2, 2)), "k": np.ones((2, 2, 3, 3))}, "muon", groups={"k": "freeze"})

    @pytest.mark.parametrize("state_dtype", ["8bit", "bfloat16"])
    def test_state_in_fewer_bits(self, tx, state_dtype):
        with pytest.raises(gs.GradstepValueError, match=r"is not for .*, which sees whole arrays"):
            gs.Optimizer({"w": np.ones((2, 2), "f4")}, tx, state_dtype=state_dtype)

    def test_sixteen_bits_with_a_master_copy(self, tx):
        opts = [gs.Optimizer(problem(dtype="f2"), tx, engine=engine, master=True) for engine in ENGINES]
        for opt in opts:
            opt.step(problem(1, "f2"))
            opt.step(problem(2, "f2"))
        assert fingerprint(opts[0]) == fingerprint(opts[1])


def declare(update, **options):
    return rule(**{"state": "", "whole": True, **options})(update)


@pytest.mark.usefixtures("own_registry")
class TestDeclaring:
    @pytest.mark.parametrize(
        ("update", "said"),
        [
            (lambda theta, g: (theta + matmul(g, g), g), "multiplies rows by columns by rows by columns"),
            (lambda theta, g: (theta + transpose(g), g), "do not fit: rows by columns, columns by rows"),
            (lambda theta, g: (mean(theta, "rows"), g), "which has another shape than theta"),
            (lambda theta, g: (theta - mean(g, "depth"), g), 'goes over "rows", "columns", "all" or "array"'),
            (lambda theta, g: (theta - norm(2.0) * g, g), "."),
            (lambda theta, g: (theta + qr(g)[0], g), "is for square matrices, not rows by columns"),
            (lambda theta, g: (theta - repeat(transpose, g, 2), g), "does not keep the shape"),
            (lambda theta, g: (simplex(theta, g), g), "takes a number, not g, for what the elements add up to"),
            (lambda theta, g: (theta.T, g), "uses an array's attribute"),
        ],
    )  # fmt: skip
    def test_refused(self, update, said):
        with pytest.raises(RuleError, match=said):
            declare(update)

    def test_an_elementwise_rule_has_no_words_for_matrices(self):
        with pytest.raises(RuleError, match="looks at whole arrays; declare the rule with whole=True"):
            declare(lambda theta, g: (theta - mean(g, "all") * g, g), whole=False)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"shapes": {"m": "rows"}}, "the shape of m is 'rows'"),
            ({"state": "m", "shapes": {"m": "diagonal"}}, "knows rows, columns"),
            ({"whole": False, "axes": 2}, "are for rules of whole arrays"),
            ({"whole": False, "folds": "last"}, "are for rules of whole arrays"),
            ({"whole": False, "fewest": 2}, "are for rules of whole arrays"),
            ({"folds": "middle"}, "folds= is 'first' or 'last'"),
            ({"state": "m", "shapes": {"m": "rows"}, "folds": "last"}, "goes with neither shapes= nor read="),
            ({"reduce": lambda g: g, "over": "all"}, "has no reduce="),
        ],
    )
    def test_options(self, options, said):
        with pytest.raises(RuleError, match=said):
            declare(lambda theta, g, *_: (theta, g), **options)

    def test_square_state(self, engine):
        """A rule with all words: a preconditioner of rows, its eigenvectors and its factors."""

        def update(theta, g, left, top):
            left = left + matmul(g, transpose(g))
            values, vectors = eigh(left)
            q, _ = qr(left)
            top = top + largest(g, "all")
            g = matmul(vectors, matmul(transpose(vectors), g)) + 0.0 * matmul(q, g)
            return theta - 0.1 * g / (norm(g) + 1e-3) - 0.0 * mean(values, "columns") * g * rows(g), g, left, top

        made = declare(update, state="left top", shapes={"left": "rows rows", "top": "one"}, start={})
        opts = [gs.Optimizer({"w": problem()["w"]}, made(), engine=x) for x in ENGINES]
        for opt in opts:
            for seed in (1, 2):
                opt.step({"w": problem(seed)["w"]})
            assert opt.state["w"]["<lambda>.left" if made.name == "<lambda>" else f"{made.name}.left"].shape == (5, 5)
        assert fingerprint(opts[0]) == fingerprint(opts[1])
        assert "eigh" in equation(made).text()


def test_eigenvectors_that_are_not_found_are_no_numbers(monkeypatch):
    def unfound(_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    monkeypatch.setattr(np.linalg, "eigh", unfound)
    values, vectors = eigh(np.eye(3, dtype="f4"))
    for found, shape in ((values, (1, 3)), (vectors, (3, 3))):
        assert (found.shape, found.dtype) == (shape, "f4")
        assert np.isnan(found).all()


class TestSums:
    @pytest.mark.parametrize("axis", [-1, -2])
    @pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 17), (0, 4), (4, 0), (2, 33, 40), (100, 5000)])
    def test_against_exact_sums(self, axis, shape):
        x = np.random.default_rng(0).normal(size=shape)
        got = axis_sums(x, axis)
        assert got.shape == np.sum(x, axis=axis, keepdims=True).shape
        assert np.allclose(got, np.sum(x.astype(np.longdouble), axis=axis, keepdims=True), rtol=0, atol=1e-12)

    @pytest.mark.parametrize("axis", [-1, -2])
    def test_the_order_is_that_of_lanes(self, axis):
        """Sixteen lanes in order, then halved: written out for one row."""
        x = np.random.default_rng(1).normal(size=50) * 10.0 ** np.arange(-25, 25)
        lanes = [0.0] * 16
        for k, number in enumerate(x.tolist()):
            lanes[k % 16] += number
        while len(lanes) > 1:
            lanes = [a + b for a, b in zip(lanes[: len(lanes) // 2], lanes[len(lanes) // 2 :], strict=True)]
        table = x.reshape((1, -1) if axis == -1 else (-1, 1))
        assert axis_sums(table, axis).item() == lanes[0]
        assert axis_sums(np.asfortranarray(table)[::1], axis).item() == lanes[0]


SHAMPOO = {"lr": 0.1, "eps": 1e-2}


def shampoo():
    """Declare Shampoo, whose preconditioners start at a multiple of the identity."""

    def root(x):
        values, vectors = eigh(x)
        return matmul(vectors * (1.0 / sqrt(sqrt(values))), transpose(vectors))

    def update(theta, g, left, right, lr):
        left = left + matmul(g, transpose(g))
        right = right + matmul(transpose(g), g)
        theta = theta - lr * matmul(matmul(root(left), g), root(right))
        return theta, g, left, right

    update.__name__ = "own_shampoo"
    return rule(
        lambda lr=0.1, eps=1e-2: {"lr": lr},
        state="left right",
        shapes={"left": "rows rows", "right": "columns columns"},
        start={"left": "eps identity", "right": "eps identity"},
        whole=True,
        power=2,
        axes=2,
        units={"lr": "theta", "eps": "g*g"},
    )(update)


def _times(p, q):
    return [[sum(x * q[k][j] for k, x in enumerate(row)) for j in range(len(q[0]))] for row in p]


def _turned(p):
    return [list(column) for column in zip(*p, strict=True)]


@exact(SHAMPOO)
def shampoo_of_the_paper(theta0, gradients, *, lr, eps):
    """Gupta, Koren & Singer 2018, arXiv:1802.09568, Algorithm 1.

    L_0 = eps I, R_0 = eps I;  L_t = L_{t-1} + G G^T;  R_t = R_{t-1} + G^T G;  W_{t+1} = W_t - eta L^{-1/4} G R^{-1/4}
    """

    def identity(n):
        return [[eps * (i == j) for j in range(n)] for i in range(n)]

    def root(p):
        values, vectors = mpmath.eigsy(mpmath.matrix(p))
        n = len(p)
        scaled = [[vectors[i, j] / mpmath.root(values[j], 4) for j in range(n)] for i in range(n)]
        return _times(scaled, [[vectors[j, i] for j in range(n)] for i in range(n)])

    w, left, right = theta0, identity(len(theta0)), identity(len(theta0[0]))
    for g in gradients:
        left = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(left, _times(g, _turned(g)), strict=True)]
        right = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(right, _times(_turned(g), g), strict=True)]
        step = _times(_times(root(left), g), root(right))
        w = [[a - lr * b for a, b in zip(x, y, strict=True)] for x, y in zip(w, step, strict=True)]
        yield w


@pytest.mark.usefixtures("own_registry")
class TestStarts:
    def test_shampoo_is_the_papers(self, engine):
        params = {"w": problem()["w"][:3]}
        grads = [problem(seed)["w"][:3] for seed in (1, 2, 3)]
        oracle = shampoo_of_the_paper(params["w"].tolist(), [g.tolist() for g in grads], **SHAMPOO)
        opt = gs.Optimizer(params, shampoo()(), engine=engine)
        for g, wanted in zip(grads, oracle, strict=True):
            opt.step({"w": g})
            np.testing.assert_allclose(opt.params["w"], np.array(wanted, float), rtol=1e-11)

    def test_identities_of_stacks_numbers_and_other_namespaces(self, engine):
        """A square slot begins as the identity, of each matrix of a stack, in the parameter's dtype."""

        def turning(theta, g, q, top, lr):
            return theta - lr * matmul(q, g) * mean(top, "all"), g, q, top

        made = rule(
            lambda lr=0.5: {"lr": lr},
            state="q top",
            shapes={"q": "rows rows", "top": "rows"},
            start={"q": "identity", "top": 1.0},
            whole=True,
        )(turning)
        params = {
            "w": np.ones((3, 2)),
            "x": np.ones((2, 3, 4), "f4"),
            "b": np.ones(5),
            "s": np.ones(()),
            "e": np.ones((0, 2)),
        }
        opt = gs.Optimizer(params, made(), engine=engine)
        for name, x in params.items():
            n = x.shape[-2] if x.ndim > 1 else x.size
            q = opt.state[name]["turning.q"]
            assert q.dtype == x.dtype
            assert q.flags.c_contiguous
            assert (q == np.broadcast_to(np.eye(n), q.shape)).all()
            assert q.shape == (*x.shape[:-2], n, n)
        opt.step({name: np.full_like(x, 0.5) for name, x in params.items()})
        assert all((x == 0.75).all() for x in params.values())
        opt.reset()
        assert (opt.state["x"]["turning.q"][1] == np.eye(3)).all()
        state = gs.init(made(), params)
        assert (state.slots["w"]["turning.q"] == np.eye(3)).all()

    def test_a_grown_model_begins_at_it(self, tmp_path):
        made = shampoo()
        old = gs.Optimizer({"w": problem()["w"]}, made(eps=0.5))
        old.step({"w": problem(1)["w"]})
        old.save(tmp_path / "a.safetensors")
        opt = gs.Optimizer({"w": problem()["w"], "new": np.ones((2, 3))}, made())
        opt.restore(tmp_path / "a.safetensors", strict=False)
        assert (opt.state["new"]["own_shampoo.left"] == 0.5 * np.eye(2)).all()
        assert bits(opt.state["w"]["own_shampoo.left"]) == bits(old.state["w"]["own_shampoo.left"])

    def test_torch(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3, 2)
        opt = gs.Optimizer({"w": w}, shampoo()(eps=0.25))
        assert torch.equal(opt.state["w"]["own_shampoo.left"], 0.25 * torch.eye(3))

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"shapes": {"m": "rows"}, "start": {"m": "identity"}}, "an identity is for the shapes rows rows and"),
            ({"start": {"m": "identity"}}, "an identity is for the shapes"),
            ({"shapes": {"m": "rows rows"}, "start": {"m": "eps identity"}}, "'eps' is no hyperparameter"),
            ({"shapes": {"m": "rows"}, "start": {"m": "theta"}}, "has another shape than theta"),
            ({"shapes": {"m": "rows"}, "start": {"m": lambda theta: theta}}, "has another shape than theta"),
            ({"start": {"m": "thetta"}}, "cannot start as 'thetta'; a start is a number"),
        ],
    )
    def test_starts_that_cannot_be(self, options, said):
        with pytest.raises(RuleError, match=said):
            declare(lambda theta, g, m: (theta, g, m), state="m", **options)

    def test_a_start_of_an_elementwise_rule_is_looked_at_too(self):
        """It was a KeyError of the first optimizer."""
        with pytest.raises(RuleError, match="cannot start as 'first'"):
            rule(state="m", start={"m": "first"})(lambda theta, g, m: (theta, g, m))

    def test_a_read_of_whole_arrays(self, engine):
        """An average may be read by words for matrices; a number and a vector are matrices there too."""

        def centred(theta, g, m, lr):
            return theta - lr * g, g, 0.5 * m + 0.5 * theta

        made = rule(
            lambda lr=0.5: {"lr": lr}, state="m", whole=True, read=lambda theta, m: theta - mean(m, "rows") + 0.0 * m
        )(centred)
        params = problem()
        opt = gs.Optimizer(params, made(), engine=engine)
        opt.step(problem(1))
        for name, x in params.items():
            m = opt.state[name]["centred.m"]
            table = m.reshape(m.shape if m.ndim > 1 else (-1, 1))
            wanted = x - table.mean(axis=0).reshape((1, -1) if m.ndim > 1 else ())
            assert opt.averaged()[name].shape == x.shape
            np.testing.assert_allclose(opt.averaged()[name], wanted, rtol=1e-12, atol=1e-15)
        with pytest.raises(RuleError, match=r"read returns .*which has another shape than theta"):
            rule(state="m", whole=True, read=lambda m: mean(m, "rows"))(lambda theta, g, m: (theta, g, m))

    def test_no_wraps(self):
        with pytest.raises(RuleError, match=r"a stage of whole arrays has no wraps=; an elementwise stage may wrap"):
            stage(wraps=True, whole=True)(lambda before, theta, g: (theta, g))
        tx = gs.chain(gs.muon(), gs.cautious())
        w = problem()["w"]
        gs.Optimizer({"w": w}, tx).step({"w": problem(1)["w"]})
        assert not np.array_equal(w, problem()["w"])


@pytest.fixture
def short(own_registry):
    """Shampoo whose squares have sides of three at most."""

    def shampoo_of_short_sides(lr=1.0, eps=1e-4):
        return gs.shampoo.scalars(lr, eps)

    return variant(gs.shampoo, longest=3)(shampoo_of_short_sides)


def shampoo_by_hand(theta, grads, *, lr, eps, longest):
    """NumPy's, with whole squares: off the diagonal of a long side's there are zeros."""

    def power(p, exponent):
        values, vectors = np.linalg.eigh(p)
        return vectors * values**exponent @ vectors.T

    sums = [eps * np.eye(n) for n in theta.shape]
    for g in grads:
        for k, own in enumerate((g, g.T)):
            square = own @ own.T
            sums[k] += np.diag(np.diag(square)) if len(own) > longest else square
        if theta.shape[1] == 1:
            theta = theta - lr * power(sums[0], -1 / 2) @ g
        else:
            theta = theta - lr * power(sums[0], -1 / 4) @ g @ power(sums[1], -1 / 4)
        yield theta


class TestLongSides:
    @pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4), (4, 5), (4, 1), (1, 4), (5,), ()])
    def test_of_long_sides_there_is_the_diagonal(self, short, engine, shape):
        rng = np.random.default_rng(0)
        theta, grads = rng.normal(size=shape), rng.normal(size=(4, *shape))
        matrix = (*shape, *(1,) * (2 - len(shape)))
        wanted = shampoo_by_hand(theta.reshape(matrix), grads.reshape(4, *matrix), lr=0.1, eps=1e-2, longest=3)
        opt = gs.Optimizer({"w": theta}, short(lr=0.1, eps=1e-2), engine=engine)
        for g, after in zip(grads, wanted, strict=True):
            opt.step({"w": g})
            np.testing.assert_allclose(opt.params["w"].reshape(matrix), after, rtol=1e-11, atol=1e-12)
        found = [opt.state["w"][f"shampoo_of_short_sides.{key}"].shape for key in ("left", "right")]
        assert found == [(n, n if n <= 3 else 1) for n in matrix]

    @pytest.mark.parametrize("name", ["array_api_strict", "torch", "jax.numpy"])
    def test_in_every_namespace(self, short, name):
        xp = pytest.importorskip(name)
        rng = np.random.default_rng(0)
        theta, grads = rng.normal(size=(4, 3)), rng.normal(size=(3, 4, 3))
        theirs, state = [xp.asarray(theta.copy())], gs.init(short(lr=0.1), [xp.asarray(theta.copy())])
        own = gs.Optimizer([theta], short(lr=0.1))
        for g in grads:
            own.step([g])
            theirs, state = gs.update(short(lr=0.1), theirs, [xp.asarray(g, dtype=theirs[0].dtype)], state)
            np.testing.assert_allclose(np.asarray(theirs[0]), theta, rtol=1e-4 if "jax" in name else 1e-10)

    def test_a_long_vector_takes_as_much_again(self, engine):
        opt = gs.Optimizer(np.ones(100_000), "shampoo", engine=engine)
        opt.step(np.ones(100_000))
        assert sum(x.size for x in opt.state[next(iter(opt.state))].values()) == 100_001

    def test_it_goes_on_from_a_file(self, short, engine, tmp_path):
        opt, other = (gs.Optimizer(problem(), short(), engine=engine) for _ in range(2))
        opt.step(problem(1))
        opt.save(tmp_path / "x.safetensors")
        other.restore(tmp_path / "x.safetensors")
        for x in (opt, other):
            x.step(problem(2))
        assert fingerprint(other) == fingerprint(opt)

    def test_reset(self, short, engine):
        opt = gs.Optimizer({"w": np.ones((4, 3))}, short(eps=0.25), engine=engine)
        opt.step({"w": np.ones((4, 3))})
        opt.reset()
        assert (opt.state["w"]["shampoo_of_short_sides.left"] == 0.25).all()
        assert (opt.state["w"]["shampoo_of_short_sides.right"] == 0.25 * np.eye(3)).all()

    @pytest.mark.usefixtures("own_registry")
    @pytest.mark.parametrize(
        ("update", "said"),
        [
            (lambda theta, g, p: (theta, g, p + matmul(g, transpose(g))), r"above longest=, fails .*: a diagonal \+ a"),
            (lambda theta, g, p: (theta, g, p - matmul(p, matmul(g, transpose(g)))), "a diagonal - a whole square"),
            (lambda theta, g, p: (theta, g, p * gram(g, g)), "gives rows by rows, and is to be like rows by columns"),
            (lambda theta, g, p: (theta, g, p * matmul(g, transpose(g))), "a diagonal . a whole square"),
            (lambda theta, g, p: (theta, g, sqrt(p)), "sqrt is not known of a square of which the diagonal alone"),
            (lambda theta, g, p: (theta, g, matmul(g, transpose(g)) + 0.0 * norm(p)), "norm is not known of"),
            (lambda theta, g, p: (theta, g, matmul(g, transpose(g))), "gives no diagonal as p where a side is above"),
        ],
    )  # fmt: skip
    def test_an_update_that_makes_a_whole_square_is_refused(self, update, said):
        with pytest.raises(RuleError, match=said):
            declare(update, state="p", shapes={"p": "rows rows"}, longest=8)

    @pytest.mark.usefixtures("own_registry")
    @pytest.mark.parametrize("options", [{"longest": 0}, {"longest": 2.5}, {"longest": 8, "shapes": {"p": "rows"}}])
    def test_a_limit_of_no_squares_is_refused(self, options):
        with pytest.raises(RuleError, match="longest= is the longest side, at least 1, of the squares"):
            declare(lambda theta, g, p: (theta, g, p), **{"state": "p", "shapes": {"p": "rows rows"}, **options})

    @pytest.mark.usefixtures("own_registry")
    def test_a_read_sees_the_diagonal(self):
        made = declare(
            lambda theta, g, p: (theta - 0.1 * g, g, p + gram(g, p)),
            state="p", shapes={"p": "rows rows"}, longest=2, read=lambda theta, p: matmul(p, theta),
        )  # fmt: skip
        w = np.ones((3, 2))
        opt = gs.Optimizer(w, made())
        opt.step(np.full((3, 2), 2.0))
        np.testing.assert_allclose(opt.averaged(), 8 * w)


class TestSometimes:
    """What is done at some steps alone, and eigenvectors that follow."""

    @pytest.mark.usefixtures("own_registry")
    def test_what_is_not_due_is_not_called(self, engine):
        calls = []

        def counted(x):
            calls.append(1)
            return 2.0 * x

        made = rule(lambda t, lr=1.0: {"due": 1.0 if t % 3 == 0 else 0.0}, whole=True)(
            lambda theta, g, due: (when(due, counted, theta), g)
        )
        w = np.ones((2, 2))
        opt = gs.Optimizer(w, made(), engine=engine)
        calls.clear()
        seen = []
        for _ in range(6):
            opt.step(np.ones((2, 2)))
            seen.append((float(w[0, 0]), len(calls)))
        again = 1 if engine == "compiled" else 2  # a plan knows what the rule does when it is due
        assert seen == [(1, 0), (1, 0), (2, 1), (2, 1), (2, 1), (4, again)]

    @pytest.mark.usefixtures("own_registry")
    @pytest.mark.parametrize(
        ("update", "said"),
        [
            (lambda theta, g: (theta + when(mean(g, "all"), sqrt, g), g), "needs a number of scalars"),
            (lambda theta, g: (iterated(theta, g), g), "is for two squares, not rows by columns"),
        ],
    )
    def test_refused(self, update, said):
        with pytest.raises(RuleError, match=said):
            declare(update)

    @pytest.mark.usefixtures("own_registry")
    def test_another_shape_is_refused(self):
        with pytest.raises(RuleError, match="does not keep the shape of what it changes"):
            rule(lambda lr=1.0: {"lr": lr}, whole=True)(lambda theta, g, lr: (theta + when(lr, transpose, g), g))
        with pytest.raises(RuleError, match="looks at whole arrays; declare the rule with whole=True"):
            rule(lambda lr=1.0: {"lr": lr})(lambda theta, g, lr: (theta + when(lr, sqrt, g), g))

    @pytest.mark.parametrize("name", ["numpy", "array_api_strict", "torch", "jax.numpy"])
    def test_eigenvectors_follow(self, name):
        """One orthogonal iteration brings them nearer, as often as it is made; none changes its place or its sign."""
        xp = pytest.importorskip(name)
        rng = np.random.default_rng(0)
        basis, _ = np.linalg.qr(rng.normal(size=(4, 4)))
        square = basis * [0.01, 1.0, 100.0, 1e4] @ basis.T
        near = np.linalg.eigh(square + 1e-3 * rng.normal(size=(4, 4)))[1]
        exact = np.asarray(eigh(xp.asarray(square))[1])
        order = [2, 0, 3, 1]
        x, q = xp.asarray(square), xp.asarray(near[:, order])
        for _ in range(8):
            q = iterated(x, q)
        assert (np.abs(np.asarray(q)).max(axis=0) == np.asarray(q).max(axis=0)).all()
        room = 1e-3 if np.asarray(q).dtype == "float32" else 1e-10
        np.testing.assert_allclose(np.asarray(q), exact[:, order], rtol=0, atol=room)

    def test_soap_turns_no_vector_and_no_long_side(self, engine):
        opt = gs.Optimizer(
            {"b": np.ones(5), "w": np.ones((3, 2)), "table": np.ones((10_001, 2))}, "soap", engine=engine
        )
        adam = gs.Optimizer({"b": np.ones(5)}, gs.adam(lr=3e-3, beta1=0.95, beta2=0.95), engine=engine)
        shapes = {name: [own[f"soap.{key}"].shape for key in "pq"] for name, own in opt.state.items()}
        assert shapes == {"b": [(5, 1), (1, 1)], "w": [(3, 3), (2, 2)], "table": [(10_001, 1), (2, 2)]}
        rng = np.random.default_rng(1)
        opt.hyper["weight_decay"] = 0.0
        opt.step({name: rng.normal(size=x.shape) for name, x in opt.params.items()})
        assert all((x == 1).all() for x in opt.params.values())
        for _ in range(12):
            g = {name: rng.normal(size=x.shape) for name, x in opt.params.items()}
            opt.step(g)
            adam.step({"b": g["b"]})
        np.testing.assert_allclose(opt.params["b"], adam.params["b"], rtol=1e-7)  # their eps stand in other places
        assert (opt.state["table"]["soap.p"] == 1).all()


@pytest.mark.parametrize("name", ["muon", "shampoo", "soap", "psgd_kron"])
def test_a_step_keeps_nothing(name, engine):
    """What a step computes aside is let go when it has been written."""
    w, g = (np.random.default_rng(seed).normal(size=(100, 100)) for seed in (0, 1))
    opt = gs.Optimizer(w, name, engine=engine)
    for _ in range(2):  # after the first, and where it is due, another plan is made
        opt.step(g)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        opt.step(g)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < w.nbytes / 2


class TestFoldsBelow:
    """A number as ``folds=``: arrays whose second longest axis is shorter are one column."""

    SHAPES = ((5,), (2, 3), (3, 9), (9, 3), (4, 4), (2, 2, 3), (3, 4, 5), (2, 4, 5), ())

    def rule(self):
        def scalars(lr=0.1, beta=0.5):
            return {"lr": lr, "beta": beta, "rest": 1 - beta}

        @rule(scalars, state="v", shapes={"v": "rows"}, whole=True, folds=4, nonnegative="v")
        def rows_from_four(theta, g, v, lr, beta, rest):
            """A mean square of each row from four rows and columns on."""
            v = beta * v + rest * mean(g * g, "columns")
            theta = theta - lr * g / v
            return theta, g, v

        return rows_from_four

    @pytest.mark.parametrize("engine", ENGINES)
    def test_each_element_or_each_row(self, engine):
        made = self.rule()
        for shape in self.SHAPES:
            rng = np.random.default_rng(3)
            theta, g = (np.asarray(rng.normal(size=shape)) for _ in range(2))
            opt, before = gs.Optimizer({"w": theta}, made(), engine=engine), theta.copy()
            opt.step({"w": g})
            whole = sorted((*shape, 1, 1))[-2] >= 4
            slot = opt.state["w"]["rows_from_four.v"]
            assert slot.shape == ((*shape[:-1], 1) if whole else (theta.size, 1)), shape
            v = 0.5 * ((g * g).mean(axis=-1, keepdims=True) if whole else g * g)
            np.testing.assert_allclose(before - theta, 0.1 * g / v, rtol=1e-12)

    def test_longer_axes_in_front_are_refused(self):
        made = self.rule()
        for shape in ((5, 4, 4), (4, 4, 3)):
            with pytest.raises(gs.GradstepValueError, match=r"'w' has the shape .* the two longest axes; hand"):
                gs.Optimizer({"w": np.ones(shape)}, made())

    def test_what_is_no_number_of_elements(self):
        for odd in (0, -1, 1.5, "middle"):
            with pytest.raises(
                gs.RuleError, match=r"folds= is 'first' or 'last', the axis that stays one, or a number"
            ):

                @rule(lambda lr=0.1: {"lr": lr}, whole=True, folds=odd)
                def odd_folds(theta, g, lr):
                    return theta - lr * g, g


class TestKron:
    def test_it_is_fitted_ever_less_often(self):
        """timm's schedule: always, from the 501st step on with a share that falls to 0.03, by a count of steps."""
        memory, due = {"waited": 0.0}, []
        for t in range(1, 6001):
            numbers, memory = gs.psgd_kron.host(t, gs.psgd_kron.defaults, memory)
            due += [t] * (numbers["due"] == 1.0)
        wanted, count = [], 0
        for made in range(6000):
            count += 1
            if count >= 1 / min(1.0, max(0.03, math.exp(-0.001 * (made - 500)))):
                wanted, count = [*wanted, made + 1], 0
        assert due == wanted
        assert due[:501] == list(range(1, 502))
        assert due[-1] - due[-2] == 34

    def test_other_seeds_draw_other_numbers(self, engine):
        found = set()
        for seed in (0, 0, 1):
            opt = gs.Optimizer(problem(), "psgd_kron", engine=engine, seed=seed)
            opt.step(problem(1))
            found.add(fingerprint(opt))
        assert len(found) == 2

    def test_steps_become_white(self):
        """Along a gradient of any scale, of which one direction is ten times the other."""
        w, rng = np.zeros((2, 2)), np.random.default_rng(0)
        opt = gs.Optimizer(w, gs.psgd_kron(lr=1.0, momentum=0.0))
        steps = []
        for _ in range(400):
            before = w.copy()
            opt.step(rng.normal(size=(2, 2)) * [[1e-1], [1e-2]])
            steps.append(w - before)
        sizes = np.sqrt(np.mean(np.square(steps[200:]), axis=(0, 2)))
        assert 0.8 < sizes.min() <= sizes.max() < 1.1

    def test_what_has_no_inverse_gives_nan(self):
        assert np.isnan(trisolve(np.zeros((2, 2)), np.ones((2, 3)))).all()

    @pytest.mark.parametrize("size", [0, 1, 2, 7])
    def test_a_bound_of_the_largest_eigenvalue(self, size):
        x = np.random.default_rng(size).normal(size=(size, size + 1))
        bound = least_norm(x @ x.T)
        assert bound.shape == (1, 1)
        top = max(np.linalg.eigvalsh(x @ x.T), default=0.0)
        assert 0.9 * top <= bound.item() <= top * (1 + 1e-12)
        assert least_norm(0.0 * (x @ x.T)).item() == 0


@pytest.mark.parametrize("name", ["shampoo", "soap", "psgd_kron"])
class TestWithAdamw:
    """Matrices by a rule of theirs, all else by AdamW in the same optimizer."""

    def test_each_is_as_alone(self, name, engine):
        opt = gs.Optimizer(problem(), name, groups={"[bs]": gs.adamw(lr=0.01)}, engine=engine)
        tables = gs.Optimizer({key: x for key, x in problem().items() if x.ndim == 2}, name, engine=engine)
        others = gs.Optimizer({key: x for key, x in problem().items() if x.ndim < 2}, gs.adamw(lr=0.01), engine=engine)
        for seed in (1, 2, 3):
            for own in (opt, tables, others):
                own.step({key: g for key, g in problem(seed).items() if key in own.params})
        assert all(bits(x) == bits((tables if x.ndim == 2 else others).params[key]) for key, x in opt.params.items())

    def test_it_goes_on_from_a_file_with_the_same_bits(self, name, engine, tmp_path):
        opt, other = (gs.Optimizer(problem(), name, groups={"[bs]": gs.adamw()}, engine=engine) for _ in range(2))
        opt.step(problem(1))
        opt.step(problem(2))
        opt.save(tmp_path / "x.safetensors")
        other.restore(tmp_path / "x.safetensors")
        for x in (opt, other):
            x.step(problem(3))
        assert fingerprint(other) == fingerprint(opt)

    def test_engines_agree(self, name):
        found = set()
        for engine in ENGINES:
            opt = gs.Optimizer(problem(dtype="f4"), name, engine=engine)
            for seed in range(1, 15):
                opt.step(problem(seed, "f4"))
            found.add(fingerprint(opt))
        assert len(found) == 1

    def test_stacks_are_refused(self, name):
        with pytest.raises(gs.GradstepValueError, match=f"has 3 axes, and {name} is for matrices; hand in a view"):
            gs.Optimizer({"k": np.ones((2, 3, 4))}, name)
