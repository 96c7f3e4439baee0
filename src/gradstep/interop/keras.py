"""A guest in Keras 3, on torch and JAX: ``model.compile(optimizer=gs.interop.keras.Optimizer("adam"), loss=...)``.

Import it (``gs.interop.keras``) before ``keras.saving.load_model`` meets a model with this optimizer.
"""
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportUntypedBaseClass=false
# pyright: reportUntypedClassDecorator=false

from collections.abc import Sequence
from inspect import signature
from typing import Any

import keras
from keras import ops

from gradstep.conventions import arguments, stage_of
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import program
from gradstep.form.rule import Rule, Stage
from gradstep.interop import traced
from gradstep.interop.keras_moved import dump_state as dump_state
from gradstep.interop.keras_moved import load_state as load_state
from gradstep.interop.keras_schedules import rate_of
from gradstep.step import start_slots

_BASE = signature(keras.optimizers.Optimizer.__init__).parameters


@keras.saving.register_keras_serializable("gradstep")
class Optimizer(keras.optimizers.Optimizer):
    """A rule or chain as a Keras optimizer.

    Parameters
    ----------
    rule
        A rule's name, or a stage such as ``gs.adam(beta1=0.8)``.
    learning_rate
        A float (float32 in Keras), or a schedule of Keras or Gradstep; left out, the rule's own.
    **hyper
        Hyperparameters of a rule given by name, and arguments of ``keras.optimizers.Optimizer``; ``weight_decay`` is
        the rule's where the rule takes one.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For unknown names, values out of range, a chain without a shared ``lr``, and a backend that is not torch or JAX.
    """

    def __init__(self, rule: str | Rule | Stage, learning_rate: Any = None, **hyper: Any) -> None:
        if (backend := keras.backend.backend()) not in ("torch", "jax"):
            raise GradstepTypeError(f"Keras runs on {backend}; this optimizer needs KERAS_BACKEND=torch or jax.")
        given = {key: x for key in _BASE if (x := hyper.pop(key, None)) is not None}
        if "weight_decay" in given and "weight_decay" in arguments(rule):
            hyper["weight_decay"] = given.pop("weight_decay")
        needed = {"learning_rate": 0.0} if learning_rate is not None and "learning_rate" in arguments(rule) else {}
        made = program(stage := stage_of(rule, hyper | needed))
        made.refuse_gathering("Keras")
        if "lr" not in made.hyper:
            raise GradstepValueError(f"{stage!r} has no lr that its stages share, and learning_rate would be nobody's.")
        super().__init__(rate_of(learning_rate, made.hyper["lr"]), **given)
        self.rule, self.hyper, self.stage, self.made = rule, hyper, stage, made

    def build(self, variables: Sequence[Any]) -> None:
        """Make the variables of the state: each slot's for each model variable, and host numbers as bits."""
        if not self.built:
            super().build(variables)
            self._memory = {key: self._variable(key, traced.as_bits(x)) for key, x in self.made.memory().items()}
            values = self.made.values(self.made.hyper, 0)
            starts = [(v.path, start_slots(self.made, v.path, v.value, values)) for v in variables]
            self._slots = [{key: self._variable(f"{path}_{key}", x) for key, x in own.items()} for path, own in starts]

    def _variable(self, name: str, start: Any) -> Any:
        dtype = keras.backend.standardize_dtype(start.dtype)
        return self.add_variable(start.shape, lambda *_, **__: start, dtype, name=name.replace("/", "_"))

    def _backend_update_step(self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> None:
        own = {f"{v.path} ({k})": v for k, v in enumerate(variables)}
        slots = {name: self._slots[self._get_variable_index(v)] for name, v in own.items()}
        params, after, memory = traced.step(
            self.stage,
            {name: v.value for name, v in own.items()},
            {name: ops.cast(g, v.dtype) for g, (name, v) in zip(grads, own.items(), strict=True)},
            {name: {key: x.value for key, x in kept.items()} for name, kept in slots.items()},
            ops.convert_to_tensor(self.iterations),
            {key: x.value for key, x in self._memory.items()},
            {"lr": ops.convert_to_tensor(learning_rate)},
        )
        pairs = [(v, params[name]) for name, v in own.items()] + [(x, memory[key]) for key, x in self._memory.items()]
        pairs += [(x, after[name][key]) for name, kept in slots.items() for key, x in kept.items()]
        for variable, value in pairs:
            self.assign(variable, value)

    def exclude_from_weight_decay(self, *variables: Any, **names: Any) -> None:
        """As in Keras, where Keras does the decay; a :class:`GradstepValueError` where the rule does it."""
        if "weight_decay" in self.made.hyper:
            raise GradstepValueError("the rule decays weights by itself; use one that does not, and weight_decay=.")
        super().exclude_from_weight_decay(*variables, **names)

    def get_config(self) -> dict[str, Any]:
        """Return the config that makes it again; a :class:`GradstepTypeError` for a stage that no config can hold."""
        for x in (self.rule, *self.hyper.values()):
            if callable(x) or isinstance(x, Stage):
                raise GradstepTypeError(f"{x!r} cannot go into a Keras config; give a rule's name and numbers.")
        return {**super().get_config(), **self.hyper, "rule": self.rule}
