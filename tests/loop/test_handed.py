"""Parameters as a user's functions are handed them, and gradients as other libraries give them."""

import sys

import numpy as np
import pytest

import gradstep as gs
from gradstep.compare import compare
from gradstep.errors import GradstepError, UserCodeError
from gradstep.loop.user import Objective, UserFunction
from loop.cases import TARGET, bowl
from support import bits, clear

IN_PLACE = {
    "an operator": lambda x: np.subtract(x, 1, out=x),
    "an element": lambda x: x.__setitem__(0, 5.0),
    "a method": lambda x: x.fill(3.0),
    "sorting": lambda x: x.sort(),
    "a view": lambda x: x[1:].__imul__(2.0),
}
ways = pytest.mark.parametrize("way", IN_PLACE.values(), ids=IN_PLACE)


def spoiling(way, give):
    def f(x, *batch):
        way(x)
        return give(x, *batch)

    return f


@ways
@pytest.mark.parametrize("verb", ["minimize", "Run", "batches"])
def test_an_objective_that_changes_its_parameters_is_told_where(way, verb):
    f = spoiling(way, lambda x, *_: bowl(x))
    calls = {
        "minimize": lambda: gs.minimize(f, np.zeros(3), "adam", max_steps=5),
        "Run": lambda: list(gs.Run(f, np.zeros(3), "adam", max_steps=5)),
        "batches": lambda: list(gs.Run(f, np.zeros(3), "adam", max_steps=5, batches=lambda k: k)),
    }
    with pytest.raises(
        UserCodeError, match=r"value_and_grad changes its parameters in place.*\(.*, line \d+\)"
    ) as error:
        calls[verb]()
    assert clear(error)


@ways
def test_so_is_evaluate(way):
    f = spoiling(way, lambda _: 0.0)
    run = gs.Run(bowl, np.zeros(3), "adam", lr=0.1, max_steps=9, evaluate=f, evaluate_every=5)
    with pytest.raises(UserCodeError, match=r"evaluate changes its parameters in place"):
        list(run)
    assert not run.params.any()
    with pytest.raises(UserCodeError, match=r"evaluate changes its parameters in place"):
        run.metrics()


def test_in_a_comparison(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\ndef f(x):\n    x -= 1\n    return float(x @ x), 2 * x\nf.params = np.array([3.0, 4.0])\n"
    )
    with pytest.raises(GradstepError, match=r"failed in each of its \d runs.*changes its parameters in place"):
        compare("adam", f"{path}:f", seeds=1, trials=1, steps=5, jobs=1)


def test_scipys_guest_hands_out_copies():
    optimize = pytest.importorskip("scipy.optimize")

    def f(x):
        x -= 1
        return float(x @ x), 2 * x

    found = optimize.minimize(f, np.array([3.0, 4.0]), jac=True, method=gs.interop.scipy.method("adam", lr=0.1))
    assert np.allclose(found.x, 1.0, atol=1e-3)


def test_a_nest_is_a_new_one_each_time():
    """An entry that is rebound by the objective is its own affair."""

    def f(params):
        params["w"] = params["w"] - TARGET
        params.pop("b")
        return float(params["w"] @ params["w"]), {"w": 2 * params["w"], "b": np.zeros(2)}

    run = gs.Run(f, {"w": np.zeros(3), "b": np.ones(2)}, "adam", lr=0.1, max_steps=500)
    list(run)
    assert np.allclose(run.params["w"], TARGET, atol=1e-3)
    assert (run.params["b"] == 1.0).all()


def test_what_is_done_to_an_array_that_was_handed_out_stays_with_it():
    """One that was made writable is not handed out again."""
    seen = []

    def f(x):
        seen.append(x.flags.writeable)
        x.setflags(write=True)
        return bowl(x)

    list(gs.Run(f, np.zeros(3), "adam", max_steps=3))
    assert seen == [False] * 4


def test_a_projection_may_and_run_params_are_not_read_only():
    run = gs.Run(bowl, np.zeros(3), "adam", project=lambda x: np.clip(x, -1, 1, out=x), max_steps=2)
    list(run)
    run.params[0] = 3.0


def test_other_errors_pass_as_they_are():
    def f(_):
        raise ValueError("mine")

    with pytest.raises(ValueError, match=r"^mine$"):
        list(gs.Run(f, np.zeros(3), "adam", max_steps=2))


@pytest.mark.parametrize("kind", [StopIteration, GeneratorExit])
def test_what_would_end_a_loop_unseen_is_an_error(kind):
    def stops(_):
        raise kind("mine")

    said = rf"raised {kind.__name__}: mine \(test_handed.py, line \d+\)"
    with pytest.raises(UserCodeError, match=said):
        list(gs.Run(stops, np.zeros(3), "adam", max_steps=2))
    with pytest.raises(UserCodeError, match=said):
        gs.minimize(stops, np.zeros(3), "adam", max_steps=2)
    with pytest.raises(UserCodeError, match=f"stops {said}"):  # as the shell calls it
        Objective(stops, "stops")(np.zeros(3))
    with pytest.raises(UserCodeError, match=f"stops {said}"):
        UserFunction(stops, "stops")(np.zeros(3))


@pytest.mark.parametrize("x0", [np.ma.array([1.0, 2.0], mask=[False, True]), {"w": np.ma.array([1, 2], mask=[0, 1])}])
def test_a_masked_start_is_refused_by_name(x0):
    with pytest.raises(gs.GradstepTypeError, match="masked array; fill it first") as error:
        gs.Run(bowl, x0, "adam", max_steps=2)
    assert clear(error)


class TestOtherLibrariesGradients:
    @pytest.fixture
    def jax(self):
        if "jax" not in sys.modules:
            pytest.importorskip("jax")
        import jax

        before = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", True)
        yield jax
        jax.config.update("jax_enable_x64", before)

    @pytest.mark.parametrize("nest", ["array", "dict"])
    @pytest.mark.parametrize("start", ["numpy", "jax"])
    def test_jax(self, jax, nest, start):
        xp = np if start == "numpy" else jax.numpy
        x0 = xp.zeros(3) if nest == "array" else {"a": [xp.zeros(3)]}
        leaf = (lambda p: p) if nest == "array" else (lambda p: p["a"][0])
        f = jax.value_and_grad(lambda p: ((leaf(p) - TARGET) ** 2).sum())
        found = gs.minimize(f, x0, "adam", lr=0.1, max_steps=300)
        assert type(leaf(found.x)) is np.ndarray
        assert type(leaf(found.jac)) is np.ndarray
        assert np.allclose(leaf(found.x), TARGET, atol=1e-3)
        own = gs.minimize(lambda x: (0.0, 2 * (x - TARGET)), np.zeros(3), "adam", lr=0.1, max_steps=300)
        assert np.allclose(leaf(found.x), own.x, atol=1e-12)

    def test_jax_with_bounds(self, jax):
        f = jax.value_and_grad(lambda x: ((x - TARGET) ** 2).sum())
        run = gs.Run(f, np.zeros(3), "adam", lr=0.1, bounds=(-1, 1), max_steps=300)
        list(run)
        assert np.allclose(run.params, np.clip(TARGET, -1, 1), atol=1e-3)

    def test_torch(self):
        torch = pytest.importorskip("torch")

        def f(x):
            leaf = torch.tensor(x, requires_grad=True)
            value = ((leaf - torch.tensor(TARGET)) ** 2).sum()
            value.backward()
            return value.item(), leaf.grad

        found = gs.minimize(f, np.zeros(3), "adam", lr=0.1, max_steps=300)
        assert np.allclose(found.x, TARGET, atol=1e-3)

    def test_a_dtype_is_not_changed(self, jax):
        f = jax.value_and_grad(lambda x: ((x.astype("float32") - 1) ** 2).sum())
        with pytest.raises(gs.GradstepTypeError, match="float64"):
            gs.minimize(lambda x: (0.0, f(x)[1].astype("float32")), np.zeros(3), "adam", max_steps=2)

    def test_torch_parameters_are_handed_out_as_leaves_of_their_own(self):
        torch = pytest.importorskip("torch")

        def f(x):
            value = ((x - 1) ** 2).sum()
            value.backward()
            with torch.no_grad():
                x += 100
            return value.item(), x.grad

        run = gs.Run(f, torch.zeros(3, requires_grad=True), "adam", lr=0.1, max_steps=300)
        list(run)
        assert torch.allclose(run.params.detach(), torch.ones(3), atol=1e-3)


def test_the_bits_are_those_of_before():
    """Views change nothing: the objective's gradient may be its very argument."""
    run = gs.Run(lambda x: (float(x @ x) / 2, x), np.array([3.0, 4.0]), "sgd", lr=0.5, max_steps=3)
    list(run)
    assert bits(run.params) == bits(np.array([3.0, 4.0]) / 8)
