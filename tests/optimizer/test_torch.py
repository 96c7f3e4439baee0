"""Optimizers over torch tensors; JAX arrays are sent elsewhere."""

import numpy as np
import pytest

import gradstep as gs
from support import LONG, bits


class TestTorch:
    def test_parameters_of_a_module(self):
        torch = pytest.importorskip("torch")
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
        params = dict(net.named_parameters())
        plain = {name.replace(".", "_"): x.detach().numpy().copy() for name, x in params.items()}
        opt, other = gs.Optimizer(params, LONG), gs.Optimizer(plain, LONG)
        x = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5)
        for _ in range(3):
            net.zero_grad()
            net(x).square().sum().backward()
            grads = {name: p.grad for name, p in params.items()}
            opt.step(grads)
            other.step({name.replace(".", "_"): g.numpy() for name, g in grads.items()})
        for name, p in params.items():
            assert p.requires_grad
            assert p.is_leaf
            np.testing.assert_allclose(p.detach().numpy(), plain[name.replace(".", "_")], rtol=1e-15, atol=1e-15)

    @pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
    def test_dtypes(self, dtype):
        torch = pytest.importorskip("torch")
        w = torch.tensor([1.0, 2.0, 3.0], dtype=getattr(torch, dtype))
        plain = w.numpy().copy()
        opt, other = gs.Optimizer(w, "momentum"), gs.Optimizer(plain, "momentum")
        for _ in range(3):
            opt.step(w.clone())
            other.step(plain.copy())
        assert bits(w.numpy()) == bits(plain)
        opt.reset()
        assert opt.state["params"]["momentum.v"].abs().sum() == 0

    def test_refusals(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3)
        with pytest.raises(gs.GradstepTypeError, match="parameter 'w' has dtype int32"):
            gs.Optimizer({"w": w.int()}, "sgd")
        with pytest.raises(gs.GradstepTypeError, match="state_dtype, master, rounding need NumPy's"):
            gs.Optimizer({"w": w.bfloat16()}, "sgd", master=True)
        with pytest.raises(gs.GradstepValueError, match="share memory"):
            gs.Optimizer({"embed": w, "head": w}, "sgd")
        opt = gs.Optimizer({"w": w}, "adam")
        for g, text in (
            (torch.ones(2), "shape"),
            (torch.ones(3).double(), "dtype"),
            (np.ones(3, "f4"), "ndarray"),
            (None, "missing"),
        ):
            with pytest.raises(gs.GradstepError, match=text):
                opt.step({"w": g})
        with pytest.raises(gs.NonFiniteError, match=r"gradient 'w' is not finite: \[1\] = nan"):
            opt.step({"w": torch.tensor([1.0, float("nan"), 2.0])})
        assert w.tolist() == [1.0] * 3
        assert opt.t == 0

    @pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
    def test_sixteen_bits_are_float32_rounded(self, dtype):
        torch = pytest.importorskip("torch")
        low = getattr(torch, dtype)
        w = torch.linspace(-2.0, 2.0, 50).to(low)
        wide = w.numpy() if dtype == "float16" else w.float().numpy()
        wide = wide.astype("f4")
        opt, twin = gs.Optimizer(w, "adam", lr=0.1), gs.Optimizer(wide, "adam", lr=0.1, engine="eager")
        opt.step(torch.ones(50, dtype=low))
        twin.step(np.ones(50, "f4"))
        assert w.dtype == low
        assert opt.state["params"]["adam.m"].dtype == torch.float32
        # torch's float32 root may be an ulp off, which shows in 16 bits where it crosses a tie: not here
        assert torch.equal(w, torch.from_numpy(wide).to(low))

    def test_averaged_has_no_graph(self):
        torch = pytest.importorskip("torch")
        w = torch.ones(3, requires_grad=True)
        opt = gs.Optimizer(w, gs.chain(gs.sgd(lr=1.0), gs.ema(decay=0.5)))
        opt.step(torch.ones(3))
        assert opt.averaged().tolist() == [0.5] * 3
        assert not opt.averaged().requires_grad


def test_jax_arrays_are_sent_to_update():
    jax = pytest.importorskip("jax")
    with pytest.raises(gs.GradstepTypeError, match=r"cannot be changed in place; use params, state = gs\.update"):
        gs.Optimizer({"w": jax.numpy.ones(3)}, "adam")
