"""State from and to Keras's own optimizers, for the guest as for an optimizer of ours."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from gradstep.array.namespaces import to_numpy
from gradstep.checkpoint import Parts
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop import traced
from gradstep.interop.state import keras as state
from gradstep.step.groups import numbered
from gradstep.step.precision import Precision


def load_state(opt: Any, keras_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Take the state of a Keras optimizer: its arrays, averages of the weights among them, and its iterations.

    Parameters and hyperparameters stay as they are.

    Parameters
    ----------
    opt
        A :class:`gradstep.Optimizer` of the rule that ``gs.conventions.keras`` gives for that optimizer, or a guest
        that is built. What the hyperparameters there are is not looked at: give them here, as there.
    keras_optimizer
        An optimizer that is built: it has made a step, or ``build(variables)`` was called.
    names
        For an optimizer of ours, the dotted names of its variables, in its order; left out: the parameters here in
        their order, all or those that are not frozen. What is frozen here is left out of the state. A guest has the
        variables in their order.

    Raises
    ------
    GradstepValueError
        When either is not built or gathers gradients over several steps, or the one there is of a kind or has a state
        that the rule here does not have; for other shapes, numbers that are not finite, below zero where they cannot
        be, or not in the dtype here. Nothing has been changed.
    """
    if _is_guest(opt):
        state.load_state(_parts(opt, names), keras_optimizer)
    else:
        state.load_state(opt, keras_optimizer, names)


def dump_state(opt: Any, keras_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Set the variables of a Keras optimizer to the state here, and its iterations; its hyperparameters stay.

    Parameters
    ----------
    opt, keras_optimizer, names
        As for :func:`load_state`. What is frozen here stays as it is there.

    Raises
    ------
    GradstepValueError
        As from :func:`load_state`; also when groups here have different numbers for one that Keras has once. Nothing
        has been changed.
    """
    if _is_guest(opt):
        state.dump_state(_parts(opt, names), keras_optimizer)
    else:
        state.dump_state(opt, keras_optimizer, names)


def _is_guest(opt: Any) -> bool:
    return hasattr(opt, "made") and hasattr(opt, "built")


def _parts(guest: Any, names: Iterable[str] | None) -> Parts:
    """Return a guest's variables as the parts of an optimizer."""
    if names is not None:
        raise GradstepTypeError(
            "names are of an optimizer of ours; gs.interop.keras.Optimizer has the variables in their order."
        )
    if not guest.built:
        raise GradstepValueError("this optimizer is not built; call its build(variables) first.")
    if guest.gradient_accumulation_steps:
        raise GradstepValueError("this optimizer gathers gradients over several steps, which no other's state has.")
    params = {f"{v.path} ({k})": v.value for k, v in enumerate(guest._trainable_variables)}
    kept = dict(zip(params, guest._slots, strict=True))
    slots = {name: {key: to_numpy(x.value) for key, x in own.items()} for name, own in kept.items()}
    variables = {id(slots[name][key]): x for name, own in kept.items() for key, x in own.items()}
    memory = {key: traced.from_bits(x.value) for key, x in guest._memory.items()}

    def take(_: Any, memory: Any, t: int, _skipped: int, arrays: Any = (), _own: Any = None) -> None:
        guest.iterations.assign(t)
        for key, x in guest._memory.items():
            x.assign(traced.as_bits(memory[0][key]))
        for x, numbers in arrays:
            variables[id(x)].assign(numbers)

    groups = numbered(guest.made, [{}], (0,) * len(params))
    own = guest.made, groups, Precision(), params, slots, guest.made.hyper
    return Parts(*own, int(guest.iterations.value), 0, [memory], take, nullcontext())
