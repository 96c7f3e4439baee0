"""Declaring another library's constructor: a function with its signature, and what all constructors there share."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec

from gradstep.conventions.constructor import Argument, Constructor
from gradstep.form.rule import Stage

P = ParamSpec("P")


@dataclass(frozen=True)
class Library:
    """The common part of a library's constructors; decorates the function that declares one.

    Parameters
    ----------
    name
        Of the module here: ``"torch"``.
    becomes
        The hyperparameters that arguments become, where they are called otherwise: ``{"alpha": "rho"}``; two names in
        a string for one number that becomes both, in a tuple for a pair.
    told
        Names of numbers for which 0 is a switch: the function is told whether they are other than 0.
    ignored, labels, refused
        Names of arguments of these kinds (see :class:`Argument`); of those refused with the reason.
    shared
        Has as keyword-only arguments those that the library's base class takes: a function whose ``**base`` hands
        them on takes them too.
    """

    name: str
    becomes: Mapping[str, str | tuple[str, str]] = field(default_factory=dict[str, str | tuple[str, str]])
    told: str = ""
    ignored: str = ""
    labels: str = ""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    shared: Callable[..., Any] | None = None

    def __call__(self, choose: Callable[P, Stage]) -> Constructor[P]:
        """Return the constructor that a function declares by its name, its signature and what it returns."""
        own = inspect.signature(choose).parameters.values()
        takes = {x.name: self._argument(x) for x in own if x.kind is not x.VAR_KEYWORD}
        if self.shared is not None and len(takes) < len(own):
            for x in inspect.signature(self.shared).parameters.values():
                if x.kind is x.KEYWORD_ONLY and x.name not in takes:
                    takes[x.name] = replace(self._argument(x), is_shared=True)
        return Constructor(f"{self.name}.{choose.__name__}", takes, choose, self.told.split())

    def _argument(self, x: inspect.Parameter) -> Argument:
        if x.name in self.refused:
            return Argument(x.name, x.default, "refused", reason=self.refused[x.name])
        if x.name in self.ignored.split():
            return Argument(x.name, x.default, "ignored")
        if x.name in self.labels.split():
            return Argument(x.name, x.default, "label")
        if isinstance(x.default, bool):
            return Argument(x.name, x.default, "switch")
        becomes = self.becomes.get(x.name, x.name)
        if isinstance(becomes, tuple):
            return Argument(x.name, x.default, "pair", becomes)
        return Argument(x.name, x.default, "number", tuple(becomes.split()))
