"""State from and to optimizers of torch's kind in other libraries: by the optimizer itself, or its state dict."""

from collections.abc import Iterable, Mapping
from typing import Any

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.interop.state.kind import Kind
from gradstep.interop.torch.moved import give, take
from gradstep.naming import unknown


class Library:
    """A library whose optimizers are torch's subclasses.

    Parameters
    ----------
    name
        Its package.
    kinds
        What each of its optimizers keeps.
    refused
        Why the state of others cannot be had.
    """

    def __init__(self, name: str, kinds: Mapping[str, Kind], refused: Mapping[str, str]) -> None:
        self.name, self.kinds, self.refused = name, kinds, refused

    def load_state(
        self,
        opt: Any,
        theirs: Any,
        names: Iterable[str] | None = None,
        *,
        kind: str | None = None,
        t: int | None = None,
    ) -> None:
        """Take the state of an optimizer of the library; otherwise as :func:`gradstep.interop.torch.load_state`.

        Parameters
        ----------
        opt
            A :class:`gradstep.Optimizer` of the rule that ``gs.conventions`` gives for that optimizer, or a guest,
            ``gs.interop.torch.Optimizer``.
        theirs
            The optimizer, or its state dict. State dicts do not say whose they are: ``kind`` does.
        names
            As for torch's.
        kind
            The name of the class beside a state dict: ``"Lion"``.
        t
            The updates made, where they are not counted there.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            As from torch's; for an optimizer whose state has another meaning here. Nothing has been changed.
        """
        its, state_dict = self._found(theirs, kind)
        take(opt, its.gathered(state_dict), names, t, its)

    def dump_state(
        self, opt: Any, like: Any, names: Iterable[str] | None = None, *, kind: str | None = None
    ) -> dict[str, Any]:
        """Return the state here as a dict for ``theirs.load_state_dict``; hyperparameters are those of ``like``.

        Parameters
        ----------
        opt
            As for :meth:`load_state`.
        like
            The optimizer that will take it, or its state dict, before its first step or after any.
        names, kind
            As for :meth:`load_state`.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            As from :meth:`load_state`.
        """
        its, state_dict = self._found(like, kind)
        return its.spread(give(opt, its.gathered(state_dict), names, its), state_dict)

    def _found(self, theirs: Any, kind: str | None) -> tuple[Kind, Mapping[str, Any]]:
        """Return what is kept there, and the state dict.

        Raises
        ------
        GradstepTypeError
            For what is neither of its optimizers nor a state dict with its kind.
        GradstepValueError
            For an optimizer whose state cannot be had, with the reason.
        """
        if isinstance(theirs, Mapping):
            if not (isinstance(kind, str) and {"state", "param_groups"} <= theirs.keys()):
                raise GradstepTypeError(
                    f"{self.name}: expected one of its optimizers, or what its state_dict() gives beside the name of "
                    f"its class, which the dict does not say: kind='Lion'."
                )
            return self._kind(kind), theirs
        classes = [x.__name__ for x in type(theirs).__mro__ if x.__module__.partition(".")[0] == self.name]
        if kind is not None or not classes or not hasattr(theirs, "state_dict"):
            raise GradstepTypeError(
                f"{self.name}: expected one of its optimizers, not a {type(theirs).__name__}"
                f"{'' if kind is None else ' with a kind=, which is for a state dict'}."
            )
        return self._kind(classes[0]), theirs.state_dict()

    def _kind(self, name: str) -> Kind:
        if name in self.refused:
            raise GradstepValueError(f"state of {self.name}.{name}: {self.refused[name]}.")
        if name not in self.kinds:
            raise unknown(f"{self.name}: no state is taken of", name, self.kinds)
        return self.kinds[name]
