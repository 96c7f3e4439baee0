"""Processes of torch that train one network: ``torchrun --nproc-per-node 4 train_torchrun.py FOLDER``.

The network is torch's, on the CPU; its parameters are stepped where they lie. It prints the same hash for any number of
processes; started again after a stop, it goes on from the folder.
"""

import hashlib
import sys
from pathlib import Path

import torch
from torch import distributed

import gradstep as gs

STEPS, MICRO_BATCHES, SIZE = 30, 8, 16
folder = Path(sys.argv[1])
torch.manual_seed(0)  # the same numbers on every process
torch.set_num_threads(1)
x, y = torch.randn(512, 20), torch.randn(512, 3)
net = torch.nn.Sequential(torch.nn.Linear(20, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
params = {name: p.detach().numpy() for name, p in net.named_parameters()}  # the same memory


def gradient(step, micro_batch):
    """Return the gradient of a micro-batch, which is a function of its numbers."""
    numbers = torch.Generator().manual_seed(1000 * step + micro_batch)
    chosen = torch.randint(len(x), (SIZE,), generator=numbers)
    net.zero_grad()
    torch.nn.functional.mse_loss(net(x[chosen]), y[chosen]).backward()
    return {name: p.grad.numpy() for name, p in net.named_parameters()}


distributed.init_process_group("gloo")
opt = gs.distributed.Sharded(params, "adam", lr=0.01, comm=distributed.group.WORLD, micro_batches=MICRO_BATCHES)
if (folder / "manifest.json").exists():
    opt.restore(folder)
while opt.t < STEPS:
    opt.step(gradient(opt.t, i) for i in opt.mine)
    if opt.t % 10 == 0:
        opt.save(folder)
if opt.rank == 0:
    print(f"{opt.t} steps, {hashlib.sha256(b''.join(x.tobytes() for x in params.values())).hexdigest()}")
distributed.destroy_process_group()
