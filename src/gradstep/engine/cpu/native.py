"""Assembly to machine code to Python functions, by llvmlite; kernels are kept on disk and in the process."""

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import llvmlite
from llvmlite import binding as llvm

from gradstep.engine.cpu import kernel_cache
from gradstep.locks import new_lock

_lock = new_lock()
_OPTIMISATION, _PASSES = 3, 2  # levels of the code generator and of the passes before it


class Kernel:
    """The exported functions of one module: each takes 64-bit integers and gives one."""

    def __init__(self, assembly: str) -> None:
        machine = _machine()
        versions = llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info)), f"{_OPTIMISATION}{_PASSES}"
        key = kernel_cache.key_of(assembly, *_target(), *versions)
        code = kernel_cache.load(key)
        self.cached = code is not None
        if code is None:
            code = _compile(assembly, machine)
            kernel_cache.save(key, code)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(f'target triple = "{triple()}"'), machine)
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of the exported function of that name, valid for as long as this kernel lives."""
        return self._engine.get_function_address(name)

    def function(self, name: str, arguments: int, *, hold_gil: bool = False) -> Callable[..., int]:
        """The exported function of that name. It releases the GIL, unless it is short or looks at Python's objects."""
        make = ctypes.PYFUNCTYPE if hold_gil else ctypes.CFUNCTYPE
        kind = make(ctypes.c_int64, *[ctypes.c_int64] * arguments)
        function: Any = kind(self.address(name))
        function.kernel = self  # the code lives as long as the function
        return function


class _Method(ctypes.Structure):
    """``PyMethodDef`` of Python's stable interface."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


_ONE_ARGUMENT = 0x8  # METH_O
_kept: list[tuple[Kernel, _Method]] = []


def method(kernel: Kernel, name: str) -> Callable[[Any], Callable[[Any], Any]]:
    """The exported function ``name(self, argument)``, of the addresses of two objects and giving that of a third.

    Bound to an object it is a builtin function: a call costs a tenth of what one through ctypes does.
    """
    described = _Method(name.encode(), kernel.address(name), _ONE_ARGUMENT, None)
    _kept.append((kernel, described))
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.argtypes, make.restype = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p], ctypes.py_object
    return lambda own: make(ctypes.addressof(described), own, None)


def address_of(function: Any) -> int:
    """Return the address of a C function that ctypes knows."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def kernel(assembly: str) -> Kernel:
    """The compiled form of an assembly text, made once a process."""
    with _lock:  # llvmlite is not for several threads at once
        return _kernel(assembly)


@cache
def _kernel(assembly: str) -> Kernel:
    return Kernel(assembly)


def triple() -> str:
    """The process's target triple."""
    return llvm.get_process_triple()


def cpu() -> str:
    """LLVM's name of this CPU."""
    return llvm.get_host_cpu_name()


@lru_cache(maxsize=1)
def _target() -> tuple[str, str]:
    return cpu(), llvm.get_host_cpu_features().flatten()


def has_float16() -> bool:
    """Return whether kernels may convert float16: without F16C, LLVM would call functions that may not be there."""
    return not triple().startswith(("x86", "i386", "i686")) or "+f16c" in _target()[1].split(",")


def _machine() -> Any:
    """A target machine: a new one for each kernel, whose execution engine takes it over and frees it."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = _target()
    return llvm.Target.from_default_triple().create_target_machine(cpu=name, features=features, opt=_OPTIMISATION)


def _compile(assembly: str, machine: Any) -> bytes:
    parsed = llvm.parse_assembly(assembly)
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=_PASSES))
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_object(parsed)
