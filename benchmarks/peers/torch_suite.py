"""Torch's test/test_optim.py, which takes in test/optim/*.py; it needs ``pip install expecttest``."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from peers.suite import Expected, Suite

PAGE = "docs/migrating/torch.md"


def swap() -> None:
    """Replace the constructors that are known here in ``torch.optim`` and in torch's list of what is to be tested."""
    import torch

    import gradstep as gs

    made = {name: _guest(gs, name) for name in gs.conventions.torch.__all__}
    for name, guest in made.items():
        setattr(torch.optim, name, guest)
        globals()[name] = guest  # pickle looks it up here
    if find_spec("expecttest") is None:
        return  # nor can torch's own tests be collected
    from torch.testing._internal import common_optimizers

    for name, guest in made.items():
        if hasattr(common_optimizers, name):
            setattr(common_optimizers, name, guest)
    for info in common_optimizers.optim_db:
        if info.optim_cls.__name__ in made:
            info.optim_cls = made[info.optim_cls.__name__]
            info.supported_impls = tuple(x for x in info.supported_impls if x != "differentiable")
            info.optim_error_inputs_func = _by_kind(info.optim_error_inputs_func)


def _by_kind(inputs: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Return the calls that must fail, to be compared by the kind of their errors: the words are each library's own."""

    def without_words(**given: Any) -> list[Any]:
        found = inputs(**given)
        for x in found:
            if not issubclass(x.error_type, Warning):
                x.error_regex = ""
        return found

    return without_words


def _guest(gs: Any, name: str) -> type:
    from peers.plugin import counted

    takes = list(getattr(gs.conventions.torch, name).takes)
    own = gs.interop.torch.Optimizer

    def __init__(self: Any, params: Any, *args: Any, **given: Any) -> None:  # noqa: N807
        own.__init__(self, params, f"torch.{name}", **dict(zip(takes, args, strict=False)), **given)

    return type(name, (own,), {"__init__": counted(__init__), "__module__": __name__})


SUITE = Suite(
    files=("test/test_optim.py",),
    swap=swap,
    packages=("torch",),
    options=("--noconftest",),
    paths=("test",),
    expected=(
        Expected("", "differentiable=True cannot be had here", "a step is not recorded for autograd", PAGE),
        Expected(  # torch's test gives no parameters, and the arguments are not refused before
            "test_errors_Adam(W)?_",
            "'NoneType' object is not iterable",
            "ignored, with a warning: it says how torch computes, not what",
            PAGE,
        ),
        Expected("matches_forloop", "has an element that is not finite", "A parameter must be finite", PAGE),
        Expected(
            "weight_decay_SparseAdam", "weight_decay is no hyperparameter", "such as `weight_decay` with Spar", PAGE
        ),
        Expected("test_errors_SparseAdam_", "not raised", "torch refuses complex parameters, which are stepped here"),
    ),
)
