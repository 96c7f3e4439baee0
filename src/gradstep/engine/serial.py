"""Compiled code for a step on the calling thread: gradients read and the whole job done in one call."""

from llvmlite import ir

from gradstep.engine import reader
from gradstep.engine.llvm import Function, i64
from gradstep.engine.work import emit_alone, emit_work


def emit(triple: str) -> str:
    """The LLVM assembly of ``gather(leaves, job)``, ``alone(job)`` and ``step(leaves, job)``, which is both."""
    module = ir.Module("serial")
    module.triple = triple
    gather = reader.emit_gather(module)
    alone = emit_alone(module, emit_work(module))
    code = Function(module, "step", 2)
    leaves, job = code.arguments
    found = code.builder.call(gather, [leaves, job])
    code.give_if(code.builder.icmp_signed("!=", found, i64(reader.FINE)), found)
    code.give(code.builder.call(alone, [job]))
    return str(module)
