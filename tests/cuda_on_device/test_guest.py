"""The guest in torch on a device, where there is one: loops with a scaler, schedulers, checkpoints, and their bits."""

import io

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from support import bits

pytest.importorskip("llvmlite")
torch = pytest.importorskip("torch")
from gradstep.engine.cuda import driver  # noqa: E402 - needs llvmlite
from gradstep.interop.torch import Optimizer  # noqa: E402 - needs torch

_, WHY = driver.available()
WHY = WHY or ("" if torch.cuda.is_available() else "this torch has no CUDA")
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY)
RULES = {
    "torch.AdamW": ("torch.AdamW", {"lr": 0.1}),
    "torch.SGD": ("torch.SGD", {"lr": 0.1, "momentum": 0.9}),
    "nadam": ("nadam", {"lr": 0.1}),
    "clipped": (gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.1), gs.ema(decay=0.9)), {}),
}
SHAPES = [(300, 41), (7,), (), (100_003,)]


def parameters(device, dtype=torch.float32):
    rng = np.random.default_rng(0)
    return [torch.nn.Parameter(torch.tensor(rng.normal(size=s)).to(device=device, dtype=dtype)) for s in SHAPES]


def stepped(params, opt, steps, first=0):
    """Steps by gradients that are the same on every device."""
    for k in range(first, first + steps):
        opt.zero_grad()
        rng = np.random.default_rng(1 + k)
        for p in params:
            p.grad = torch.tensor(rng.normal(size=tuple(p.shape))).to(device=p.device, dtype=p.dtype)
        opt.step()


def all_bits(params, opt):
    found = [bits(to_numpy(p)) for p in params]
    return found + [(key, bits(to_numpy(y))) for p in params for key, y in sorted(opt.state[p].items())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", RULES)
def test_twenty_steps_have_the_bits_of_the_cpu(name, dtype):
    seen = []
    for device in ("cuda", "cpu"):
        rule, hyper = RULES[name]
        params = parameters(device, dtype)
        opt = Optimizer(params, rule, engine="cuda", **hyper)
        stepped(params, opt, 20)
        seen.append(all_bits(params, opt))
    assert seen[0] == seen[1]


def test_a_scaler_and_a_scheduler():
    """The CPU gets the gradients that the scaler has left on the device."""
    net = torch.nn.Sequential(torch.nn.Linear(7, 33), torch.nn.Tanh(), torch.nn.Linear(33, 3)).to("cuda")
    params = [*net.parameters()]
    mirror = [torch.nn.Parameter(p.detach().cpu()) for p in params]
    opts = [Optimizer(own, "torch.AdamW", lr=0.1, engine="cuda") for own in (params, mirror)]
    schedulers = [torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.3, total_steps=20) for opt in opts]
    scaler = torch.amp.GradScaler("cuda", init_scale=64.0)
    data = torch.linspace(-1, 1, 70, device="cuda").reshape(10, 7)
    for k in range(12):
        opts[0].zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = net(data).float().square().mean() * (float("inf") if k == 5 else 1.0)
        scaler.scale(loss).backward()
        scaler.unscale_(opts[0])
        for p, q in zip(params, mirror, strict=True):
            q.grad = p.grad.detach().cpu()
        scaler.step(opts[0])
        if k != 5:
            opts[1].step()
        scaler.update()
        for x in schedulers:
            x.step()
    assert scaler.get_scale() == 32.0
    assert all_bits(params, opts[0]) == all_bits(mirror, opts[1])


def test_a_run_goes_on_on_the_cpu_and_back():
    tx = RULES["clipped"][0]
    whole = parameters("cpu")
    stepped(whole, whole_opt := Optimizer(whole, tx), 9)
    saved = None
    for k, device in enumerate(["cuda", "cpu", "cuda"]):
        params = parameters(device)
        opt = Optimizer(params, tx, engine="cuda")
        if saved is not None:
            kept = torch.load(saved, map_location=device)
            for p, x in zip(params, kept["params"], strict=True):
                p.data.copy_(x)
            opt.load_state_dict(kept["opt"])
        stepped(params, opt, 3, 3 * k)
        saved = io.BytesIO()
        torch.save({"params": [p.detach() for p in params], "opt": opt.state_dict()}, saved)
        saved.seek(0)
    assert all_bits(params, opt) == all_bits(whole, whole_opt)


def test_a_step_waits_for_the_gradients_of_its_stream():
    w = torch.nn.Parameter(torch.zeros(1 << 22, device="cuda"))
    opt = Optimizer([w], "torch.SGD", lr=1.0, on_nonfinite="ignore", engine="cuda")
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(50_000_000)
        w.grad = torch.ones_like(w)
        opt.step()
        torch.cuda.current_stream().synchronize()
    assert torch.equal(w.detach(), -torch.ones_like(w))
