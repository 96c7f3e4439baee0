"""The pure pair: ``state = gs.init(tx, params)`` and ``params, state = gs.update(tx, params, grads, state)``.

``gs.update`` is :func:`scalars` on the host plus :func:`apply` on the arrays; only ``apply`` may be traced by a jit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gradstep.array.namespaces import compute_dtype, copied, extremes, is_low, largest, one_number
from gradstep.array.reduction import totals
from gradstep.array.rows import Rows
from gradstep.array.storage import step_key
from gradstep.array.tree import Nest, flatten
from gradstep.engine import eager
from gradstep.engine.sparse import check_leaves_rows, check_takes_rows, first_of_rows, gathered, scattered
from gradstep.engine.tensor import Tensor, bad_gradient, check_alike, check_gradient
from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.form.chain import Program, Row, Sums, program
from gradstep.form.rule import Rule, Stage, as_stage
from gradstep.naming import whole as whole_number
from gradstep.step import check_parameters, choose_nonfinite, start_slots
from gradstep.step.host import Host

Slots = Mapping[str, Mapping[str, Any]]
Memory = Mapping[str, Any]  # numbers, or for each parameter one
Scalars = Mapping[str, Mapping[str, Mapping[str, Any]]]
ALL = ""  # the row of scalars that all arrays share


class State(NamedTuple):
    """State of :func:`update`.

    Attributes
    ----------
    t
        The number of updates made, of all parameters: what is new in a model that has grown cannot have a state beside
        older ones, for their count would be taken for its own.
    memory
        Host numbers that some rules keep, such as ``nadam.product``; a dict by parameter where a rule keeps them for
        each.
    slots
        ``slots["layer.w"]["adam.m"]``: arrays of the parameter's shape and dtype.
    """

    t: int
    memory: Memory
    slots: Slots


def _counted(state: State) -> State:
    """Return a state whose number of updates is Python's, where it is one of NumPy's, out of a file."""
    if type(state.t) is int and state.t >= 0:
        return state
    if isinstance(state.t, int | float | str | np.generic):
        return state._replace(t=whole_number("the state's t", state.t))
    return state


def init(tx: Stage | Rule, params: Any) -> State:
    """The state before the first update.

    Parameters
    ----------
    tx
        A stage such as ``gs.adam(lr=1e-3)`` or a chain.
    params
        An array of any array-API namespace, or a nest of dicts, lists and tuples of them; float32, float64 or complex.

    Raises
    ------
    GradstepTypeError
        For parameters that are no arrays, or of a dtype that cannot be optimized.
    GradstepValueError
        When the stage lacks a hyperparameter.
    NonFiniteError
        When a parameter is NaN or infinite.
    """
    made = program(as_stage(tx))
    nest, leaves = flatten(params)
    values = made.values(made.hyper, 0)
    check_parameters(nest.names, leaves)
    slots = {name: start_slots(made, name, x, values) for name, x in zip(nest.names, leaves, strict=True)}
    return State(
        0, made.memory() | {key: dict.fromkeys(nest.names, x) for key, x in made.memory_of_each().items()}, slots
    )


def update(
    tx: Stage | Rule,
    params: Any,
    grads: Any,
    state: State,
    *,
    on_nonfinite: str = "raise",
    loss: Any = None,
    seed: int = 0,
    **inputs: Any,
) -> tuple[Any, State]:
    """One update: new parameters and new state; the arguments are left as they are.

    Parameters
    ----------
    tx, params
        As for :func:`init`.
    grads
        A nest like ``params``, or a dict by dotted name; shapes and dtypes like the parameters, or
        :func:`gradstep.rows`.
    state
        From :func:`init` or an earlier update.
    on_nonfinite
        What to do about a gradient with NaN, an infinity or a number too large for the rule: ``"raise"``, ``"skip"``
        (parameters and state come back unchanged, t too) or ``"ignore"``.
    loss
        The loss at the parameters, a number: for rules that take it, such as ``gs.polyak``; others leave it alone.
    seed
        Of random numbers, for stages that draw some, such as ``gs.gradient_noise``.
    **inputs
        What else a rule takes beside the gradient: nests of arrays, ``curvature=h``.

    Raises
    ------
    NonFiniteError
        With ``on_nonfinite="raise"``; names the first bad parameter.
    GradstepValueError, GradstepTypeError
        When nests, shapes, dtypes or the state do not fit.
    """
    choose_nonfinite(on_nonfinite)
    made = program(as_stage(tx))
    _check_state(made, state)
    if loss is not None and "loss" in made.takes:
        inputs["loss"] = loss
    if inputs or made.inputs or made.takes:
        made.check_inputs(inputs)
    taken = {name: one_number(name, inputs[name]) for name in made.takes}
    slots = _with_inputs(made, params, inputs, state.slots) if made.inputs else state.slots
    nest, whole, given = _prepared(made, params, grads, slots)
    _refuse_traced([x.value for x in whole], state)
    state = _counted(state)
    by_rows = first_of_rows(nest.names, given)
    if by_rows is not None:
        check_takes_rows(made, by_rows)
    tensors, leaves, places = (whole, given, ()) if by_rows is None else gathered(whole, given)
    try:
        if made.inputs and on_nonfinite != "ignore":
            _guard_inputs(made, tensors, slots)
        is_update = made.gathering is None or made.makes_update(
            state.t + 1, [made.values(made.hyper, state.t)], [state.memory]
        )
        if made.gathering is not None and not is_update:
            made = made.gathering
            rows = range(len(tensors)) if made.over_tensor else [0] * len(tensors)
            tensors = [
                replace(x, slots=x.slots[: len(made.parts)], row=row) for x, row in zip(tensors, rows, strict=True)
            ]
        bundles = eager.bundled(made, tensors, leaves)
        if on_nonfinite != "ignore":
            _guard(made, bundles, tensors, leaves)
        values = made.values(made.hyper, state.t)
        table, memory = host_half(made, values, _dtypes(tensors), tensors, leaves, state.t, state.memory, taken, seed)
        if by_rows is not None:
            check_leaves_rows(made, table, whole, given)
    except NonFiniteError as error:
        if on_nonfinite != "skip" or isinstance(error, ScalarError):
            raise
        return params, state
    params, slots = _applied(made, nest, tensors, bundles, table, whole, places, step_key(seed, state.t + 1))
    if not is_update:  # what follows keeps its state
        slots = {
            name: {key: own[key] if key in own else copied(x) for key, x in state.slots[name].items()}
            for name, own in slots.items()
        }
    return params, State(state.t + is_update, memory, slots)


def _with_inputs(made: Program, params: Any, inputs: Mapping[str, Any], slots: Slots) -> Slots:
    """Return the state with arrays that come beside the gradient in their slots."""
    nest, _ = flatten(params)
    out = {name: dict(own) for name, own in slots.items()}
    for key, keys in made.inputs.items():
        for name, x in zip(nest.names, nest.leaves(inputs[key], key), strict=True):
            out[name].update(dict.fromkeys(keys, x))
    return out


def _guard_inputs(made: Program, tensors: Sequence[Tensor], slots: Slots) -> None:
    for key, keys in made.inputs.items():
        for x in tensors:
            limit = largest(x.dtype)
            if not eager.within(slots[x.name][keys[0]], limit):
                raise bad_gradient(x.name, slots[x.name][keys[0]], limit, key)


def scalars(tx: Stage | Rule, params: Any, grads: Any, state: State) -> tuple[Scalars, Memory]:
    """The host's half of an update: the numbers that :func:`apply` takes, and the memory after it.

    Returns
    -------
    scalars
        ``{"": {"adam": {"rate": 0.01, ...}}}``: one row for all arrays; where a norm is taken of each, one for each by
        its name (not by its place: a jit may hand dicts on in another order).
    memory
        For the next state.
    """
    made = program(as_stage(tx))
    made.refuse_gathering("gs.scalars")
    _refuse_random(made, "gs.scalars")
    _check_state(made, state)
    nest, tensors, leaves = _prepared(made, params, grads, state.slots)
    _refuse_rows(tensors, leaves, "gs.scalars")
    _refuse_traced([x.value for x in tensors], state)
    state = _counted(state)
    values = made.values(made.hyper, state.t)
    table, memory = host_half(made, values, _dtypes(tensors), tensors, leaves, state.t, state.memory)
    rows = nest.names if made.over_tensor else [ALL]
    return {key: _named(made, row) for key, row in zip(rows, table, strict=True)}, memory


def host_half(
    made: Program,
    hyper: Mapping[str, float],
    dtypes: Iterable[str],
    tensors: Sequence[Tensor],
    grads: Sequence[Any],
    t: int,
    memory: Memory,
    taken: Mapping[str, float] | None = None,
    seed: int = 0,
) -> tuple[list[Row], Memory]:
    """Return the scalars of the update after ``t``, a row for all tensors or one for each, and the memory after it.

    ``hyper`` has each hyperparameter's value for this update, ``dtypes`` those in which parameters are computed,
    ``taken`` the numbers that come with the step, and ``seed`` is that of random numbers.
    Tensors and gradients are asked for sums alone: where nothing is measured there need be none.
    """
    kept, names = made.memory_of_each(), [x.name for x in tensors]
    own = [{**memory, **{key: memory[key][name] for key in kept}} for name in names] if kept else [dict(memory)]
    rows = range(len(own)) if kept else [0] * len(names) if made.over_tensor else [0]
    cohorts = [(0, (0,) * len(made.parts))] * len(own)
    host = Host(made, [hyper], rows, extremes(set(dtypes)), cohorts)
    host.take(taken or {})

    def measure(part: int, rows: list[Row]) -> Sums:
        if made.rules[part].whole:  # it is run when the arrays are computed
            return []
        step = step_key(seed, t + 1)
        cases = zip(tensors, grads, strict=True)
        blocks = [eager.measured(made, part, x, g, rows[x.row], step) for x, g in cases]
        return totals(blocks, is_joint=made.rules[part].over == "all")

    table, after = host.table(t + 1, own, measure)
    shared = {key: x for numbers in after[:1] for key, x in numbers.items() if key not in kept}
    each = {key: {name: x[key] for name, x in zip(names, after, strict=True)} for key in kept}
    return table, {**memory, **shared, **each}


def apply(tx: Stage | Rule, params: Any, grads: Any, slots: Slots, scalars: Scalars) -> tuple[Any, Slots]:
    """The arrays' half of an update: pure, and free of any look at values, so that a jit may trace it.

    Parameters
    ----------
    tx, params, grads
        As for :func:`update`.
    slots
        ``state.slots``.
    scalars
        From :func:`scalars`.

    Returns
    -------
    params, slots
        After the update.
    """
    made = program(as_stage(tx))
    _refuse_random(made, "gs.apply")
    nest, tensors, leaves = _prepared(made, params, grads, slots)
    _refuse_rows(tensors, leaves, "gs.apply")
    rows = [scalars[name] for name in (nest.names if made.over_tensor else [ALL])]
    table = [[tuple(numbers[p.label][key] for key in p.rule.numbers) for p in made.parts] for numbers in rows]
    return _applied(made, nest, tensors, eager.bundled(made, tensors, leaves), table)


def apply_table(made: Program, params: Any, grads: Any, slots: Slots, table: list[Row]) -> tuple[Any, Slots]:
    """Return what :func:`apply` does, for scalars as a host's table: a row for all arrays, or one for each in order."""
    nest, tensors, leaves = _prepared(made, params, grads, slots)
    return _applied(made, nest, tensors, eager.bundled(made, tensors, leaves), table)


def _dtypes(tensors: Sequence[Tensor]) -> set[str]:
    return {x.dtype for x in tensors}


def _applied(
    made: Program,
    nest: Nest,
    tensors: Sequence[Tensor],
    bundles: Sequence[eager.Bundle],
    table: list[Row],
    whole: Sequence[Tensor] = (),
    places: Sequence[Any] = (),
    step: int = 0,
) -> tuple[Any, Slots]:
    after: list[Any] = [None] * len(tensors)
    slots: list[Mapping[str, Any]] = [{}] * len(tensors)
    keys = [key for own in made.slots for key in own]
    for bundle in bundles:
        for k, (value, state) in bundle.update(made, tensors, table, step):
            if places and places[k] is not None:  # some rows of a table
                value, *state = scattered(whole[k], places[k], [value, *state])
            after[k], slots[k] = value, dict(zip(keys, state, strict=True))
    return nest.build(after), dict(zip(nest.names, slots, strict=True))


def _named(made: Program, row: Row) -> dict[str, dict[str, float]]:
    return {
        part.label: dict(zip(part.rule.numbers, map(float, numbers), strict=True))
        for part, numbers in zip(made.parts, row, strict=True)
    }


def _check_state(made: Program, state: Any) -> None:
    if not isinstance(state, State):
        raise GradstepTypeError(f"state must come from gs.init or gs.update, not be a {type(state).__name__}.")
    wanted = {**made.memory(), **made.memory_of_each()}
    if set(state.memory) != set(wanted):
        raise GradstepValueError(f"state: memory has {sorted(state.memory)}, but this stage keeps {sorted(wanted)}.")
    for key in made.memory_of_each():
        known = state.memory[key]
        if not isinstance(known, Mapping) or set(known) != set(state.slots):
            raise GradstepValueError(f"state: memory of {key} must have a number for each of the parameters.")


def _prepared(made: Program, params: Any, grads: Any, slots: Slots) -> tuple[Nest, list[Tensor], tuple[Any, ...]]:
    """Return the form of the nests, the parameters with their state, and the gradients: each looked at once."""
    nest, leaves = flatten(params)
    if set(slots) != set(nest.names):
        odd = min(set(slots) ^ set(nest.names))
        raise GradstepValueError(
            f"state: {odd!r} is in one of parameters and state alone; the state is of other parameters. Begin anew "
            f"with gs.init; a model that has grown goes on by gs.Optimizer(...).restore(path, strict=False), which "
            f"counts the updates of what is new."
        )
    gradients = nest.leaves(grads, "gradients")
    wanted = [key for keys in made.slots for key in keys]
    tensors: list[Tensor] = []
    over_tensor = made.over_tensor
    for k, (name, x, g) in enumerate(zip(nest.names, leaves, gradients, strict=True)):
        compute_dtype(x, name)
        if not _is_like(g, x):
            check_gradient(name, g, x)
        own = slots[name]
        if len(own) != len(wanted) or not all(key in own for key in wanted):
            raise GradstepValueError(f"state: {name!r} has {sorted(own)}, but this stage keeps {sorted(wanted)}.")
        for key, y in own.items():
            if not _is_like(y, x) or is_low(x) or key in made.shaped:
                dtype, shape = "float32" if is_low(x) else None, made.shape(key, x.shape)
                check_alike(f"state: {key} of {name!r}", y, x, dtype, shape)
        state = tuple([tuple([own[key] for key in keys]) for keys in made.slots])
        tensors.append(Tensor(name, x, state, k if over_tensor else 0))
    return nest, tensors, gradients


def _is_like(y: Any, x: Any) -> bool:
    """Return whether two arrays are plain ones of NumPy's, of one shape and dtype: the usual case, seen at once."""
    return type(x) is type(y) is np.ndarray and x.shape == y.shape and x.dtype == y.dtype


def _guard(made: Program, bundles: Sequence[eager.Bundle], tensors: Sequence[Tensor], grads: Sequence[Any]) -> None:
    """Refuse parameters that are not finite and gradients that are not, or too large, with the name of the first."""
    if all(
        eager.within(bundle.tensor.value, largest(bundle.tensor.dtype))
        and eager.within(bundle.g, made.limit_in(bundle.tensor.dtype))
        for bundle in bundles
    ):
        return
    check_parameters([x.name for x in tensors], [x.value for x in tensors])
    for x, g in zip(tensors, grads, strict=True):
        limit = made.limit_in(x.dtype)
        if not eager.within(g, limit):
            raise bad_gradient(x.name, g, limit)


def _refuse_rows(tensors: Sequence[Tensor], grads: Sequence[Any], what: str) -> None:
    for x, g in zip(tensors, grads, strict=True):
        if type(g) is Rows:
            raise GradstepTypeError(f"gradient {x.name!r} is gs.rows, which {what} does not take; gs.update does.")


def _refuse_random(made: Program, what: str) -> None:
    if made.random:
        raise GradstepValueError(
            f"{made.random} draws random numbers, which {what} does not hand over; gs.update does, and gs.Optimizer."
        )


def _refuse_traced(leaves: Sequence[Any], state: State) -> None:
    """Refuse what a jit hands over: its numbers are not known yet."""
    if any(type(x).__name__.endswith("Tracer") for x in (*leaves, getattr(state, "t", 0))):
        raise GradstepTypeError(
            "gs.update looks at numbers, and under a jit there are none; call gs.scalars outside and trace gs.apply, "
            "or use gs.interop.optax.transformation."
        )
