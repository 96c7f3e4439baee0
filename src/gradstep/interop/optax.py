"""A guest in optax: ``tx = gs.interop.optax.transformation("adam", lr=1e-3)``, for jit, vmap, scan and ``optax.chain``.

The number of the update is traced, yet bias corrections are made on the host in float64: see
:mod:`gradstep.interop.traced`.
"""
# JAX and optax are not installed where types are checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradstep.array.namespaces import compute_dtype, dtype_name, is_complex, is_low
from gradstep.array.tree import BARE
from gradstep.conventions import arguments, rate_name, stage_of
from gradstep.conventions.constructor import AsIs
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import Program, program
from gradstep.form.hyper import checked
from gradstep.form.rule import Rule, Stage
from gradstep.interop import traced
from gradstep.interop.shifts import asks_for_parameters
from gradstep.interop.state.optax import dump_state as dump_state
from gradstep.interop.state.optax import fields
from gradstep.interop.state.optax import load_state as load_state
from gradstep.naming import as_float
from gradstep.schedules import Schedule
from gradstep.step import start_slots

# An argument of optax, and the fields that it may be about.
_STORED = {"mu_dtype": ("mu",), "accumulator_dtype": ("trace", "ema")}


class State(NamedTuple):
    """A tree of arrays.

    Attributes
    ----------
    count
        Updates made, int32.
    memory
        Host numbers, a float64 as two int32; of those that a rule keeps for each array, a tree like the parameters.
    slots
        The arrays of the state, each a tree like the parameters: ``slots["mu"]`` where optax has a name for it, so that
        ``optax.tree.get(state, "mu")`` finds it; else ``slots["adafactor.r"]``.
    """

    count: Any
    memory: dict[str, Any]
    slots: dict[str, Any]


def transformation(rule: str | Rule | Stage, **hyper: Any) -> Any:
    """A rule or chain as an ``optax.GradientTransformation``.

    ``tx.update(grads, state, params)`` gives the new parameters less the old: added again, in 16 bits, that may be a
    unit in the last place off. A rule that moves all parameters alike, wherever they are, needs none of them:
    ``tx.update(grads, state)``. Gradients that are not finite go their way, as in optax; those of another real dtype
    are taken in that of the parameters, for parameters of 16 bits in float32. A stage that takes a norm has the
    gradients brought to the host at each step; ``optax.clip_by_global_norm`` has not. JAX differentiates an update by
    parameters, gradients and hyperparameters.

    Parameters
    ----------
    rule
        A rule's name, or a stage such as ``gs.adam(lr=1e-3)``.
    **hyper
        Hyperparameters of a rule given by name. Each may be a schedule, a function of the updates made: one that gives
        JAX arrays, such as optax's, is traced; all others run on the host in float64. Each may be a JAX array without
        axes, traced or not, as ``optax.inject_hyperparams`` hands them in. ``mu_dtype`` and ``accumulator_dtype`` of
        optax's constructors say how the first moment is stored between steps, rounded to the nearest.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``update`` takes hyperparameters of one step by name, traced or not: ``update(grads, state, params, lr=1e-4)``,
        the learning rate also by its constructor's. It refuses a constructor's other names, and ignores whatever else.
        A rule that takes the loss, such as ``"polyak"``, has it as optax's have: ``update(grads, state, params,
        value=loss)``; one that is not finite gives an update of NaN.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and values out of range; by ``init`` and ``update`` for dtypes that cannot be optimized,
        gradients that do not fit, and parameters or a loss that are missing.
    """
    stored = {key: hyper.pop(key) for key in _STORED if key in hyper and key in arguments(rule)}
    stage = stage_of(rule, {key: _as_is(x) for key, x in hyper.items()})
    made = program(stage)
    made.check_for_guest("a transformation", made.takes, of_each=True)
    traces, values = _at_first(made)
    names_of = fields(made)
    dtypes: dict[str, Any] = {}
    for argument, dtype in stored.items():
        slots = [key for key, own in names_of.items() if own in _STORED[argument]]
        if not slots:
            stage_of(rule, {**hyper, argument: dtype})  # which refuses it, with the reason
        dtypes |= {key: jnp.dtype(dtype) for key in slots if dtype is not None}
    needed = asks_for_parameters(made)
    rate, refused = rate_name(rule), {*arguments(rule)} - {*made.hyper}

    def of_one_step(extra: dict[str, Any]) -> dict[str, Any]:
        known = {"lr" if key == rate else key: x for key, x in extra.items()} if "lr" in made.hyper else extra
        if odd := sorted(refused & {*known}):
            names = ", ".join(made.hyper)
            raise GradstepValueError(f"update: {odd[0]} cannot be given for one step; what can is {names}.")
        return {key: x for key, x in known.items() if key in made.hyper}

    def taken(extra: dict[str, Any]) -> dict[str, Any]:
        """Return the numbers that the rule takes with a step; the loss goes by optax's name too."""
        given = {"loss": extra["value"], **extra} if "value" in extra else extra
        if missing := [key for key in made.takes if given.get(key) is None]:
            name = "value" if missing[0] == "loss" else missing[0]
            raise GradstepValueError(f"update: {missing[0]} is needed; call update(grads, state, params, {name}=...).")
        return {key: _number(key, given[key]) for key in made.takes}

    def init(params: Any) -> State:
        names, leaves, tree = _flat(params)
        starts = [_started(made, name, x, values) for name, x in zip(names, leaves, strict=True)]
        slots = {
            own: tree.unflatten(
                [_rounded(x[key], dtypes.get(key), name) for name, x in zip(names, starts, strict=True)]
            )
            for key, own in names_of.items()
        }
        bits = {key: jnp.asarray(traced.as_bits(x)) for key, x in made.memory().items()}
        for key, x in made.memory_of_each().items():
            bits[key] = tree.unflatten([jnp.asarray(traced.as_bits(x)) for _ in names])
        return State(jnp.zeros((), jnp.int32), bits, slots)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, State]:
        own, given, form = _flat(updates)
        names, leaves, tree = (own, [None] * len(own), form) if params is None else _flat(params)
        if params is None and needed:
            raise GradstepValueError(f"the parameters are missing: {needed}; call update(grads, state, params).")
        if form != tree:
            odd = min({*names} ^ {*own}, default="a container")
            raise GradstepValueError(
                f"gradients: {odd} is not the same as in the parameters; hand in a tree like them."
            )
        columns = {key: tree.flatten_up_to(state.slots[own]) for key, own in names_of.items()}
        kept = [{key: own[k] for key, own in columns.items()} for k in range(len(names))]
        pairs = [_alike(*x) for x in zip(leaves, given, kept, strict=True)]
        wide = [{key: _widened(y, x) for key, y in own.items()} for own, (x, _) in zip(kept, pairs, strict=True)]
        hyper = {key: schedule(state.count) for key, schedule in traces.items()}
        hyper |= of_one_step(extra) | taken(extra)
        of_each = made.memory_of_each()
        kept_bits = {key: tree.flatten_up_to(x) if key in of_each else x for key, x in state.memory.items()}
        new, after, memory = traced.step(
            stage,
            {name: x for name, (x, _) in zip(names, pairs, strict=True)},
            {name: g for name, (_, g) in zip(names, pairs, strict=True)},
            dict(zip(names, wide, strict=True)),
            state.count,
            kept_bits,
            hyper,
        )
        slots = {
            own: tree.unflatten([_rounded(after[name][key], dtypes.get(key), name) for name in names])
            for key, own in names_of.items()
        }
        memory = {
            key: tree.unflatten(list(map(jnp.asarray, x))) if key in of_each else jnp.asarray(x)
            for key, x in memory.items()
        }
        moved = [_moved(new[name], *x) for name, *x in zip(names, leaves, given, strict=True)]
        return tree.unflatten(moved), State(state.count + 1, memory, slots)

    return optax.GradientTransformationExtraArgs(init, update)


def _as_is(x: Any) -> Any:
    """Return JAX's numbers, and schedules that may give them, so that no constructor asks for their values."""
    if isinstance(x, jax.Array) and x.shape == ():
        return AsIs(lambda _: x)
    if isinstance(x, tuple):
        return tuple(map(_as_is, x))
    return AsIs(x) if callable(x) and not isinstance(x, Schedule) else x


def _number(name: str, x: Any) -> Any:
    """Return a number that comes with a step, traced or not."""
    if jnp.shape(x) != () or is_complex(x := jnp.asarray(x)):
        raise GradstepTypeError(f"update: {name} must be one real number, not of shape {jnp.shape(x)}.")
    return x


def _at_first(made: Program) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schedules that give JAX arrays, and all hyperparameters before the first update."""
    with jax.ensure_compile_time_eval():
        first = {key: x(0) for key, x in made.hyper.items() if callable(x)}
    traces: dict[str, Any] = {key: made.hyper[key] for key, x in first.items() if isinstance(x, jax.Array)}
    values: dict[str, Any] = made.values({key: x for key, x in made.hyper.items() if key not in traces}, 0)
    for key in traces:
        x, domain = first[key], made.domains.get(key)
        values[key] = x if isinstance(x, jax.core.Tracer) else checked(key, float(x), "hyperparameter", domain)
    return traces, values


def _flat(params: Any) -> tuple[list[str], list[Any], Any]:
    paths, tree = jax.tree_util.tree_flatten_with_path(params)
    return [jax.tree_util.keystr(path) or BARE for path, _ in paths], [_array(x) for _, x in paths], tree


def _array(x: Any) -> Any:
    """Return a leaf as an array of JAX; Python's numbers, whole ones too, as floats of its default precision."""
    if isinstance(x, jax.Array | jax.ShapeDtypeStruct):
        return x
    is_number = isinstance(x, int | float) and not isinstance(x, bool)
    return jnp.asarray(as_float(x) if is_number else x)


def _started(made: Program, name: str, x: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a parameter before the first update; of an abstract one where its numbers play no part."""
    if not isinstance(x, jax.ShapeDtypeStruct):
        return start_slots(made, name, x, values)
    compute_dtype(x, name)
    for i, keys in enumerate(made.slots):
        for j, key in enumerate(keys):
            how = made.start(i, j, values)
            if how == "theta" or callable(how):
                raise GradstepTypeError(
                    f"parameter {name!r} is abstract, and {key} starts from its numbers; "
                    f"jax.eval_shape(tx.init, params) gives the shapes and dtypes of the state."
                )
    return start_slots(made, name, jnp.zeros(x.shape, x.dtype, device=x.sharding), values)


def _alike(x: Any, g: Any, kept: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return parameter and gradient in one dtype; without a parameter, zero, which is moved as any other number is.

    What does not fit (integers, complex gradients of real parameters) is left as it is, to be refused by name.
    """
    if x is None:
        like = next((y for y in kept.values() if y.dtype != g.dtype and not is_low(y)), g)
        is_narrow = is_low(g) and like.dtype == jnp.float32
        x = jnp.zeros_like(g, dtype=g.dtype if is_narrow else like.dtype)
    if g.dtype == x.dtype or not jnp.issubdtype(g.dtype, jnp.inexact) or (is_complex(g) and not is_complex(x)):
        return x, g
    return (x.astype(jnp.float32), g.astype(jnp.float32)) if is_low(x) else (x, g.astype(x.dtype))


def _moved(new: Any, old: Any, g: Any) -> Any:
    """Return how far a parameter went, in its dtype; of one that was not handed in, in that of its gradient."""
    if old is None:
        return new if is_complex(new) and not is_complex(g) else new.astype(g.dtype)
    return new.astype(old.dtype) - old


def _widened(x: Any, like: Any) -> Any:
    """Return an array of the state in the dtype in which it is computed."""
    wanted = like.dtype if is_complex(like) else jnp.dtype(compute_dtype(like, "parameter"))
    if x.dtype == wanted or not jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    return x.real.astype(wanted) if is_complex(x) and not is_complex(like) else x.astype(wanted)


def _rounded(x: Any, dtype: Any, name: str) -> Any:
    """Return an array of the state in the dtype in which it is stored."""
    if dtype is None or x.dtype == dtype:
        return x
    if not jnp.issubdtype(dtype, jnp.inexact) or (is_complex(x) and not jnp.issubdtype(dtype, jnp.complexfloating)):
        raise GradstepTypeError(f"the state of {name} is {dtype_name(x)}, and cannot be stored as {dtype.name}.")
    return x.astype(dtype)
