"""A driver that is none: it runs grids on this CPU, a loop over all threads, and records what it was asked for."""

import ctypes
from types import SimpleNamespace

import numpy as np

import gradstep as gs
from gradstep.array.memory import numpy_place
from gradstep.engine.cpu import native
from gradstep.engine.cuda.arrays import Place
from gradstep.engine.cuda.engine import Cuda
from gradstep.engine.cuda.grid import Machine
from gradstep.errors import DeviceError

WAYS = {
    "bfloat16 state": {"state_dtype": "bfloat16"},
    "8-bit state": {"state_dtype": "8bit"},
    "stochastic": {"rounding": "stochastic"},
    "master": {"master": True},
    "master, 8-bit state": {"master": True, "state_dtype": "8bit"},
}
CHAIN = gs.chain(gs.clip_by_global_norm(3.0), gs.adamw(lr=0.1), gs.ema(decay=0.9))
GRID = Machine(native.triple(), 0)

# One thread after the other; backwards, the last one first.
LOOP = """
define i64 @"grid_{name}"(i64 %job, i64 %first, i64 %last, i64 %blocks, i64 %threads, i64 %backwards) {{
entry:
  %n = mul i64 %blocks, %threads
  br label %head
head:
  %k = phi i64 [0, %entry], [%next, %body]
  %go = icmp slt i64 %k, %n
  br i1 %go, label %body, label %end
body:
  %most = sub i64 %n, 1
  %mirrored = sub i64 %most, %k
  %is = icmp ne i64 %backwards, 0
  %at = select i1 %is, i64 %mirrored, i64 %k
  %block = sdiv i64 %at, %threads
  %thread = srem i64 %at, %threads
  call void @"{name}"(i64 %job, i64 %first, i64 %last, i64 %thread, i64 %block, i64 %threads, i64 %blocks)
  %next = add i64 %k, 1
  br label %head
end:
  ret i64 0
}}
"""


class StandIn:
    """Arrays of NumPy's, and torch's on the CPU, are its device's.

    Parameters
    ----------
    shape
        Blocks and threads of every grid; None: those that the engine asks for.
    backwards
        Whether the last thread comes first.
    failing
        A call that fails, by its name and how many of it come before: ``("launch", 3)``.
    """

    machine = GRID

    def __init__(self, shape=None, *, backwards=False, failing=None):
        self.shape, self.backwards, self.failing = shape, backwards, failing
        self.calls = []  # what was asked, in order
        self.current = 7  # the stream
        self.is_captured = False

    def place(self, x):
        y = x if isinstance(x, np.ndarray) else numpy_place(x)
        if y is None or not y.flags.c_contiguous or not y.dtype.isnative:
            return None
        return Place(y.__array_interface__["data"][0], y.nbytes, 0)

    def reader(self, values):
        return None  # each array is looked at

    def stream(self, x):
        return self.current

    def check_not_captured(self, stream):
        if self.is_captured:
            raise DeviceError("a step can't be recorded. Nothing was changed.")

    def load(self, assembly, names):
        self.ask("load", tuple(names))
        kernel = native.kernel(assembly + "".join(LOOP.format(name=name) for name in names))
        return {name: (name, kernel.function(f"grid_{name}", 6)) for name in names}

    def allocate(self, nbytes):
        self.ask("allocate", nbytes)
        memory = np.zeros(max(1, nbytes) + 64, np.uint8)
        address = -(-memory.ctypes.data // 64) * 64
        return SimpleNamespace(address=address, memory=memory)

    def pinned(self, nbytes):
        self.ask("pinned", nbytes)
        return SimpleNamespace(address=0, array=np.zeros(-(-nbytes // 8), np.int64).view(np.uint8)[:nbytes])

    def event(self):
        self.ask("event")
        return len(self.calls)

    def record(self, event, stream):
        self.ask("record", stream)

    def wait_for(self, event):
        self.ask("wait_for")

    def write(self, address, source, stream):
        self.ask("write", source.nbytes, stream)
        _copy(address, source.ctypes.data, source.nbytes)

    def read(self, sink, address, stream):
        self.ask("read", sink.nbytes, stream)
        _copy(sink.ctypes.data, address, sink.nbytes)

    def wait(self, stream):
        self.ask("wait", stream)

    def launch(self, launches, done, stream):
        for x in launches:
            name, function = x.function
            self.ask("launch", name, stream)
            blocks, threads = self.shape or (x.blocks, x.threads)
            function(*x.arguments, blocks, threads, self.backwards)
            done.append(name)

    def ask(self, name, *what):
        before = sum(x[0] == name for x in self.calls)
        self.calls.append((name, *what))
        if self.failing == (name, before):
            raise DeviceError(f"the device could not {name}: CUDA_ERROR.")


def _copy(sink, source, n):
    ctypes.memmove(sink, source, n)


def on(driver):
    """What makes engines on a driver, to be handed to an optimizer as its engine."""

    def make(_, program, tensors, threads=None, seed=0, *, is_metered=False):
        return Cuda(program, tensors, driver, seed, is_metered=is_metered)

    return make


def optimizer(params, tx, driver=None, **options):
    return gs.Optimizer(params, tx, engine=on(driver or StandIn()), **options)
