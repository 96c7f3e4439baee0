"""A guest in Keras 3, on torch and JAX: ``model.compile(optimizer=gs.interop.keras.Optimizer("adam"), loss=...)``.

Import it (``gs.interop.keras``) before ``keras.saving.load_model`` meets a model with this optimizer.
"""
# Keras is not installed where types are checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportUntypedBaseClass=false
# pyright: reportUntypedClassDecorator=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportPrivateUsage=false, reportIncompatibleMethodOverride=false

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import keras
from keras import ops

from gradstep.conventions import arguments, stage_of
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import program
from gradstep.form.rule import Rule, Stage
from gradstep.interop import traced
from gradstep.interop.keras_config import from_config, to_config
from gradstep.interop.keras_moved import dump_state as dump_state
from gradstep.interop.keras_moved import load_state as load_state
from gradstep.interop.keras_schedules import rate_of
from gradstep.interop.row_steps import ROWS_ALONE, rows_suffice
from gradstep.step import start_slots


def _is_of_rows(g: Any) -> bool:
    """Return True for a sparse gradient of torch, as an embedding has it."""
    return keras.backend.backend() == "torch" and g.is_sparse


def _at(variable: Any, place: Any) -> Any:
    """Return a variable's value, or some rows of it."""
    return variable.value if place is None else variable.value.detach()[place]


_BASE = signature(keras.optimizers.Optimizer.__init__).parameters


def _outside_of_a_compiled_step(method: Any) -> Any:
    """Let a method run as it is where torch compiles a training step: the host's half of an update is no graph."""
    if keras.backend.backend() != "torch":
        return method
    from torch.compiler import disable  # torch is there when it is Keras's backend

    return disable(method)


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
        rule, hyper = from_config(rule), {key: from_config(x) for key, x in hyper.items()}
        given = {key: hyper.pop(key) for key in _BASE if key in hyper}
        if "weight_decay" in given and "weight_decay" in arguments(rule):
            hyper["weight_decay"] = given.pop("weight_decay")
            if hyper["weight_decay"] is None and arguments(rule)["weight_decay"].default is not None:
                raise GradstepValueError(f"{rule}: weight_decay must be a number, not None; 0.0 is none of it.")
        needed = {"learning_rate": 1.0} if learning_rate is not None and "learning_rate" in arguments(rule) else {}
        made = program(stage := stage_of(rule, hyper | needed))
        made.check_for_guest("Keras")
        if "lr" not in made.hyper:
            raise GradstepValueError(f"{stage!r} has no lr that its stages share, and learning_rate would be nobody's.")
        super().__init__(rate_of(learning_rate, made.hyper["lr"]), **given)
        self.rule, self.hyper, self.stage, self.made = rule, hyper, stage, made
        self._lazily = rule == ROWS_ALONE
        self._decay_is_keras_s = "weight_decay" not in arguments(rule)

    @_outside_of_a_compiled_step
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
        initializer: Any = lambda *_, **__: start  # noqa: E731 - its type is not the one that Keras tells
        return self.add_variable(start.shape, initializer, dtype, name=name.replace("/", "_"))

    @_outside_of_a_compiled_step
    def _backend_update_step(self, grads: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> None:
        rate = {"lr": ops.convert_to_tensor(learning_rate)}
        takes: list[tuple[list[Any], dict[str, Any]]] = [([], rate), ([], {**rate, "weight_decay": 0.0})]
        for v, g in zip(variables, grads, strict=True):
            takes["weight_decay" in self.made.hyper and not self._use_weight_decay(v)][0].append((v, g))
        for variable, place, value in [x for own, hyper in takes if own for x in self._after(own, hyper)]:
            if place is None:
                self.assign(variable, value)
            else:
                variable.value.detach()[place] = value

    def _after(self, pairs: Sequence[tuple[Any, Any]], hyper: Mapping[str, Any]) -> list[tuple[Any, Any, Any]]:
        """Return the variables of model and state, each with its value after the update of those in ``pairs``.

        Between them stand the rows that these values are; None: all.
        """
        own = {f"{v.path} ({k})": v for k, (v, _) in enumerate(pairs)}
        slots = {name: self._slots[self._get_variable_index(v)] for name, v in own.items()}
        found = dict(zip(own, self._rows(pairs, hyper), strict=True))
        places = {name: place for name, (place, _) in found.items()}
        params, after, memory = traced.step(
            self.stage,
            {name: _at(v, places[name]) for name, v in own.items()},
            {name: g for name, (_, g) in found.items()},
            {name: {key: _at(x, places[name]) for key, x in kept.items()} for name, kept in slots.items()},
            ops.convert_to_tensor(self.iterations),
            {key: x.value for key, x in self._memory.items()},
            dict(hyper),
        )
        out = [(v, places[name], params[name]) for name, v in own.items()]
        out += [(x, None, memory[key]) for key, x in self._memory.items()]
        return out + [(x, places[name], after[name][key]) for name, kept in slots.items() for key, x in kept.items()]

    def _rows(self, pairs: Sequence[tuple[Any, Any]], hyper: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """Return the rows that each gradient names, with those of the gradient; None, with all of a dense one.

        Where the update moves other rows too, a sparse gradient is made dense: as Keras's own optimizers do it.
        """
        sparse = [_is_of_rows(g) for _, g in pairs]
        suffices = any(sparse) and (self._lazily or self._rows_suffice(hyper))
        out: list[tuple[Any, Any]] = []
        for (v, g), is_sparse in zip(pairs, sparse, strict=True):
            if is_sparse and suffices and g.sparse_dim() == 1:
                summed = g.detach().coalesce()
                out.append((summed.indices()[0], ops.cast(summed.values(), v.dtype)))
            else:
                whole = g.to_dense() if is_sparse else ops.convert_to_tensor(g, sparse=False)
                out.append((None, ops.cast(whole, v.dtype)))
        return out

    def _rows_suffice(self, hyper: Mapping[str, Any]) -> bool:
        t = int(ops.convert_to_numpy(self.iterations))
        memory = {key: traced.from_bits(x.value) for key, x in self._memory.items()}
        values = self.made.values({key: x for key, x in self.made.hyper.items() if key not in hyper}, t)
        return rows_suffice(self.made, [{**values, **{key: float(x) for key, x in hyper.items()}}], t, [memory])

    def exclude_from_weight_decay(self, *variables: Any, **names: Any) -> None:
        """Let variables be without weight decay: as in Keras, also where the rule does it.

        Raises
        ------
        GradstepValueError
            Where the rule does it and a stage takes one norm of all gradients: these make their step together.
        """
        together = [x.label for x in self.made.parts if x.rule.over == "all"]
        if "weight_decay" in self.made.hyper and together:
            raise GradstepValueError(
                f"{together[0]} takes all variables together, and those without weight decay make a step of their own; "
                f"leave it out of the chain, and give Keras global_clipnorm=."
            )
        super().exclude_from_weight_decay(*variables, **names)

    def get_config(self) -> dict[str, Any]:
        """Return the config that makes it again, schedules and chains too.

        Raises
        ------
        GradstepTypeError
            For a hyperparameter that is a plain function.
        """
        base = {key: x for key, x in super().get_config().items() if key != "weight_decay" or self._decay_is_keras_s}
        return {
            **base,
            **{key: to_config(x, key) for key, x in self.hyper.items()},
            "rule": to_config(self.rule, "rule"),
        }
