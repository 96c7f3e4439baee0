"""Another library's constructor as data: its arguments, what each becomes, and the chain that its switches choose.

The function that declares one is handed the switches and gives the stages; numbers go from the arguments into these by
name. So one constructor with the same switches always gives the same chain, whatever the numbers.
"""

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, update_wrapper, wraps
from itertools import product
from typing import Any, Generic, Literal, NamedTuple, ParamSpec

from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.chain import program
from gradstep.form.hyper import Domain, Hyper, checked
from gradstep.form.rule import Part, Rule, Stage
from gradstep.naming import is_real, unknown

P = ParamSpec("P")
Kind = Literal["number", "tuple", "switch", "choice", "ignored", "label", "refused"]
REQUIRED: Any = inspect.Parameter.empty  # the default of an argument that has none


class Change(NamedTuple):
    """A function of numbers and its inverse: from an argument to the hyperparameter, and back."""

    here: Callable[[Any], Any]
    there: Callable[[Any], Any]


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor.

    Attributes
    ----------
    name, default
        As the library has them; ``REQUIRED`` where there is no default.
    kind
        ``"number"``; ``"tuple"``, of numbers; ``"switch"``; ``"choice"``, of a word; ``"ignored"``, with a warning, for
        it says how the library computes; ``"label"``, which changes nothing in the library either; ``"refused"``, if
        it is other than the default.
    becomes
        The hyperparameters that a number becomes.
    change
        Between the number and these, where they differ.
    items
        The numbers of a tuple, each named as what it becomes.
    choices
        The words that may be chosen.
    reason
        Why it is refused; of a number, why it may be no schedule, where it may not.
    is_told
        Whether 0 is a switch.
    is_optional
        Whether None is a switch, though it is not the default, or it is the learning rate.
    is_shared
        Whether the library's base class takes it, for all constructors.
    within
        For one number of a tuple: the tuple's name, and the place in it.
    """

    name: str
    default: Any
    kind: Kind = "number"
    becomes: tuple[str, ...] = ()
    change: Change | None = None
    items: tuple["Argument", ...] = ()
    choices: tuple[str | int | None, ...] = ()
    reason: str = ""
    is_told: bool = False
    is_optional: bool = False
    is_shared: bool = False
    within: tuple[str, int] | None = None

    @property
    def is_rate(self) -> bool:
        """True for the learning rate."""
        return self.becomes == ("lr",)

    @property
    def is_required(self) -> bool:
        """True where it must be given: it has no default, or is a learning rate whose default is None.

        None may be a switch there too, where it is optional.
        """
        return self.default is REQUIRED or (self.is_rate and self.default is None and not self.is_optional)

    @property
    def chooses(self) -> bool:
        """True where the chain depends on it: a switch, a choice, a number of which it matters whether it is there."""
        is_there = self.is_optional or self.default is None
        return self.kind in ("switch", "choice") or self.is_told or (self.kind == "number" and is_there)

    @property
    def parts(self) -> tuple["Argument", ...]:
        """The numbers of a tuple; of any other argument itself alone."""
        return self.items or (self,)

    def here(self, value: Any) -> Any:
        """Return a number, or a schedule of it, as the hyperparameters have it; all else as it is."""
        if self.change is None:
            return value
        if callable(value):
            return _changed(value, self.change)
        return self.change.here(value) if is_real(value) else value

    def there(self, x: float) -> float:
        """Return a hyperparameter as the number that becomes it."""
        return x if self.change is None else self.change.there(x)

    def domain(self, of_hyper: Domain) -> Domain:
        """Return the values that the number may take, where its hyperparameter has these."""
        if self.change is None:
            return of_hyper
        low, high = (self.there(of_hyper.low), of_hyper.open_low), (self.there(of_hyper.high), of_hyper.open_high)
        (low, open_low), (high, open_high) = sorted((low, high))
        return Domain(low, high, open_low, open_high, of_hyper.whole)


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
        Gives the stages, from the switches and choices by name. Of numbers it is told whether they are there: of those
        whose default is None, whether they are given; of those that are told, whether they are other than 0. Of a tuple
        with such numbers it is told a tuple.
    differs
        Says of arguments together in what the library differs with them, or nothing: then they are refused.
    """

    def __init__(
        self,
        owner: str,
        takes: Mapping[str, Argument],
        choose: Callable[..., Stage],
        differs: Callable[[Mapping[str, Any]], str] = lambda _: "",
    ) -> None:
        update_wrapper(self, choose)  # with its signature
        self.owner, self.takes, self._choose, self._differs = owner, takes, choose, differs
        self._forms: dict[tuple[bool | str | int | None, ...], Form] = {}

    @classmethod
    def of_rule(cls, rule: Rule) -> "Constructor[...]":
        """A rule as a constructor of itself."""
        takes = {key: Argument(key, REQUIRED if x is None else x, becomes=(key,)) for key, x in rule.defaults.items()}
        made = cls(rule.name, takes, lambda **_: rule())
        made.__doc__ = rule.doc
        return made

    @classmethod
    def of_stage(cls, owner: str, stage: Stage) -> "Constructor[...]":
        """A stage with its numbers as a constructor: its arguments are those hyperparameters that are no schedules."""
        made = program(stage)
        takes = {
            flat: Argument(flat, made.hyper[flat], becomes=(key,))
            for keys in made.keys
            for key, flat in keys.items()
            if not callable(made.hyper[flat])
        }
        out = cls(owner, takes, lambda **_: stage)
        sources = [{key: takes[flat] for key, flat in keys.items() if flat in takes} for keys in made.keys]
        out._forms[()] = Form(stage, tuple(sources))
        return out

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
        """The arguments that are numbers or switches; those of a tuple one by one, named as what they become."""
        found = [part for x in self.takes.values() for part in x.parts]
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
            if x.within is None:
                out[key] = bool(value) if x.kind == "switch" else value
            else:
                name, k = x.within
                items = list(out.get(name, self.takes[name].default))
                items[k] = value
                out[name] = tuple(items)
        return out

    def form(self, given: Mapping[str, Any]) -> Form:
        """Return the chain that the switches among these arguments choose.

        Raises
        ------
        GradstepValueError
            For switches that do not go together, and a word that is no choice.
        """
        is_on = {x.name: self._is_on(x, given) for x in self._switches}
        on = tuple(is_on.values())
        if on not in self._forms:
            told: dict[str, Any] = {key: x for key, x in is_on.items() if key in self.takes}
            for key, x in self.takes.items():
                if any(item.chooses for item in x.items):
                    told[key] = tuple(is_on.get(item.name, True) for item in x.items)
            stage = self._choose(**{**dict.fromkeys(self.required), **told})
            there = [x for x in self.numbers.values() if x.is_told or is_on.get(x.name, True)]
            becomes = {key: x for x in reversed(there) for key in x.becomes}  # of two the first
            made = Form(stage, tuple(_sources(part, becomes, len(stage.parts)) for part in stage.parts))
            return self._forms.setdefault(on, made)
        return self._forms[on]

    def forms(self) -> list[Form]:
        """Return the chain of each choice of switches, but of those that do not go together."""
        found: list[Form] = []
        for on in product(*(x.choices or (False, True) for x in self._switches)):
            turned = {x.name: _turned(x, is_on) for x, is_on in zip(self._switches, on, strict=True)}
            given = self.arguments({key: value for key, value in turned.items() if key in self.numbers})
            given |= {key: value for key, value in turned.items() if key not in self.numbers}
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
        if why := self._differs(values):
            raise GradstepValueError(f"{self.owner}: {why}.")
        parts: list[Part] = []
        for part, sources in zip(form.stage.parts, form.sources, strict=True):
            hyper: dict[str, Any] = {}
            for key, default in part.rule.defaults.items():
                x = sources.get(key)
                if x is not None and x.name in missing:
                    domain = part.rule.domains.get(key)
                    sample = 1.0 if domain is None or 1.0 in domain else 0.5
                    hyper[key] = sample if default is None else default
                elif x is not None and not _is_left_out(x, value := _picked(x, values)):
                    hyper[key] = self._here(x, value, key, part.rule.domains.get(key))
                elif key in part.given:
                    hyper[key] = part.given[key]
            parts.append(replace(part, given=part.rule(**hyper).parts[0].given))
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
        """The arguments that choose the chain, and numbers of tuples that do."""
        return [part for x in self.takes.values() for part in x.parts if part.chooses]

    def _is_on(self, x: Argument, given: Mapping[str, Any]) -> bool | str | int | None:
        """Return True for a switch or a number that is on, False for one that is off; the word that is chosen."""
        name = x.name if x.within is None else x.within[0]
        whole = given.get(name, self.takes[name].default)
        value = whole if x.within is None else self._items(self.takes[name], whole)[x.within[1]]
        if x.kind == "switch":
            return bool(value)
        if x.kind == "choice":
            for one in x.choices:
                if _is_same(value, one):
                    return one
            raise GradstepValueError(f"{self.owner}: {x.name} must be {_either(x.choices)}, not {value!r}.")
        if name not in given and x.is_required:
            return True
        return value is not None and (not x.is_told or callable(value) or bool(value != 0))

    def _items(self, x: Argument, value: Any) -> tuple[Any, ...]:
        """The numbers of a tuple, in Python.

        Raises
        ------
        GradstepTypeError
            For what is no tuple of as many.
        """
        size = len(x.items)
        if not (isinstance(value, Sequence) and not isinstance(value, str) and len(value) == size):
            what = "a pair of numbers" if size == 2 else f"a tuple of {size} numbers"
            raise GradstepTypeError(f"{self.owner}: {x.name} must be {what}, not {value!r}.")
        return tuple(map(number, value))

    def _here(self, x: Argument, value: Any, key: str, domain: Domain | None) -> Any:
        """The value of an argument as the hyperparameter ``key`` has it; it is checked here where the two differ."""
        if x.change is None:
            return value
        return checked(f"{key}, which {x.name}={value!r} becomes,", x.here(value), self.owner, domain)

    def _clean(self, x: Argument, value: Any) -> Any:
        """The value of an argument, its numbers in Python.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            For what is refused, what is no tuple, and parameters in the place of the learning rate.
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
            if x.reason and callable(value):
                raise GradstepValueError(f"{self.owner}: {x.name} can be no schedule here: {x.reason}.")
            return number(value)
        if x.kind == "tuple":
            return self._items(x, value)
        if x.kind == "refused" and not _is_same(value, x.default):
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


def _changed(schedule: Callable[[Any], Any], change: Change) -> Callable[[Any], Any]:
    if isinstance(schedule, AsIs):
        return AsIs(_changed(schedule.schedule, change))

    @wraps(schedule, updated=())
    def at(t: Any) -> Any:
        return change.here(schedule(t))

    return at


def _is_same(value: Any, default: Any) -> bool:
    """True where a value is the default of its argument; a list is as good as a tuple, and so is 1.0 as 1."""
    if value is default:
        return True
    given = tuple(value) if isinstance(value, list) else number(value)  # type: ignore[reportUnknownArgumentType]
    try:
        return (given == default) is True  # arrays give arrays, and others raise what they like
    except Exception:
        return False


def _picked(x: Argument, values: Mapping[str, Any]) -> Any:
    """The value of an argument, or of a number within one."""
    return values[x.name] if x.within is None else values[x.within[0]][x.within[1]]


def _is_left_out(x: Argument, value: Any) -> bool:
    """True for None within a tuple of which it is told: the rule that was chosen does without."""
    return value is None and x.within is not None and x.is_told


def _either(words: Sequence[str | int | None]) -> str:
    *others, last = map(repr, words)
    return f"{', '.join(others)} or {last}"


def _turned(x: Argument, is_on: Any) -> Any:
    """Return a value of a switch or a choice, or of a number that is there or not."""
    if x.kind in ("switch", "choice"):
        return is_on
    return 1.0 if is_on else None if x.default is None or x.is_optional else 0.0


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
