"""The engine on a device, where there is one: the bits of the CPU, and what a step refuses."""

import hashlib

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from laws.cases import CASES
from support import bits, wide

pytest.importorskip("llvmlite")
from gradstep.engine.cuda import driver

_, WHY = driver.available()
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)
NAMES = [name for name, case in CASES.items() if not (case.rule.whole or case.rule.extras)]
AROUND = {
    "plain": lambda stage: stage,
    "clip + decay + EMA": lambda stage: gs.chain(gs.clip_by_global_norm(1.0), stage, gs.decay(0.01), gs.ema(0.9)),
}
SIZES = (1, 15, 4097, 300_001)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return torch


def digest(arrays):
    made = hashlib.sha256()
    for x in arrays:
        made.update(repr(bits(to_numpy(x))).encode())
    return made.hexdigest()


def numbers(seed, dtype):
    rng = np.random.default_rng(seed)
    return {f"w{n}": rng.normal(size=n).astype(dtype) for n in SIZES}


def trained(tx, dtype, move, steps, **options):
    params = {name: move(x) for name, x in numbers(0, dtype).items()}
    opt = gs.Optimizer(params, tx, **options)
    for t in range(steps):
        opt.step({name: move(x) for name, x in numbers(1 + t, dtype).items()})
    state = [x for own in opt.state.values() for x in own.values()]
    return digest([*params.values(), *state]), opt


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", wide(NAMES))
def test_fifty_steps_have_the_bits_of_the_cpu(name, dtype, around, torch):
    if around != "plain" and CASES[name].rule.kind != "rule":
        pytest.skip("a chain around rules alone")
    tx = AROUND[around](CASES[name].stage())
    mine, opt = trained(tx, dtype, lambda x: torch.tensor(x, device="cuda"), 50, engine="cuda")
    theirs, _ = trained(tx, dtype, lambda x: x, 50, engine="compiled")
    assert opt.engine == "cuda"
    assert mine == theirs


def test_arrays_of_cupy_have_them_too(torch):
    cupy = pytest.importorskip("cupy")
    mine, _ = trained(gs.adamw(lr=0.1), "float32", cupy.asarray, 10, engine="cuda")
    theirs, _ = trained(gs.adamw(lr=0.1), "float32", lambda x: x, 10, engine="compiled")
    assert mine == theirs


def test_a_bad_gradient_changes_nothing(torch):
    w = torch.ones(5000, device="cuda")
    opt = gs.Optimizer(w, "adam", engine="cuda")
    g = torch.ones_like(w)
    opt.step(g)
    before = w.clone()
    g[4999] = float("nan")
    with pytest.raises(gs.NonFiniteError, match="4999"):
        opt.step(g)
    assert torch.equal(w, before)
    assert opt.t == 1


def test_a_step_waits_for_the_gradients_of_its_stream(torch):
    w = torch.zeros(1 << 22, device="cuda")
    opt = gs.Optimizer(w, gs.sgd(lr=1.0), engine="cuda", on_nonfinite="ignore")
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(50_000_000)
        g = torch.ones_like(w)
        opt.step(g)
        torch.cuda.current_stream().synchronize()
    assert torch.equal(w, -torch.ones_like(w))


def test_a_checkpoint_goes_on_on_the_cpu_and_back(torch, tmp_path):
    tx = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.1))
    moves = {"cuda": lambda x: torch.tensor(x, device="cuda"), "compiled": lambda x: x}
    whole, _ = trained(tx, "float32", moves["compiled"], 9, engine="compiled")
    file, last = tmp_path / "run.safetensors", ""
    for k, engine in enumerate(["cuda", "compiled", "cuda"]):
        params = {name: moves[engine](x) for name, x in numbers(0, "float32").items()}
        opt = gs.Optimizer(params, tx, engine=engine)
        if k:
            opt.restore(file)
        for t in range(3 * k, 3 * k + 3):
            opt.step({name: moves[engine](x) for name, x in numbers(1 + t, "float32").items()})
        opt.save(file)
        last = digest([*params.values(), *(x for own in opt.state.values() for x in own.values())])
    assert last == whole


@pytest.mark.parametrize(
    "options",
    [{"state_dtype": "bfloat16"}, {"rounding": "stochastic"}, {"master": True, "state_dtype": "8bit"}],
    ids=["bfloat16 state", "stochastic", "master, 8-bit state"],
)
def test_fewer_bits_are_those_of_the_cpu(options, torch):
    tx = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.1))
    mine, _ = trained(tx, "float16", lambda x: torch.tensor(x, device="cuda"), 20, engine="cuda", **options)
    theirs, _ = trained(tx, "float16", lambda x: x, 20, engine="compiled", **options)
    assert mine == theirs


def test_a_graph_is_refused(torch):
    w, g = torch.ones(8, device="cuda"), torch.ones(8, device="cuda")
    opt = gs.Optimizer(w, "adam", engine="cuda")
    opt.step(g)
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(gs.errors.DeviceError, match="CUDA graph"), torch.cuda.graph(graph):
        opt.step(g)
