"""State from and to Keras's own optimizers, for the guest as for an optimizer of ours."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradstep.arrays import to_numpy
from gradstep.checkpoint.transfer import uninterrupted
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop import traced
from gradstep.interop.state import keras as state
from gradstep.optimizer import Optimizer


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
    if not _is_guest(opt):
        state.load_state(opt, keras_optimizer, names)
        return
    own = _as_ours(opt, names)
    state.load_state(own, keras_optimizer)
    parts = own.parts()
    pairs: list[tuple[Any, Any]] = [(opt.iterations, parts.t)]
    pairs += [(x, traced.as_bits(parts.memory[0][key])) for key, x in opt._memory.items()]
    pairs += [
        (x, parts.state[name][key])
        for name, kept in zip(parts.params, opt._slots, strict=True)
        for key, x in kept.items()
    ]

    def act() -> None:
        for x, values in pairs:
            x.assign(values)

    uninterrupted(act)()


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
        state.dump_state(_as_ours(opt, names), keras_optimizer)
    else:
        state.dump_state(opt, keras_optimizer, names)


def _is_guest(opt: Any) -> bool:
    return hasattr(opt, "made") and hasattr(opt, "built")


def _as_ours(guest: Any, names: Iterable[str] | None) -> Optimizer:
    """An optimizer of ours with a copy of a guest's state; the parameters, which nobody asks for, are zeros."""
    if names is not None:
        raise GradstepTypeError("names are of an optimizer of ours; a guest has the variables in their order.")
    if not guest.built:
        raise GradstepValueError("this guest is not built; call its build(variables) first.")
    if guest.gradient_accumulation_steps:
        raise GradstepValueError("this guest gathers gradients over several steps, which no other's state has.")
    variables = {f"{v.path} ({k})": v for k, v in enumerate(guest._trainable_variables)}
    opt = Optimizer({name: np.zeros_like(to_numpy(v.value)) for name, v in variables.items()}, guest.stage)
    for name, kept in zip(variables, guest._slots, strict=True):
        for key, x in kept.items():
            opt.state[name][key][...] = to_numpy(x.value)
    memory = {key: traced.from_bits(x.value) for key, x in guest._memory.items()}
    opt.parts().take(opt.hyper.raw, [memory], int(guest.iterations.value), 0)
    return opt
