"""Several steps that make one update: groups of parameters with a rule of their own."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from types import MappingProxyType
from typing import Any

from gradstep.array.memory import check_writable
from gradstep.array.namespaces import copied
from gradstep.engine.meters import METERS, Diagnostics, summed
from gradstep.errors import GradstepValueError, NonFiniteError, ScalarError
from gradstep.form.chain import Program
from gradstep.locks import new_lock
from gradstep.naming import unknown
from gradstep.step.progress import Own, Snapshot
from gradstep.step.start import check_parameters
from gradstep.step.step import Step, Values, still_writing

# A step to commit, the one that it is or is a part of, and its gradients, which stay alive as long.
Planned = tuple[Step, Step, tuple[Any, ...]]
_NONE: Mapping[str, Any] = MappingProxyType({})


class JointStep:
    """Makes one update of parameters that do not all have the same program; it is used as :class:`Step` is.

    All or nothing: every part reads and checks its gradients before the first one writes.

    Parameters
    ----------
    programs
        For each group of parameters a key and its program; the groups of one key make one :class:`Step`.
    params, values, groups, options
        As for :class:`Step`.

    Raises
    ------
    GradstepValueError
        When some programs gather gradients, and others do not, or not those of as many calls.
    """

    def __init__(
        self,
        programs: Sequence[tuple[str, Program]],
        params: Mapping[str, Any],
        values: Values,
        groups: Sequence[int],
        **options: Any,
    ) -> None:
        self.names, self.groups = tuple(params), tuple(groups)
        self.lock = new_lock()
        self._params = list(params.values())
        check_parameters(self.names, self._params)
        check_writable(self.names, self._params)
        self._own_groups: list[list[int]] = []  # of each step the groups, by their numbers here
        self._owned: list[list[int]] = []  # of each step the parameters
        self._steps: list[Step] = []
        for key, program in dict(programs).items():
            own = [k for k, x in enumerate(programs) if x[0] == key]
            number = {group: k for k, group in enumerate(own)}
            owned = [k for k, group in enumerate(self.groups) if group in number]
            part = {self.names[k]: self._params[k] for k in owned}
            numbers = [number[self.groups[k]] for k in owned]
            self._steps.append(Step(program, part, [values[k] for k in own], groups=numbers, **options))
            self._own_groups.append(own)
            self._owned.append(owned)
        slots = dict(chain.from_iterable(step.slots.items() for step in self._steps))
        self.slots = {name: slots[name] for name in self.names}
        self.precision = self._steps[0].precision
        for step, owned in zip(self._steps, self._owned, strict=True):
            here = set(owned)
            others = [k for k in range(len(self.names)) if k not in here]
            slots = chain.from_iterable(self.slots[self.names[k]].values() for k in others)
            step.keep_apart([*(self._params[k] for k in others), *slots])
        self._planned: list[Planned] = []
        self._torn = self._is_stepping = False
        self._values: Values | None = None
        self._own_values: list[Values] = []
        self._check_gathering(values)

    def with_inputs(
        self,
        grads: Sequence[Any],
        values: Values,
        on_nonfinite: str,
        inputs: Mapping[str, Sequence[Any]],
        taken: Mapping[str, float],
    ) -> bool:
        """Make one update with arrays and numbers beside the gradient, as :meth:`Step.with_inputs` does."""
        self._recover()
        guard = on_nonfinite != "ignore"
        self._is_stepping = True
        try:
            with self._written(inputs, taken, guard):
                return self._made(grads, values, guard)
        except BaseException as error:
            self._forget()
            if on_nonfinite != "skip" or not isinstance(error, NonFiniteError) or isinstance(error, ScalarError):
                raise
            return self.skip()
        finally:
            self._is_stepping = False

    def __call__(self, grads: Sequence[Any], values: Values, on_nonfinite: str = "raise") -> bool:
        """Make one update, as :meth:`Step.__call__` does."""
        return self.with_inputs(grads, values, on_nonfinite, {}, {})

    @contextmanager
    def _written(self, inputs: Mapping[str, Sequence[Any]], taken: Mapping[str, float], guard: bool) -> Generator[None]:
        """Hand each step its arrays and numbers beside the gradient, when all of them fit."""
        for step in self._steps:
            step.take({name: taken[name] for name in step.takes})
        placed = [
            step.placed({name: [x[k] for k in owned] for name, x in inputs.items() if name in step.inputs}, guard)
            for step, owned in zip(self._steps, self._owned, strict=True)
        ]
        with ExitStack() as stack:
            for step, pairs in zip(self._steps, placed, strict=True):
                if pairs:
                    stack.enter_context(step.written(pairs))
            yield

    def _made(self, grads: Sequence[Any], values: Values, guard: bool) -> bool:
        """Plan the update of all parts, and commit it; return whether it was more than to gather gradients."""
        try:
            planned = self._plan(grads, values, guard)
            for acting, _, _ in planned:
                acting.ready()
            self._planned = planned
            self._commit()
        except BaseException:  # what is begun is finished, and then the interrupt goes on its way
            self._recover()
            raise
        acting, step, _ = planned[-1]
        return acting is step

    def _plan(self, grads: Sequence[Any], values: Values, guard: bool) -> list[Planned]:
        """Do all of an update but the writing; return the steps that are to write."""
        own_values = self._split(values)
        if len({step.makes_update(own) for step, own in zip(self._steps, own_values, strict=True)}) > 1:
            raise _disagreement()
        planned: list[Planned] = []
        try:
            for step, owned, own in zip(self._steps, self._owned, own_values, strict=True):
                acting, taken = step.acting(own), tuple([grads[k] for k in owned])
                planned.append((acting, step, taken))
                acting.plan(taken, own, guard)
        except NonFiniteError as error:
            self.check(grads)
            raise ((self.first_bad(grads) if guard else None) or error) from None
        return planned

    def _commit(self) -> None:
        """Write what is planned and not written yet."""
        for acting, step, _ in self._planned:
            acting.commit()
            step.recover()
        self._planned = []

    def _forget(self) -> None:
        """Let go of gradients, but of those that are still to be written."""
        if not self._planned:
            for step in self._steps:
                step.forget()

    def _recover(self) -> None:
        """Finish what is half written."""
        self._commit()
        for step in self._steps:
            step.recover()

    def skip(self) -> bool:
        """Count a step that does not happen; return False."""
        return self._last.skip()

    def rehearse(
        self,
        grads: Sequence[Any],
        values: Values,
        on_nonfinite: str = "raise",
        inputs: Mapping[str, Sequence[Any]] = _NONE,
        taken: Mapping[str, float] = _NONE,
    ) -> None:
        """Do all of an update but the writing: its errors, and no change. ``"skip"`` raises them too."""
        self._recover()
        guard = on_nonfinite != "ignore"
        try:
            with self._written(inputs, taken, guard):
                self._plan(grads, values, guard)
        finally:
            self._forget()

    def check(self, grads: Sequence[Any]) -> None:
        """Refuse gradients whose shapes or dtypes do not fit, as :meth:`Step.check` does."""
        for step, owned in zip(self._steps, self._owned, strict=True):
            step.check([grads[k] for k in owned])

    def check_inputs(self, given: Iterable[str]) -> None:
        """Refuse arrays that no stage of any group asks for, and demand those that one does."""
        names, known = set(given), {*self.inputs, *self.takes}
        for name in sorted(names - known) if known else ():
            raise unknown("step: unknown input", name, known)
        for step in self._steps:
            step.check_inputs(names - (known - {*step.inputs, *step.takes}))

    @property
    def inputs(self) -> Iterable[str]:
        """The names of the arrays that stages ask for beside the gradient."""
        return [name for step in self._steps for name in step.inputs]

    @property
    def takes(self) -> Iterable[str]:
        """The names of the numbers that stages take with each step."""
        return [name for step in self._steps for name in step.takes]

    def first_bad(self, grads: Sequence[Any]) -> NonFiniteError | None:
        """Return the error for the first gradient that is not finite or too large; None where all are good."""
        places = {k: (step, i) for step, own in zip(self._steps, self._owned, strict=True) for i, k in enumerate(own)}
        found = (places[k][0].bad(places[k][1], g) for k, g in enumerate(grads))
        return next((error for error in found if error is not None), None)

    def reset(self, values: Values) -> None:
        """Go back to the start: progress and state. Parameters stay."""
        starts = [step.start(own) for step, own in zip(self._steps, self._split(values), strict=True)]
        self._whole(lambda: [step.restore(*start) for step, start in zip(self._steps, starts, strict=True)])

    def snapshot(self) -> Snapshot:
        """Return the progress, as :meth:`Step.snapshot` does."""
        self._check_whole()
        memory, numbers = dict[int, Mapping[str, float]](), dict[str, Own]()
        for step, own in zip(self._steps, self._own_groups, strict=True):
            part = step.snapshot()
            memory |= dict(zip(own, part.memory, strict=True))
            numbers |= part.own
        return self._last.snapshot()._replace(memory=[memory[k] for k in sorted(memory)], own=numbers)

    def restore(self, snapshot: Snapshot, arrays: Iterable[tuple[Any, Any]] = ()) -> None:
        """Take a progress and numbers of arrays, as :meth:`Step.restore` does."""
        pairs = list(arrays)

        def act() -> None:
            for step, own in zip(self._steps, self._own_groups, strict=True):
                memory = [snapshot.memory[k] for k in own]
                numbers = {name: x for name, x in snapshot.own.items() if name in step.slots}
                step.restore(snapshot._replace(memory=memory, own=numbers), pairs if step is self._last else ())

        self._whole(act)

    def _whole(self, act: Callable[[], Any]) -> None:
        """Do what may be done twice; an interrupt in the midst of it is raised when all of it is done."""
        self._recover()
        self._torn = True
        try:
            act()
        except BaseException:
            act()
            raise
        finally:
            self._torn = False

    @property
    def _last(self) -> Step:
        """The step that is committed last: when that is done, the update is made."""
        return self._steps[-1]

    @property
    def t(self) -> int:
        """Updates made."""
        return self._last.t

    @property
    def began(self) -> dict[str, dict[str, int]]:
        """For each parameter the t at which its state began, of each stage."""
        began = dict(chain.from_iterable(step.began.items() for step in self._steps))
        return {name: began[name] for name in self.names}

    @property
    def skipped(self) -> int:
        """Steps that did not happen because of a non-finite gradient."""
        return self._last.skipped

    @property
    def progress(self) -> Any:
        """An object that is another one after each update, skip or restore."""
        return self._last.progress

    @property
    def kind(self) -> str:
        """``"compiled"`` or ``"cuda"`` where all parts are, or ``"eager"``."""
        kinds = {step.kind for step in self._steps}
        return kinds.pop() if len(kinds) == 1 else "eager"

    @property
    def clipped(self) -> bool:
        """True where a stage that bounds a norm made gradients of the last update shorter."""
        return any(step.clipped for step in self._steps)

    def diagnostics(self, labels: Sequence[str]) -> Diagnostics | None:
        """Return the norms of the last update, for each group under its label; None before the first."""
        self._check_whole()
        columns: list[list[float]] = [[] for _ in range(METERS)]
        ranges: list[tuple[int, int]] = [(0, 0)] * len(self.names)
        for step, owned in zip(self._steps, self._owned, strict=True):
            found = step.metered()
            if found is None:
                return None
            begin = len(columns[0])
            for column, sums in zip(columns, found[0], strict=True):
                column += sums
            for k, (first, end) in zip(owned, found[1], strict=True):
                ranges[k] = begin + first, begin + end
        return summed(columns, ranges, self.groups, labels, self._params)

    def averaged(self, values: Callable[[], Values]) -> list[Any] | None:
        """Return copies of the averages that stages keep, and of the parameters of groups without; None without any."""
        self._check_whole()
        out = [copied(x) for x in self._params]
        is_kept = False
        for j, step in enumerate(self._steps):
            found = step.averaged(lambda j=j: self._split(values())[j])
            is_kept = is_kept or found is not None
            for k, x in zip(self._owned[j], found or (), strict=False):
                out[k] = x
        return out if is_kept else None

    def _split(self, values: Values) -> list[Values]:
        """Return the values of each step's groups: the same lists while ``values`` is the same object."""
        if values is not self._values:
            self._own_values = [[values[k] for k in own] for own in self._own_groups]
            self._values = values
        return self._own_values

    def _check_whole(self) -> None:
        """Make sure that all arrays and counts are of one update, also within a signal handler."""
        if self._torn or (self._planned and self._is_stepping):
            raise still_writing()
        self._recover()
        for step in self._steps:
            step.check_whole()

    def _check_gathering(self, values: Values) -> None:
        """Refuse programs that make their updates at different calls."""
        found: set[Any] = set()
        for step, own in zip(self._steps, self._split(values), strict=True):
            part = step.program.gathering
            found.add(None if part is None else tuple(own[0][flat] for flat in part.keys[-1].values()))
        if len(found) > 1:
            raise _disagreement()


def joint_step(
    programs: Sequence[tuple[str, Program]],
    params: Mapping[str, Any],
    values: Values,
    groups: Sequence[int],
    **options: Any,
) -> Step | JointStep:
    """Return a step for groups of parameters, of which each has a program: the plain one where all have the same."""
    own = dict(programs)
    if len(own) == 1:
        (program,) = own.values()
        return Step(program, params, values, groups=groups, **options)
    return JointStep(programs, params, values, groups, **options)


def _disagreement() -> GradstepValueError:
    return GradstepValueError(
        "groups: some rules gather the gradients of several calls, and others do not or those of another number of "
        "calls; put the same gs.accumulate(...) into the chain of each group."
    )
