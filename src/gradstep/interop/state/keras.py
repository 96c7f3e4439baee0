"""State from and to Keras's optimizers, by their variables, which a built optimizer has; on any of its backends."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gradstep.array.namespaces import to_numpy
from gradstep.checkpoint.transfer import Parts, uninterrupted
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.state.common import OptimizerState, Places, bare, held, signed
from gradstep.optimizer import Optimizer

_MEAN = {"m": "_momentums", "v": "_velocities"}
_ADAM: Places = {"adam_eps_hat": _MEAN, "amsgrad_eps_hat": {**_MEAN, "top": "_velocity_hats"}}
_VELOCITY = {"v": "momentums"}

PLACES: Mapping[str, Places] = {
    "SGD": {"momentum": _VELOCITY, "nesterov": _VELOCITY},
    "RMSprop": {
        "scale_by_rms_inside": {"v": "_velocities"},
        "scale_by_centered_rms_inside": {"v": "_velocities", "mean": "_average_gradients"},
        "momentum": {"v": "-_momentums"},  # which Keras subtracts from the parameters
    },
    "Adagrad": {"adagrad_inside": {"s": "_accumulators"}},
    "Adadelta": {"adadelta": {"s": "_accumulated_grads", "u": "_accumulated_delta_vars"}},
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Adamax": {"adamax_eps_outside": {"m": "_m", "u": "_u"}},
    "Nadam": {"nadam_torch": _MEAN},
    "Ftrl": {"ftrl_keras": {"n": "_accumulators", "z": "_linears"}},
    "Lion": {"lion": {"m": "_momentums"}},
    "Lamb": {"lamb_keras": _MEAN},
    "Adafactor": {"adafactor_keras": {"r": "_r", "c": "_c"}},
    "Muon": {"muon_keras": {"b": "momentums"}, "muon_keras_plain": {"b": "momentums"}},
}
_ANY: Places = {"ema_after_first": {"average": "_model_variables_moving_average"}}
_MEMORY = {"Nadam": {"nadam_torch.product": "_u_product"}}


def load_state(opt: Optimizer | Parts, keras_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Load Keras's state; :func:`gradstep.interop.keras.load_state` takes guests too."""
    with held(opt, "load_state") as parts:
        there = _ForeignState(parts, keras_optimizer, names)
        memory = {name: {own: to_numpy(x.value)[()] for own, x in there.memory.items()} for name in there.ours.names}
        arrays = {
            name: there.as_here(name, {slot: signed(there.places[slot], to_numpy(x.value)) for slot, x in own.items()})
            for name, own in there.variables.items()
        }
        there.ours.take(there.ours.updates({"iterations": there.iterations.value}, None), arrays, memory)


def dump_state(opt: Optimizer | Parts, keras_optimizer: Any, names: Iterable[str] | None = None) -> None:
    """Dump the state for Keras; :func:`gradstep.interop.keras.dump_state` takes guests too."""
    with held(opt) as parts:
        there = _ForeignState(parts, keras_optimizer, names)
        ours, pairs = there.ours, list[tuple[Any, Any]]()
        for name, own in there.variables.items():
            for slot, x in own.items():
                old = to_numpy(x.value)
                shape = parts.state[name][slot].shape if slot in there.factors else old.shape
                values = signed(there.places[slot], ours.ours(name, slot, old.dtype, shape)).reshape(old.shape)
                pairs.append((x, values.astype(np.float32) if old.dtype.name == "bfloat16" else values))
        for name, x in there.estimates.items():
            rows, columns = (to_numpy(parts.state[name][slot]) for slot in there.factors)
            pairs.append((x, rows / np.maximum(rows.mean(-2, keepdims=True), np.finfo(rows.dtype).tiny) * columns))
        for key, x in there.memory.items():
            values = {ours.memory_of(name)[key] for name in ours.names}
            if len(values) > 1:
                raise ours.refused(f"{key} differs from group to group here, and there is one there")
            pairs += [(x, value) for value in values]
        count = to_numpy(there.iterations.value)
        if (t := ours.count()) > np.iinfo(count.dtype).max:
            raise ours.refused(f"t = {t} is no {count.dtype.name}")
        pairs.append((there.iterations, t))

        def act() -> None:
            for x, values in pairs:
                x.assign(values)

        uninterrupted(act)()


class _ForeignState:
    """A Keras optimizer beside an optimizer here."""

    def __init__(self, parts: Parts, theirs: Any, names: Iterable[str] | None) -> None:
        kind = type(theirs).__name__
        if not (type(theirs).__module__.startswith("keras.") and hasattr(theirs, "built")):
            raise GradstepTypeError(f"keras: expected one of Keras's optimizers, not {theirs!r}.")
        if kind not in PLACES:
            raise GradstepValueError(f"keras: {kind} is not among {', '.join(PLACES)}, whose state is known here.")
        self.ours = OptimizerState(parts, f"keras.optimizers.{kind}")
        self.ours.real_alone()
        if not theirs.built:
            raise self.ours.refused("it is not built; call its build(variables) first")
        if theirs.gradient_accumulation_steps:
            raise self.ours.refused("it gathers gradients over several steps, which are not all of its state here")
        variables = theirs._trainable_variables
        order = self.ours.ordered(names, len(variables))
        places = {**PLACES[kind], **_ANY}
        self.places = self.ours.placed(places)
        lists = {key: getattr(theirs, key, None) or [] for own in places.values() for key in map(bare, own.values())}
        self.ours.covered(self.places, {key for key, own in lists.items() if own})
        self.variables = {
            name: {slot: lists[bare(key)][k] for slot, key in self.places.items()}
            for k, name in enumerate(order)
            if name in self.ours.groups
        }
        self.factors = {rule.name: slots for rule, slots in self.ours.kept()}.get("adafactor_keras", ())
        self.estimates = dict[str, Any]()  # what Keras makes of the factors of a matrix, and keeps beside them
        for k, name in enumerate(order if self.factors else ()):
            if name in self.variables and parts.params[name].ndim < 2:  # it is whole there
                rows, columns = self.factors
                self.variables[name][rows] = theirs._v[k]
                del self.variables[name][columns]
            elif name in self.variables:
                self.estimates[name] = theirs._v[k]
        self.memory = {own: getattr(theirs, key) for own, key in _MEMORY.get(kind, {}).items()}
        self.iterations = theirs.iterations

    def as_here(self, name: str, found: dict[str, Any]) -> dict[str, Any]:
        """Return a parameter's arrays as they are kept here: Adafactor's factors with two axes, also a vector's."""
        out = dict(found)
        for slot in self.factors:
            shape = self.ours.parts.state[name][slot].shape
            if slot not in out:  # of a vector
                rows = out[self.factors[0]]
                out[slot] = rows.mean(0, np.float64, keepdims=True).astype(rows.dtype)
            elif out[slot].size == np.prod(shape):
                out[slot] = out[slot].reshape(shape)
        return out
