"""A program on its arrays: :class:`Step` takes gradients and the values of hyperparameters, and makes one update."""

import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from types import MappingProxyType
from typing import Any

import numpy as np

from gradstep import engine as engines
from gradstep.array.memory import check_not_read_only, check_writable
from gradstep.array.namespaces import as_reals, as_stored, clothed, copied, extremes, is_bare, largest, put
from gradstep.engine.eager import within
from gradstep.engine.meters import Columns, Diagnostics, Ranges, summed
from gradstep.engine.sparse import BySparseRows, check_takes_rows, first_of_rows, has_rows
from gradstep.engine.tensor import Engine, Fit, Tensor, bad_gradient, check_alike
from gradstep.errors import GradstepTypeError, GradstepValueError, InUseError, NonFiniteError, ScalarError
from gradstep.form.chain import Program, Row, Sums
from gradstep.locks import new_lock
from gradstep.step.host import Host
from gradstep.step.precision import Precision
from gradstep.step.progress import Cohorts, Memory, Numbers, Own, Snapshot
from gradstep.step.start import check_parameters, stored_slots, tensor

Values = Sequence[Mapping[str, float]]  # of each group: {"lr": 0.1, "beta1": 0.9}


# All of a step's progress, which changes by one assignment: t, skipped, memory, how many updates the engine has made,
# the scalars of the last one. A plain tuple, for it is made anew at each step.
_Now = tuple[int, int, Sequence[dict[str, float]], int, list[Row] | None]
_NONE: Mapping[str, Any] = MappingProxyType({})


class Step:
    """Updates arrays in place by gradients and the values of hyperparameters.

    An optimizer, or a guest in another library, decides what those are; this is all that it needs besides. It is not
    locked: whoever shares it between threads holds :attr:`lock`.

    Parameters
    ----------
    program
        What is run.
    params
        Arrays by name. They are changed in place.
    values
        For each group the hyperparameters by flat name: state may start at one.
    groups
        For each parameter the number of its group; left out, there is one.
    precision
        How parameters and state are stored.
    engine, threads
        As for :class:`gradstep.Optimizer`; or a function that gives an engine around another, see
        :func:`gradstep.engine.make`.
    diagnostics
        Whether each update keeps norms.

    Attributes
    ----------
    params
        The arrays, in order.
    slots
        ``slots["layer.w"]["adam.m"]``: the arrays of the state.
    lock
        A re-entrant lock for those who share the step between threads.

    Raises
    ------
    GradstepValueError, GradstepTypeError, NonFiniteError
        For parameters that cannot be optimized, or not in place.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> from gradstep.form.chain import program
    >>> w = np.ones(3)
    >>> step = Step(program(gs.sgd()), {"w": w}, [{"lr": 0.5}])
    >>> step((np.array([1.0, 0.0, -1.0]),), [{"lr": 0.5}])
    True
    >>> w, step.t
    (array([0.5, 1. , 1.5]), 1)
    """

    params: list[Any]
    _cohorts: Cohorts
    _tensors: list[Tensor]
    _fit: Fit
    _host: Host
    _values: Values | None  # those that the host is ready for
    _engine: Engine
    _pins: list[Any]
    _torn: bool  # whether arrays and progress are of two updates
    _now: _Now
    _next: _Now  # what the progress will be when the update at hand is made
    _gathering: "Step | None"
    _others: Sequence[Any] = ()  # arrays that other steps write in the same update

    def __init__(
        self,
        program: Program,
        params: Mapping[str, Any],
        values: Values,
        *,
        groups: Sequence[int] | None = None,
        precision: Precision | None = None,
        engine: str | Callable[..., Engine] = "auto",
        threads: int | None = None,
        diagnostics: bool = False,
    ) -> None:
        self.program, self.names = program, tuple(params)
        self.precision = Precision() if precision is None else precision
        self.groups = tuple([0] * len(self.names) if groups is None else groups)
        self.lock = new_lock()
        self._engine_options = engine, threads, diagnostics
        self._began: _Now | None = None  # of a step that gathers: its progress at the beginning of a call,
        self._began_at: _Now | None = None  # and that of the step that it belongs to
        leaves = list(params.values())
        check_parameters(self.names, leaves)
        check_writable(self.names, leaves)
        self.precision.check(self.names, leaves, engine)
        program.check_gathering(values)
        self.slots = self._started(leaves, values)
        cohorts, memory = self._sorted_out([program.memory() for _ in values], {})
        self.__dict__.update(self._taken(leaves, (0, 0, memory, 0, None), values, cohorts))

    def __call__(self, grads: Sequence[Any], values: Values, on_nonfinite: str = "raise") -> bool:
        """Make one update.

        Parameters
        ----------
        grads
            A gradient for each parameter, in order; shape and dtype like the parameter, or :func:`gradstep.rows`.
        values
            For each group the hyperparameters by flat name, as checked numbers. The same object as last time costs
            nothing: it is not looked at again.
        on_nonfinite
            ``"raise"``, ``"skip"`` or ``"ignore"``, as for :class:`gradstep.Optimizer`.

        Returns
        -------
        bool
            Whether the update was made; False: it was skipped, or the gradients were only gathered.

        Raises
        ------
        NonFiniteError
            When a gradient, a norm or a scalar is not finite or too large.
        GradstepValueError, GradstepTypeError
            When gradients or values do not fit. Whatever is raised, nothing has been changed.
        """
        if self._torn or self._next is not self._now or self._engine.is_writing or self._gathering is not None:
            self.recover()  # an exception may have come where that is done, or a fork in the midst of another's step
            self._torn = False
        return self._made(tuple(grads), values, on_nonfinite)

    def _made(self, grads: tuple[Any, ...], values: Values, on_nonfinite: str) -> bool:
        """Make one update, or gather gradients for it; see :meth:`__call__`."""
        if self._gathering is not None and not self.makes_update(values):
            try:
                self.acting(values)._made(grads, values, on_nonfinite)
            finally:  # also after an interrupt: what has been gathered is counted
                self.recover()
            return False
        try:
            if not self.program.reduces and self._at_once(grads, values, on_nonfinite != "ignore"):
                return True
            return self._in_parts(grads, values, on_nonfinite)
        except BaseException:  # what is begun is finished, and then the interrupt goes on its way
            self.recover()
            self._engine.forget()
            raise

    def with_inputs(
        self,
        grads: Sequence[Any],
        values: Values,
        on_nonfinite: str,
        inputs: Mapping[str, Sequence[Any]],
        taken: Mapping[str, float],
    ) -> bool:
        """Make one update with arrays beside the gradient, which lie in the state until the next ones come.

        Parameters
        ----------
        inputs
            By name an array for each parameter, in order; shape like the parameter, dtype like its state.
        taken
            By name the numbers that stages take with the step.

        Raises
        ------
        NonFiniteError
            When an input or a number is not finite, as for gradients. Whatever is raised, nothing has been changed.
        """
        self.recover()  # as in :meth:`__call__`
        try:
            placed = self.placed(inputs, on_nonfinite != "ignore")
            self.take(taken)
        except NonFiniteError:
            if on_nonfinite != "skip":
                raise
            return self.skip()
        with self.written(placed):
            return self._made(tuple(grads), values, on_nonfinite)

    def take(self, numbers: Mapping[str, float]) -> None:
        """Let the next update have these numbers; see :meth:`Host.take`."""
        self._host.take(numbers)

    def placed(self, inputs: Mapping[str, Sequence[Any]], guard: bool) -> list[tuple[str, Any, Any]]:
        """Return the name of each slot that takes an input, the slot and a copy of the input; all of them fit."""
        found: list[tuple[str, Any, Any]] = []
        for name, arrays in inputs.items():
            for key in self.program.inputs.get(name, ()):
                for x, own, value in zip(self._tensors, self.slots.values(), arrays, strict=True):
                    check_alike(f"{name} of {x.name!r}", value, own[key])
                    if guard and not within(value, largest(x.dtype)):
                        raise bad_gradient(x.name, value, largest(x.dtype), name)
                    found.append((key, own[key], copied(value)))  # it may be a slot of this very state
        return found

    @contextmanager
    def written(self, placed: list[tuple[str, Any, Any]]) -> Generator[None]:
        """Write inputs into their slots; of stages that do not run by it, what was there comes back."""
        t, _, memory, _, _ = self._now
        before = [(key, slot, copied(slot)) for key, slot, _ in placed]
        self._torn = True  # inputs and t do not belong together until the update is made
        try:
            for _, slot, value in placed:
                slot[...] = value
            yield
        finally:
            has_run: set[str] = set()  # in a call that gathers gradients, which counts itself in the memory
            if self._gathering is not None and self.memory is not memory:
                has_run = {key for own in self._gathering.program.slots for key in own}
            for key, slot, old in before if self.t == t else ():
                if key not in has_run:
                    slot[...] = old
            self._torn = False

    def makes_update(self, values: Values) -> bool:
        """Return whether the next call makes an update, or only gathers gradients for it."""
        return self._gathering is None or self.program.makes_update(self.t + 1, values, self.memory)

    def acting(self, values: Values) -> "Step":
        """Return the step that the next call makes: this one, or that of the stages which gather gradients; t stays."""
        part = self._gathering
        if part is None or self.makes_update(values):
            return self
        t, skipped, memory, _, _ = self._now
        part._now = part._next = part._began = t, skipped, memory, part._engine.applied, None
        part._began_at = self._now
        return part

    def _at_once(self, grads: tuple[Any, ...], values: Values, guard: bool) -> bool:
        """Make the update by one call of the engine, where everything is usual; else nothing has happened."""
        t, skipped, memory, applied, _ = self._now
        engine = self._engine
        try:
            if values is not self._values:
                self._refresh(values)
            table, memory = self._host.table(t + 1, memory, _measures_nothing)
        except ScalarError:
            return False  # in parts, a bad gradient is found first
        self._next = after = t + 1, skipped, memory, applied + 1, table
        if not engine.step(grads, table, t + 1, guard):
            return False
        self._now = after
        return True

    def _in_parts(self, grads: tuple[Any, ...], values: Values, on_nonfinite: str) -> bool:
        """Make the update part by part, with every check and the words for what is wrong."""
        try:
            self.plan(grads, values, on_nonfinite != "ignore")
        except NonFiniteError as error:
            if on_nonfinite != "skip" or isinstance(error, ScalarError):
                raise
            return self.skip()
        self.commit()
        return True

    def plan(self, grads: tuple[Any, ...], values: Values, guard: bool) -> None:
        """Do all of an update but the writing."""
        table, memory = self._prepared(grads, values, guard)
        t, skipped, _, applied, _ = self._now
        self._next = t + 1, skipped, memory, applied + 1, table

    def keep_apart(self, arrays: Sequence[Any]) -> None:
        """Copy gradients that lie in these arrays, which another step writes in the same update."""
        self._others = arrays
        for step in (self, self._gathering):
            if step is not None:
                step._engine.keep_apart(arrays)

    def ready(self) -> None:
        """Do all of :meth:`commit` that may fail, so that it only writes."""
        t, _, _, _, table = self._next
        assert table is not None  # noqa: S101 - a plan has scalars
        self._engine.ready(table, t)

    def commit(self) -> None:
        """Write what is planned, once."""
        self._engine.finish()
        t, _, _, applied, table = self._next
        if table is not None and self._engine.applied != applied:
            self._engine.apply(table, t)
        self._now = self._next

    def skip(self) -> bool:
        """Count a step that does not happen; return False, for no update is made."""
        t, skipped, memory, applied, table = self._now
        self._next = self._now = t, skipped + 1, memory, applied, table
        return False

    def _prepared(
        self, grads: tuple[Any, ...], values: Values, guard: bool
    ) -> tuple[list[Row], Sequence[dict[str, float]]]:
        """Return the scalars of the update and the memory after it, when gradients are read and all is well."""
        engine = self._engine

        def measure(part: int, table: list[Row]) -> Sums:
            sums, good = engine.measure(part, table, self._now[0] + 1)
            if guard and not good:
                raise self._bad_gradient(grads)
            return sums

        if not engine.take(grads):
            grads = self._clothed(grads)
            self._fit.check(grads)
            check_not_read_only(self._fit.names, self._fit.values)
            if (name := first_of_rows(self.names, grads)) is not None:
                engine = self._by_rows(name)
            engine.load(grads)
        if guard and not self.program.reduces and not engine.look():
            raise self._bad_gradient(grads)
        if values is not self._values:
            self._refresh(values)
        table, memory = self._host.table(self._now[0] + 1, self._now[2], measure)
        if isinstance(engine, BySparseRows) and has_rows(grads):
            engine.check_leaves(table, grads)
        return table, memory

    def _clothed(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return gradients that are bare memory of a device as arrays of their parameters' library."""
        if not any(map(is_bare, grads)):
            return grads
        each = zip(self.names, grads, self.params, strict=True)
        return tuple([clothed(f"gradient {name!r}", g, x) if is_bare(g) else g for name, g, x in each])

    def _by_rows(self, name: str) -> Engine:
        """Return the engine for gradients of some rows, which is this step's from now on; ``name`` has the first."""
        check_takes_rows(self.program, name)
        self.precision.check_takes_rows(name)
        if not isinstance(self._engine, BySparseRows):
            kind, threads, diagnostics = self._engine_options

            def make(tensors: Sequence[Tensor]) -> Engine:
                return engines.make(kind, self.program, tensors, threads, self.precision.seed, is_metered=diagnostics)

            engine = BySparseRows(self.program, self._engine, make, self._tensors, is_exact=diagnostics)
            if len(self._others):
                engine.keep_apart(self._others)
            self._engine = engine
        return self._engine

    def rehearse(
        self,
        grads: Sequence[Any],
        values: Values,
        on_nonfinite: str = "raise",
        inputs: Mapping[str, Sequence[Any]] = _NONE,
        taken: Mapping[str, float] = _NONE,
    ) -> None:
        """Do all of an update but the writing: its errors, and no change. ``"skip"`` raises them too."""
        grads, guard = tuple(grads), on_nonfinite != "ignore"
        self.check(grads)
        self.take(taken)
        placed = self.placed(inputs, guard)
        try:
            with self.written(placed) if placed else nullcontext():
                self._prepared(grads, values, guard)
        finally:
            self._engine.forget()

    def forget(self) -> None:
        """Let go of the gradients of a plan that is not committed."""
        self._engine.forget()
        if self._gathering is not None:
            self._gathering._engine.forget()

    def check(self, grads: Sequence[Any]) -> None:
        """Refuse gradients whose shapes or dtypes do not fit.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            With the name of the first that does not fit.
        """
        self._fit.check(grads)

    def first_bad(self, grads: Sequence[Any]) -> NonFiniteError | None:
        """Return the error for the first gradient that is not finite or too large; None where all are good."""
        found = (self.bad(k, g) for k, g in enumerate(grads))
        return next((error for error in found if error is not None), None)

    def bad(self, k: int, g: Any) -> NonFiniteError | None:
        """Return the error for a gradient of parameter ``k`` that is not finite or too large; None where it is good."""
        x, limit = self._tensors[k], self.program.limit_in(self._tensors[k].dtype)
        return None if within(g, limit) else bad_gradient(x.name, g, limit)

    def bind(self, params: Sequence[Any]) -> None:
        """Go on with other arrays of the same form, in order; state and progress stay.

        Raises
        ------
        GradstepValueError, GradstepTypeError, NonFiniteError
            When one has another shape or dtype than its predecessor, or cannot be optimized in place. Nothing has been
            changed.
        """
        if len(params) == len(self.params) and all(x is y for x, y in zip(params, self.params, strict=True)):
            return
        for name, x, y in zip(self.names, params, self.params, strict=True):
            if tuple(x.shape) != tuple(y.shape) or x.dtype != y.dtype:
                raise GradstepValueError(
                    f"parameter {name!r} is {x.dtype}{list(x.shape)}, and the one before was {y.dtype}{list(y.shape)}; "
                    f"make a new optimizer."
                )
        check_parameters(self.names, params)
        check_writable(self.names, params)
        t, skipped, memory, _, table = self._now
        self.__dict__.update(self._taken(list(params), (t, skipped, memory, 0, table), self._host.values))

    def reset(self, values: Values) -> None:
        """Go back to the start: progress and state, which may start at a hyperparameter. Parameters stay."""
        self.restore(*self.start(values))

    def start(self, values: Values) -> tuple[Snapshot, list[tuple[Any, Any]]]:
        """Return the progress at the start, and the pairs of an array of the state and its numbers then."""
        started = self._started(self.params, values)
        pairs = [(self.slots[name][key], x) for name, own in started.items() for key, x in own.items()]
        return Snapshot(0, 0, [self.program.memory() for _ in self.memory]), pairs

    def snapshot(self) -> Snapshot:
        """Return the progress; arrays are in :attr:`params` and :attr:`slots`.

        Raises
        ------
        InUseError
            When it is asked for, by a signal handler, while arrays are being written one after the other.
        """
        self.check_whole()
        return Snapshot(self.t, self.skipped, [dict(own) for own in self.memory], self.own)

    def restore(self, snapshot: Snapshot, arrays: Iterable[tuple[Any, Any]] = ()) -> None:
        """Take a progress, and into each first array of ``arrays`` the numbers of the second.

        An interrupt in the midst of it is raised when all of it is done.
        """
        pairs = list(arrays)
        cohorts, memory = self._sorted_out(snapshot.memory, snapshot.own)
        now = snapshot.t, snapshot.skipped, memory, 0, None
        new: Mapping[str, Any] = {}
        if cohorts != self._cohorts:  # there will be other rows of scalars
            new = self._taken(self.params, now, self._host.values, cohorts)

        def act() -> None:
            for x, numbers in pairs:
                if x is not numbers:
                    put(x, numbers) if isinstance(numbers, np.ndarray) else x.__setitem__(..., numbers)
            self.__dict__.update(new)
            self._next = self._now = *now[:3], self._engine.applied, None
            self._torn = False

        try:
            self._torn = True
            act()
        except BaseException:
            try:
                act()
            finally:
                self._torn = False
            raise

    def __deepcopy__(self, memo: dict[int, Any]) -> "Step":
        """Return a step of copies of the parameters, with copies of the state: it goes on as this one would."""
        now, (kind, threads, diagnostics) = self.snapshot(), self._engine_options
        made = type(self)(
            self.program,
            {name: deepcopy(x, memo) for name, x in zip(self.names, self.params, strict=True)},
            self._host.values,
            groups=self.groups,
            precision=self.precision,
            engine=kind,
            threads=threads,
            diagnostics=diagnostics,
        )
        made.restore(now, [(made.slots[name][key], x) for name, own in self.slots.items() for key, x in own.items()])
        return made

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise GradstepTypeError(
            "a step of parameters in place cannot be pickled, for they are arrays that somebody else holds too; save "
            "parameters and state, and make it again there."
        )

    def check_inputs(self, given: Iterable[str]) -> None:
        """Refuse arrays that no stage asks for, and demand those that one does; see :meth:`Program.check_inputs`."""
        self.program.check_inputs(given)

    @property
    def inputs(self) -> Iterable[str]:
        """The names of the arrays that stages ask for beside the gradient."""
        return self.program.inputs

    @property
    def takes(self) -> Iterable[str]:
        """The names of the numbers that stages take with each step."""
        return self.program.takes

    @property
    def t(self) -> int:
        """Updates made."""
        return self._now[0]

    @property
    def skipped(self) -> int:
        """Steps that did not happen because of a non-finite gradient."""
        return self._now[1]

    @property
    def memory(self) -> Memory:
        """The host's numbers of each group."""
        return self._cohorts.shared(self.program, self._now[2])

    @property
    def own(self) -> dict[str, Own]:
        """Parameters that have numbers of their own, by name."""
        return self._cohorts.own(self.program, self.names, self.groups, self._now[2])

    @property
    def began(self) -> dict[str, dict[str, int]]:
        """For each parameter the t at which its state began, of each stage: 0, unless it was started anew."""
        zeros = {part.label: 0 for part in self.program.parts}
        return {name: zeros | dict(self._cohorts.since.get(name, {})) for name in self.names}

    @property
    def progress(self) -> Any:
        """An object that is another one after each update, skip or restore."""
        return self._now

    @property
    def kind(self) -> str:
        """``"compiled"``, ``"eager"`` or ``"cuda"``."""
        return self._engine.kind

    @property
    def clipped(self) -> bool:
        """True where a stage that bounds a norm made gradients of the last update shorter."""
        parts = [
            (k, part.rule.numbers.index(part.rule.clips))
            for k, part in enumerate(self.program.parts)
            if part.rule.clips
        ]
        return any(row[k][i] < 1.0 for row in self._now[4] or () for k, i in parts)

    def diagnostics(self, labels: Sequence[str]) -> Diagnostics | None:
        """Return the norms of the last update, for each group under its label; None before the first."""
        self.check_whole()
        found = self.metered()
        return None if found is None else summed(*found, self.groups, labels, self.params)

    def metered(self) -> tuple[Columns, Ranges] | None:
        """Return the sums of the last update, and where each parameter's stand; None before the first."""
        return None if self._engine.applied == 0 or self._now[4] is None else self._engine.metered()

    def averaged(self, values: Callable[[], Values]) -> list[Any] | None:
        """Return copies of the averaged parameters that a stage such as :func:`gradstep.ema` keeps; None without.

        ``values`` gives those of the last update; it is asked where the average is read with scalars.
        """
        self.check_whole()
        reading = [k for k, part in enumerate(self.program.parts) if part.rule.read is not None]
        if not reading:
            return None
        k = reading[-1]
        part, keys = self.program.parts[k], self.program.keys[k]
        groups = values() if part.rule.reads_scalars and self.t else [{}] * len(self.memory)
        hyper = [{key: own[flat] for key, flat in keys.items() if own} for own in groups]
        memory = [{key: own[f"{part.label}.{key}"] for key in part.rule.memory} for own in self._now[2]]

        def read(x: Tensor, cohort: int) -> Any:
            slots = [as_reals(y) for y in x.slots[k]]
            group, began = self._cohorts.each[cohort]
            shown = part.rule.shown(as_reals(x.value), slots, self.t - began[k], hyper[group], memory[cohort])
            return copied(as_stored(shown, x.value))

        return [read(x, cohort) for x, cohort in zip(self._tensors, self._cohorts.of, strict=True)]

    def _started(self, leaves: Sequence[Any], values: Values) -> dict[str, dict[str, Any]]:
        return {
            name: stored_slots(self.program, self.precision, name, x, values[group])
            for name, x, group in zip(self.names, leaves, self.groups, strict=True)
        }

    def _sorted_out(self, memory: Memory, own: Mapping[str, Own]) -> tuple[Cohorts, Numbers]:
        return Cohorts.sorted_out(self.program, self.names, self.groups, memory, own)

    def _taken(self, leaves: list[Any], now: _Now, values: Values, cohorts: Cohorts | None = None) -> dict[str, Any]:
        """Return all attributes that depend on where parameters lie and on their cohorts; they change at once."""
        new = self._made_for(self.program, leaves, now, cohorts or self._cohorts)
        if cohorts is not None:
            new |= self._hosted(self.program, values, cohorts, new["_tensors"])
        return new | {"_gathering": self._part(self.__dict__ | new, now, values)}

    def _made_for(self, program: Program, leaves: list[Any], now: _Now, cohorts: Cohorts) -> dict[str, Any]:
        """Return the attributes that depend on where parameters lie, for a program."""
        each = zip(self.names, leaves, cohorts.of, strict=True)
        tensors: list[Tensor] = [
            tensor(program, self.precision, name, x, self.slots[name], k if program.over_tensor else cohort)
            for k, (name, x, cohort) in enumerate(each)
        ]
        kind, threads, diagnostics = self._engine_options
        diagnostics = diagnostics and program is self.program
        engine = engines.make(kind, program, tensors, threads, self.precision.seed, is_metered=diagnostics)
        if len(self._others):
            engine.keep_apart(self._others)
        pins = [weakref.ref(x) for x in leaves if isinstance(x, np.ndarray)]  # ndarray.resize refuses such arrays
        own = {"params": leaves, "_tensors": tensors, "_fit": Fit(tensors), "_engine": engine, "_pins": pins}
        return own | {"_cohorts": cohorts, "_torn": False, "_next": now, "_now": now}

    @staticmethod
    def _hosted(program: Program, values: Values, cohorts: Cohorts, tensors: Sequence[Tensor]) -> dict[str, Any]:
        """Return the host of a program, which is ready for no values yet."""
        each = [(group, began[: len(program.parts)]) for group, began in cohorts.each]
        rows = list(cohorts.of if program.over_tensor else range(len(each)))
        return {"_host": Host(program, values, rows, extremes({x.dtype for x in tensors}), each), "_values": None}

    def _part(self, new: Mapping[str, Any], now: _Now, values: Values) -> "Step | None":
        """Return a step of the stages that gather gradients, over the same arrays, where there are such."""
        program, cohorts = self.program.gathering, new["_cohorts"]
        if program is None:
            return None
        part = object.__new__(Step)
        part.__dict__.update({**new, **self._made_for(program, new["params"], now, cohorts)})
        part.__dict__.update(self._hosted(program, values, cohorts, part._tensors))
        part.program, part._gathering, part._began, part._began_at = program, None, None, None
        return part

    def _refresh(self, values: Values) -> None:
        self._values = None  # if it fails, the host is ready for none
        self._host.refresh(values)
        self._values = values

    def recover(self) -> None:
        """Finish what is half written, and count what the engine has made, where an interrupt came before that."""
        self._engine.finish()
        if self._engine.applied == self._next[3]:
            self._now = self._next
        part = self._gathering
        if part is not None and part._began_at is self._now:
            part.recover()
            if part._now is not part._began:
                t, _, _, applied, table = self._now
                self._next = self._now = t, part.skipped, part._now[2], applied, table

    def check_whole(self) -> None:
        """Make sure that arrays and progress are of one update, also within a signal handler."""
        part = self._gathering
        if self._torn or self._engine.is_writing or (part is not None and part._engine.is_writing):
            raise still_writing()
        self.recover()

    def _bad_gradient(self, grads: Sequence[Any]) -> NonFiniteError:
        """Return the error for the first gradient that is bad, where one is."""
        error = self.first_bad(grads)
        assert error is not None, "a gradient was bad, and is good now; did another thread write it?"  # noqa: S101
        return error


def still_writing() -> InUseError:
    """Return the error for who wants all arrays of one update while some are written."""
    return InUseError(
        "parameters and state are being written just now, one array after the other; ask again when the step has "
        "returned."
    )


def choose_nonfinite(value: str) -> None:
    """Refuse an unknown policy for non-finite gradients."""
    if value not in ("raise", "skip", "ignore"):
        raise GradstepValueError(f'on_nonfinite must be "raise", "skip" or "ignore", not {value!r}.')


def _measures_nothing(_part: int, _table: list[Row]) -> Sums:
    raise AssertionError("only a program that reduces measures")
