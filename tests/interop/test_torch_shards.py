"""The guest in torch over DTensors: each process steps its own shard."""

import subprocess
import sys
import textwrap

import pytest

import gradstep as gs

torch = pytest.importorskip("torch")
dist = pytest.importorskip("torch.distributed")
if not dist.is_available():
    pytest.skip("this torch has no torch.distributed", allow_module_level=True)
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, init_device_mesh  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402

from gradstep.interop.torch import Optimizer  # noqa: E402


@pytest.fixture
def mesh():
    """Two processes, of which this one is the first, and the other is not there."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield init_device_mesh("cpu", (2,))
    dist.destroy_process_group()


def shards(mesh, *placements, rows=4):
    whole = torch.arange(rows * 3.0, dtype=torch.float64).reshape(rows, 3) - 5
    here = whole[: rows // 2] if placements[0].is_shard() else whole
    return torch.nn.Parameter(
        DTensor.from_local(here.clone(), mesh, placements, run_check=False, shape=whole.shape, stride=whole.stride())
    )


def gradient(p, g):
    p.grad = DTensor.from_local(g, p.device_mesh, p.placements, run_check=False, shape=p.shape, stride=p.stride())


RULES = ("torch.AdamW", "torch.SGD", "torch.NAdam", "adam", "lion", gs.chain(gs.clip_by_value(0.5), gs.adam))


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("placement", [Shard(0), Replicate()])
def test_elementwise_rules_step_what_is_here(mesh, rule, placement):
    p = shards(mesh, placement)
    q = torch.nn.Parameter(p.to_local().detach().clone())
    opt, plain = Optimizer([p], rule), Optimizer([q], rule)
    for k in range(4):
        g = torch.linspace(-1.0, k + 0.5, q.numel(), dtype=torch.float64).reshape(q.shape)
        gradient(p, g.clone())
        q.grad = g
        opt.step()
        plain.step()
    assert torch.equal(p.to_local(), q)
    for key, x in plain.state[q].items():
        own = opt.state[p][key]
        assert torch.equal(own.to_local() if x.ndim else own, x)
        assert not x.ndim or (isinstance(own, DTensor) and own.placements == p.placements and own.shape == p.shape)
    again = shards(mesh, placement)
    with torch.no_grad():
        again.to_local().copy_(q)
    other = Optimizer([again], rule)
    other.load_state_dict(opt.state_dict())
    gradient(again, torch.ones_like(q))
    q.grad = torch.ones_like(q)
    other.step()
    plain.step()
    assert torch.equal(again.to_local(), q)


NORMS = [gs.chain(gs.clip_by_global_norm(1.0), gs.sgd), gs.chain(gs.clip_by_norm(1.0), gs.sgd), "lamb", "muon"]


@pytest.mark.parametrize("rule", NORMS, ids=str)
def test_rules_that_look_at_whole_arrays_refuse_a_shard(mesh, rule):
    with pytest.raises(gs.GradstepValueError, match=r"of parameter '0\.0', a DTensor, this process has a shard"):
        Optimizer([shards(mesh, Shard(0))], rule)
    Optimizer([shards(mesh, Replicate())], rule)


def test_what_else_is_refused(mesh):
    with pytest.raises(gs.GradstepValueError, match=r"with on_nonfinite='skip' some would step and others not"):
        Optimizer([shards(mesh, Shard(0))], "adam", on_nonfinite="skip")
    with pytest.raises(gs.GradstepValueError, match=r"'0\.0' is a DTensor of partial sums"):
        Optimizer([shards(mesh, Partial())], "adam")
    p = shards(mesh, Replicate())
    opt = Optimizer([p], "adam")
    q = torch.nn.Parameter(torch.ones(4, 3, dtype=torch.float64))
    plain = Optimizer([q], "adam")
    gradient(p, torch.ones(4, 3, dtype=torch.float64))
    q.grad = p.grad
    with pytest.raises(gs.GradstepTypeError, match=r"gradient '0\.0' is a DTensor, and the parameter a plain tensor"):
        plain.step()
    opt.step()


TRAIN = """
    import sys, warnings
    import torch, torch.distributed as dist, gradstep as gs
    from torch import nn
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
    from torch.distributed.fsdp import fully_shard
    warnings.simplefilter("ignore")
    rank, file = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", store=dist.FileStore(file, 2), rank=rank, world_size=2)

    def model(sharded):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double()
        if sharded:
            fully_shard(net[0]), fully_shard(net)
        return net

    def train(net, opt, first, last):
        for k in range(first, last):
            x = torch.linspace(-1, 1 + k, 8, dtype=torch.float64).reshape(2, 4)
            opt.zero_grad()
            net(x).square().mean().backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()

    def guest(net):
        return gs.interop.torch.Optimizer(net.parameters(), "torch.AdamW", lr=0.1)

    net, whole = model(True), model(False)
    opt, peer = guest(net), torch.optim.AdamW(whole.parameters(), lr=0.1)
    train(net, opt, 0, 3)
    kept, weights = get_optimizer_state_dict(net, opt), {k: x.clone() for k, x in net.state_dict().items()}
    net = model(True)
    net.load_state_dict(weights)
    opt = guest(net)
    set_optimizer_state_dict(net, opt, kept)
    train(net, opt, 3, 6)
    train(whole, peer, 0, 6)
    for p, q in zip(net.parameters(), whole.parameters()):
        torch.testing.assert_close(p.full_tensor(), q.detach(), rtol=0.0, atol=1e-12)
    assert int(opt.state[next(net.parameters())]["step"]) == 6

    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, init_device_mesh
    mesh = init_device_mesh("cpu", (2,))
    for placement in (Shard(0), Replicate()):  # a gradient placed otherwise is brought to where its parameter is
        p = nn.Parameter(DTensor.from_local(torch.zeros(2, dtype=torch.float64), mesh, [placement]))
        opt = gs.interop.torch.Optimizer([p], "sgd", lr=1.0)
        p.grad = DTensor.from_local(torch.full(p.shape, rank + 1.0, dtype=torch.float64), mesh, [Partial()])
        opt.step()
        assert p.full_tensor().tolist() == [-3.0] * p.numel()
    dist.destroy_process_group()
    print("alike")
"""


@pytest.mark.process
def test_fsdp2_in_two_processes_with_its_state_saved_and_loaded(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(TRAIN)]
    each = [
        subprocess.Popen([*command, str(k), str(tmp_path / "store")], stdout=-1, stderr=-1, text=True) for k in (0, 1)
    ]
    for process in each:
        out, error = process.communicate(timeout=240)
        assert out == "alike\n", error
