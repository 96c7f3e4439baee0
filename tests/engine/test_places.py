"""Arrays that get other memory while an optimizer works on them: refused by name, whatever the path, before a write."""

import warnings

import numpy as np
import pytest

import gradstep as gs
from gradstep.rule import rule
from support import made

pytest.importorskip("gradstep.engine.cpu.compiled")

N = 1000
KINDS = ["read", "plain", "eager"]
CHAINS = {
    "once": lambda lr=1e-3: gs.adam(lr=lr),
    "parts": lambda lr=1e-3: gs.chain(gs.clip_by_global_norm(1e9), gs.adam(lr=lr)),
}


def replace(x):
    """Give an array other memory, with other numbers; what it had is freed."""
    x.__setstate__(np.full(x.shape, 5.0, x.dtype).__reduce__()[2])


def turn(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        x.strides = x.strides[::-1]


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=CHAINS)
def chain(request):
    return CHAINS[request.param]


@pytest.fixture(params=[(N,), (300, 300)], ids=["small", "large"])
def shape(request):
    return request.param


def refuses(opt, params, grads, match):
    """The step raises, and neither a parameter, nor state, nor t is changed."""
    seen = [x.copy() for x in params.values()], [x.copy() for own in opt.state.values() for x in own.values()], opt.t
    with pytest.raises(gs.GradstepValueError, match=match):
        opt.step(grads)
    now = list(params.values()), [x for own in opt.state.values() for x in own.values()]
    for before, after in zip(seen[:2], now, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))
    assert opt.t == seen[2]


def test_a_parameter_with_other_memory(kind, chain, shape):
    params = {"b": np.ones(3), "w": np.zeros(shape)}
    grads = {"b": np.ones(3), "w": np.ones(shape)}
    opt = made(kind, params, chain())
    opt.step(grads)
    replace(params["w"])
    victims = [np.zeros(shape) for _ in range(50)]
    refuses(opt, params, grads, r"^parameter 'w' was given other memory since .* new optimizer\.$")
    assert not any(x.any() for x in victims)


@pytest.mark.parametrize("skip", ["raise", "skip", "ignore"])
def test_whatever_is_done_about_bad_gradients(kind, chain, skip):
    params = {"w": np.zeros(N)}
    opt = made(kind, params, chain(), on_nonfinite=skip)
    replace(params["w"])
    refuses(opt, params, {"w": np.ones(N)}, "parameter 'w' was given other memory")


def test_a_parameter_with_other_strides(kind, chain):
    params = {"w": np.zeros((30, 30))}
    opt = made(kind, params, chain())
    turn(params["w"])
    refuses(opt, params, {"w": np.arange(900.0).reshape(30, 30)}, r"'w' was float64\[30, 30\] with strides \(240, 8\)")


def test_a_view_whose_base_was_resized(kind, chain):
    base = np.zeros(2 * N)
    params = {"w": base[:N]}
    opt = made(kind, params, chain())
    before = opt.state["w"]["adam.m"].copy()
    base.resize(1 << 20, refcheck=False)  # the view is dangling now: it must not even be read
    with pytest.raises(gs.GradstepValueError, match="memory of parameter 'w' was given other memory"):
        opt.step({"w": np.ones(N)})
    assert np.array_equal(opt.state["w"]["adam.m"], before)
    assert opt.t == 0


def test_a_view_whose_base_was_only_reshaped_steps(kind, chain):
    base = np.zeros((2, N))
    params = {"w": base[0]}
    opt = made(kind, params, chain())
    base.shape = (N, 2)
    opt.step({"w": np.ones(N)})
    assert params["w"].all()


def test_a_state_with_other_memory(kind, chain, shape):
    params = {"w": np.zeros(shape)}
    opt = made(kind, params, chain())
    replace(opt.state["w"]["adam.v"])
    refuses(opt, params, {"w": np.ones(shape)}, "state adam.v of 'w' was given other memory")


def test_a_state_with_other_strides(kind, chain):
    params = {"w": np.zeros((30, 30))}
    opt = made(kind, params, chain())
    turn(opt.state["w"]["adam.m"])
    refuses(opt, params, {"w": np.ones((30, 30))}, r"state adam.m of 'w' was float64\[30, 30\]")


def test_the_memory_that_state_shares_is_given_up(kind, chain):
    params = {"w": np.zeros(N)}
    opt = made(kind, params, chain())
    replace(opt.state["w"]["adam.m"].base)  # the state is dangling now: it must not even be read
    with pytest.raises(gs.GradstepValueError, match=r"memory of state adam\.m of 'w' was given other memory"):
        opt.step({"w": np.ones(N)})
    assert not params["w"].any()
    assert opt.t == 0


@pytest.mark.parametrize("what", ["w", "adam.m", "adam.v"])
def test_a_schedule_that_moves_memory(kind, chain, shape, what):
    params = {"w": np.zeros(shape)}

    def moving(t):
        if t == 1:
            replace(params["w"] if what == "w" else opt.state["w"][what])
        return 1e-3

    opt = made(kind, params, chain(moving))
    opt.step({"w": np.ones(shape)})
    with pytest.raises(gs.GradstepValueError, match=f"'?{what}'? .*was given other memory"):
        opt.step({"w": np.ones(shape)})
    assert opt.t == 1


@pytest.mark.usefixtures("own_registry")
def test_scalars_that_move_memory(kind):
    """The last moment before the write, after all else has been looked at."""
    params = {"w": np.zeros(N)}

    def scalars(lr=0.1):
        if "opt" in held:
            replace(params["w"])
        return {"rate": lr}

    held = {}

    @rule(scalars)
    def moves_its_parameter(theta, g, rate):
        return theta - rate * g, g

    opt = made(kind, params, gs.chain(gs.clip_by_global_norm(1e9), moves_its_parameter()))
    held["opt"] = opt
    with pytest.raises(gs.GradstepValueError, match="parameter 'w' was given other memory"):
        opt.step({"w": np.ones(N)})
    assert (params["w"] == 5.0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["adam.m", "adam.m.scale", "master"])
def test_what_low_precision_keeps(kind, key):
    params = {"w": np.zeros(N, "f2")}
    opt = made(kind, params, gs.adam(), state_dtype="8bit", master=True)
    replace(opt.state["w"][key])
    name = "scales of adam.m" if key.endswith("scale") else key
    refuses(opt, params, {"w": np.ones(N, "f2")}, f"state {name} of 'w' was given other memory")


def test_a_rehearsal_reads_nothing_that_was_moved(kind, chain):
    params = {"w": np.zeros(N)}
    opt = made(kind, params, chain())
    replace(opt.state["w"]["adam.m"])
    with pytest.raises(gs.GradstepValueError, match=r"state adam\.m of 'w' was given other memory"):
        opt.rehearse({"w": np.ones(N)})


@pytest.mark.parametrize("threads", [1, 2])
def test_one_of_many(threads):
    params = {f"w{k}": np.zeros(2000) for k in range(100)}
    grads = {f"w{k}": np.ones(2000) for k in range(100)}
    opt = gs.Optimizer(params, "adam", threads=threads)
    opt.step(grads)
    replace(params["w77"])
    refuses(opt, params, grads, "parameter 'w77' was given other memory")
