"""A guest in optax: ``tx = gs.interop.optax.transformation("adam", lr=1e-3)``, for jit, vmap, scan and ``optax.chain``.

The number of the update is traced, yet bias corrections are made on the host in float64: see
:mod:`gradstep.interop.traced`.
"""
# JAX and optax are not installed where types are checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gradstep.array.tree import BARE
from gradstep.conventions import arguments, rate_name, stage_of
from gradstep.errors import GradstepValueError
from gradstep.form.chain import program
from gradstep.form.rule import Rule, Stage
from gradstep.interop import traced
from gradstep.interop.state.optax import dump_state as dump_state
from gradstep.interop.state.optax import load_state as load_state
from gradstep.step import start_slots


class State(NamedTuple):
    """A tree of arrays: updates made, int32; host numbers, a float64 as two int32; ``slots["adam.m"]``, like params."""

    count: Any
    memory: dict[str, Any]
    slots: dict[str, Any]


def transformation(rule: str | Rule | Stage, **hyper: Any) -> Any:
    """A rule or chain as an ``optax.GradientTransformation``.

    ``tx.update(grads, state, params)`` needs the parameters. What it gives is the new ones less the old: added again,
    in 16 bits, that may be a unit in the last place off. Gradients that are not finite go their way, as in optax. A
    stage that takes a norm has the gradients brought to the host at each step; ``optax.clip_by_global_norm`` has not.

    Parameters
    ----------
    rule
        A rule's name, or a stage such as ``gs.adam(lr=1e-3)``.
    **hyper
        Hyperparameters of a rule given by name. Each may be a schedule, a function of the updates made: one that gives
        JAX arrays, such as optax's, is traced; all others run on the host in float64.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``update`` takes hyperparameters of one step by name, traced or not: ``update(grads, state, params, lr=1e-4)``,
        the learning rate also by its constructor's. It refuses a constructor's other names, and ignores whatever else.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names and values out of range; by ``init`` and ``update`` for dtypes that cannot be optimized,
        gradients that do not fit, and parameters that are missing.
    """
    stage = stage_of(rule, hyper)
    made = program(stage)
    made.refuse_gathering("a transformation")
    with jax.ensure_compile_time_eval():
        first = {key: x(0) for key, x in made.hyper.items() if callable(x)}
    traces: dict[str, Any] = {key: made.hyper[key] for key, x in first.items() if isinstance(x, jax.Array)}
    values = made.values({**made.hyper, **{key: float(first[key]) for key in traces}}, 0)

    rate, refused = rate_name(rule), {*arguments(rule)} - {*made.hyper}

    def of_one_step(extra: dict[str, Any]) -> dict[str, Any]:
        known = {"lr" if key == rate else key: x for key, x in extra.items()} if "lr" in made.hyper else extra
        if odd := sorted(refused & {*known}):
            names = ", ".join(made.hyper)
            raise GradstepValueError(f"update: {odd[0]} cannot be given for one step; what can is {names}.")
        return {key: x for key, x in known.items() if key in made.hyper}

    def init(params: Any) -> State:
        names, leaves, tree = _flat(params)
        starts = [start_slots(made, name, x, values) for name, x in zip(names, leaves, strict=True)]
        slots = {key: tree.unflatten([own[key] for own in starts]) for keys in made.slots for key in keys}
        bits = {key: jnp.asarray(traced.as_bits(x)) for key, x in made.memory().items()}
        return State(jnp.zeros((), jnp.int32), bits, slots)

    def update(updates: Any, state: State, params: Any = None, **extra: Any) -> tuple[Any, State]:
        if params is None:
            raise GradstepValueError("the parameters are missing; call update(grads, state, params).")
        names, leaves, tree = _flat(params)
        own, given, form = _flat(updates)
        if form != tree:
            odd = min({*names} ^ {*own}, default="a container")
            raise GradstepValueError(
                f"gradients: {odd} is not the same as in the parameters; hand in a tree like them."
            )
        old, grads = (dict(zip(names, x, strict=True)) for x in (leaves, given))
        columns = [dict(zip(names, tree.flatten_up_to(nest), strict=True)) for nest in state.slots.values()]
        kept = {name: {key: own[name] for key, own in zip(state.slots, columns, strict=True)} for name in names}
        hyper = {key: schedule(state.count) for key, schedule in traces.items()}
        hyper |= of_one_step(extra)
        new, kept, memory = traced.step(stage, old, grads, kept, state.count, state.memory, hyper)
        slots = {key: tree.unflatten([kept[name][key] for name in names]) for key in state.slots}
        memory = {key: jnp.asarray(x) for key, x in memory.items()}
        return tree.unflatten([new[x] - old[x] for x in names]), State(state.count + 1, memory, slots)

    return optax.GradientTransformationExtraArgs(init, update)


def _flat(params: Any) -> tuple[list[str], list[Any], Any]:
    paths, tree = jax.tree_util.tree_flatten_with_path(params)
    return [jax.tree_util.keystr(path) or BARE for path, _ in paths], [x for _, x in paths], tree
