"""The face of a step: what every optimizer shows and refuses, whichever way it steps."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from gradstep.array.tree import Nest, ReadOnly, flatten
from gradstep.errors import GradstepAttributeError, GradstepError, GradstepValueError
from gradstep.form.hyper import HyperView, at
from gradstep.form.rule import Stage
from gradstep.naming import unknown
from gradstep.step.groups import Groups, GroupsView
from gradstep.step.joint import JointStep
from gradstep.step.step import Step, choose_nonfinite

_SETTABLE = ("lr", "on_nonfinite")
# What optimizers of other libraries have -> what does it here.
_INSTEAD = {
    **dict.fromkeys(("learning_rate", "rate"), "opt.lr"),
    **dict.fromkeys(("update", "apply_gradients", "apply"), "opt.step(grads)"),
    "minimize": "opt.step(grads), or gs.minimize(value_and_grad, x0, rule)",
    "param_groups": "opt.groups and opt.hyper",
    "state_dict": "opt.save(path), or read opt.state",
    "load_state_dict": "opt.restore(path)",
    **dict.fromkeys(("m", "v", "momentum", "velocity"), "opt.state, which has them by parameter and name"),
}


class Face:
    """The face of a step, for a class that makes one from a nest of parameters.

    A class that derives from it takes no attributes but those that have an effect, and those that it declares once; a
    subclass of a user's may have its own.
    """

    _params: Any
    _nest: Nest
    _leaves: tuple[Any, ...]
    _stage: Stage
    _groups: Groups
    _hyper: HyperView
    _step: Step | JointStep
    _state: Mapping[str, Mapping[str, Any]]
    _on_nonfinite: str
    _same: Callable[[], bool]

    def _hold(self, params: Any) -> None:
        """Take the nest of parameters."""
        self._params = params
        self._nest, leaves = flatten(params)
        self._leaves = tuple(leaves)
        self._same = _identity(self._nest, params, self._leaves)

    @property
    def params(self) -> Any:
        """The nest as it was handed in."""
        return self._params

    @property
    def stage(self) -> Stage:
        """The rule or chain, with what was given to it."""
        return self._stage

    @property
    def hyper(self) -> HyperView:
        """Hyperparameters by name; ``opt.hyper["beta1"] = 0.8`` changes one from the next step on.

        ``opt.hyper["lr"] = gs.schedules.cosine(0.01, 1000)`` replaces a schedule; it goes on at :attr:`t`.
        """
        return self._hyper

    @property
    def groups(self) -> GroupsView:
        """Each group's own hyperparameters by its pattern; ``opt.groups["*.bias"]["lr"] = 1e-4`` sets one."""
        return GroupsView(self._groups, self._hyper.touch)

    @property
    def state(self) -> Mapping[str, Mapping[str, Any]]:
        """The arrays that the rule keeps: ``opt.state["layer.w"]["adam.m"]``."""
        return self._state

    @property
    def on_nonfinite(self) -> str:
        """The policy for gradients that are not finite."""
        return self._on_nonfinite

    @on_nonfinite.setter
    def on_nonfinite(self, policy: str) -> None:
        choose_nonfinite(policy)
        self._on_nonfinite = policy

    @property
    def t(self) -> int:
        """Updates made."""
        return self._step.t

    @property
    def skipped(self) -> int:
        """Steps that did not happen because of a non-finite gradient."""
        return self._step.skipped

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and name not in _SETTABLE and Face in type(self).__bases__ and not self._is_first(name):
            raise self._no_attribute(name, value)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Refuse what is no attribute; where optimizers of other libraries have it, say what does it here."""
        if hasattr(type(self), name):
            return object.__getattribute__(self, name)  # a property that has raised, and says it once more
        if name in _INSTEAD:
            raise GradstepAttributeError(f"an optimizer has no {name}; use {_INSTEAD[name]}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def _is_first(self, name: str) -> bool:
        """Return whether an attribute is one that the class declares, and is set for the first time."""
        return name in type(self).__annotations__ and name not in self.__dict__

    def _no_attribute(self, name: str, value: Any) -> GradstepAttributeError:
        """Return the error for setting what is no attribute, which would have no effect, with the way that has one."""
        if name in self._hyper:
            return GradstepAttributeError(f"set a hyperparameter by opt.hyper[{name!r}] = {value!r}.")
        if hasattr(type(self), name) or name in self.__dict__:
            return GradstepAttributeError(f"opt.{name} cannot be set; make a new optimizer.")
        if "rate" in name and "lr" in self._hyper:
            return GradstepAttributeError(f"an optimizer has no {name}; set the learning rate by opt.lr = {value!r}.")
        error = unknown("an optimizer has no attribute", name, {*_SETTABLE, *self._hyper})
        return GradstepAttributeError(f"{error} A hyperparameter is set by opt.hyper[...].")

    @property
    def lr(self) -> float:
        """The learning rate of the next step. ``opt.lr = 1e-4`` sets it; only a schedule replaces a schedule."""
        if "lr" not in self.hyper:
            raise AttributeError(f"{self!r} has no shared lr; its hyperparameters are {', '.join(self.hyper)}.")
        return at(self.hyper["lr"], "lr", self.t, "optimizer")

    @lr.setter
    def lr(self, value: Any) -> None:
        self.hyper["lr"] = value

    def _refuse_replaced(self) -> None:
        """Refuse parameters that are no longer the arrays of the nest: a step would go to the old ones.

        Raises
        ------
        GradstepValueError
            With the name of the first that has been replaced.
        """
        if self._same():
            return
        try:
            now = self._nest.leaves(self._params, "parameters")
        except GradstepError as error:
            raise GradstepValueError(
                f"{error} The nest was changed since the optimizer was made; make a new one. Nothing was changed."
            ) from None
        for name, x, y in zip(self._nest.names, now, self._leaves, strict=True):
            if x is None:
                raise GradstepValueError(
                    f"parameter {name!r} is no longer in the nest that the optimizer was made with; put its array "
                    f"back, or make a new optimizer. Nothing was changed."
                )
            if x is not y:
                raise GradstepValueError(
                    f"parameter {name!r} has been replaced by another array since the optimizer was made; change it in "
                    f"place (params[...][...] = values), or make a new optimizer. Nothing was changed."
                )


def read_only(slots: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return state whose arrays can be written, and not replaced."""
    return ReadOnly({name: ReadOnly(own) for name, own in slots.items()})


def _identity(nest: Nest, params: Any, leaves: tuple[Any, ...]) -> Callable[[], bool]:
    """Return a function that says whether the nest still holds these very arrays."""
    if nest.root.kind is None:
        return lambda: True  # an array, which holds itself
    pick, single = nest.root.pick, [k for k, x in enumerate(leaves) if math.prod(x.shape) < 2]

    def same() -> bool:
        now: Any = pick(params)
        if now is None or not all(now[k] is leaves[k] for k in single):  # those have a truth value, if with a warning
            return False
        try:
            return now == leaves  # of tuples: it compares identities first, and arrays only where those differ
        except (ValueError, RuntimeError, TypeError):  # the comparison of arrays says that it has no truth value
            return False

    if same():
        return same
    held = nest.leaves(params, "parameters")
    if all(x is y for x, y in zip(held, leaves, strict=True)):
        return lambda: all(x is y for x, y in zip(nest.leaves(params, "parameters"), leaves, strict=True))
    return lambda: True  # a mapping that makes its arrays anew whenever it is asked
