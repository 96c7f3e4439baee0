"""The guest in torch by the names of libraries of torch's kind: what it steps is what an optimizer of arrays steps."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.conventions import constructors

torch = pytest.importorskip("torch")

NAMES = [name for library in ("timm", "pytorch_optimizer") for name in constructors()[library]]


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_steps_as_the_optimizer(name):
    rng = np.random.default_rng(3)
    arrays = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=5)}
    params = [torch.nn.Parameter(torch.tensor(x)) for x in arrays.values()]
    guest = gs.interop.torch.Optimizer(params, name, lr=0.01)
    opt = gs.Optimizer(arrays, name, lr=0.01)
    for _ in range(3):
        grads = {key: rng.normal(size=x.shape) for key, x in arrays.items()}
        for p, g in zip(params, grads.values(), strict=True):
            p.grad = torch.tensor(g)
        guest.step()
        opt.step(grads)
    for p, x in zip(params, arrays.values(), strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), x)
