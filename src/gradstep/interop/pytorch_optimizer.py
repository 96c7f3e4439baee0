"""State from and to pytorch_optimizer's optimizers, for optimizers of ours and for the guest in torch."""

from collections.abc import Iterable
from typing import Any

from gradstep.interop.state.pytorch_optimizer import KINDS, REFUSED
from gradstep.interop.torch.others import Library

_LIBRARY = Library("pytorch_optimizer", KINDS, REFUSED)


def load_state(
    opt: Any, theirs: Any, names: Iterable[str] | None = None, *, kind: str | None = None, t: int | None = None
) -> None:
    """Take the state of an optimizer of pytorch_optimizer; otherwise as :func:`gradstep.interop.torch.load_state`.

    Parameters
    ----------
    opt
        A :class:`gradstep.Optimizer` of the rule that ``gs.conventions.pytorch_optimizer`` gives for that optimizer, or
        a guest, ``gs.interop.torch.Optimizer``.
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
    _LIBRARY.load(opt, theirs, names, kind, t)


def dump_state(opt: Any, like: Any, names: Iterable[str] | None = None, *, kind: str | None = None) -> dict[str, Any]:
    """The state here as a state dict for ``theirs.load_state_dict``; hyperparameters are those of ``like``.

    Parameters
    ----------
    opt
        As for :func:`load_state`.
    like
        The optimizer that will take it, or its state dict, before its first step or after any.
    names, kind
        As for :func:`load_state`.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        As from :func:`load_state`.
    """
    return _LIBRARY.dump(opt, like, names, kind)
