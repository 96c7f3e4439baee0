"""Declaring another library's constructor: a function with its signature, and what all constructors there share."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn, ParamSpec, overload

from gradstep.conventions.constructor import Argument, Change, Constructor
from gradstep.form.rule import Rule, Stage, as_stage

P = ParamSpec("P")


class Changed(NamedTuple):
    """The hyperparameters that a number becomes through a function."""

    names: str
    change: Change


def for_matrices(moved: Rule | Stage) -> Stage:
    """Return a stage of one rule that refuses parameters which are no matrices."""
    (part,) = as_stage(moved).parts
    return Stage((replace(part, is_for_matrices=True),))


def minus(names: str) -> Changed:
    """The hyperparameters that a number becomes with its sign turned: ``{"beta2_decay": minus("decay_rate")}``."""
    return Changed(names, Change(_minus, _minus))


def _minus(x: Any) -> Any:
    return 0.0 - x  # without the sign of zero


One = str | Changed
Becomes = Mapping[str, One | tuple[One, ...]]
Words = tuple[str | int | None, ...]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Library:
    """The common part of a library's constructors; decorates the function that declares one.

    ``@constructor``, or with more of its own: ``@constructor(becomes={"etas": ("shrink", "grow")}, told="eps")``.

    Parameters
    ----------
    name
        Of the module here: ``"torch"``.
    becomes
        The hyperparameters that arguments become, where they are called otherwise: ``{"alpha": "rho"}``; two names in
        a string for one number that becomes both; a tuple for a tuple of as many numbers; :class:`Changed`, as
        :func:`minus` gives it, for a number that is another one here.
    told
        Names of numbers, or tuples of them, for which 0 is a switch: the function is told whether they are other than
        0. In such a tuple None is as good as 0.
    optional
        Names of numbers for which None is a switch, though it is not their default, or they are learning rates.
    choices
        The words or numbers that may be given for an argument, of which the function is told.
    ignored, labels, refused
        Names of arguments of these kinds (see :class:`Argument`); of those refused with the reason.
    constant
        Names of numbers that may be no schedule, with the reason.
    shared
        Has as keyword-only arguments those that the library's base class takes: a function whose ``**base`` hands
        them on takes them too.
    """

    name: str
    becomes: Becomes = field(default_factory=dict[str, One | tuple[One, ...]])
    told: str = ""
    optional: str = ""
    choices: Mapping[str, Words] = field(default_factory=dict[str, Words])
    ignored: str = ""
    labels: str = ""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    constant: Mapping[str, str] = field(default_factory=dict[str, str])
    shared: Callable[..., Any] | None = None

    @overload
    def __call__(self, choose: Callable[P, Stage], /) -> Constructor[P]: ...
    @overload
    def __call__(
        self,
        /,
        *,
        becomes: Becomes = ...,
        told: str = ...,
        optional: str = ...,
        choices: Mapping[str, Words] = ...,
        refused: Mapping[str, str] = ...,
        constant: Mapping[str, str] = ...,
        differs: Callable[[Mapping[str, Any]], str] = ...,
    ) -> Callable[[Callable[P, Stage]], Constructor[P]]: ...
    def __call__(
        self,
        choose: Callable[..., Stage] | None = None,
        /,
        *,
        becomes: Becomes = _NOTHING,
        told: str = "",
        optional: str = "",
        choices: Mapping[str, Words] = _NOTHING,
        refused: Mapping[str, str] = _NOTHING,
        constant: Mapping[str, str] = _NOTHING,
        differs: Callable[[Mapping[str, Any]], str] = lambda _: "",
    ) -> Any:
        """Return the constructor that a function declares by its name, its signature and what it returns.

        Parameters
        ----------
        choose
            The function; without one, what is to decorate it.
        becomes, told, optional, choices, refused, constant
            Of this constructor alone, beside the library's: the same argument is as it is said here.
        differs
            Says of the arguments together why they cannot be had, or nothing.
        """
        theirs = {key: why for key, why in self.refused.items() if key not in {*becomes, *choices}}
        own = replace(
            self,
            becomes={**self.becomes, **becomes},
            told=f"{self.told} {told}",
            optional=f"{self.optional} {optional}",
            choices={**self.choices, **choices},
            refused={**theirs, **refused},
            constant={**self.constant, **constant},
        )
        declared = partial(own._declared, differs=differs)
        return declared if choose is None else declared(choose)

    def _declared(self, choose: Callable[..., Stage], differs: Callable[[Mapping[str, Any]], str]) -> Constructor[...]:
        own = inspect.signature(choose).parameters.values()
        takes = {x.name: self._argument(x) for x in own if x.kind is not x.VAR_KEYWORD}
        if self.shared is not None and len(takes) < len(own):
            for x in inspect.signature(self.shared).parameters.values():
                if x.kind is x.KEYWORD_ONLY and x.name not in takes:
                    takes[x.name] = replace(self._argument(x), is_shared=True)
        return Constructor(f"{self.name}.{choose.__name__}", takes, choose, differs)

    def _argument(self, x: inspect.Parameter) -> Argument:
        if x.name in self.refused:
            return Argument(x.name, x.default, "refused", reason=self.refused[x.name])
        if x.name in self.ignored.split():
            return Argument(x.name, x.default, "ignored")
        if x.name in self.labels.split():
            return Argument(x.name, x.default, "label")
        if x.name in self.choices:
            return Argument(x.name, x.default, "choice", choices=self.choices[x.name])
        if isinstance(x.default, bool):
            return Argument(x.name, x.default, "switch")
        becomes, is_told = self.becomes.get(x.name, x.name), x.name in self.told.split()
        if isinstance(becomes, tuple) and not isinstance(becomes, Changed):
            each = enumerate(zip(becomes, x.default, strict=True))
            items = [replace(_number(one, default, is_told), within=(x.name, k)) for k, (one, default) in each]
            return Argument(x.name, x.default, "tuple", items=tuple(items))
        is_optional = x.name in self.optional.split()
        made = _number(becomes, x.default, is_told)
        return replace(made, name=x.name, is_optional=is_optional, reason=self.constant.get(x.name, ""))


def _number(becomes: One, default: Any, is_told: bool) -> Argument:
    """A number named as what it becomes."""
    names, change = becomes if isinstance(becomes, Changed) else (becomes, None)
    return Argument(names.split()[0], default, becomes=tuple(names.split()), change=change, is_told=is_told)


def refusing(module: str, absent: Mapping[str, str]) -> Callable[[str], NoReturn]:
    """Return the ``__getattr__`` of a module that has not all names of its library, and says why."""

    def missing(name: str) -> NoReturn:
        why = absent.get(name)
        what = f"module {module!r} has no attribute {name!r}" if why is None else f"{name} cannot be had here: {why}."
        raise AttributeError(what)

    return missing
