"""Noise: the numbers drawn are normal, each its own, and a function of seed, update, name and place alone."""

import math

import numpy as np
import pytest
from mpmath import erfinv, mp, mpf, sqrt

import gradstep as gs
from gradstep.engine.normals import normals
from gradstep.engine.tensor import Tensor
from gradstep.errors import RuleError
from gradstep.form.vocabulary import normal_number
from gradstep.rule import stage
from support import ENGINES, bits, same

engines = pytest.mark.parametrize("engine", ENGINES)
PLAIN = gs.gradient_noise(eta=1.0, gamma=0.0)


def drawn(params, engine="auto", before=(), seed=0, steps=1, **options):
    """What the noise has added up to after some steps of a gradient of zero, by name."""
    params = {key: np.zeros_like(x) for key, x in params.items()}
    opt = gs.Optimizer(
        params, gs.chain(*before, PLAIN, gs.maximize, gs.sgd(lr=1.0)), engine=engine, seed=seed, **options
    )
    for _ in range(steps):
        opt.step({key: np.zeros_like(x) for key, x in params.items()})
    return params


@pytest.mark.parametrize(("dtype", "off"), [("float32", 3e-7), ("float64", 2e-7)])
def test_a_share_becomes_its_number(dtype, off):
    """Beside the inverse of the distribution at 30 digits: at both ends and around the middle."""
    places = [0, 1, 2, 100, 2**22, 2**22 + 1, 2**22 + 2**20, *np.geomspace(3, 2**22, 300).astype(int).tolist()]
    share = ((np.array(places).astype(dtype) + 0.5) * 2.0**-23).astype(dtype)
    with np.errstate(all="ignore"):
        got, turned = normal_number(share), normal_number(1 - share)
    assert got.dtype == dtype
    assert (turned == -got).all()
    with mp.workdps(30):
        for k, z in zip(places, got.tolist(), strict=True):
            exact = sqrt(2) * erfinv((2 * mpf(k) + 1) / 2**23 - 1)
            assert abs(z - exact) <= off * abs(exact)


def test_they_are_normal_and_apart():
    """Moments, and the share in each of 50 bins, within five deviations of what chance gives."""
    n = 1_000_000
    x = {"a": np.zeros(n, "f4"), "b": np.zeros(n, "f4")}
    first, second = drawn(x), drawn(x, steps=2)
    own = [first["a"], first["b"], second["a"] - first["a"], drawn(x, seed=1)["a"]]
    for z in own:
        z = z.astype("f8")
        for k, moment, deviation in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
            assert abs((z**k).mean() - moment) < 5 * math.sqrt(deviation / n)
        shares = np.array([0.5 * (1 + math.erf(a / math.sqrt(2))) for a in z[:: n // 5000]])
        counts = np.bincount((50 * shares).astype(int), minlength=50) / len(shares)
        assert np.abs(counts - 0.02).max() < 5 * math.sqrt(0.02 * 0.98 / len(shares))
        assert abs(np.mean(z[1:] * z[:-1])) < 5 / math.sqrt(n)
    for i, z in enumerate(own):
        for y in own[:i]:
            assert abs(np.mean(z.astype("f8") * y)) < 5 / math.sqrt(n)


@engines
def test_the_bits_do_not_depend_on_what_stands_beside(engine):
    x = {"a": np.zeros((70, 90), "f4"), "b": np.zeros(5), "c": np.zeros((3, 4), "c16"), "d": np.zeros(20_001, "f4")}
    wanted = drawn(x, "eager", steps=2)
    for threads in (1, 2):
        assert same(drawn(x, engine, steps=2, threads=threads), wanted)
    alone = {key: drawn({key: y}, engine, steps=2)[key] for key, y in x.items()}
    assert same(alone, wanted)
    assert same(drawn(dict(reversed(x.items())), engine, steps=2)["a"], wanted["a"])
    laid = np.asfortranarray(x["a"])
    assert bits(drawn({"a": laid}, engine, steps=2)["a"]) == bits(wanted["a"])


@engines
def test_two_stages_draw_apart(engine):
    x = {"w": np.zeros(2000)}
    both = drawn(x, engine, before=[gs.gradient_noise(eta=1.0, gamma=0.0, name="first")])["w"]
    assert 1.8 < both.var() < 2.2  # and not 4
    assert not np.allclose(both, 2 * drawn(x, engine)["w"])


@engines
def test_sums_behind_it_are_of_what_is_written(engine):
    """A norm is taken of the noisy gradient: the passes draw the same."""
    x, g = {"w": np.zeros((50, 200))}, {"w": np.full((50, 200), 0.5)}
    opt = gs.Optimizer(x, gs.chain(PLAIN, gs.clip_by_norm(max_norm=0.25), gs.sgd(lr=1.0)), engine=engine)
    for _ in range(3):
        before = x["w"].copy()
        opt.step(g)
        assert np.linalg.norm(x["w"] - before) == pytest.approx(0.25, rel=1e-12)


@engines
def test_the_variance_falls_as_in_the_paper(engine):
    x, z = {"w": np.zeros(1000)}, []
    opt = gs.Optimizer(x, gs.chain(gs.gradient_noise(eta=0.3, gamma=0.55), gs.maximize, gs.sgd(lr=1.0)), engine=engine)
    for t in range(1, 6):
        before = x["w"].copy()
        opt.step({"w": np.zeros(1000)})
        unit = drawn({"w": np.zeros(1000)}, engine, steps=t)["w"]
        z.append(unit - sum(z, 0 * unit))
        assert np.allclose(x["w"] - before, math.sqrt(0.3 / t**0.55) * z[-1], rtol=0, atol=1e-13)


@engines
@pytest.mark.parametrize("own", [{}, {"state_dtype": "8bit"}])
def test_a_resumed_run_goes_on_with_them(engine, own, tmp_path):
    def optimizer(seed=7):
        return gs.Optimizer(
            {"w": np.ones((9, 300), "f4")}, gs.chain(PLAIN, gs.adam(lr=0.1)), engine=engine, seed=seed, **own
        )

    one, other = optimizer(), optimizer()
    g = {"w": np.ones((9, 300), "f4")}
    for k in range(6):
        one.step(g)
        if k == 2:
            one.save(tmp_path / "a.safetensors")
    other.restore(tmp_path / "a.safetensors")
    for _ in range(3):
        other.step(g)
    assert same(other.params, one.params)
    with pytest.raises(gs.CheckpointError, match="seed is 7 in the file, and 8 here"):
        optimizer(seed=8).restore(tmp_path / "a.safetensors")


def test_functions_draw_what_an_optimizer_does():
    params, tx = {"w": np.zeros((4, 5)), "b": np.zeros(3, "f4")}, gs.chain(PLAIN, gs.clip_by_norm(9.0), gs.sgd(lr=0.5))
    g = {key: np.ones_like(x) for key, x in params.items()}
    own, state = params, gs.init(tx, params)
    opt = gs.Optimizer({key: x.copy() for key, x in params.items()}, tx, seed=5)
    for _ in range(3):
        own, state = gs.update(tx, own, g, state, seed=5)
        opt.step(g)
    assert same(own, opt.params)
    assert not same(own, gs.update(tx, params, g, gs.init(tx, params))[0])


class TestRefusals:
    tx = gs.chain(PLAIN, gs.sgd(lr=0.5))

    def test_rows(self):
        opt = gs.Optimizer({"w": np.zeros((4, 2))}, self.tx)
        with pytest.raises(gs.GradstepTypeError, match=r"gs.rows, and gradient_noise draws random numbers for whole"):
            opt.step({"w": gs.rows(np.array([1]), np.ones((1, 2)))})

    def test_halves(self):
        params = {"w": np.zeros(2)}
        state = gs.init(self.tx, params)
        with pytest.raises(
            gs.GradstepValueError, match=r"gradient_noise draws random numbers, which gs.scalars does not"
        ):
            gs.scalars(self.tx, params, params, state)
        with pytest.raises(gs.GradstepValueError, match=r"which gs.apply does not hand over; gs.update does"):
            gs.apply(self.tx, params, params, state.slots, {})

    def test_a_guest(self):
        torch = pytest.importorskip("torch")
        from gradstep.interop.torch import Optimizer

        p = torch.ones(3, requires_grad=True)
        with pytest.raises(
            gs.GradstepValueError, match="torch's step hands over gradients alone, and gradient_noise draws"
        ):
            Optimizer([p], self.tx)

    def test_a_guest_that_traces(self):
        pytest.importorskip("optax")
        from gradstep.interop.optax import transformation

        with pytest.raises(
            gs.GradstepValueError, match="gradient_noise draws random numbers by update, name and place"
        ):
            transformation(self.tx)

    def test_before_gathering(self):
        with pytest.raises(
            gs.GradstepValueError, match="draws the same for every gradient of one update; let it stand"
        ):
            gs.Optimizer(np.zeros(2), gs.chain(PLAIN, gs.accumulate(k=2), gs.sgd(lr=0.1)))


@pytest.mark.usefixtures("own_registry")
class TestDeclaring:
    def test_the_name_is_the_rules_own(self):
        def jump(theta, g, kick):
            return theta + 0.5 * kick, g

        made = stage(random="kick")(jump)
        x = np.zeros(40)
        gs.Optimizer({"w": x}, made).step({"w": np.zeros(40)})
        assert np.array_equal(x, 0.5 * normals(Tensor("w", x, ((),), 0), _first_key())(0))

    def test_a_whole_rule_draws_too(self):
        from gradstep.vocabulary import mean

        def centred(theta, g, z):
            return theta + z - mean(z, "rows"), g

        made = stage(random="z", whole=True)(centred)
        runs = []
        for engine in ENGINES:
            x = np.zeros((6, 4))
            gs.Optimizer({"w": x}, gs.chain(made, gs.ema), engine=engine).step({"w": np.zeros((6, 4))})
            assert np.abs(x.sum(axis=0)).max() < 1e-12
            assert np.abs(x).min() > 0
            runs.append(bits(x))
        assert len(set(runs)) == 1

    def test_what_is_wrong(self):
        with pytest.raises(RuleError, match="the name theta is taken"):
            stage(random="theta")(lambda theta, g: (theta, g))
        with pytest.raises(RuleError, match="theta, g, state, what is drawn, scalars"):
            stage(random="z")(lambda theta, g: (theta, g))
        with pytest.raises(RuleError, match="the sum total asks for z"):
            stage(lambda total: {"a": total}, random="z", reduce=lambda z: z, over="all")(
                lambda theta, g, z, a: (theta, a * g)
            )


def _first_key():
    from gradstep.array.storage import step_key

    return step_key(0, 1)
