"""Assembly of LLVM's to PTX, the text that a driver of CUDA compiles for its device, by the target in llvmlite's wheel.

One text is for every device from sm_80 on. It is kept on disk under its content, as machine code for CPUs is.
"""

from functools import cache

import llvmlite
from llvmlite import binding as llvm

from gradstep.engine.cpu import kernel_cache
from gradstep.engine.cuda.grid import NVPTX
from gradstep.locks import new_lock

TARGET = "sm_80"
_OPTIMISATION, _PASSES = 3, 2  # levels of the code generator and of the passes before it
_lock = new_lock()


def of(assembly: str) -> str:
    """Return the PTX of an assembly text, made once a process."""
    with _lock:  # llvmlite is not for several threads at once
        return _of(assembly)


@cache
def _of(assembly: str) -> str:
    versions = llvmlite.__version__, ".".join(map(str, llvm.llvm_version_info)), f"{_OPTIMISATION}{_PASSES}"
    key = kernel_cache.key_of(assembly, TARGET, *versions)
    found = kernel_cache.load(key, "ptx")
    if found is not None:
        return found.decode()
    text = _compile(assembly)
    kernel_cache.save(key, text.encode(), "ptx")
    return text


def is_available() -> bool:
    """Return whether this LLVM can write PTX."""
    try:
        _target()
    except RuntimeError:
        return False
    return True


def _target() -> llvm.Target:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    return llvm.Target.from_triple(NVPTX.triple)


def _compile(assembly: str) -> str:
    machine = _target().create_target_machine(cpu=TARGET, opt=_OPTIMISATION)
    parsed = llvm.parse_assembly(assembly)
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=_PASSES))
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(parsed)
