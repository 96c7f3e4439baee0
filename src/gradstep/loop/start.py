"""Arguments of a run, checked and in the form in which it takes them."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import Parameter, signature
from numbers import Real
from typing import Any

import array_api_compat
import numpy as np

from gradstep.array.namespaces import duplicate, is_masked, refuse_masked, to_numpy
from gradstep.array.tree import flatten
from gradstep.conventions import stage_of
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import chain
from gradstep.form.rule import Rule, Stage
from gradstep.loop import stop as stops
from gradstep.loop.direction import VALUE, Directions, Mode
from gradstep.loop.stop import Stop
from gradstep.optimizer import Optimizer
from gradstep.stages import maximize

SKIPS = 100  # evaluations in a row that may be skipped: t stands still meanwhile, and no limit of steps is reached
# Names that SciPy has, and what they are here.
ELSEWHERE = {
    **dict.fromkeys(("maxiter", "max_iter", "steps", "n_steps", "iterations", "epochs"), "max_steps="),
    "options": "its entries as arguments, lr=0.1, max_steps=100,",
    "maxfev": "max_evaluations=",
    "maxfun": "max_evaluations=",
    "tol": "grad_norm=, the 2-norm at which it has converged,",
    "gtol": "grad_norm=, the 2-norm at which it has converged,",
    "ftol": "stop=gs.stop.plateau(patience, min_delta)",
    "xtol": "stop=gs.stop.plateau(patience, min_delta)",
    "callback": "callbacks=, functions of a step, or of a step and the run,",
    "constraints": "project=, or bounds=",
}
_OPTIONS = [own.name for own in signature(Optimizer).parameters.values() if own.kind is Parameter.KEYWORD_ONLY]


def parameters(x0: Any) -> Any:
    """Copy the start; a list of numbers, an array of integers and JAX's arrays become NumPy's, which can be changed.

    Raises
    ------
    GradstepTypeError
        For masked arrays, whose mask would be lost, and what is no nest of arrays.
    """
    if isinstance(x0, list | tuple) and x0 and all(isinstance(x, Real) for x in x0):
        x0 = np.array(x0)
    if isinstance(x0, np.ndarray) and x0.dtype.kind in "iu" and not is_masked(x0):
        x0 = x0.astype(np.float64)
    nest, leaves = flatten(x0)
    for name, x in zip(nest.names, leaves, strict=True):
        refuse_masked(f"parameter {name!r}", x)
    return nest.build([np.array(to_numpy(x)) if array_api_compat.is_jax_array(x) else duplicate(x) for x in leaves])


def ending(stop: Stop | None, on_nonfinite: str, **by_number: float | None) -> tuple[Stop, Stop]:
    """Return what a user has asked for as one stop, and the one that ends the run: what is not finite ends it too.

    Raises
    ------
    GradstepTypeError, GradstepValueError
        For what is no stop, and for unknown ways.
    """
    if on_nonfinite not in ("stop", "skip", "raise"):
        raise GradstepValueError(f'on_nonfinite must be "stop", "skip" or "raise", not {on_nonfinite!r}.')
    named = [getattr(stops, name)(value) for name, value in by_number.items() if value is not None]
    asked = stops.any_of(*named, *([] if stop is None else stop.stops if type(stop) is stops.any_of else [stop]))
    times = {"stop": [1], "skip": [SKIPS], "raise": []}[on_nonfinite]
    return asked, stops.any_of(*map(stops.non_finite, times), *asked.stops)


def looked_at(stop: Stop, chosen: Iterable[str | None], directions: Directions) -> set[str]:
    """Return the metrics that ``evaluate`` has to give: those of stops, and others that were chosen.

    Raises
    ------
    GradstepValueError
        When nobody has said whether less or more of one is better.
    """
    found = {one.metric for one in stop if isinstance(one, stops.plateau) and one.metric is not None}
    found |= {name for name in chosen if name not in (None, VALUE)}
    for name in sorted(found):
        directions.sign(name)
    return found


def rule_and_directions(
    rule: Any, mode: Mode | Mapping[str, Mode] | None, options: Mapping[str, Any]
) -> tuple[Stage, Directions, dict[str, Any]]:
    """Return the stage, ascending where the value is to be made large, and the options that are left for its optimizer.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown rules, hyperparameters and directions.
    """
    hyper = own_numbers(options)
    if known := sorted(hyper.keys() & ELSEWHERE.keys()):
        raise GradstepTypeError(f"there is no {known[0]}= here; write {ELSEWHERE[known[0]]} instead.")
    stage, groups = stage_of(rule, hyper), dict(options.get("groups") or {})
    others = {
        pattern: x if isinstance(x, Stage) else x() for pattern, x in groups.items() if isinstance(x, Stage | Rule)
    }
    for pattern, own in others.items():
        if _ascends(own) != _ascends(stage):
            raise GradstepValueError(
                f"groups: gs.maximize is in the rule of {pattern!r} or in that of the others, but not in both; "
                f'leave it out, and say mode="max".'
            )
    directions = Directions(mode, _ascends(stage))
    if directions.ascends and not _ascends(stage):
        stage = chain(maximize(), stage)
        others = {pattern: chain(maximize(), own) for pattern, own in others.items()}
    kept = {key: x for key, x in options.items() if key in _OPTIONS}
    return stage, directions, kept | ({"groups": groups | others} if others else {})


@contextmanager
def hints(function: Callable[..., Any], options: Mapping[str, Any]) -> Generator[None]:
    """Tell of an argument that is almost an option of ``function``, where the block refuses its arguments.

    Raises
    ------
    GradstepValueError
        With the name that was meant.
    """
    try:
        yield
    except (GradstepValueError, GradstepTypeError) as error:
        named = [*signature(function).parameters, *_OPTIONS]
        for key in own_numbers(options):
            if f"{key!r}" in str(error) and (close := get_close_matches(key, named, n=1, cutoff=0.8)):
                raise GradstepValueError(f"unknown option {key!r}; did you mean {close[0]}?") from None
        raise


def own_numbers(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are hyperparameters, and not an optimizer's."""
    return {key: x for key, x in options.items() if key not in _OPTIONS}


def _ascends(stage: Stage) -> bool:
    return sum(part.rule.ascends for part in stage.parts) % 2 == 1


def callbacks(given: Any) -> list[Callable[..., Any]]:
    """Return callbacks as a list.

    Raises
    ------
    GradstepTypeError
        For what is no function.
    """
    functions = [given] if callable(given) or not isinstance(given, Iterable) else list(given)
    for f in functions:
        if not callable(f):
            raise GradstepTypeError(f"callbacks must be functions of a step, not {f!r}.")
    return functions


def takes_run(callback: Callable[..., Any]) -> bool:
    """Return True for a callback that needs two arguments, a step and its run."""
    try:
        needed = [
            own
            for own in signature(callback).parameters.values()
            if own.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) and own.default is own.empty
        ]
    except (TypeError, ValueError):  # of C
        return False
    return len(needed) == 2
