"""Checkpoints and runs of torch's and CuPy's arrays, on the host and on a device."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy


def torch_on(device):
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    return lambda x, dtype: torch.tensor(np.asarray(x), dtype=getattr(torch, dtype), device=device)


def cupy_on(_):
    cupy = pytest.importorskip("cupy")
    return lambda x, dtype: cupy.asarray(x, getattr(cupy, dtype))


WAYS = [
    pytest.param(torch_on, "cpu", "bfloat16", id="torch-bfloat16"),
    pytest.param(torch_on, "cpu", "float32", id="torch-float32"),
    pytest.param(torch_on, "cpu", "complex128", id="torch-complex128"),
    pytest.param(torch_on, "cuda", "bfloat16", id="cuda-bfloat16"),
    pytest.param(torch_on, "cuda", "float32", id="cuda-float32"),
    pytest.param(cupy_on, "cuda", "float64", id="cupy-float64"),
]
START = np.linspace(-1, 1, 12).reshape(3, 4)


def made(make, dtype, scale):
    params = {"w": make(scale * START, dtype), "b": make(scale, dtype)}
    return params, gs.Optimizer(params, gs.chain(gs.clip_by_norm(1.0), gs.nadam(lr=0.1), gs.ema(decay=0.5)))


def raw(x):
    x = to_numpy(x)
    return x.dtype.name, x.shape, x.tobytes()


@pytest.mark.parametrize(("kind", "device", "dtype"), WAYS)
def test_another_optimizer_goes_on(kind, device, dtype, tmp_path):
    make = kind(device)
    params, opt = made(make, dtype, 1.0)
    grads = [{"w": make(k * START + 0.1, dtype), "b": make(0.3 * k, dtype)} for k in range(1, 6)]
    for g in grads[:3]:
        opt.step(g)
    opt.save(tmp_path / "a.safetensors")
    others, other = made(make, dtype, 7.0)
    places = dict(others)
    found = other.restore(tmp_path / "a.safetensors")
    assert found.params["w"].dtype.name == dtype
    for g in grads[3:]:
        opt.step(g)
        other.step(g)
    for name, x in params.items():
        assert raw(x) == raw(others[name])
        assert others[name] is places[name]
        assert {k: raw(y) for k, y in opt.state[name].items()} == {k: raw(y) for k, y in other.state[name].items()}


@pytest.mark.parametrize(("kind", "device", "dtype"), [way for way in WAYS if "complex" not in way.id])
def test_a_run_is_resumed(kind, device, dtype, tmp_path):
    make = kind(device)

    def f(x):
        return float(to_numpy((x * x).sum())), 2 * x

    def run(n, **options):
        made = gs.Run(f, make(START, dtype), "adam", lr=0.1, max_steps=n, diagnostics=True, **options)
        return made, list(made)

    whole, steps = run(9)
    run(4, save_to=tmp_path / "a.safetensors")
    again, rest = run(9, save_to=tmp_path / "a.safetensors", resume=True)
    assert [(s.t, s.value, s.grad_norm, s.update_ratio) for s in rest] == [
        (s.t, s.value, s.grad_norm, s.update_ratio) for s in steps[4:]
    ]
    assert raw(again.params) == raw(whole.params)
    assert raw(again.best) == raw(whole.best)


def test_parameters_that_want_a_gradient_want_it_still():
    torch = pytest.importorskip("torch")
    start = {"w": torch.ones(3, requires_grad=True), "b": torch.zeros(())}

    def f(params):
        loss = (params["w"] ** 2).sum() + params["b"]
        (g,) = torch.autograd.grad(loss, [params["w"]])
        return loss, {"w": g, "b": torch.ones(())}

    run = gs.Run(f, start, "sgd", lr=0.25, max_steps=2)
    assert [step.value for step in run] == [3.0, 0.5]
    assert run.params["w"].requires_grad
    assert start["w"].tolist() == [1.0, 1.0, 1.0]
    assert not run.best["w"].requires_grad
