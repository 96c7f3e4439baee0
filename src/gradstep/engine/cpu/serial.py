"""Compiled code for a step on the calling thread: gradients read and the whole job done in one call."""

from llvmlite import ir

from gradstep.engine.cpu import job as at
from gradstep.engine.cpu import reader
from gradstep.engine.cpu.llvm import Function, i64
from gradstep.engine.cpu.work import emit_alone, emit_work


def emit(triple: str) -> str:
    """The LLVM assembly of ``gather(leaves, job)``, ``alone(job)``, ``step(array, leaves)`` for both, and ``check``.

    ``step`` takes Python's objects, the array that is the job and the tuple of gradients, and gives an integer object;
    ``check(array, None)`` gives 1 where an array that the step writes lies elsewhere than before.
    """
    module = ir.Module("serial")
    module.triple = triple
    moved = reader.emit_moved(module)
    gather = reader.emit_gather(module, moved)
    alone = emit_alone(module, emit_work(module))
    code = Function(module, "step", 2)
    builder = code.builder
    array, leaves = code.arguments
    job = reader.data_of(code, array)
    answer = code.variable(builder.call(gather, [leaves, job]))
    with builder.if_then(builder.icmp_signed("==", builder.load(answer), i64(reader.FINE))):
        builder.store(builder.call(alone, [job]), answer)
    code.give(code.call(code.word(job, i64(at.INTEGER)), builder.load(answer)))
    code = Function(module, "check", 2)
    job = reader.data_of(code, code.arguments[0])
    code.give(code.call(code.word(job, i64(at.INTEGER)), code.builder.call(moved, [job, i64(0)])))
    return str(module)
