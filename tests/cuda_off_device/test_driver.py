"""NVIDIA's driver as the engine uses it, against bindings that record: contexts, order, errors in one sentence."""

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import gradstep as gs
from gradstep.engine.tensor import Tensor
from gradstep.errors import DeviceError
from gradstep.form.chain import program
from gradstep.form.rule import as_stage
from support import clear

pytest.importorskip("llvmlite")
from gradstep.engine.cuda import arrays, driver
from gradstep.engine.cuda.engine import Cuda

OUT_OF_MEMORY, LOST, NO_IMAGE = 2, 719, 200
NAMES = {2: b"CUDA_ERROR_OUT_OF_MEMORY", 719: b"CUDA_ERROR_LAUNCH_FAILED", 200: b"CUDA_ERROR_INVALID_IMAGE"}
CONTEXT = 77


class OnDevice:
    """An array with the interface of arrays on a device, in this host's memory."""

    def __init__(self, x, stream=None):
        self.x, self.shape, self.dtype, self.stream = x, x.shape, x.dtype, stream

    @property
    def __cuda_array_interface__(self):
        found = self.x.__array_interface__
        return {**{key: found[key] for key in ("shape", "typestr", "data", "strides")}, "stream": self.stream}


class Bindings:
    """Functions of ``cuda.bindings.driver``: memory is the host's, launches are only recorded."""

    CUpointer_attribute = SimpleNamespace(CU_POINTER_ATTRIBUTE_CONTEXT=1)

    def __init__(self, **failing):
        self.failing, self.calls, self.depth, self.kept, self.freed = failing, [], 0, {}, []

    def CUcontext(self, n):
        return n

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            assert self.depth == 1 or name in ("cuCtxPushCurrent", "cuPointerGetAttribute") or "GetError" in name, name
            self.calls.append((name, *arguments))
            if self.failing.get(name) and name not in ("cuGetErrorName", "cuGetErrorString"):
                return (self.failing[name],)
            return (0, *getattr(self, f"_{name}", lambda *_: ())(*arguments))

        return call

    def _cuPointerGetAttribute(self, what, address):
        return (CONTEXT,)

    def _cuGetErrorName(self, error):
        return (NAMES[error],)

    def _cuGetErrorString(self, error):
        return (b"what it means",)

    def _cuCtxPushCurrent(self, context):
        assert context == CONTEXT
        self.depth += 1
        return ()

    def _cuCtxPopCurrent(self):
        self.depth -= 1
        return (CONTEXT,)

    def _cuMemAlloc(self, n):
        memory = np.zeros(n, np.uint8)
        self.kept[memory.ctypes.data] = memory
        return (memory.ctypes.data,)

    _cuMemAllocHost = _cuMemAlloc

    def _cuMemFree(self, address):
        self.freed.append(address)
        return ()

    _cuMemFreeHost = _cuMemFree

    def _cuStreamIsCapturing(self, stream):
        return (int(stream == 13),)

    def _cuModuleLoadData(self, text):
        assert text.startswith(b"//")
        assert text.endswith(b"\0")
        return ("module",)

    def _cuModuleGetFunction(self, module, name):
        return (name.decode(),)

    def _cuMemcpyHtoDAsync(self, sink, source, n, stream):
        ctypes.memmove(sink, source, n)
        return ()

    _cuMemcpyDtoHAsync = _cuMemcpyHtoDAsync

    def _cuEventCreate(self, flags):
        return ("event",)

    def named(self, *names):
        return [x for x in self.calls if x[0] in names]


def engine(bindings, n=300, stream=5):
    made = program(as_stage(gs.adam))
    x = OnDevice(np.ones(n, np.float32), stream)
    slots = (tuple(OnDevice(np.zeros(n, np.float32)) for _ in gs.adam.state),)
    return Cuda(made, [Tensor("w", x, slots, 0)], driver.NvidiaDriver(bindings, CONTEXT, 0))


TABLE = [[tuple(0.5 for _ in gs.adam.numbers)]]
GRAD = OnDevice(np.ones(300, np.float32))


def test_a_step_in_the_context_and_stream_of_the_arrays():
    bindings = Bindings()
    made = engine(bindings)
    loaded = len(bindings.named("cuModuleLoadData"))
    assert loaded == 2
    bindings.calls.clear()
    assert made.step((GRAD,), TABLE, 1, True)
    assert made.applied == 1
    names = [x[0] for x in bindings.calls if "Ctx" not in x[0]]
    assert names == [
        "cuStreamIsCapturing",
        "cuEventSynchronize",
        "cuMemcpyHtoDAsync",
        "cuEventRecord",
        "cuLaunchKernel",
        "cuLaunchKernel",
        "cuMemcpyDtoHAsync",
        "cuStreamSynchronize",
    ]
    look, apply = bindings.named("cuLaunchKernel")
    assert [look[1], apply[1]] == ["look", "apply"]
    for _, _, *shape, (given, kinds), extra in (look, apply):
        blocks, y, z, threads, y_, z_, shared, stream = shape
        assert (blocks, y, z, y_, z_, shared, stream, extra) == (1, 1, 1, 1, 1, 0, 5, 0)
        assert threads % 32 == 0
        assert given[1:] == (0, 1)
        assert kinds == (ctypes.c_int64,) * 3
    assert bindings.depth == 0


def test_a_flag_that_the_device_has_set_makes_no_update():
    bindings = Bindings()
    made = engine(bindings)

    def bad(sink, source, n, stream):
        ctypes.memset(sink, 1, n)
        return ()

    bindings._cuMemcpyDtoHAsync = bad
    assert not made.step((GRAD,), TABLE, 1, True)
    assert made.applied == 0


def test_memory_is_given_back():
    bindings = Bindings()
    made = engine(bindings)
    taken = len(bindings.named("cuMemAlloc", "cuMemAllocHost"))
    del made
    assert sorted(bindings.freed) == sorted(bindings.kept)
    assert len(bindings.freed) == taken


@pytest.mark.parametrize(
    ("name", "error"),
    [("cuMemAlloc", OUT_OF_MEMORY), ("cuMemAllocHost", OUT_OF_MEMORY), ("cuModuleLoadData", NO_IMAGE)],
)
def test_what_fails_at_the_start(name, error):
    with pytest.raises(DeviceError, match=NAMES[error].decode()) as raised:
        engine(Bindings(**{name: error}))
    assert clear(raised)


@pytest.mark.parametrize("name", ["cuMemcpyHtoDAsync", "cuLaunchKernel", "cuCtxPushCurrent", "cuEventSynchronize"])
def test_what_fails_in_a_step(name):
    bindings = Bindings()
    made = engine(bindings)
    bindings.failing = {name: LOST}
    with pytest.raises(DeviceError, match="LAUNCH_FAILED") as raised:
        made.step((GRAD,), TABLE, 1, True)
    assert clear(raised)
    bindings.failing = {}
    assert made.applied == 0


def test_a_recorded_stream_is_refused():
    made = engine(Bindings(), stream=13)
    with pytest.raises(DeviceError, match="CUDA graph") as raised:
        made.step((GRAD,), TABLE, 1, True)
    assert clear(raised)


def test_arrays_are_plain_or_not_taken():
    x = np.ones((4, 6), np.float32)
    for y, nbytes in ((x, 96), (x[:2], 48), (x[:1, ::2][:, :1], 4), (np.ones(()), 8), (np.ones((0, 3)), 0)):
        assert arrays.place(OnDevice(y)).nbytes == nbytes
    for y in (x[:, ::2], x.T, x[::-1], x.astype(">f4")):
        assert arrays.place(OnDevice(y)) is None
    assert arrays.place(x) is None
    assert not arrays.is_on_device(x)


def test_torchs_tensors_on_the_cpu_are_not_on_a_device():
    torch = pytest.importorskip("torch")
    assert not arrays.is_on_device(torch.ones(3))
    assert arrays.place(torch.ones(3)) is None


def test_tensors_that_are_like_those_before_are_read_at_once():
    torch = pytest.importorskip("torch")
    values = [torch.ones(3, 4), torch.ones(2, dtype=torch.complex64)]
    read = arrays.reader(values)
    found = [x.clone() for x in values]
    assert read(found) == [x.data_ptr() for x in found]
    odd = [
        None,
        np.ones((3, 4), np.float32),
        gs.rows([0], np.ones((1, 4), np.float32)),
        torch.ones(4, 3),
        torch.ones(4, 3).T,
        torch.ones(3, 4).double(),
        torch.ones(3, 4, device="meta"),
        torch.ones(3, 4).to_sparse(),
        torch.ones(3, 4, dtype=torch.complex64).conj().imag,
    ]
    for x in odd:
        assert read([x, found[1]]) is None, x
    assert read([found[0], found[1].conj()]) is None
    assert arrays.reader([]) is None
    assert arrays.reader([values[0], OnDevice(np.ones(3))]) is None


@pytest.fixture
def unknown_driver(monkeypatch):
    """Whether there is a driver is asked anew."""
    driver.available.cache_clear()
    yield monkeypatch
    driver.available.cache_clear()


def refused():
    with pytest.raises(gs.GradstepValueError, match='engine="cuda"') as raised:
        gs.Optimizer(np.ones(3), "adam", engine="cuda")
    assert clear(raised)
    return str(raised.value)


def test_without_the_bindings(unknown_driver):
    unknown_driver.setitem(sys.modules, "cuda.bindings.driver", None)
    assert "pip install 'gradstep[cuda]'" in refused()


def bindings_module(monkeypatch, init):
    package, module = ModuleType("cuda.bindings"), ModuleType("cuda.bindings.driver")
    module.cuInit, package.driver = init, module
    module.cuGetErrorName = module.cuGetErrorString = lambda error: (0, b"CUDA_ERROR_NO_DEVICE")
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", package)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", module)


def test_without_a_driver(unknown_driver):
    def init(_):
        raise RuntimeError("no library")

    bindings_module(unknown_driver, init)
    assert "no driver of NVIDIA's" in refused()


def test_with_a_driver_that_does_not_start(unknown_driver):
    bindings_module(unknown_driver, lambda _: (100,))
    assert "CUDA_ERROR_NO_DEVICE" in refused()


def test_arrays_of_the_host_are_refused_by_name(unknown_driver):
    bindings_module(unknown_driver, lambda _: (0,))
    assert "ndarray that does not lie on a CUDA device" in refused()


def test_the_real_bindings_have_what_is_asked_of_them():
    """Names and arguments, where the package is installed: what is converted for C is as it should be."""
    real = pytest.importorskip("cuda.bindings.driver")
    bindings = Bindings()
    made = engine(bindings)
    made.step((GRAD,), TABLE, 1, True)
    names = {x[0] for x in bindings.calls}
    assert len(names) > 12
    for name in sorted(names | {"CUcontext", "cuInit", "cuGetErrorName", "cuGetErrorString", "cuPointerGetAttribute"}):
        assert hasattr(real, name), name
    if not driver.available()[1]:
        pytest.skip("there is a driver, which would be called with addresses of this host")
    handles = {
        "module": real.CUmodule(4),
        "event": real.CUevent(3),
        "look": real.CUfunction(5),
        "apply": real.CUfunction(6),
    }
    handles |= {"halve": real.CUfunction(7), "halve_meters": real.CUfunction(8)}
    for name, *arguments in bindings.calls:
        own = [handles.get(x, x) if isinstance(x, str) else x for x in arguments]
        own = [real.CUcontext(CONTEXT)] if name == "cuCtxPushCurrent" else own
        with pytest.raises(RuntimeError, match="NVIDIA driver"):  # it is missed when all arguments have been converted
            getattr(real, name)(*own)
