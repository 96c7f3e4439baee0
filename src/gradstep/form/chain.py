"""Chains of stages, and the program that a chain becomes: its hyperparameters by name, its slots, its scalars.

One pass of a chain is written once, in :func:`run`; every engine calls it with its own kind of operand.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from array_api_compat import is_jax_array

from gradstep.array.namespaces import is_complex, largest, namespace
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.diagonal import Diagonal
from gradstep.form.hyper import Domain, Hyper, evaluated
from gradstep.form.matrices import Identity, identity_factor, matrix_shape
from gradstep.form.rule import Part, Rule, Stage
from gradstep.naming import unknown

Row = list[tuple[float, ...]]  # the scalars of each part, in the order of its rule's numbers
_LARGEST_SUMMED = sys.float_info.max ** (1 / 2) / 1024  # a million such squares have a sum in float64
Sums = list[list[float]]  # of each tensor, or once for all of them, the sum of each that is measured


def chain(*stages: Stage | Rule) -> Stage:
    """Stages one after the other, in one pass over memory; a chain is a stage again.

    Parameters
    ----------
    *stages
        Stages such as ``gs.clip_by_global_norm(1.0)`` and ``gs.adam(lr=1e-3)``, in the order in which they see the
        gradient and the parameters. A rule without parentheses stands for its defaults.

    Raises
    ------
    GradstepValueError
        When two stages have one label, or give one hyperparameter two values: ``name=`` keeps them apart.
    GradstepTypeError
        When something is no stage.
    """
    parts: list[Part] = []
    for x in stages:
        if not isinstance(x, Stage | Rule):
            raise GradstepTypeError(f"chain: {x!r} is no stage; write for example gs.adam(lr=1e-3).")
        parts += (x() if isinstance(x, Rule) else x).parts
    if not parts:
        raise GradstepValueError("chain: there must be at least one stage.")
    made = Stage(tuple(parts))
    _merge(made.parts)
    return made


def run(
    rules: Sequence[Rule],
    theta: Any,
    g: Any,
    state: Sequence[Sequence[Any]],
    row: Sequence[Sequence[Any]],
    whole: "Whole | None" = None,
    normal: "Normal | None" = None,
) -> tuple[Any, Any, list[list[Any]], Any]:
    """One pass of ``rules`` over operands of any kind.

    Parameters
    ----------
    row
        For each rule its numbers, in the order in which it declares them.
    whole
        ``(place, theta, g) -> (theta, g, *slots)`` of a rule of whole arrays that was run before; None: it is run here.
    normal
        ``(place) -> z``: what a rule draws from the standard normal distribution, for each element.

    Returns
    -------
    theta, g, state, before
        The new theta, the gradient that is left, the new state; theta as it entered the last rule of kind ``"rule"``.
    """
    start = before = theta
    after: list[list[Any]] = []
    for i, (rule, slots, numbers) in enumerate(zip(rules, state, row, strict=False)):
        if rule.kind == "rule":
            before = theta
        if rule.whole:
            if whole is None:
                theta, g, *slots = transformed(rule, theta, g, slots, numbers, drawn(rule, i, normal))
            else:
                theta, g, *slots = whole(i, theta, g)
            after.append(slots)
            continue
        wrapped = (start if rule.wraps == "all" else before,) if rule.wraps else ()
        named = dict(zip(rule.numbers, numbers, strict=True))
        theta, g, *slots = rule.update(*wrapped, theta, g, *slots, *drawn(rule, i, normal), **named)
        after.append(slots)
    return theta, g, after, before


Whole = Callable[[int, Any, Any], tuple[Any, ...]]
Normal = Callable[[int], Any]


def drawn(rule: Rule, place: int, normal: Normal | None) -> list[Any]:
    """Return what a rule draws, as its arguments."""
    if rule.random is None:
        return []
    assert normal is not None  # noqa: S101 - who can't draw refuses the program
    return [normal(place)]


def transformed(
    rule: Rule, theta: Any, g: Any, slots: Sequence[Any], numbers: Sequence[Any], more: Sequence[Any]
) -> tuple[Any, ...]:
    """Run a rule of whole arrays: the new theta, g and slots, in the shapes in which they are kept.

    ``more`` has what it draws.
    """
    arrays = [theta, g, *slots]
    if theta.ndim < rule.fewest:
        return tuple(arrays)
    if isinstance(theta, np.ndarray):
        arrays = [np.ascontiguousarray(x) for x in arrays]  # a matrix product may depend on strides
    taken = [rule.as_seen(key, x) for key, x in zip(("theta", "g", *rule.state), arrays, strict=True)]
    seen = [rule.as_seen(str(rule.random), z) for z in more]
    results = rule.update(*taken, *seen, **dict(zip(rule.numbers, numbers, strict=True)))
    xp, out = namespace(theta), list[Any]()
    for x, like in zip(results, (theta, g, *slots), strict=True):
        same = [y for y, matrix in zip((theta, g, *slots), taken, strict=True) if x is matrix]
        if same:
            out.append(same[0])  # an argument itself is known as one
            continue
        x = xp.reshape(x.column if isinstance(x, Diagonal) else x, like.shape)
        out.append(xp.asarray(x, copy=True) if _may_share(x, [*arrays, *out]) else x)
    return tuple(out)


def _may_share(x: Any, others: Sequence[Any]) -> bool:
    """Return whether an array may be a view of another; in namespaces that do not tell, if views can be written."""
    if isinstance(x, np.ndarray):
        return any(np.may_share_memory(x, y) for y in others)
    return not is_jax_array(x)


def terms(rule: Rule, arrays: Sequence[Any], numbers: Sequence[Any], widened: Callable[[Any], Any]) -> list[Any]:
    """Return what a reducing rule sums: the value of each of its measures, for operands of any kind.

    Parameters
    ----------
    arrays
        ``before``, ``theta``, ``g`` and the rule's slots.
    numbers
        In float64, the rule's early numbers first.
    widened
        Turns an array into one of float64; called with those that a measure names.
    """
    asked = {key for _, keys in rule.measured for key in keys}
    named = zip(("before", "theta", "g", *rule.state), arrays, strict=True)
    known = {key: widened(x) for key, x in named if key in asked} | dict(zip(rule.early_numbers, numbers, strict=False))
    return [f(**{key: known[key] for key in asked}) for f, asked in rule.measured]


def reductions(rules: Sequence[Rule]) -> list[int]:
    """Return the places of the rules that measure something that is summed over arrays."""
    return [i for i, rule in enumerate(rules) if rule.measure]


def wholes(rules: Sequence[Rule]) -> list[int]:
    """Return the places of the rules of whole arrays."""
    return [i for i, rule in enumerate(rules) if rule.whole]


@dataclass(frozen=True)
class Program:
    """A chain made ready to run: what all engines and the host agree on.

    Attributes
    ----------
    parts
        The stages in order.
    keys
        For each part, where each of its hyperparameters stands in ``hyper``.
    hyper
        All hyperparameters by their flat names: ``lr``, or ``name.lr`` for what a stage with ``name=`` was given.
    slots
        For each part, the names of its arrays: ``adam.m``.
    rest
        Stages that what is gathered here is for: they limit the gradients too.
    """

    parts: tuple[Part, ...]
    keys: tuple[Mapping[str, str], ...]
    hyper: Mapping[str, Hyper]
    slots: tuple[tuple[str, ...], ...]
    rest: tuple[Part, ...] = ()

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of the parts: what a kernel depends on, whatever the numbers."""
        return tuple(part.rule for part in self.parts)

    @cached_property
    def first_pass(self) -> int | None:
        """The first stage that takes a pass before the one that writes; in it, gradients are looked at too."""
        return min([*reductions(self.rules), *wholes(self.rules)], default=None)

    @cached_property
    def reduces(self) -> bool:
        """True where a step takes several passes: a scalar depends on the gradients, or a rule sees whole arrays."""
        return self.first_pass is not None

    @cached_property
    def random(self) -> str:
        """The label of the first stage that takes random numbers; empty where none does."""
        return next((part.label for part in self.parts if part.rule.random is not None), "")

    @cached_property
    def remembers(self) -> bool:
        """True where host numbers are kept between steps."""
        return any(rule.memory for rule in self.rules)

    @cached_property
    def gathering(self) -> "Program | None":
        """The stages up to the one that gathers gradients, which run at a call that makes no update, or None."""
        ends = [i + 1 for i, rule in enumerate(self.rules) if rule.every is not None]
        if not ends:
            return None
        (end,) = ends
        return replace(
            self, parts=self.parts[:end], keys=self.keys[:end], slots=self.slots[:end], rest=self.parts[end:]
        )

    @cached_property
    def inputs(self) -> Mapping[str, tuple[str, ...]]:
        """The slots that hold each array which comes with a step beside the gradient, by its name."""
        out: dict[str, tuple[str, ...]] = {}
        for part in self.parts:
            for name in part.rule.inputs:
                out[name] = (*out.get(name, ()), f"{part.label}.{name}")
        return out

    @cached_property
    def takes(self) -> tuple[str, ...]:
        """Names of the numbers that come with a step."""
        return tuple(dict.fromkeys(key for part in self.parts for key in part.rule.takes))

    def check_inputs(self, given: Iterable[str]) -> None:
        """Refuse arrays and numbers that no stage asks for, and demand those that one does.

        Raises
        ------
        GradstepValueError
            With the name.
        """
        names, known = set(given), {*self.inputs, *self.takes}
        for name in sorted(names - known):
            raise (
                unknown("step: unknown input", name, known)
                if known
                else GradstepValueError(f"step: no stage takes {name}=; set a hyperparameter by opt.hyper[{name!r}].")
            )
        for name in self.inputs:
            if name not in names:
                raise GradstepValueError(f"step: {name}= is missing: arrays like the parameters, beside the gradients.")
        for name in self.takes:
            if name not in names:
                raise GradstepValueError(f"step: {name}= is missing: a number, beside the gradients.")

    def makes_update(
        self, t: int, values: Sequence[Mapping[str, float]], memory: Sequence[Mapping[str, float]]
    ) -> bool:
        """Return whether the next call makes update ``t``, or only gathers gradients for it.

        ``memory`` is that of each group whose ``values`` there are.

        Raises
        ------
        GradstepValueError
            When groups do not agree.
        """
        if self.gathering is None:
            return True
        part, keys = self.gathering.parts[-1], self.gathering.keys[-1]
        self.check_gathering(values)
        ended: set[bool] = set()
        for own, before in zip(values, memory, strict=True):
            hyper = {key: own[flat] for key, flat in keys.items()}
            _, after = part.rule.host(t, hyper, {key: before[f"{part.label}.{key}"] for key in part.rule.memory})
            ended.add(after[str(part.rule.every)] == 0.0)
        return ended != {False}

    def check_gathering(self, values: Sequence[Mapping[str, float]]) -> None:
        """Refuse values with which groups would make their updates at different calls.

        Raises
        ------
        GradstepValueError
            With the hyperparameter and its values.
        """
        if self.gathering is None:
            return
        label = self.gathering.parts[-1].label
        for flat in self.gathering.keys[-1].values():
            found = sorted({own[flat] for own in values})
            if len(found) > 1:
                raise GradstepValueError(
                    f"{label}: {flat} is {found[0]:g} in one group and {found[1]:g} in another, but all parameters "
                    f"gather the gradients of as many calls; give {flat} where the stage is made, and not in groups."
                )

    def refuse_gathering(self, who: str, hands: Collection[str] = ()) -> None:
        """Refuse a program that gathers gradients, or takes more with a step than ``who`` hands over.

        Raises
        ------
        GradstepValueError
            With the name of the stage.
        """
        if self.gathering is not None:
            raise GradstepValueError(
                f"{who} makes an update at each call, and {self.gathering.parts[-1].label} gathers the gradients of "
                f"several calls; step a gs.Optimizer, or add the gradients up before."
            )
        if self.inputs:
            raise GradstepValueError(f"{who} hands over gradients alone, and {min(self.inputs)} is needed beside them.")
        for name in self.takes:
            if name not in hands:
                raise GradstepValueError(f"{who} hands over gradients alone, and {name} is needed beside them.")

    def check_for_guest(self, who: str, hands: Collection[str] = (), *, of_each: bool = False) -> None:
        """Refuse a program that a guest in another library cannot step.

        ``hands`` are numbers that it hands over with a step, and ``of_each`` says whether it keeps numbers of each
        array.

        Raises
        ------
        GradstepValueError
            With what it needs.
        """
        self.refuse_gathering(who, hands)
        if (kept := self.memory_of_each()) and not of_each:
            raise GradstepValueError(
                f"{who} keeps the host's numbers for all arrays together, and {min(kept)} is kept for each; step a "
                f"gs.Optimizer."
            )
        if self.random:
            raise GradstepValueError(
                f"{who} hands over gradients alone, and {self.random} draws random numbers by update, name and place; "
                f"step a gs.Optimizer."
            )

    @property
    def over_tensor(self) -> bool:
        """True where a scalar differs from tensor to tensor."""
        return any(part.rule.over == "tensor" for part in self.parts)

    @cached_property
    def domains(self) -> Mapping[str, Domain]:
        """The values that each hyperparameter may take, by flat name: those that all of its stages allow."""
        out: dict[str, Domain] = {}
        for part, keys in zip(self.parts, self.keys, strict=True):
            for key, flat in keys.items():
                if (domain := part.rule.domains.get(key)) is not None:
                    out[flat] = out.get(flat, domain) & domain
        return out

    @cached_property
    def cuts(self) -> list[str]:
        """The flat names of the hyperparameters that bound each element of a gradient."""
        pairs = zip(self.parts, self.keys, strict=True)
        return [keys[x.rule.bounds] for x, keys in pairs if x.rule.bounds and not x.rule.measure]

    def values(self, hyper: Mapping[str, Hyper], t: int) -> dict[str, float]:
        """The hyperparameters of the next update, when ``t`` updates have been made."""
        return evaluated(hyper, self.domains)(t)

    def memory(self) -> dict[str, float]:
        """The host numbers of a group before the first step."""
        return self._memory(of_each=False)

    def memory_of_each(self) -> dict[str, float]:
        """The host numbers before the first step that are kept for each parameter: of rules that sum over each."""
        return self._memory(of_each=True)

    def _memory(self, of_each: bool) -> dict[str, float]:
        parts = [p for p in self.parts if (p.rule.over == "tensor") == of_each]
        return {f"{p.label}.{key}": x for p in parts for key, x in p.rule.memory.items()}

    def limit(self, largest: float, first: int = 0) -> float:
        """The largest |g| that is safe for the parts from ``first`` on, in a dtype whose largest number is ``largest``.

        Beyond it some state could overflow. A part that bounds g takes any, or any that has a norm where it bounds
        that, and answers for what follows it.
        """
        limit = largest
        for part in (*self.parts, *self.rest)[first:]:
            if part.rule.bounds:
                limit = min(limit, _LARGEST_SUMMED) if part.rule.measure else limit
                break
            if part.rule.kind == "rule" or part.rule.power > 1:
                limit = min(limit, largest ** (1 / part.rule.power) / 1024)  # room for a thousand such squares, or more
        return limit

    def limit_in(self, dtype: str) -> float:
        """The largest |g| that is safe in a dtype, as a number of that dtype."""
        return float(np.dtype(dtype).type(self.limit(largest(dtype))))

    @cached_property
    def shaped(self) -> Mapping[str, tuple[Rule, str]]:
        """The rule of each slot that is shaped otherwise than its parameter, and the slot's name there."""
        return {f"{p.label}.{slot}": (p.rule, slot) for p in self.parts for slot in p.rule.shapes}

    def shape(self, key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the slot ``adafactor.r``, say, of a parameter of that shape."""
        if key not in self.shaped:
            return tuple(shape)
        rule, slot = self.shaped[key]
        return rule.slot_shape(slot, shape)

    def check_shape(self, name: str, x: Any) -> None:
        """Refuse a parameter that a rule of whole arrays cannot take.

        Raises
        ------
        GradstepTypeError
            For complex numbers.
        GradstepValueError
            For more axes than the rule is for, and for a vector where it is for matrices alone.
        """
        for i in wholes(self.rules):
            part, axes, folds = self.parts[i], self.parts[i].rule.axes, self.parts[i].rule.folds
            if is_complex(x):
                raise GradstepTypeError(
                    f"parameter {name!r} is complex, and {part.label} is for real matrices; give it a rule of its own: "
                    f"groups={{{name!r}: gs.adam()}}."
                )
            if axes is not None and len(x.shape) > axes:
                raise GradstepValueError(
                    f"parameter {name!r} has {len(x.shape)} axes, and {part.label} is for matrices; hand in a view "
                    f"such as w.reshape(len(w), -1), or give it a rule of its own: groups={{{name!r}: gs.adam()}}."
                )
            *stack, rows, columns = matrix_shape(tuple(x.shape), folds)
            if isinstance(folds, int) and max(stack, default=0) > min(rows, columns):
                raise GradstepValueError(
                    f"parameter {name!r} has the shape {tuple(x.shape)}, and the matrices of {part.label} are of the "
                    f"two longest axes; hand in a view in which these are the last."
                )

            if part.is_for_matrices and len(x.shape) < 2:
                raise GradstepValueError(
                    f"parameter {name!r} has {len(x.shape)} axes, and {part.label} is for matrices alone; give it a "
                    f"rule of its own: groups={{{name!r}: gs.adamw()}}."
                )

    def start(self, part: int, slot: int, values: Mapping[str, float]) -> float | str | Identity | Callable[..., Any]:
        """Return the start of a slot: a number, ``"theta"``, an identity, or a function of theta and its numbers."""
        rule = self.parts[part].rule
        how = rule.start.get(rule.state[slot], 0.0)
        if (factor := identity_factor(how)) is not None:
            return Identity(values[self.keys[part][factor]] if factor else 1.0)
        if isinstance(how, str) and how != "theta":
            return values[self.keys[part][how]]
        return how


def merged(stage: Stage) -> Mapping[str, Hyper]:
    """Return the hyperparameters of a stage by flat name; those that have no value yet are left out."""
    return _merge(stage.parts)[0]


@lru_cache(maxsize=256)
def program(stage: Stage) -> Program:
    """The program of a stage.

    Raises
    ------
    GradstepValueError
        When a hyperparameter has no value, or two, a stage that wraps a rule has none before it, or one stands where it
        does nothing.
    """
    hyper, keys = _merge(stage.parts)
    for part, mine in zip(stage.parts, keys, strict=True):
        for key, flat in mine.items():
            if flat not in hyper:
                raise GradstepValueError(
                    f"{part.label}: {key} has no value; give it here or in a rule of the same chain."
                )
    kinds = [part.rule.kind for part in stage.parts]
    for i, part in enumerate(stage.parts):
        if part.rule.wraps and "rule" not in kinds[:i]:
            raise GradstepValueError(f"{part.label}: it wraps the rule before it in a chain, and there is none.")
    ends = [i for i, part in enumerate(stage.parts) if part.rule.every is not None]
    if ends and "rule" in kinds[: ends[0]]:
        raise GradstepValueError(f"{stage.parts[ends[0]].label}: it stands in front of the rule in a chain.")
    if not any(part.rule.kind == "rule" or part.rule.read or part.rule.moves_theta for part in stage.parts):
        raise GradstepValueError(
            f"{' and '.join(part.label for part in stage.parts)}: nothing here turns the gradient into an update, so a "
            f"step would move nothing; put a rule behind: gs.chain(..., gs.sgd(lr=0.01))."
        )
    for i, part in enumerate(stage.parts):
        if part.rule.kind == "rule" or part.rule.moves_theta or not part.rule.changes_gradient:
            continue
        if not any(later.rule.measure or later.rule.reads_gradient for later in stage.parts[i + 1 :]):
            raise GradstepValueError(
                f"{part.label}: it changes the gradient, and nothing behind it in the chain reads that; let it stand "
                f"in front of the rule: gs.chain({part.label}, ...)."
            )
    for part in stage.parts if ends else ():
        if part.rule.takes:
            raise GradstepValueError(
                f"{part.label}: {part.rule.takes[0]}= comes with each step, and {stage.parts[ends[0]].label} gathers "
                f"the gradients of several; add gradients and {part.rule.takes[0]} up before."
            )
    for part in stage.parts[: ends[0]] if ends else ():
        if part.rule.random is not None:
            raise GradstepValueError(
                f"{part.label}: it draws the same for every gradient of one update; let it stand behind "
                f"{stage.parts[ends[0]].label}."
            )
        if part.rule.moves_theta:
            raise GradstepValueError(
                f"{stage.parts[ends[0]].label}: {part.label} in front of it would move the parameters at each "
                f"call, also where no update is made; let it stand behind."
            )
    slots = tuple(tuple(f"{p.label}.{slot}" for slot in p.rule.state) for p in stage.parts)
    return Program(stage.parts, keys, hyper, slots)


def _merge(parts: Sequence[Part]) -> tuple[dict[str, Hyper], tuple[dict[str, str], ...]]:
    """Hyperparameters by flat name, and where each part finds its own: a bare name is shared through the chain."""
    labels, gathering = [p.label for p in parts], [p.label for p in parts if p.rule.every is not None]
    if len(gathering) > 1:
        raise GradstepValueError(
            f"chain: {gathering[0]} and {gathering[1]} both gather the gradients of several calls; once is all that a "
            f"chain does: leave one out, and give the other the product of their numbers."
        )
    for label in labels:
        if labels.count(label) > 1:
            raise GradstepValueError(f"chain: two stages are called {label!r}; give one of them name=.")
    keys = tuple(
        {key: f"{p.name}.{key}" if p.name and key in p.given else key for key in p.rule.defaults} for p in parts
    )
    given: dict[str, tuple[str, Hyper]] = {}
    defaults: dict[str, tuple[str, Hyper]] = {}
    for part, mine in zip(parts, keys, strict=True):
        for key, flat in mine.items():
            if key in part.given:
                _agree(given, flat, part.label, part.given[key])
    for part, mine in zip(parts, keys, strict=True):
        for key, flat in mine.items():
            default = part.rule.defaults[key]
            if flat not in given and default is not None:
                _agree(defaults, flat, part.label, default)
    flats = dict.fromkeys(flat for mine in keys for flat in mine.values())
    values = {**defaults, **given}
    return {flat: values[flat][1] for flat in flats if flat in values}, keys


def _agree(known: dict[str, tuple[str, Hyper]], flat: str, label: str, value: Hyper) -> None:
    other, first = known.setdefault(flat, (label, value))
    if first != value:
        raise GradstepValueError(
            f"chain: {flat} is {first} in {other} and {value} in {label}, but a name is shared through a chain; "
            f"give it to one of them alone, or give one of them name=."
        )
