"""Compiled code that does a job's phases, whatever the chain: any number of threads claim portions one by one.

``look`` or ``measure`` is the first phase, ``apply`` the second. Nobody begins the second before all of the first is
done, and nobody at all where it found a bad gradient: a step is made whole or not at all.
"""

from typing import Any

from llvmlite import ir

from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.llvm import Function, i64

SPINS = 400  # looks at a word before the core is offered to others: about a microsecond

DONE, REFUSED = 0, 1  # what a step answers


def emit_work(module: ir.Module) -> ir.Function:
    """``work(job, who)``: both phases, for as long as there are portions to claim; threads are numbered from 0."""
    code = Function(module, "work", 2)
    builder = code.builder
    job, who = code.arguments
    first, second, count = (code.word(job, i64(k)) for k in (at.FIRST, at.SECOND, at.COUNT))
    with builder.if_then(builder.icmp_signed("!=", first, i64(0))):
        _phase(code, job, who, first, 0)
        wait_while(code, job, lambda: builder.icmp_signed("<", code.shared(job, at.DONE_FIRST), count))
    refused = builder.icmp_signed("!=", code.shared(job, at.BAD), i64(0))
    code.give_if(builder.or_(refused, builder.icmp_signed("==", second, i64(0))), i64(0))
    _phase(code, job, who, second, 1)
    code.give(i64(0))
    return code.function


def emit_alone(module: ir.Module, work: ir.Function) -> ir.Function:
    """``alone(job)``: the whole job on this thread."""
    code = Function(module, "alone", 1)
    (job,) = code.arguments
    open_job(code, job, i64(1))
    code.builder.call(work, [job, i64(0)])
    code.give(close_job(code, job))
    return code.function


def open_job(code: Function, job: Any, threads: Any) -> None:
    """Nothing is claimed yet, nothing done, nothing bad; the portions are shared into a range for each thread."""
    code.share(threads, job, at.RANGES)
    for word in (at.DONE_FIRST, at.BAD):
        code.share(i64(0), job, word)
    with code.count(i64(0), threads) as k:
        for phase in (0, 1):
            code.share(i64(0), _claims(code, job, k, phase), 0)


def close_job(code: Function, job: Any) -> Any:
    """Count a step that was made; what it answers."""
    builder = code.builder
    bad = code.shared(job, at.BAD)
    second = builder.icmp_signed("!=", code.word(job, i64(at.SECOND)), i64(0))
    with builder.if_then(builder.and_(second, builder.icmp_signed("==", bad, i64(0)))):
        code.claim(job, at.APPLIED)
    return bad


def wait_while(code: Function, job: Any, condition: Any) -> None:
    """Wait for another thread that is at work: look a while, then offer the core at each look."""
    builder = code.builder
    left = code.variable(i64(SPINS))
    with code.loop_while(condition):
        n = builder.sub(builder.load(left), i64(1))
        builder.store(n, left)
        with builder.if_then(builder.icmp_signed("<", n, i64(0))):
            code.call(code.word(job, i64(at.YIELD)))


def _phase(code: Function, job: Any, who: Any, column: Any, phase: int) -> None:
    """Claim portions and run the function in that column of each: first those of one's own range, then of the others'.

    So a thread meets the same memory in both phases and at each step, and finds some of it in its own cache.
    """
    builder = code.builder
    portions, count, stride = (code.word(job, i64(k)) for k in (at.PORTIONS, at.COUNT, at.PORTION_STRIDE))
    ranges = code.shared(job, at.RANGES)
    with code.count(i64(0), ranges) as turn:
        k = builder.urem(builder.add(who, turn), ranges)
        claims = _claims(code, job, k, phase)
        first, last = (builder.udiv(builder.mul(count, x), ranges) for x in (k, builder.add(k, i64(1))))
        mine = code.variable(i64(0))
        builder.store(builder.add(first, code.claim(claims, 0)), mine)
        with code.loop_while(lambda: builder.icmp_signed("<", builder.load(mine), last)):
            row = builder.add(portions, builder.mul(builder.load(mine), stride))
            begin, end = code.word(row, i64(at.BEGIN)), code.word(row, i64(at.END))
            bad = code.call(code.word(row, column), job, begin, end)
            with builder.if_then(builder.icmp_signed("!=", bad, i64(0))):
                code.share(i64(1), job, at.BAD)
            if phase == 0:
                code.claim(job, at.DONE_FIRST)
            builder.store(builder.add(first, code.claim(claims, 0)), mine)


def _claims(code: Function, job: Any, k: Any, phase: int) -> Any:
    """The address of what is claimed of a range in a phase."""
    line = code.builder.add(code.builder.mul(k, i64(2)), i64(phase))
    return code.builder.add(job, code.builder.add(i64(8 * at.CLAIMED), code.builder.mul(line, i64(at.CACHE_LINE))))
