"""The guest in torch with engine="cuda": whole training loops on pretended devices have the bits of the CPU."""

import copy
import io
import math
import pickle

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from gradstep.errors import DeviceError
from support import bits, clear

pytest.importorskip("llvmlite")
torch = pytest.importorskip("torch")
from gradstep.interop.torch import Optimizer, dump_state, load_state  # noqa: E402 - need torch

from .pretended import Pretended  # noqa: E402 - needs torch

RULES = {
    "adam": ("adam", {"lr": 0.1}),
    "torch.AdamW": ("torch.AdamW", {"lr": 0.1, "amsgrad": True}),
    "torch.SGD": ("torch.SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "nadam": ("nadam", {"lr": 0.1}),
    "lamb": ("lamb", {"lr": 0.1}),
    "clipped": (gs.chain(gs.clip_by_global_norm(0.1), gs.adamw(lr=0.1), gs.ema(decay=0.9)), {}),
}
SLOT = {"SGD": "momentum_buffer"}


@pytest.fixture
def cuda(monkeypatch):
    with Pretended(monkeypatch) as pretended:
        yield pretended


def network(device="cuda", dtype=torch.float32):
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Linear(7, 33), torch.nn.Tanh(), torch.nn.Linear(33, 3))
    return made.to(device=device, dtype=dtype)


def backward(net, k, scale=1.0):
    """Gradients of step ``k``, computed where the network is."""
    p = next(net.parameters())
    data = torch.linspace(-1 - k, 2, 35).reshape(5, 7).to(device=p.device, dtype=p.dtype)
    loss = net(data).square().mean() * scale
    loss.backward()
    return loss


def trained(net, opt, steps, first=0, **options):
    for k in range(first, first + steps):
        opt.zero_grad(**options)
        backward(net, k)
        opt.step()


def all_bits(net, opt):
    """Parameters and their state."""
    found = [bits(to_numpy(p)) for p in net.parameters()]
    return found + [(key, bits(to_numpy(y))) for p in net.parameters() for key, y in sorted(opt.state[p].items())]


def kinds(opt):
    return sorted(x.step.kind for x in opt.buckets().each)


@pytest.mark.parametrize("name", RULES)
def test_a_training_loop_has_the_bits_of_the_cpu(name, cuda):
    rule, hyper = RULES[name]
    mine, theirs = network(), network("cpu")
    opt = Optimizer(mine.parameters(), rule, engine="cuda", **hyper)
    eager = Optimizer(theirs.parameters(), rule, engine="eager", **hyper)
    for net, own in ((mine, opt), (theirs, eager)):
        trained(net, own, 4)
        trained(net, own, 2, 4, set_to_none=False)
    assert (kinds(opt), kinds(eager)) == (["cuda"], ["eager"])
    assert all_bits(mine, opt) == all_bits(theirs, eager)
    slots = [y for own in opt.state.values() for y in own.values() if y.ndim]
    assert {str(y.device) for y in slots} <= {"cuda:0"}


def test_every_parameter_goes_in_one_launch_a_phase(cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam", engine="cuda")
    trained(net, opt, 1)
    cuda.launched()
    trained(net, opt, 2, 1)
    assert cuda.launched() == [("launch", "look", 7), ("launch", "apply", 7)] * 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_dtypes(dtype, cuda):
    pytest.importorskip("ml_dtypes")
    mine, theirs = network(dtype=dtype), network("cpu", dtype)
    opt = Optimizer(mine.parameters(), "adam", lr=0.1, engine="cuda")
    eager = Optimizer(theirs.parameters(), "adam", lr=0.1, engine="eager")
    trained(mine, opt, 3)
    trained(theirs, eager, 3)
    assert all_bits(mine, opt) == all_bits(theirs, eager)


def test_no_tensor_is_looked_at_by_itself_in_a_usual_step(cuda, monkeypatch):
    """For many small ones that would be most of a step's time on the host."""
    net = network()
    opt = Optimizer(net.parameters(), "adam", engine="cuda")
    trained(net, opt, 1)
    looked = []
    monkeypatch.setattr(cuda.drivers[0], "place", looked.append)
    trained(net, opt, 2, 1)
    assert looked == []


def test_without_the_word_cuda_parameters_are_stepped_eagerly(cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam")
    trained(net, opt, 2)
    assert kinds(opt) == ["eager"]
    assert cuda.launched() == []


def test_groups_and_torchs_schedulers(cuda):
    seen = []
    for device, engine in (("cuda", "cuda"), ("cpu", "eager")):
        net = network(device)
        groups = [{"params": net[0].parameters(), "lr": 0.2}, {"params": net[2].parameters(), "weight_decay": 0.3}]
        opt = Optimizer(groups, "torch.AdamW", lr=0.1, engine=engine)
        scheduler = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=[0.3, 0.2], total_steps=6)
        for k in range(5):
            trained(net, opt, 1, k)
            scheduler.step()
        seen.append((all_bits(net, opt), [group["lr"] for group in opt.param_groups]))
        assert kinds(opt) == [engine]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("clipped", [False, True])
def test_a_scaler_of_gradients(clipped, cuda):
    seen = []
    for device, engine in (("cuda", "cuda"), ("cpu", "eager")):
        net = network(device)
        opt = Optimizer(net.parameters(), "adam", lr=0.1, engine=engine)
        scaler = torch.amp.GradScaler(device, init_scale=64.0)
        for k in range(5):
            opt.zero_grad()
            p = next(net.parameters())
            data = torch.linspace(-1 - k, 2, 35).reshape(5, 7).to(p.device)
            loss = net(data).square().mean() * (math.inf if k == 2 else 1.0)
            scaler.scale(loss).backward()
            if clipped:
                scaler.unscale_(opt)
                torch.nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(opt)
            scaler.update()
        assert scaler.get_scale() == 32.0
        assert int(opt.state[net[0].bias]["step"]) == 4
        seen.append(all_bits(net, opt))
    assert seen[0] == seen[1]


def test_parameters_on_the_cpu_go_the_cpus_way(cuda):
    seen = []
    for device, engine in (("cuda", "cuda"), ("cpu", "eager")):
        net, beside = network(device), torch.nn.Parameter(torch.ones(5))
        opt = Optimizer([*net.parameters(), beside], "adam", lr=0.1, engine=engine)
        for k in range(3):
            opt.zero_grad()
            backward(net, k)
            beside.grad = torch.full((5,), 0.5 + k)
            opt.step()
        seen.append((all_bits(net, opt), bits(to_numpy(beside)), kinds(opt)))
    assert seen[0][:2] == seen[1][:2]
    assert (seen[0][2], seen[1][2]) == (["compiled", "cuda"], ["eager"])


def test_each_device_has_a_pass_of_its_own(cuda):
    seen = []
    for devices, engine in ((("cuda:0", "cuda:1"), "cuda"), (("cpu", "cpu"), "eager")):
        nets = [network(device) for device in devices]
        opt = Optimizer([p for net in nets for p in net.parameters()], "adam", lr=0.1, engine=engine)
        for k in range(3):
            opt.zero_grad()
            for net in nets:
                backward(net, k)
            opt.step()
        seen.append([all_bits(net, opt) for net in nets])
        assert kinds(opt) == [engine] * len({*devices})
    assert seen[0] == seen[1]
    assert cuda.launched(0)[-1] == ("launch", "apply", 7)
    assert cuda.launched(1)[-1] == ("launch", "apply", 8)


def test_a_bad_gradient_on_one_device_changes_nothing_on_the_other(cuda):
    nets = [network("cuda:0"), network("cuda:1")]
    params = [p for net in nets for p in net.parameters()]
    opt = Optimizer(params, "adam", lr=0.1, engine="cuda")
    for k in range(2):
        opt.zero_grad()
        for net in nets:
            backward(net, k)
        if k:
            nets[1][2].bias.grad[1] = math.nan
            before = [all_bits(net, opt) for net in nets]
            with pytest.raises(gs.NonFiniteError, match=r"\[1\]") as error:
                opt.step()
            assert clear(error)
            assert [all_bits(net, opt) for net in nets] == before
        else:
            opt.step()


@pytest.mark.parametrize("is_lost", [False, True], ids=["once", "for good"])
def test_a_device_that_fails_behind_another_is_tried_again(is_lost, cuda, monkeypatch):
    a, b = (torch.nn.Parameter(torch.ones(4).to(f"cuda:{k}")) for k in (0, 1))
    opt = Optimizer([a, b], "torch.SGD", lr=1.0, engine="cuda")
    a.grad, b.grad = (torch.ones(4).to(x.device) for x in (a, b))
    launch, failed = cuda.drivers[1].launch, []

    def failing(launches, done, stream):
        if [x.function[0] for x in launches] != ["look"] and (is_lost or not failed):  # not what is only rehearsed
            failed.append(True)
            raise DeviceError("the device could not start a kernel.")
        launch(launches, done, stream)

    monkeypatch.setattr(cuda.drivers[1], "launch", failing)
    if is_lost:
        with pytest.raises(DeviceError, match="these have not: go on from a checkpoint") as error:
            opt.step()
        assert clear(error)
    else:
        opt.step()
    assert failed
    assert (a.tolist(), b.tolist()) == ([0.0] * 4, [float(is_lost)] * 4)


def test_a_norm_over_two_devices_is_refused(cuda):
    net, beside = network(), torch.nn.Parameter(torch.ones(5))
    opt = Optimizer([*net.parameters(), beside], RULES["clipped"][0], engine="cuda")
    backward(net, 0)
    beside.grad = torch.ones(5)
    with pytest.raises(gs.GradstepValueError, match="clip_grad_norm_") as error:
        opt.step()
    assert clear(error)


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_bad_gradient_changes_nothing(policy, cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam", on_nonfinite=policy, engine="cuda")
    trained(net, opt, 2)
    before = all_bits(net, opt)
    backward(net, 2)
    net[2].bias.grad[2] = math.inf
    if policy == "raise":
        with pytest.raises(gs.NonFiniteError, match=r"\[2\]"):
            opt.step()
    else:
        opt.step()
        assert opt.skipped == 1
    assert all_bits(net, opt) == before
    trained(net, opt, 1, 3)
    assert int(opt.state[net[2].bias]["step"]) == 3


def test_a_run_goes_on_on_the_cpu_and_back(cuda):
    """As a file: torch.load(map_location="cpu") and a network that is made anew."""
    tx = RULES["clipped"][0]
    whole = network("cpu")
    trained(whole, whole_opt := Optimizer(whole.parameters(), tx), 9)
    saved = None
    for k, device in enumerate(["cuda", "cpu", "cuda"]):
        net = network(device)
        opt = Optimizer(net.parameters(), tx, engine="cuda")
        if saved is not None:
            kept = torch.load(saved, map_location="cpu")
            net.load_state_dict(kept["net"])
            opt.load_state_dict(kept["opt"])
        trained(net, opt, 3, 3 * k)
        saved = io.BytesIO()
        own = opt.state_dict()
        own["state"] = {i: {key: y.cpu() for key, y in x.items()} for i, x in own["state"].items()}
        torch.save({"net": {key: x.cpu() for key, x in net.state_dict().items()}, "opt": own}, saved)
        saved.seek(0)
        assert kinds(opt) == ["cuda" if device == "cuda" else "compiled"]
    assert all_bits(net, opt) == all_bits(whole, whole_opt)


def test_a_state_that_lies_on_the_device_is_taken(cuda):
    net, other = network(), network()
    opt = Optimizer(net.parameters(), "adam", lr=0.1, engine="cuda")
    trained(net, opt, 3)
    more = Optimizer(other.parameters(), "adam", lr=0.1, engine="cuda")
    more.load_state_dict(opt.state_dict())
    other.load_state_dict(net.state_dict())
    for own, made in ((net, opt), (other, more)):
        trained(own, made, 2, 3)
    assert all_bits(net, opt) == all_bits(other, more)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_state_of_torchs_own_optimizers_comes_and_goes(name, cuda):
    hyper = {"lr": 0.1} | ({"momentum": 0.9} if name == "SGD" else {})
    net, plain = network(), network("cpu")
    theirs = getattr(torch.optim, name)(net.parameters(), **hyper)
    trained(net, theirs, 2)
    own = theirs.state_dict()
    opt = Optimizer(net.parameters(), f"torch.{name}", engine="cuda", **hyper)
    load_state(opt, own)
    plain.load_state_dict({key: x.cpu() for key, x in net.state_dict().items()})
    on_cpu = Optimizer(plain.parameters(), f"torch.{name}", engine="eager", **hyper)
    own["state"] = {i: {key: y.cpu() for key, y in x.items() if y is not None} for i, x in own["state"].items()}
    load_state(on_cpu, own)
    trained(net, opt, 2, 2)
    trained(plain, on_cpu, 2, 2)
    assert kinds(opt) == ["cuda"]
    assert all_bits(net, opt) == all_bits(plain, on_cpu)
    back = dump_state(opt, theirs.state_dict())
    theirs.load_state_dict(back)
    trained(net, theirs, 1, 4)


def test_the_stream_is_the_current_one(cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam", engine="cuda")
    trained(net, opt, 1)
    cuda.streams[0] = 21
    cuda.drivers[0].calls.clear()
    trained(net, opt, 1, 1)
    assert cuda.drivers[0].calls[0] == ("wait", 7)  # kernels of the stream before may still be reading the tables
    assert {x[-1] for x in cuda.launched()} == {21}


@pytest.mark.parametrize("rule", ["torch.SGD", "torch.Adagrad", "torch.SparseAdam"])
def test_sparse_gradients_are_gathered_and_written_back(rule, cuda):
    seen = []
    for engine in ("cuda", "eager"):
        torch.manual_seed(0)
        table = torch.nn.Embedding(20, 4, sparse=True).to("cuda")
        opt = Optimizer(table.parameters(), rule, lr=0.1, engine=engine)
        for k in range(3):
            opt.zero_grad()
            table(torch.tensor([1, 3 + k, 3, 19]).to("cuda")).square().sum().backward()
            assert table.weight.grad.layout is torch.sparse_coo
            opt.step()
        seen.append(all_bits(table, opt))
    assert seen[0] == seen[1]


def test_sparse_gradients_of_a_rule_that_moves_all_rows_are_refused(cuda):
    table = torch.nn.Embedding(20, 4, sparse=True).to("cuda")
    opt = Optimizer(table.parameters(), "adam", engine="cuda")
    table(torch.tensor([1, 3]).to("cuda")).sum().backward()
    with pytest.raises(gs.GradstepTypeError, match="is sparse") as error:
        opt.step()
    assert clear(error)


def test_gradients_with_a_graph_or_other_strides(cuda):
    seen = []
    for device, engine in (("cuda", "cuda"), ("cpu", "eager")):
        w = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4).to(device))
        opt = Optimizer([w], "adam", lr=0.1, engine=engine)
        (w.grad,) = torch.autograd.grad(w.square().sum(), w, create_graph=True)
        opt.step()
        w.grad = torch.linspace(0, 1, 12).reshape(4, 3).to(device).T
        opt.step()
        w.grad = w.detach()  # of the parameter's own memory
        opt.step()
        seen.append(bits(to_numpy(w)))
    assert seen[0] == seen[1]


def test_a_network_that_is_moved_is_followed(cuda):
    net, plain = network(), network("cpu")
    opt = Optimizer(net.parameters(), "adam", lr=0.1, engine="cuda")
    eager = Optimizer(plain.parameters(), "adam", lr=0.1, engine="eager")
    for k, device in enumerate(["cuda:0", "cpu", "cuda:1"]):
        net.to(device)
        trained(net, opt, 2, 2 * k)
        assert kinds(opt) == ["compiled" if device == "cpu" else "cuda"]
    trained(plain, eager, 6)
    assert all_bits(net, opt) == all_bits(plain, eager)


def test_copies_keep_the_engine(cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam", lr=0.1, engine="cuda")
    trained(net, opt, 1)
    other, made = copy.deepcopy((net, opt))
    trained(other, made, 1, 1)
    trained(net, opt, 1, 1)
    assert kinds(made) == ["cuda"]
    assert all_bits(other, made) == all_bits(net, opt)


def test_an_optimizer_of_an_older_version_is_read():
    """It was pickled before there was a choice of engines."""
    net = network("cpu")
    opt = Optimizer(net.parameters(), "adam", lr=0.1)
    trained(net, opt, 1)
    opt._how = opt._how[:2]
    made = pickle.loads(pickle.dumps(opt))  # noqa: S301 - our own
    assert kinds(made) == ["compiled"]


def test_what_cannot_be_run_is_refused_by_name(cuda):
    net = network()
    with pytest.raises(gs.GradstepValueError, match="muon sees whole arrays") as error:
        Optimizer([net[0].weight], "muon", engine="cuda")
    assert clear(error)
    w = torch.nn.Parameter(torch.ones(3, 4).to("cuda").T)
    with pytest.raises(gs.GradstepValueError, match="no contiguous array") as error:
        Optimizer([w], "adam", engine="cuda")
    assert clear(error)
    with pytest.raises(gs.GradstepValueError, match="engine must be one of"):
        Optimizer(net.parameters(), "adam", engine="gpu")
    with pytest.raises(gs.GradstepValueError, match="NumPy arrays alone"):
        Optimizer(net.parameters(), "adam", engine="compiled")


def test_a_recorded_step_is_refused(cuda):
    net = network()
    opt = Optimizer(net.parameters(), "adam", engine="cuda")
    trained(net, opt, 1)
    before = all_bits(net, opt)
    backward(net, 1)
    cuda.drivers[0].is_captured = True
    with pytest.raises(DeviceError, match="recorded"):
        opt.step()
    assert all_bits(net, opt) == before


def test_without_a_driver_it_is_said_where_the_optimizer_is_made(cuda, monkeypatch):
    monkeypatch.setattr("gradstep.engine.cuda.driver.available", lambda: (None, "this machine has no driver"))
    with pytest.raises(gs.GradstepValueError, match="no driver") as error:
        Optimizer(network().parameters(), "adam", engine="cuda")
    assert clear(error)
    Optimizer(network("cpu").parameters(), "adam", engine="cuda")


def test_an_average_begins_at_parameters_that_were_loaded_since(cuda):
    seen = []
    for device, engine in (("cuda", "cuda"), ("cpu", "eager")):
        net = network(device)
        opt = Optimizer(net.parameters(), gs.chain(gs.sgd(lr=0.1), gs.ema(decay=0.5)), engine=engine)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(2.0)
        trained(net, opt, 2)
        seen.append(all_bits(net, opt))
    assert seen[0] == seen[1]


def test_the_pretence_is_as_strict_as_torch(cuda):
    """Else these tests would prove little."""
    x = torch.ones(3).to("cuda")
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(3)
    with pytest.raises(TypeError, match="numpy"):
        x.numpy()
    with pytest.raises(RuntimeError, match="same device"):
        torch.nn.Parameter(x).grad = torch.ones(3)
    assert str((x * 2.0).device) == "cuda:0"
    assert str(x.cpu().device) == "cpu"
    assert np.array_equal(x.cpu().numpy(), np.ones(3))
