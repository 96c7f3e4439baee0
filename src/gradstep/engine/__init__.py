"""The engines: the same chain, run eagerly in an array's own namespace or compiled into one pass over memory."""

from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat

from gradstep.engine.eager import Eager
from gradstep.engine.tensor import Engine, Tensor
from gradstep.errors import GradstepValueError
from gradstep.form.chain import Program

KINDS = ("auto", "compiled", "eager", "cuda")


def compiled_engine() -> tuple[Any, str]:
    """The compiled engine's class and ``""``, or ``None`` and the reason why there is none."""
    try:
        from gradstep.engine.cpu import native
        from gradstep.engine.cpu.compiled import Compiled

        native.cpu()  # the first call into LLVM's library: it may be there and not load
    except (ImportError, OSError) as error:
        if isinstance(error, ImportError) and error.name == "llvmlite":
            return None, "llvmlite is not installed; pip install 'gradstep[fast]'"
        return None, f"llvmlite does not load: {error}"
    return Compiled, ""


def _on_device(program: Program, tensors: Sequence[Tensor], seed: int, *, is_metered: bool) -> Engine:
    """The engine for arrays on a CUDA device."""
    compiled, why = compiled_engine()  # it needs llvmlite as well
    if compiled is None:
        raise GradstepValueError(f'engine="cuda": {why}.')
    from gradstep.engine.cuda import arrays, driver
    from gradstep.engine.cuda.engine import Cuda

    bindings, why = driver.available()
    if bindings is None:
        raise GradstepValueError(f'engine="cuda": {why}.')
    for x in tensors:
        if not arrays.is_on_device(x.value):
            raise GradstepValueError(
                f'engine="cuda": parameter {x.name!r} is a {type(x.value).__name__} that does not lie on a CUDA device.'
            )
        if arrays.place(x.value) is None:
            raise GradstepValueError(
                f'engine="cuda": parameter {x.name!r} is no contiguous array; hand in one that is, or use '
                f'engine="eager".'
            )
    if not tensors:
        return Eager(program, tensors, seed, is_metered=is_metered)  # all is frozen: nothing is on any device
    return Cuda(program, tensors, driver.nvidia(tensors[0].value), seed, is_metered=is_metered)


def check_kind(kind: Any) -> None:
    """Refuse an unknown kind of engine."""
    if kind not in KINDS:
        raise GradstepValueError(f"engine must be one of {', '.join(KINDS)}, not {kind!r}.")


def in_place(dense: Any, counts: Sequence[int | None], before: Any) -> Any:
    """Return an engine that steps so many rows of each tensor of another (None: all) where they lie, or None.

    It goes on from the one that was there ``before``, which had less room.
    """
    compiled, _ = compiled_engine() if dense.kind == "compiled" else (None, "")
    if compiled is None:
        return None
    from gradstep.engine.cpu.in_place import InPlace

    return InPlace.of(dense, counts, before)


def make(
    kind: "str | Callable[..., Engine]",
    program: Program,
    tensors: Sequence[Tensor],
    threads: int | None = None,
    seed: int = 0,
    *,
    is_metered: bool = False,
) -> Engine:
    """The engine for these tensors.

    Parameters
    ----------
    kind
        ``"auto"``: compiled for NumPy arrays where llvmlite is installed, else eager. Both give the same bits.
        ``"cuda"``: for arrays on a CUDA device, where it is asked for by this name. A function is called with this one
        and the rest, and gives an engine around another.
    threads
        The most threads for a step of the compiled engine; None: as :func:`gradstep.set_threads` says.
    seed
        Of the bits that round stochastically.
    is_metered
        Whether each step sums what :mod:`gradstep.engine.meters` wants to know.

    Raises
    ------
    GradstepValueError
        For an unknown kind, or ``"compiled"`` or ``"cuda"`` where that cannot be.
    """
    if not isinstance(kind, str):  # of gradstep.distributed
        return kind(make, program, tensors, threads, seed, is_metered=is_metered)
    check_kind(kind)
    if kind == "cuda":
        return _on_device(program, tensors, seed, is_metered=is_metered)
    plain = all(array_api_compat.is_numpy_array(x.value) for x in tensors)
    if kind == "compiled" and not plain:
        raise GradstepValueError('engine="compiled" works on NumPy arrays alone; use "auto" or "eager".')
    if kind == "eager" or not plain:
        return Eager(program, tensors, seed, is_metered=is_metered)
    compiled, why = compiled_engine()
    why = why if compiled is None else compiled.cannot_run(tensors)
    if compiled is not None and not why:
        return compiled(program, tensors, threads, seed=seed, is_metered=is_metered)
    if kind == "compiled":
        raise GradstepValueError(f'engine="compiled": {why}.')
    return Eager(program, tensors, seed, is_metered=is_metered)
