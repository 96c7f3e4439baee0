"""A rule: two functions, from which every engine takes its code, and the stage that a rule becomes with its numbers.

``scalars`` runs once a step on the host in float64; it gets ``t`` = 1, 2, ..., the hyperparameters, the declared
``memory`` and what ``reduce`` summed; it may branch. ``update`` is elementwise and has no branch: what it
does depends on what it is handed (arrays, operands that write instructions, symbols, checking operands).
"""

import inspect
import re
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypedDict, Unpack

from gradstep.array.namespaces import namespace
from gradstep.errors import GradstepTypeError, GradstepValueError, RuleError
from gradstep.form.checking import Checker
from gradstep.form.declaration import declared_hyper, examine, operands_of, parameters
from gradstep.form.diagonal import Diagonal
from gradstep.form.hyper import Domain, Fraction, Hyper, NonNegative, Positive, checked
from gradstep.form.matrices import SQUARES, Folds, as_matrix, matrix_shape, slot_shape
from gradstep.naming import as_float, find, unknown

__all__ = [
    "Domain", "Fraction", "NonNegative", "Part", "Positive", "Rule", "Stage",
    "as_stage", "declared", "lookup", "registry", "rule", "shared", "stage", "unlisted", "variant",
]  # fmt: skip

Update = Callable[..., tuple[Any, ...]]
Over = Literal["tensor", "all"]
_EMPTY: Mapping[str, Any] = MappingProxyType({})
shared: Any = None  # the default of a hyperparameter that another stage of the chain has too, or that must be given


class _Signature:
    """The signature of a rule's call: its hyperparameters by name, with their defaults."""

    def __get__(self, made: "Rule | None", owner: type["Rule"]) -> inspect.Signature:
        if made is None:
            raise AttributeError("__signature__")  # the class has its own
        by_place = inspect.Parameter.POSITIONAL_OR_KEYWORD
        own = [inspect.Parameter(key, by_place, default=x) for key, x in made.defaults.items()]
        return inspect.Signature([*own, inspect.Parameter("name", inspect.Parameter.KEYWORD_ONLY, default=None)])


@dataclass(frozen=True, eq=False, repr=False)
class Rule:
    """An update rule or another stage, as it was declared. Calling it with hyperparameters gives a :class:`Stage`.

    Attributes
    ----------
    name
        The name of its update function.
    update
        ``(theta, g, *state, *scalars) -> (theta, g, *state)``, elementwise.
    scalars
        ``(t, *hyper, *memory, *sums, *takes) -> dict`` of the numbers that ``update`` takes, and of the new memory.
    early
        ``(t, *hyper, *memory) -> dict`` of those numbers that are known before the sums, which may name them;
        ``scalars`` gets them too.
    state
        Names of the arrays kept for each parameter, shaped like it, or as ``shapes`` says.
    nonnegative
        Those of them that are never below zero, such as averages of squares.
    start
        Where a slot does not start at 0: a number, a hyperparameter's name, ``"theta"`` or ``f(theta, **hyper)``; of a
        square slot ``"identity"``, or ``"eps identity"``: times that hyperparameter.
    memory
        Host floats kept between steps, with their first values: for all arrays of a group together, or for each array
        where ``over`` is ``"tensor"``.
    defaults
        Hyperparameters and their defaults: the parameters of ``scalars`` and ``early`` that have one. ``None``: shared
        with another stage of the chain, or to be given.
    domains
        The values that hyperparameters may take: as each is annotated, or as its name has in every rule.
    units
        Unit of each hyperparameter that is no pure number, in terms of ``theta`` and ``g``: ``{"lr": "theta/g"}``;
        ``{"g": "1"}`` where a stage hands a gradient of another unit on.
    read
        Gives the array that ``opt.averaged()`` shows. It names what it sees: ``theta``, slots, and scalars that are
        known from t and the hyperparameters alone, so that a resumed run shows the same. Where it names scalars, what
        is shown before the first step is theta.
    measure, over
        What is summed over each tensor or over all, by the name under which ``scalars`` gets the sum. A function
        names what it sees: ``theta``, ``g``, ``before``, slots and early numbers; all of it in float64.
    wraps
        Whether ``update`` takes ``before`` first: theta as it entered the last rule (of kind ``"rule"``) before it;
        ``"all"``: as it entered the chain.
    inputs
        The first of ``state``: arrays like the parameter that come with each step (``opt.step(grads, curvature=h)``).
        ``update`` takes them and does not return them; they stay in the state until the next ones come.
    takes
        Numbers that come with each step, ``opt.step(grads, loss=0.3)``, by name: ``scalars`` gets them.
    random
        The name of an array that ``update`` takes behind the slots: a number drawn from the standard normal
        distribution for each element and update, the same for one seed, t, name and place wherever it is drawn.
    every
        The memory number that counts the calls of a stage which gathers gradients: what follows it in a chain runs at a
        call after which the number is 0, and t, schedules, its memory and state advance at such calls alone.
    whole
        Whether ``update`` sees whole arrays, as matrices, and not one element at a time: it may use the words of
        :mod:`gradstep.vocabulary` for matrices, and is run by NumPy, also between compiled passes.
    shapes
        For slots of a whole rule that are shaped otherwise: ``"rows"`` (a number for each row), ``"columns"``,
        ``"rows rows"``, ``"columns columns"`` or ``"one"``.
    longest
        The longest side of which ``"rows rows"`` and ``"columns columns"`` are whole squares; of a longer one the
        diagonal alone is kept, as a column, and ``update`` sees a :class:`gradstep.form.diagonal.Diagonal`.
    vectors
        Whether the squares of an array of one column are whole too.
    axes
        The most axes that a parameter of a whole rule may have; more are a stack of matrices where it is None.
    folds
        The axis of a parameter of a whole rule that stays one of its matrix: ``"first"`` as rows, ``"last"`` as
        columns. All other axes become the other one, and an array of one axis is one row, or one column. A number: an
        array whose second longest axis is shorter is one column of all its elements.
    fewest
        The fewest axes of a parameter that a whole rule changes: those of fewer go through it as they are.
    power
        The highest power of g that the rule forms; larger gradients than that allows are refused.
    bounds
        The hyperparameter that bounds the gradient which the stage hands on, where there is one: what follows it
        meets none larger.
    clips
        The scalar that is below 1 where the stage made the gradient shorter; ``opt.clipped`` tells.
    ascends
        Whether the stage turns the gradient, so that what follows goes uphill.
    lazy
        Whether a step with :func:`gradstep.rows` may leave all other rows alone, although a gradient of zero would move
        them: averages are those of the steps that a row was in.
    search, finds_scale
        Where a comparison looks for the learning rate: around that many times the problem's scale for its unit; where
        the rule finds the scale itself, around that number.
    exceptions
        Laws that the rule does not obey, each with the reason.
    kind
        ``"rule"``: moves the parameters by the gradient; ``"stage"``: all else.
    module
        Where it is declared.
    """

    name: str
    update: Update
    scalars: Callable[..., dict[str, Any]]
    state: tuple[str, ...]
    nonnegative: tuple[str, ...]
    start: Mapping[str, Any]
    memory: Mapping[str, float]
    defaults: Mapping[str, float | None]
    domains: Mapping[str, Domain]
    units: Mapping[str, str]
    symbols: Mapping[str, str]
    read: Callable[..., Any] | None
    measure: Mapping[str, Callable[..., Any]]
    over: Over | None
    power: int
    bounds: str | None
    exceptions: Mapping[str, str]
    kind: Literal["rule", "stage"]
    module: str
    early: Callable[..., dict[str, Any]] | None = None
    wraps: bool | Literal["all"] = False
    inputs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    random: str | None = None
    every: str | None = None
    whole: bool = False
    shapes: Mapping[str, str] = field(default_factory=dict[str, str])
    longest: int | None = None
    vectors: bool = True
    axes: int | None = None
    folds: Folds | None = None
    fewest: int = 0
    clips: str | None = None
    ascends: bool = False
    search: float = 1.0
    finds_scale: bool = False
    lazy: bool = False
    numbers: tuple[str, ...] = ()
    early_numbers: tuple[str, ...] = ()  # the first of them
    operations: Mapping[str, int] = field(default_factory=dict[str, int])
    __signature__: ClassVar = _Signature()

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.doc or repr(self))  # what help(gs.adam) shows

    def __call__(self, *values: Any, name: str | None = None, **hyper: Any) -> "Stage":
        """The stage with these hyperparameters; ``name`` gives it hyperparameters and state of its own.

        Raises
        ------
        GradstepValueError
            For a hyperparameter that is unknown or out of range.
        GradstepTypeError
            For a value that is neither a number nor a schedule, or too many positional values.
        """
        names = list(self.defaults)
        if not (name is None or (isinstance(name, str) and name)):
            raise GradstepTypeError(f"{self.name}: name= must be a str that is not empty, not {name!r}.")
        if name and "/" in name:
            raise GradstepValueError(
                f"{self.name}: there is no '/' in a name= (a checkpoint parts names by it): {name!r}."
            )
        if len(values) > len(names):
            raise GradstepTypeError(f"{self.name}: {len(values)} positional values, but it has only {names}.")
        given = dict(zip(names, values, strict=False))
        if twice := given.keys() & hyper.keys():
            raise GradstepTypeError(f"{self.name}: {min(twice)} is given twice.")
        for key in hyper:
            if key not in self.defaults:
                error = unknown(f"{self.name}: unknown hyperparameter", key, names)
                raise GradstepValueError(f"{error} {_HAVE_IT[key]}") if key in _HAVE_IT else error
        every = {**given, **hyper}
        clean = {key: checked(key, value, self.name, self.domains.get(key)) for key, value in every.items()}
        return Stage((Part(self, MappingProxyType(clean), name),))

    def __reduce__(self) -> tuple[Any, ...]:
        return declared, (
            self.module,
            self.name,
        )  # a copy, also elsewhere, is the registered one: engines know it by that

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name}({', '.join(f'{k}={v}' for k, v in self.defaults.items())})>"

    def host(
        self,
        t: int,
        hyper: Mapping[str, float],
        memory: Mapping[str, float],
        sums: Mapping[str, float] = _EMPTY,
        names: tuple[str, ...] | None = None,
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return the scalars of update ``t`` = 1, 2, ..., or those of them in ``names``, and the memory after it."""
        known = {**hyper, **memory, "t": t, **sums}
        early = self.early(**{key: known[key] for key in parameters(self.early)}) if self.early else {}
        known |= early
        out = {**early, **self.scalars(**{key: known[key] for key in self.arguments})}
        numbers = self.numbers if names is None else names
        return {key: as_float(out[key]) for key in numbers}, {key: as_float(out[key]) for key in memory}

    def shown(
        self, theta: Any, slots: Sequence[Any], t: int, hyper: Mapping[str, float], memory: Mapping[str, float]
    ) -> Any:
        """Return what ``read`` gives after update ``t``; theta before the first one where it asks for scalars."""
        assert self.read is not None  # noqa: S101 - only such a rule is asked
        known = {"theta": theta, **dict(zip(self.state, slots, strict=True))}
        if self.whole:
            known = {key: self.as_seen(key, x) for key, x in known.items()}
        asked = parameters(self.read)
        if names := tuple(key for key in asked if key not in known):
            if t == 0:
                return theta
            known |= self.host(t, hyper, memory, dict.fromkeys(self.per_step, 1.0), names)[0]
        shown = self.read(**{key: known[key] for key in asked})
        return namespace(theta).reshape(shown, theta.shape) if self.whole else shown

    def slot_shape(self, slot: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a slot of a parameter of that shape."""
        if slot not in self.shapes:
            return tuple(shape)
        return slot_shape(self.shapes[slot], matrix_shape(shape, self.folds), self.longest, vectors=self.vectors)

    def as_seen(self, name: str, x: Any) -> Any:
        """Return theta, g or a slot as the update of whole arrays sees it."""
        x = as_matrix(x, None if name in self.shapes else self.folds)
        is_long = self.longest is not None and self.shapes.get(name) in SQUARES and x.shape[-1] != x.shape[-2]
        return Diagonal(x) if is_long else x

    @property
    def extras(self) -> tuple[str, ...]:
        """Names of what comes with each step beside the gradient: arrays, then numbers."""
        return (*self.inputs, *self.takes)

    @property
    def per_step(self) -> tuple[str, ...]:
        """Names of the numbers that each step brings: its sums, and those that it is called with."""
        return (*self.measure, *self.takes)

    @cached_property
    def reads_scalars(self) -> bool:
        """True where ``read`` names scalars, not only theta and slots."""
        return self.read is not None and not {"theta", *self.state}.issuperset(parameters(self.read))

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays that ``update`` takes, in order."""
        drawn = () if self.random is None else (self.random,)
        return (*(("before",) if self.wraps else ()), "theta", "g", *self.state, *drawn)

    @property
    def moves_theta(self) -> bool:
        """True where the update gives another theta than it was handed."""
        return self._changes[0]

    @property
    def changes_gradient(self) -> bool:
        """True where the update hands on another gradient than it was handed."""
        return self._changes[1]

    @property
    def reads_gradient(self) -> bool:
        """True where the new theta or a slot depends on the gradient."""
        return self.kind == "rule" or self._changes[2]

    @cached_property
    def _changes(self) -> tuple[bool, bool, bool]:
        """True for another theta, for another gradient, and where any of the rest depends on the gradient."""
        checker = Checker(self.name, self.whole)
        operands, at = operands_of(self, checker), self.arrays.index("theta")
        theta, g, *slots = self.update(*operands, **{key: checker.scalar(key) for key in self.numbers})
        reads = any(re.search(r"\bg\b", str(x)) for x in (theta, *slots))
        return theta is not operands[at], g is not operands[at + 1], reads

    @cached_property
    def counts(self) -> bool:
        """True where its numbers depend on how many updates were made: by t, or by memory."""
        return bool(self.memory) or "t" in self.arguments or (self.early is not None and "t" in parameters(self.early))

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments of ``scalars``."""
        return parameters(self.scalars)

    @cached_property
    def measured(self) -> tuple[tuple[Callable[..., Any], tuple[str, ...]], ...]:
        """Each function that is summed, with what it asks for."""
        return tuple((f, parameters(f)) for f in self.measure.values())

    @cached_property
    def doc(self) -> str:
        """The docstring of the function that declares it, or else of its file."""
        own = self.scalars if self.scalars.__name__ == self.name else self.update  # a variant declares its scalars
        module = sys.modules.get(self.module)
        return inspect.cleandoc(own.__doc__ or (module and module.__doc__) or "")


@dataclass(frozen=True, eq=False, repr=False)
class Part:
    """A rule within a chain, with the hyperparameters that were given to it.

    ``is_for_matrices``: parameters that are none are refused, as the library whose form of a rule it is does.
    """

    rule: Rule
    given: Mapping[str, Hyper]
    name: str | None = None
    is_for_matrices: bool = False

    @property
    def label(self) -> str:
        """Its name in state and messages."""
        return self.name or self.rule.name

    def __reduce__(self) -> tuple[Any, ...]:
        return Part, (self.rule, dict(self.given), self.name, self.is_for_matrices)  # a read-only view cannot be copied

    def __repr__(self) -> str:
        texts = [f"{key}={value!r}" for key, value in self.given.items()]
        return f"{self.rule.name}({', '.join(texts + ([f'name={self.name!r}'] if self.name else []))})"


@dataclass(frozen=True, eq=False, repr=False)
class Stage:
    """One rule or a chain of them with their hyperparameters: what an optimizer runs in one pass over memory."""

    parts: tuple[Part, ...]

    def __repr__(self) -> str:
        texts = [repr(part) for part in self.parts]
        return texts[0] if len(texts) == 1 else f"chain({', '.join(texts)})"


def as_stage(tx: Stage | Rule) -> Stage:
    """``gs.adam`` stands for ``gs.adam()``."""
    if isinstance(tx, Rule):
        return tx()
    if isinstance(tx, Stage):
        return tx
    shown = repr(tx) if isinstance(tx, str | int | float | None) else f"an object of type {type(tx).__name__}"
    raise GradstepTypeError(f"expected a rule or a stage, such as gs.adam(lr=1e-3), not {shown}.")


# Where a hyperparameter is found that many libraries have in one class.
_HAVE_IT = {
    "momentum": "gs.momentum and gs.nesterov are rules that have it.",
    "nesterov": "gs.nesterov is a rule of its own.",
    "amsgrad": "gs.amsgrad is a rule of its own.",
    "weight_decay": "gs.adamw has it; before another rule it is a stage: gs.chain(gs.decay(weight_decay=...), ...).",
}
LISTED = "gradstep show --list"  # the command that shows every name
_REGISTRY: dict[str, Rule] = {}
_unlisted = 0  # files of others that are being run


@contextmanager
def unlisted() -> Generator[None]:
    """Leave rules that code of others declares within out of the registry.

    Two files may each have one of a name, which may be that of one of the library's too.
    """
    global _unlisted
    before = set(_REGISTRY)
    _unlisted += 1
    try:
        yield
    finally:
        _unlisted -= 1
        for name in [name for name, made in _REGISTRY.items() if not made.module.startswith("gradstep.")]:
            if name not in before:
                del _REGISTRY[name]


def registry(kind: str | None = "rule") -> dict[str, Rule]:
    """All registered rules by name; ``kind="stage"`` the other stages, ``None`` both."""
    return {name: r for name, r in sorted(_REGISTRY.items()) if kind in (None, r.kind)}


def lookup(name: str) -> Rule:
    """The rule or stage of that name; an error with close matches when there is none."""
    refuse_method(name)
    return find("unknown rule", name, _REGISTRY, LISTED)


def refuse_method(name: str) -> None:
    """Refuse the name of a method, which needs the objective and not one gradient.

    Raises
    ------
    GradstepValueError
        With the places where it is one.
    """
    if name == "lbfgs":
        raise GradstepValueError(
            "lbfgs is no rule, for it evaluates the function several times in a step; use it with gs.minimize, gs.Run "
            "or gradstep run."
        )
    if name.upper() in ("BFGS", "LBFGS", "L-BFGS", "L-BFGS-B"):
        raise GradstepValueError(f"there is no {name!r}; gs.minimize and gs.Run have 'lbfgs', without bounds.")


def declared(module: str, name: str) -> Rule:
    """The rule of that name, which that module declares."""
    import_module(module)
    return lookup(name)


class Options(TypedDict, total=False):
    """The options of :func:`rule` and :func:`stage`: attributes of :class:`Rule`, and ``reduce``, its ``measure``."""

    state: str
    nonnegative: str
    start: Mapping[str, Any]
    memory: Mapping[str, float]
    units: Mapping[str, str]
    symbols: Mapping[str, str]
    read: Callable[..., Any]
    reduce: Mapping[str, Callable[..., Any]] | Callable[..., Any]
    over: Over
    early: Callable[..., dict[str, Any]]
    wraps: bool | Literal["all"]
    inputs: str
    takes: str
    random: str
    every: str
    whole: bool
    shapes: Mapping[str, str]
    longest: int
    vectors: bool
    axes: int
    folds: Folds
    fewest: int
    power: int
    bounds: str
    clips: str
    ascends: bool
    search: float
    finds_scale: bool
    lazy: bool
    exceptions: Mapping[str, str]


def rule(scalars: Callable[..., dict[str, Any]] | None = None, **options: Unpack[Options]) -> Callable[[Update], Rule]:
    """Declare an update rule.

    The rule is called once with checking operands, and is in the registry, and so in every law, from then on.

    Parameters
    ----------
    scalars
        The host's half. Its parameters with a default are the rule's hyperparameters, ``=shared`` (None) for one that
        another stage of the chain has too, or that must be given. Their annotations (``Fraction``, ``Positive``,
        ``NonNegative``, or ``Annotated[float, Domain(...)]``) say what values they may take.
    **options
        Attributes of :class:`Rule`, ``state`` and ``nonnegative`` as strings of names. ``reduce`` is its ``measure``; a
        function alone stands for ``{"total": function}``.

    Raises
    ------
    RuleError
        When an option is unknown, or the rule branches, combines scalars alone, divides by one, leaves the vocabulary,
        or returns or takes something else than it declares; the message names the operation and says what to move.
    """
    return _declaring("rule", scalars, options)


def stage(scalars: Callable[..., dict[str, Any]] | None = None, **options: Unpack[Options]) -> Callable[[Update], Rule]:
    """Declare a stage that is no update rule of its own: clipping, decay, averaging. Takes what :func:`rule` takes."""
    return _declaring("stage", scalars, options)


def _check_options(kind: str, options: Mapping[str, Any], known: type) -> None:
    """Refuse an option that there is not."""
    for key in options:
        if key not in known.__annotations__:
            error = unknown(f"@{kind}: unknown option", key, known.__annotations__)
            raise RuleError(f"{error} A hyperparameter and its default stand in the signature of scalars.")


def _declaring(
    kind: Literal["rule", "stage"], scalars: Callable[..., dict[str, Any]] | None, options: Options
) -> Callable[[Update], Rule]:
    _check_options(kind, options, Options)

    def declare(update: Update) -> Rule:
        name, reduce = update.__name__, options.get("reduce", {})
        inputs = tuple(options.get("inputs", "").split())
        defaults, domains = declared_hyper(name, scalars or _no_scalars, options.get("early"))
        return _registered(
            Rule(
                name=name,
                update=_keeping(update, len(inputs)) if inputs else update,
                scalars=scalars or _no_scalars,
                state=(*inputs, *options.get("state", "").split()),
                nonnegative=tuple(options.get("nonnegative", "").split()),
                start=options.get("start", _EMPTY),
                memory=options.get("memory", _EMPTY),
                defaults=defaults,
                domains=domains,
                units=options.get("units", _EMPTY),
                symbols=options.get("symbols", _EMPTY),
                read=options.get("read"),
                measure={"total": reduce} if callable(reduce) else dict(reduce),
                over=options.get("over"),
                power=options.get("power", 1),
                bounds=options.get("bounds"),
                exceptions=options.get("exceptions", _EMPTY),
                kind=kind,
                module=update.__module__,
                early=options.get("early"),
                wraps=options.get("wraps", False),
                inputs=inputs,
                takes=tuple(options.get("takes", "").split()),
                random=options.get("random"),
                every=options.get("every"),
                whole=options.get("whole", False),
                shapes=options.get("shapes", _EMPTY),
                longest=options.get("longest"),
                vectors=options.get("vectors", True),
                axes=options.get("axes"),
                folds=options.get("folds"),
                fewest=options.get("fewest", 0),
                clips=options.get("clips"),
                ascends=options.get("ascends", False),
                search=options.get("search", 1.0),
                finds_scale=options.get("finds_scale", False),
                lazy=options.get("lazy", False),
            )
        )

    return declare


def _keeping(update: Update, n: int) -> Update:
    """Return an update that hands its first ``n`` slots on as they are: its inputs, which it does not return itself."""

    @wraps(update)
    def keeping(theta: Any, g: Any, *slots: Any, **others: Any) -> tuple[Any, ...]:
        results = update(theta, g, *slots, **others)
        if not isinstance(results, tuple):
            return results
        kept = (*slots, *others.values())[:n]  # a check hands all of it by name, in order
        return (*results[:2], *kept, *results[2:])

    return keeping


class Variation(TypedDict, total=False):
    """The options of :func:`variant`."""

    start: Mapping[str, Any]
    memory: Mapping[str, float]
    units: Mapping[str, str]
    longest: int
    axes: int
    folds: Folds
    exceptions: Mapping[str, str]


def variant(base: Rule, **options: Unpack[Variation]) -> Callable[[Callable[..., dict[str, Any]]], Rule]:
    """Declare a rule that has the update of another and scalars of its own: the decorated function, which names it.

    Parameters
    ----------
    base
        The rule that it varies.
    **options
        ``start``, ``memory``, ``units``, ``exceptions``, ``longest``, ``axes`` and ``folds``, where they are not
        those of ``base``.

    Raises
    ------
    RuleError
        As from :func:`rule`.
    """
    _check_options("variant", options, Variation)

    def declare(scalars: Callable[..., dict[str, Any]]) -> Rule:
        name, module = scalars.__name__, scalars.__module__
        defaults, domains = declared_hyper(name, scalars, base.early)
        gone = base.defaults.keys() - defaults.keys()
        symbols = {key: x for key, x in base.symbols.items() if key not in gone}
        varied = replace(base, name=name, scalars=scalars, module=module, defaults=defaults, domains=domains)
        return _registered(replace(varied, symbols=symbols, **options))

    return declare


def _registered(made: Rule) -> Rule:
    """The rule with what its call with checking operands has shown, in the registry."""
    early, numbers, operations = examine(made)
    made = replace(made, early_numbers=early, numbers=(*early, *numbers), operations=MappingProxyType(operations))
    other = _REGISTRY.get(made.name)
    if other and other.module != made.module:
        if _unlisted:
            return made
        raise RuleError(f"rule {made.name}: {other.module} has a rule of that name; choose another.")
    _REGISTRY[made.name] = made
    return made


def _no_scalars() -> dict[str, Any]:
    return {}
