"""Compiled code by which threads work on one job: a caller that never waits for a helper that did not come.

A helper sleeps in compiled code, on a futex, without the GIL. The caller puts the job into the mailboxes of helpers
that have nothing to do, wakes them, and begins at once; helpers claim portions as it does. When no portion is left it
takes the job back from those that have not begun, and waits for those that are at work. So a busy machine, a stopped
helper, many callers at once cost speed and nothing else, and no helper touches a job after its step.
"""

import contextlib
from collections.abc import Generator
from typing import Any

from llvmlite import ir

from gradstep.engine.cpu import job as at
from gradstep.engine.cpu.llvm import I32, I64, Function, i64
from gradstep.engine.cpu.work import close_job, emit_work, open_job, wait_while

_WAIT, _WAKE = 128, 129  # futex operations, private to the process
LOOKS = 500  # a fifth of a millisecond: a core that went to sleep may take as long to wake
_AT_WORK = 1  # added to a job's address in the mailbox of a helper that works on it


def emit(triple: str) -> str:
    """The LLVM assembly of ``lead``, ``serve`` and ``stop``."""
    module = ir.Module("team")
    module.triple = triple
    work = emit_work(module)
    _lead(module, work)
    _serve(module, work)
    _stop(module)
    return str(module)


def _lead(module: ir.Module, work: ir.Function) -> None:
    """``lead(job, team, helpers)``: the job, with as many of the first ``helpers`` helpers as are free and come."""
    code = Function(module, "lead", 3)
    builder = code.builder
    job, team, helpers = code.arguments
    open_job(code, job, builder.add(helpers, i64(1)))
    asked = code.variable(i64(0))
    with _mailboxes(code, team, helpers) as (bit, box), builder.if_then(code.replaced(box, at.TASK, i64(0), job)):
        _ring(code, team, box)
        builder.store(builder.or_(builder.load(asked), bit), asked)
    builder.call(work, [job, i64(0)])
    working = builder.or_(job, i64(_AT_WORK))
    with _mailboxes(code, team, helpers) as (bit, box):
        mine = builder.icmp_signed("!=", builder.and_(builder.load(asked), bit), i64(0))
        with builder.if_then(mine), builder.if_then(builder.not_(code.replaced(box, at.TASK, job, i64(0)))):
            wait_while(code, job, lambda: builder.icmp_signed("==", code.shared(box, at.TASK), working))
    code.give(close_job(code, job))


def _serve(module: ir.Module, work: ir.Function) -> None:
    """``serve(team, box)``: a helper's life, from mailbox to mailbox, until it is stopped."""
    code = Function(module, "serve", 2)
    builder = code.builder
    team, box = code.arguments
    who = builder.udiv(builder.sub(box, team), i64(at.CACHE_LINE))
    bell = code.variable(i64(0))

    def goes_on() -> Any:
        builder.store(code.shared(box, at.BELL), bell)  # before all that it may ring for
        return builder.icmp_signed("==", code.shared(box, at.STOP), i64(0))

    with code.loop_while(goes_on):
        task = code.shared(box, at.TASK)
        with builder.if_else(builder.icmp_signed("==", task, i64(0))) as (nothing, something):
            with nothing:
                _look_around(code, team, box)
                # A bell that has rung since it was read is not waited for.
                with builder.if_then(builder.icmp_signed("==", code.shared(box, at.TASK), i64(0))):
                    _futex(code, team, box, _WAIT, builder.load(bell))
            with something, builder.if_then(code.replaced(box, at.TASK, task, builder.or_(task, i64(_AT_WORK)))):
                builder.call(work, [task, who])
                code.share(i64(0), box, at.TASK)
    code.give(i64(0))


def _look_around(code: Function, team: Any, box: Any) -> None:
    """For a while look for a task, and offer the core to others at each look."""
    builder = code.builder
    left = code.variable(i64(0))
    builder.store(i64(LOOKS), left)

    def goes_on() -> Any:
        nothing = builder.icmp_signed("==", code.shared(box, at.TASK), i64(0))
        return builder.and_(nothing, builder.icmp_signed(">", builder.load(left), i64(0)))

    with code.loop_while(goes_on):
        builder.store(builder.sub(builder.load(left), i64(1)), left)
        code.call(code.word(team, i64(at.OFFER)))


def _stop(module: ir.Module) -> None:
    """``stop(team, box)``: the helper ends when it has done what it is at."""
    code = Function(module, "stop", 2)
    team, box = code.arguments
    code.share(i64(1), box, at.STOP)
    _ring(code, team, box)
    code.give(i64(0))


def _ring(code: Function, team: Any, box: Any) -> None:
    code.claim(box, at.BELL)
    _futex(code, team, box, _WAKE, i64(1))


def _futex(code: Function, team: Any, box: Any, operation: int, value: Any) -> None:
    """The futex system call on a bell: its low 32 bits, which come first on the machines that this is for."""
    builder = code.builder
    kind = ir.FunctionType(I64, [I64], var_arg=True)
    call = code.pointer(code.word(team, i64(at.SYSCALL)), kind)
    word = builder.add(box, i64(8 * at.BELL))
    low = builder.zext(builder.trunc(value, I32), I64)
    builder.call(call, [code.word(team, i64(at.FUTEX)), word, i64(operation), low, i64(0)])


@contextlib.contextmanager
def _mailboxes(code: Function, team: Any, helpers: Any) -> Generator[tuple[Any, Any]]:
    """A loop over the first mailboxes: the bit that stands for each, and its address."""
    builder = code.builder
    with code.count(i64(0), helpers) as k:
        line = builder.mul(builder.add(k, i64(1)), i64(at.CACHE_LINE))
        yield builder.shl(i64(1), k), builder.add(team, line)
