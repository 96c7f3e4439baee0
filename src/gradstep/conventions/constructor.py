"""Another library's constructor as data: its arguments, what each becomes, and the chain that its switches choose.

The function that declares one is handed the switches and gives the stages; numbers go from the arguments into these by
name. So one constructor with the same switches always gives the same chain, whatever the numbers.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, update_wrapper, wraps
from itertools import product
from typing import Any, Generic, Literal, NamedTuple, ParamSpec

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import program
from gradstep.form.hyper import Hyper
from gradstep.form.rule import Part, Rule, Stage
from gradstep.naming import unknown

P = ParamSpec("P")
Kind = Literal["number", "pair", "switch", "ignored", "label", "refused"]
REQUIRED: Any = inspect.Parameter.empty  # the default of an argument that has none


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor.

    Attributes
    ----------
    name, default
        As the library has them; ``REQUIRED`` where there is no default.
    kind
        ``"number"``; ``"pair"``, of numbers; ``"switch"``; ``"ignored"``, with a warning, for it says how the library
        computes; ``"label"``, a name for the library's own use; ``"refused"``.
    becomes
        The hyperparameters that a number becomes; for a pair, those of its two numbers.
    reason
        Why it is refused.
    is_shared
        Whether the library's base class takes it, for all constructors.
    half
        For one number of a pair: the pair's name, and 0 or 1.
    """

    name: str
    default: Any
    kind: Kind = "number"
    becomes: tuple[str, ...] = ()
    reason: str = ""
    is_shared: bool = False
    half: tuple[str, int] | None = None

    @property
    def is_rate(self) -> bool:
        """True for the learning rate."""
        return self.becomes == ("lr",)

    @property
    def is_required(self) -> bool:
        """True where it must be given: it has no default, or is a learning rate whose default is None."""
        return self.default is REQUIRED or (self.is_rate and self.default is None)

    @property
    def halves(self) -> list["Argument"]:
        """The numbers of a pair, each named as what it becomes; of any other argument itself alone."""
        if self.kind != "pair":
            return [self]
        numbers = zip(self.becomes, self.default, strict=True)
        return [Argument(key, x, becomes=(key,), half=(self.name, k)) for k, (key, x) in enumerate(numbers)]


class Form(NamedTuple):
    """The chain that switches choose: the same object for the same switches.

    ``stage`` has only the numbers that no argument gives; ``sources`` has for each of its parts, by hyperparameter,
    the argument that becomes it.
    """

    stage: Stage
    sources: tuple[Mapping[str, Argument], ...]


class Constructor(Generic[P]):
    """A constructor: called with the library's arguments it gives the stage with that library's numbers.

    Parameters
    ----------
    owner
        ``"torch.Adam"``; the name of a rule, whose arguments are its hyperparameters.
    takes
        The arguments by name, in order.
    choose
        Gives the stages, from the switches by name. Of numbers it is told whether they are there: of those whose
        default is None, whether they are given; of those in ``told``, whether they are other than 0.
    told
        See ``choose``.
    """

    def __init__(
        self, owner: str, takes: Mapping[str, Argument], choose: Callable[..., Stage], told: Iterable[str] = ()
    ) -> None:
        update_wrapper(self, choose)  # with its signature
        self.owner, self.takes = owner, takes
        self.told, self._choose = frozenset(told), choose
        self._forms: dict[tuple[bool, ...], Form] = {}

    @classmethod
    def of_rule(cls, rule: Rule) -> "Constructor[...]":
        """A rule as a constructor of itself."""
        takes = {key: Argument(key, REQUIRED if x is None else x, becomes=(key,)) for key, x in rule.defaults.items()}
        made = cls(rule.name, takes, lambda **_: rule())
        made.__doc__ = rule.doc
        return made

    def __call__(self, *args: P.args, **given: P.kwargs) -> Stage:
        """Return the stage with these arguments and the defaults of all others.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For an unknown or missing argument, and as :meth:`stage`.
        """
        for key in given:
            if key not in self.takes:
                raise unknown(f"{self.owner}: unknown argument", key, self.takes)
        try:
            bound = self._signature.bind(*args, **given)
        except TypeError as error:
            raise GradstepTypeError(f"{self.owner}: {error}; it takes {', '.join(self.takes)}.") from None
        bound.apply_defaults()
        return self.stage(bound.arguments)

    def __reduce__(self) -> str:
        return self.owner.rpartition(".")[2]  # copied and pickled by name, as a function is

    def __repr__(self) -> str:
        return f"<constructor {self.owner}{self._signature}>"

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.__doc__ or "").partition("\n")[0]

    @cached_property
    def rate(self) -> str | None:
        """The name of the learning rate; None where it takes none."""
        return next((key for key, x in self.takes.items() if x.is_rate), None)

    @cached_property
    def required(self) -> list[str]:
        """The names of the arguments that must be given."""
        return [key for key, x in self.takes.items() if x.is_required]

    @cached_property
    def numbers(self) -> Mapping[str, Argument]:
        """The arguments that are numbers or switches, and each pair as two of them, named as what they become."""
        found = [half for x in self.takes.values() for half in x.halves]
        return {x.name: x for x in found if x.kind in ("number", "switch")}

    def arguments(self, numbers: Mapping[str, float]) -> dict[str, Any]:
        """Return the arguments that these numbers are, by the names of :attr:`numbers`.

        Raises
        ------
        GradstepValueError
            For an unknown name; with close matches.
        """
        out: dict[str, Any] = {}
        for key, value in numbers.items():
            if key not in self.numbers:
                what = "argument" if "." in self.owner else "hyperparameter"
                raise unknown(f"{self.owner}: unknown {what}", key, self.numbers)
            x = self.numbers[key]
            if x.half is None:
                out[key] = bool(value) if x.kind == "switch" else value
            else:
                name, k = x.half
                pair = list(out.get(name, self.takes[name].default))
                pair[k] = value
                out[name] = tuple(pair)
        return out

    def form(self, given: Mapping[str, Any]) -> Form:
        """Return the chain that the switches among these arguments choose.

        Raises
        ------
        GradstepValueError
            For switches that do not go together.
        """
        switches = {x.name: self._is_on(x, given) for x in self._switches}
        on = tuple(switches.values())
        if on not in self._forms:
            stage = self._choose(**{**dict.fromkeys(self.required), **switches})
            there = [x for key, x in self.takes.items() if key in self.told or switches.get(key, True)]
            becomes = {key: half for x in there for half in x.halves for key in half.becomes}
            made = Form(stage, tuple(_sources(part, becomes, len(stage.parts)) for part in stage.parts))
            return self._forms.setdefault(on, made)
        return self._forms[on]

    def forms(self) -> list[Form]:
        """Return the chain of each choice of switches, but of those that do not go together."""
        found: list[Form] = []
        for on in product((False, True), repeat=len(self._switches)):
            given = {x.name: _turned(x, is_on) for x, is_on in zip(self._switches, on, strict=True)}
            with suppress(GradstepValueError):
                found.append(self.form(given))
        return found

    def stage(self, given: Mapping[str, Any]) -> Stage:
        """Return the stage with these arguments; a required one that is left out has the rule's default, or is 1.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what is refused, values out of range or of another type, and switches that do not go together.
        """
        return self._filled(self.form(given), given)

    def values(self, given: Mapping[str, Any]) -> dict[str, Hyper]:
        """Return the hyperparameters of :meth:`form` by their flat names, with the numbers of these arguments.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            As :meth:`stage`.
        """
        form = self.form(given)
        made, filled = program(form.stage), self._filled(form, given)
        out = dict(made.hyper)
        for part, sources, keys in zip(filled.parts, form.sources, made.keys, strict=True):
            out.update({keys[key]: part.given[key] for key in sources})
        return out

    def _filled(self, form: Form, given: Mapping[str, Any]) -> Stage:
        """The stage of a form with the numbers of these arguments."""
        missing = [key for key in self.required if key not in given]
        values = {key: self._clean(x, given.get(key, x.default)) for key, x in self.takes.items() if key not in missing}
        parts: list[Part] = []
        for part, sources in zip(form.stage.parts, form.sources, strict=True):
            hyper: dict[str, Any] = {}
            for key, default in part.rule.defaults.items():
                x = sources.get(key)
                if x is not None and x.name in missing:
                    domain = part.rule.domains.get(key)
                    sample = 1.0 if domain is None or 1.0 in domain else 0.5
                    hyper[key] = sample if default is None else default
                elif x is not None:
                    hyper[key] = values[x.name] if x.half is None else values[x.half[0]][x.half[1]]
                elif key in part.given:
                    hyper[key] = part.given[key]
            parts += part.rule(**hyper).parts
        return Stage(tuple(parts))

    @cached_property
    def _signature(self) -> inspect.Signature:
        """That of all arguments, those of the base class among them."""
        own = inspect.signature(self._choose).parameters
        more = [
            inspect.Parameter(x.name, inspect.Parameter.KEYWORD_ONLY, default=x.default)
            for x in self.takes.values()
            if x.name not in own
        ]
        return inspect.Signature([*(x for x in own.values() if x.kind is not x.VAR_KEYWORD), *more])

    @cached_property
    def _switches(self) -> list[Argument]:
        """The arguments that choose: switches, and numbers of which it is told whether they are there."""
        each = self.takes.values()
        return [x for x in each if x.kind == "switch" or x.name in self.told or (x.kind, x.default) == ("number", None)]

    def _is_on(self, x: Argument, given: Mapping[str, Any]) -> bool:
        value = given.get(x.name, x.default)
        if x.kind == "switch":
            return bool(value)
        if x.name not in given and x.is_required:
            return True
        return value is not None and (x.name not in self.told or callable(value) or bool(value != 0))

    def _clean(self, x: Argument, value: Any) -> Any:
        """The value of an argument, its numbers in Python.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what is refused, what is no pair, and parameters in the place of the learning rate.
        """
        if x.kind == "number":
            if x.is_rate and _holds_many(value):
                name = self.owner.rpartition(".")[2]
                shape = getattr(value, "shape", None)
                kind = GradstepTypeError if shape is None else GradstepValueError
                size = "" if shape is None else f" of {math.prod(shape)} elements"
                raise kind(
                    f"{self.owner}: the learning rate is {type(value).__name__}{size}; parameters are given to the "
                    f'optimizer, gs.Optimizer(params, "{self.owner}", ...), and {name}(...) takes what stands behind '
                    f"them."
                )
            return number(value)
        if x.kind == "pair":
            if not (isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2):
                raise GradstepTypeError(f"{self.owner}: {x.name} must be a pair of numbers, not {value!r}.")
            return number(value[0]), number(value[1])
        if x.kind == "refused" and value is not None and value is not False:
            raise GradstepValueError(f"{self.owner}: {x.name}={value!r} cannot be had here: {x.reason}.")
        if x.kind == "ignored" and value:
            library = self.owner.partition(".")[0]
            text = f"it says how {library} computes, not what; the numbers here are the same without it"
            warnings.warn(f"{self.owner}: {x.name}= is ignored; {text}.", stacklevel=_frames_to_the_caller())
        return value


@dataclass(frozen=True, eq=False)
class AsIs:
    """A schedule whose values are left as they are: a guest that traces takes arrays that have no value yet.

    Attributes
    ----------
    schedule
        The function of the number of updates made.
    """

    schedule: Callable[[Any], Any]

    def __call__(self, t: Any) -> Any:
        """The schedule's own value."""
        return self.schedule(t)

    def __repr__(self) -> str:
        return repr(self.schedule)


def number(x: Any) -> Any:
    """Return another library's array of one element as a float, and its schedule as one that gives floats.

    All else is returned as it is.

    Schedules of gradstep are left as they are, and are saved with a run; others by their names alone.
    """
    if callable(x):
        from gradstep.schedules import Schedule  # all of them, which an import of the package need not wait for

        return x if isinstance(x, Schedule | AsIs) else _in_python(x)
    shape = getattr(x, "shape", None)
    if shape == () and hasattr(x, "__float__"):
        return float(x)
    return float(x.reshape(())) if isinstance(shape, tuple) and shape and math.prod(shape) == 1 else x


def _in_python(schedule: Callable[[int], Any]) -> Callable[[int], float]:
    @wraps(schedule, updated=())
    def at(t: int) -> float:
        return number(schedule(t))

    return at


def _turned(x: Argument, is_on: bool) -> Any:
    """Return a value of a switch, or of a number that is there or not."""
    if x.kind == "switch":
        return is_on
    return 1.0 if is_on else None if x.default is None else 0.0


def _holds_many(x: Any) -> bool:
    if callable(x) or isinstance(x, str) or not isinstance(x, Iterable):
        return False
    shape = getattr(x, "shape", None)
    return not isinstance(shape, tuple) or math.prod(shape) != 1


def _sources(part: Part, becomes: Mapping[str, Argument], parts: int) -> dict[str, Argument]:
    """The arguments of a part's hyperparameters; one without a default is that of another part, where there is one."""
    return {
        key: becomes[key]
        for key, default in part.rule.defaults.items()
        if key in becomes and (default is not None or parts == 1)
    }


def _frames_to_the_caller() -> int:
    """Return how many frames up the first is that is not ours: the line that a warning should show."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("gradstep."):
        frame, level = frame.f_back, level + 1
    return level
