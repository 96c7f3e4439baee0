"""State of an optimizer for any other library: its slots and memory, and checks of what comes from outside."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradstep.array.namespaces import as_reals, dtype_name, is_complex, to_numpy
from gradstep.checkpoint.transfer import Parts, uninterrupted
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.form.rule import Rule
from gradstep.interop.state.memory import counted, memory_of_sums
from gradstep.locks import refuse_reentry
from gradstep.naming import as_float, unknown
from gradstep.optimizer import Optimizer
from gradstep.step import Own, Snapshot, Step, Values
from gradstep.step.groups import numbered

Places = Mapping[str, Mapping[str, str]]  # of each rule's slots: {"adam": {"m": "exp_avg", "v": "exp_avg_sq"}}
Arrays = Mapping[str, Mapping[str, Any]]  # of each parameter: {"w": {"adam.m": array}}


@contextmanager
def held(opt: Any, change: str = "") -> Generator[Parts]:
    """Give the parts of an optimizer or a guest, and keep steps of other threads out meanwhile.

    Parameters
    ----------
    opt
        The optimizer; a guest's own parts.
    change
        The call that will change it, for errors.

    Raises
    ------
    GradstepTypeError
        When ``opt`` is no optimizer.
    InUseError
        When it is to be changed within its own step.
    """
    if isinstance(opt, Parts):
        with opt.lock:
            yield opt
        return
    if not isinstance(opt, Optimizer):
        raise GradstepTypeError(f"expected a gradstep.Optimizer, not {type(opt).__name__}.")
    if rules := sorted(opt.parts().groups.stages):
        raise GradstepValueError(
            f"the parameters of {rules[0]!r} have a rule of their own, and the state of another library is of one "
            f"rule; make an optimizer for each."
        )
    lock = opt.parts().lock
    if change:
        refuse_reentry(lock, change)
    with lock:
        yield opt.parts()


def step_parts(step: Step, values: Values) -> Parts:
    """Return a guest's step, whose groups have these hyperparameters, as the parts of an optimizer."""

    def take(_: Any, memory: Any, t: int, skipped: int, arrays: Any = (), own: Any = MappingProxyType({})) -> None:
        step.restore(Snapshot(t, skipped, memory, own), arrays)

    groups = numbered(step.program, values, step.groups)
    params, now = dict(zip(step.names, step.params, strict=True)), step.snapshot()
    own = step.program, groups, step.precision, params, step.slots, values[0]
    return Parts(*own, now.t, now.skipped, now.memory, take, step.lock, now.own)


class OptimizerState:
    """The state of an optimizer, as another library sees it.

    Parameters
    ----------
    parts
        The parts of the optimizer.
    there
        What stands on the other side, for errors: ``"torch.optim.Adam"``.

    Attributes
    ----------
    names
        The parameters that have state: those that are not frozen.

    Raises
    ------
    GradstepValueError
        When it stores its state in fewer bits, or beside master copies, or its chain has two rules.
    """

    def __init__(self, parts: Parts, there: str) -> None:
        self.there, self.parts = there, parts
        self.groups = {
            name: k for name, k in zip(self.parts.params, self.parts.groups.of, strict=True) if k is not None
        }
        self.names = list(self.groups)
        precision = self.parts.precision
        if precision.state is not None or precision.master:
            how = f"state_dtype={precision.state!r}" if precision.state else "master=True"
            raise self.refused(f"this optimizer is made with {how}, which no other library's state has")
        moving = [part.label for part in self.parts.program.parts if part.rule.kind == "rule"]
        if len(moving) > 1:
            raise self.refused(
                f"{' and '.join(moving)} both move the parameters here, and there is no such chain there"
            )

    def refused(self, why: str) -> GradstepValueError:
        """The error that says why."""
        return GradstepValueError(f"state of {self.there}: {why}. Nothing was changed.")

    def kept(self) -> list[tuple[Rule, tuple[str, ...]]]:
        """The rules of the chain that keep arrays, each with the names of those."""
        program = self.parts.program
        return [(part.rule, own) for part, own in zip(program.parts, program.slots, strict=True) if own]

    def placed(self, places: Places) -> dict[str, str]:
        """Return the other library's name of each slot: ``{"adam.m": "exp_avg"}``.

        Raises
        ------
        GradstepValueError
            For a rule that the other side does not have, or has elsewhere: it goes through them in their order here.
        """
        out: dict[str, str] = {}
        behind = -1
        for rule, slots in self.kept():
            own = self.placed_rule(rule, slots, places)
            if list(places).index(rule.name) <= behind or set(own.values()) & set(out.values()):
                raise self.refused(f"{rule.name} does not stand at this place of a chain there")
            behind = list(places).index(rule.name)
            out |= own
        return out

    def placed_rule(self, rule: Rule, slots: Sequence[str], places: Places) -> dict[str, str]:
        """The same of one rule."""
        if rule.name not in places:
            theirs = f"it keeps what {' or '.join(places)} keeps" if places else "it keeps no arrays"
            raise self.refused(f"there is nothing for the {rule.name} of this optimizer in it; {theirs}")
        kept = zip(rule.state, slots, strict=True)
        return {slot: places[rule.name][key] for key, slot in kept if key not in rule.inputs}  # which come with a step

    def covered(self, places: Mapping[str, str], theirs: Iterable[str]) -> None:
        """See that the other side keeps just what stands in ``places``.

        Raises
        ------
        GradstepValueError
            When it keeps more or less; what is named.
        """
        mine, others = {bare(key) for key in places.values()}, set(theirs)
        if more := sorted(others - mine):
            raise self.refused(f"it keeps {more[0]}, which nothing in the chain of this optimizer does")
        for slot, key in places.items():
            if bare(key) not in others:
                raise self.refused(f"it keeps no {bare(key)}, which is {slot} here")

    def ordered(self, names: Iterable[str] | None, count: int) -> list[str]:
        """The names here of its ``count`` parameters.

        Raises
        ------
        GradstepTypeError
            When names are no list of str.
        GradstepValueError
            When they are unknown, too many or too few, or one of a parameter that is optimized is not among them.
        """
        if names is None:
            for known in (list(self.parts.params), self.names):
                if len(known) == count:
                    return known
            raise self.refused(
                f"it has {count} parameters, and this optimizer {len(self.parts.params)}; "
                f"name those that it has, in its order: names=[...]"
            )
        listed = [] if isinstance(names, str) else list(names)
        if isinstance(names, str) or not all(isinstance(name, str) for name in listed):
            raise GradstepTypeError(f"names must be a list of parameters' names, not {names!r}.")
        if len(listed) != count:
            raise self.refused(f"it has {count} parameters, and there are {len(listed)} names")
        self.known(listed)
        return listed

    def known(self, names: Sequence[str]) -> None:
        """See that names are of parameters here, no two alike, and all that have state are among them."""
        for k, name in enumerate(names):
            if name not in self.parts.params:
                raise unknown(f"state of {self.there}: unknown parameter", name, self.parts.params)
            if name in names[:k]:
                raise self.refused(f"{name!r} is named twice")
        for name in self.names:
            if name not in names:
                raise self.refused(f"{name!r}, which is optimized here, is not among its parameters {', '.join(names)}")

    def real_alone(self) -> None:
        """Refuse complex parameters: the other side's squares are not those of real and imaginary part."""
        for name in self.names:
            if is_complex(self.parts.params[name]):
                raise self.refused(f"{name!r} is complex, and its state has another meaning there")

    def updates(self, counts: Mapping[str, Any], t: int | None) -> int:
        """Return the number of updates made, from ``counts`` by place, and from the caller's ``t`` if it is given.

        Raises
        ------
        GradstepValueError
            When two of them differ, one is no count, or none is there and a schedule needs one.
        """
        if t is not None and (isinstance(t, bool) or not isinstance(t, int) or t < 0):
            raise GradstepTypeError(f"t must be the number of updates made, not {t!r}.")
        found = {} if t is None else {"t": t}
        for where, x in counts.items():
            value = as_float(to_numpy(x)) if np.shape(x) == () else -1.0
            if not (value >= 0 and value.is_integer()):
                raise self.refused(f"{where} is no number of updates: {x!r}")
            found[where] = int(value)
        first = next(iter(found), None)
        if first is None:
            if self.parts.groups.scheduled(self.parts.hyper):
                raise self.refused("it counts no updates, and a schedule of this optimizer needs to know: t=...")
            return max(self.parts.t, 1)  # its arrays come from an update
        for where, value in found.items():
            if value != found[first]:
                raise self.refused(f"{first} says {found[first]} updates, and {where} says {value}")
        return found[first]

    def ours(self, name: str, slot: str, dtype: Any = None, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        """A copy of an array of this optimizer's, as one of a dtype and shape of theirs."""
        x = np.array(to_numpy(self.parts.state[name][slot]))
        return self._fitted(f"{slot} of {name!r}", x, dtype or x.dtype, shape or x.shape, ("here", "there"), slot)

    def memory_of(self, name: str) -> Mapping[str, float]:
        """The host's numbers that belong to a parameter: ``{"nadam.product": 0.1}``."""
        return {**self.parts.memory[self.groups[name]], **self.parts.own.get(name, Own()).memory}

    def count_of(self, name: str) -> int:
        """Return the updates that a parameter's state counts: fewer than t where it was started anew.

        Raises
        ------
        GradstepValueError
            When the stages count from different updates.
        """
        began = self.parts.own.get(name, Own()).began
        starts = {began.get(part.label, 0) for part in self.parts.program.parts if part.rule.counts} or {0}
        if len(starts) > 1:
            raise self.refused(f"stages of {name!r} began at t = {sorted(starts)}, and there is one count there")
        return self.parts.t - starts.pop()

    def count(self) -> int:
        """Return the updates made, for a library that counts them once for all parameters.

        Raises
        ------
        GradstepValueError
            When state of a parameter was started anew.
        """
        for name in self.names:
            if (count := self.count_of(name)) != self.parts.t:
                raise self.refused(
                    f"{name!r} counts {count} updates, and t is {self.parts.t}; there is one count there"
                )
        return self.parts.t

    def take(
        self, t: int, arrays: Arrays, memory: Arrays | None = None, exact: Mapping[str, float] | None = None
    ) -> None:
        """Go on from ``t`` updates with these arrays, when all of them fit.

        Parameters
        ----------
        memory
            What the other side knows of the host's numbers, by parameter.
        exact
            All of the host's numbers, as they are to be in every group.

        Raises
        ------
        GradstepValueError
            When an array has another shape, or numbers that are not finite, not possible, or not in the dtype here.
        """
        parts, pairs = self.parts, list[tuple[Any, NDArray[Any]]]()
        for name in self.names:
            for slot, x in arrays[name].items():
                own = parts.state[name][slot]
                what, shape = f"{slot} of {name!r}", tuple(own.shape)
                pairs.append((own, self._fitted(what, to_numpy(x), dtype_name(own), shape, ("there", "here"), slot)))
        groups, each = self.parts.groups.labels, self.parts.program.memory_of_each()
        theirs = {name: {key: x for key, x in own.items() if key not in each} for name, own in (memory or {}).items()}
        after = [dict(exact) for _ in groups] if exact is not None else self._memory(t, theirs)
        own = {name: self._of_each(name, found) for name, found in (memory or {}).items() if each}

        def act() -> None:
            parts.take(parts.hyper, after, t, parts.skipped, pairs, own)

        uninterrupted(act)()

    def _fitted(
        self, what: str, x: NDArray[Any], dtype: Any, shape: tuple[int, ...], sides: tuple[str, str], slot: str
    ) -> NDArray[Any]:
        """An array in a dtype that holds every number of it."""
        here, there = sides
        dtype = np.dtype(dtype)
        if x.dtype.kind not in "fc" and dtype_name(x) != "bfloat16":
            raise self.refused(f"{what} is {x.dtype.name} {here}, and must be of real or complex numbers")
        if x.shape != shape:
            raise self.refused(f"{what} has the shape {x.shape} {here}, and {shape} {there}")
        if is_complex(x) != (dtype.kind == "c"):
            raise self.refused(f"{what} is {x.dtype.name} {here}, and {dtype.name} {there}")
        reals = as_reals(x)
        if not np.isfinite(reals).all():
            raise self.refused(f"{what} is not finite {here}")
        if slot in self._nonnegative() and (reals < 0).any():
            raise self.refused(f"{what} is below zero {here}, and is a mean or sum of squares, or a maximum")
        with np.errstate(all="ignore"):
            out = x.astype(dtype)
            if not np.array_equal(out.astype(x.dtype), x):
                raise self.refused(f"{what} is {x.dtype.name} {here} and would be rounded to {dtype.name} {there}")
        return out

    def _memory(self, t: int, theirs: Arrays) -> list[dict[str, float]]:
        """The host's numbers of each group after ``t`` updates: theirs where it differs by more than its rounding.

        Then hyperparameters there were others than here; else those that the rules count have more digits.
        """
        out = [counted(self.parts, t, group) for group in range(len(self.parts.groups.labels))]
        known = [(name, key, x) for name, own in theirs.items() for key, x in own.items()]
        summed = {f"{part.label}.{key}" for part in self.parts.program.parts for key in memory_of_sums(part.rule)}
        for name, key, x in known:
            is_product = key.endswith(".product") and key not in summed
            if not (-np.inf if key in summed else 0) <= x <= (1 if is_product else np.inf) or not np.isfinite(x):
                why = "a product of numbers from 0 to 1" if is_product else "a rate or a share"
                raise self.refused(f"{key} of {name!r} is {x!r}, and is {'a sum' if key in summed else why}")
            if _differs(x, out[self.groups[name]][key], t):
                out[self.groups[name]][key] = float(x)
        for name, key, x in known:
            if _differs(x, out[self.groups[name]][key], t):
                raise self.refused(f"{key} of {name!r} differs from that of others in its group here")
        return out

    def _of_each(self, name: str, theirs: Mapping[str, Any]) -> Own:
        """The numbers that are kept for each parameter: sums of squares, and averages of such."""
        numbers = {key: float(theirs[key]) for key in self.parts.program.memory_of_each() if key in theirs}
        for key, x in numbers.items():
            if not 0 <= x < np.inf:
                raise self.refused(f"{key} of {name!r} is {x!r}, and is a sum of squares")
        return Own({}, numbers)

    def _nonnegative(self) -> set[str]:
        return {
            slot
            for rule, own in self.kept()
            for key, slot in zip(rule.state, own, strict=True)
            if key in rule.nonnegative
        }


def _differs(theirs: Any, mine: float, t: int) -> bool:
    """Return True where what ``t`` updates made differs from theirs by more than the rounding of its dtype."""
    info = np.finfo(theirs.dtype)
    return abs(float(theirs) - mine) > (t + 1) * (float(info.eps) * abs(mine) + float(info.tiny))


def bare(key: str) -> str:
    """A place without its sign: ``"-velocity"`` holds the numbers here with their signs turned."""
    return key.removeprefix("-")


def signed(key: str, x: Any) -> Any:
    """The numbers of a place as those here, or the other way round."""
    return -x if key.startswith("-") else x
