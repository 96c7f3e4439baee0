"""State and parameters in fewer bits on pretended devices: the bits of the CPU, and checkpoints from one to another."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from support import bits, clear

pytest.importorskip("llvmlite")
torch = pytest.importorskip("torch")
bfloat16 = pytest.importorskip("ml_dtypes").bfloat16

from .pretended import Pretended  # noqa: E402 - needs torch
from .stand_in import CHAIN, WAYS  # noqa: E402

SIZES = (0, 1, 300, 4099)


@pytest.fixture
def cuda(monkeypatch):
    with Pretended(monkeypatch) as pretended:
        yield pretended


def on_host(x, dtype):
    return x.astype(np.dtype(bfloat16 if dtype == "bfloat16" else dtype))


def on_device(x, dtype):
    return torch.tensor(x).to(device="cuda", dtype=getattr(torch, dtype))


def numbers(seed, move, dtype):
    rng = np.random.default_rng(seed)
    return {f"w{n}": move(rng.normal(size=(n, 2)).astype(np.float32), dtype) for n in SIZES}


def made(move, dtype, **options):
    engine = "cuda" if move is on_device else "compiled"
    return gs.Optimizer(numbers(0, move, dtype), CHAIN, engine=engine, seed=3, **options)


def trained(opt, move, dtype, steps, first=0):
    for t in range(first, first + steps):
        opt.step(numbers(1 + t, move, dtype))


def all_bits(opt):
    state = {f"{name}/{key}": y for name, own in opt.state.items() for key, y in own.items()}
    return {key: bits(to_numpy(y)) for key, y in {**opt.params, **state}.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_state_lies_on_the_device_and_has_the_bits_of_the_cpu(way, dtype, cuda):
    if dtype == "float32" and not way.startswith(("bfloat16", "8-bit")):
        pytest.skip("float32 parameters need no rounding")
    mine, theirs = (made(move, dtype, **WAYS[way]) for move in (on_device, on_host))
    assert all_bits(mine) == all_bits(theirs)
    trained(mine, on_device, dtype, 3)
    trained(theirs, on_host, dtype, 3)
    assert (mine.engine, theirs.engine) == ("cuda", "compiled")
    assert all_bits(mine) == all_bits(theirs)
    assert {str(y.device) for own in mine.state.values() for y in own.values() if y.numel()} == {"cuda:0"}
    mine.reset()
    theirs.reset()
    assert all_bits(mine) == all_bits(theirs)


@pytest.mark.parametrize("way", ["bfloat16 state", "master, 8-bit state"])
def test_a_checkpoint_goes_on_on_the_cpu_and_back(way, cuda, tmp_path):
    whole = made(on_host, "bfloat16", **WAYS[way])
    trained(whole, on_host, "bfloat16", 9)
    file = tmp_path / "run.safetensors"
    for k, move in enumerate([on_device, on_host, on_device]):
        opt = made(move, "bfloat16", **WAYS[way])
        if k:
            opt.restore(file)
        trained(opt, move, "bfloat16", 3, 3 * k)
        opt.save(file)
    assert all_bits(opt) == all_bits(whole)


def test_a_start_that_is_one_number_takes_no_memory_of_the_host(cuda, monkeypatch):
    """State of 1e9 zeros is made on the device: what the host encodes is one of them."""
    seen = []
    monkeypatch.setattr("gradstep.array.namespaces.put", lambda x, values: seen.append(values))
    gs.Optimizer(torch.ones(5000).to("cuda"), "adam", engine="cuda", state_dtype="8bit")
    assert seen == []


def test_what_cannot_be_is_refused(cuda):
    w = torch.ones(3)
    with pytest.raises(gs.GradstepTypeError, match='or arrays on a CUDA device with engine="cuda"') as error:
        gs.Optimizer({"w": w.to("cuda")}, "adam", state_dtype="8bit")
    assert clear(error)
    with pytest.raises(gs.GradstepValueError, match="does not lie on a CUDA device"):
        gs.Optimizer({"w": w}, "adam", state_dtype="8bit", engine="cuda")
    with pytest.raises(gs.GradstepTypeError, match="computed in float32"):
        gs.Optimizer({"w": w.double().to("cuda")}, "adam", state_dtype="8bit", engine="cuda")
    with pytest.raises(gs.GradstepValueError, match="16-bit parameters"):
        gs.Optimizer({"w": w.to("cuda")}, "adam", master=True, engine="cuda")


def test_a_package_without_bfloat16_is_named(cuda, monkeypatch):
    """As CuPy is."""
    monkeypatch.setattr("gradstep.step.precision.namespace", lambda _: np)
    w = {"w": torch.ones(3).to("cuda")}
    with pytest.raises(gs.GradstepTypeError, match="no bfloat16 for the state") as error:
        gs.Optimizer(w, "adam", state_dtype="bfloat16", engine="cuda")
    assert clear(error)
