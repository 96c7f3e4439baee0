"""Memory of a device with __cuda_array_interface__ alone, as numba's arrays are; and JAX's, which cannot be written."""

from types import SimpleNamespace

import numpy as np
import pytest

import gradstep as gs
from support import bits, clear

pytest.importorskip("llvmlite")
torch = pytest.importorskip("torch")

from .pretended import Bare, Pretended  # noqa: E402 - needs torch

TX = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.1))


def there_is(monkeypatch, **packages):
    """Only these packages can be imported to hold the state."""

    def found(name):
        if name not in packages:
            raise ModuleNotFoundError(name=name)
        return packages[name]

    monkeypatch.setattr("gradstep.array.namespaces.import_module", found)


@pytest.fixture
def cuda(monkeypatch):
    there_is(monkeypatch, torch=torch)
    with Pretended(monkeypatch) as pretended:
        yield pretended


def numbers(seed, shape=(30, 7)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("tx", [gs.adam(lr=0.1), TX], ids=["adam", "clipped"])
def test_bare_memory_is_stepped_where_it_lies(tx, cuda):
    mine, theirs = {"w": numbers(0), "b": numbers(1, (5,))}, {"w": numbers(0), "b": numbers(1, (5,))}
    opt = gs.Optimizer({name: Bare(x) for name, x in mine.items()}, tx, engine="cuda")
    plain = gs.Optimizer(theirs, tx, engine="eager")
    for t in range(3):
        g = {"w": numbers(2 + t), "b": numbers(9 + t, (5,))}
        opt.step({name: Bare(x) for name, x in g.items()})
        plain.step(g)
    assert opt.engine == "cuda"
    assert {name: bits(x) for name, x in mine.items()} == {name: bits(x) for name, x in theirs.items()}
    assert isinstance(opt.params["w"], Bare)
    assert isinstance(opt.state["w"]["adam.m" if tx is not TX else "adamw.m"], torch.Tensor)


def test_a_bare_gradient_of_a_tensor(cuda):
    w = torch.ones(4).to("cuda")
    opt = gs.Optimizer(w, gs.sgd(lr=0.5), engine="cuda")
    opt.step(Bare(np.full(4, 2.0, np.float32)))
    assert w.tolist() == [0.0] * 4
    with pytest.raises(gs.GradstepError, match="shape") as error:
        opt.step(Bare(np.ones(5, np.float32)))
    assert clear(error)
    with pytest.raises(gs.GradstepError, match="dtype"):
        opt.step(Bare(np.ones(4)))
    assert opt.t == 1


def test_memory_that_is_read_only_is_refused(cuda):
    x = np.ones(3, np.float32)
    x.flags.writeable = False
    with pytest.raises(gs.GradstepValueError, match="'w' is read-only") as error:
        gs.Optimizer({"w": Bare(x)}, "adam", engine="cuda")
    assert clear(error)


def test_without_a_package_for_the_state(cuda, monkeypatch):
    there_is(monkeypatch)
    with pytest.raises(gs.GradstepTypeError, match="neither CuPy nor torch is installed") as error:
        gs.Optimizer({"w": Bare(numbers(0))}, "adam", engine="cuda")
    assert clear(error)


def test_cupy_is_asked_first(cuda, monkeypatch):
    """Its arrays are the nearest to bare ones: they need no torch."""
    seen = []
    there_is(monkeypatch, cupy=SimpleNamespace(asarray=lambda x: seen.append(x) or x.x), torch=torch)
    with pytest.raises(gs.GradstepValueError, match="does not lie on a CUDA device"):
        gs.Optimizer(Bare(numbers(0)), "adam", engine="cuda")
    assert len(seen) == 1


def test_arrays_of_jax_say_what_to_do(cuda):
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(
        gs.GradstepTypeError, match=r"cannot be changed in place; use params, state = gs\.update"
    ) as error:
        gs.Optimizer({"w": jnp.ones(3)}, "adam", engine="cuda")
    assert clear(error)
