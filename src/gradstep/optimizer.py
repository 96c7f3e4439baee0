"""The optimizer that holds its parameters: ``opt = gs.Optimizer(params, "adam", lr=1e-3); opt.step(grads)``."""

import weakref
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep import engine as engines
from gradstep.arrays import as_reals, as_stored, copied, duplicate, extremes, namespace, to_numpy
from gradstep.chain import Row, Sums, program
from gradstep.conventions import stage_of
from gradstep.diagnostics import Diagnostics, summed
from gradstep.engine.eager import within
from gradstep.engine.tensor import Fit, Tensor, bad_gradient
from gradstep.engine.threads import checked_threads
from gradstep.errors import (
    GradstepTypeError,
    GradstepValueError,
    NonFiniteError,
    NotKeptError,
    ScalarError,
)
from gradstep.functional import check_parameters, choose_nonfinite, start_slots
from gradstep.groups import assign
from gradstep.host import Host
from gradstep.hyper import Hyper, HyperView, at
from gradstep.locks import new_lock
from gradstep.memory import check_not_read_only, check_writable, packed
from gradstep.precision import Precision, stored_start
from gradstep.rule import Rule, Stage
from gradstep.storage import Layout
from gradstep.tree import flatten

if TYPE_CHECKING:
    from gradstep.checkpoint import Checkpoint, Parts, Rng
    from gradstep.files import AnyPath

_OWN: Any = object()  # stands for the gradients that an optimizer holds itself


class Optimizer:
    """Updates arrays in place.

    Parameters
    ----------
    params
        An array, or a nest of dicts, lists and tuples of arrays: NumPy's, or any that can be changed in place (torch,
        CuPy). float32, float64, complex64 or complex128, also 0-d, empty, strided; or float16 and bfloat16, which are
        computed in float32 and have float32 state. A dtype never changes.
    rule
        A rule's name (``"adam"``), or a stage (``gs.adam(lr=1e-3)``, ``gs.chain(...)``).
    groups
        Hyperparameters by name pattern: ``{"*.bias": {"weight_decay": 0.0}, "embed*": {"lr": gs.times(0.1)},
        "frozen*": "freeze"}``. Where several patterns match, later ones win. A frozen parameter needs no gradient.
    on_nonfinite
        What to do about a gradient with NaN, an infinity or a number too large for the rule: ``"raise"``, ``"skip"``
        (the step does not happen; ``opt.skipped`` counts it) or ``"ignore"`` (no look at them; where a stage takes a
        norm, one that is not finite is refused all the same). All or nothing, never half a step.
    engine
        ``"auto"``, ``"compiled"`` (NumPy and llvmlite) or ``"eager"``. The result is the same, bit for bit.
    threads
        The most threads that a step of the compiled engine may use, the caller's among them; None: as
        :func:`gradstep.set_threads` says. Small steps use one. The result is the same, bit for bit.
    state_dtype
        How the rule's state is stored where that is not the dtype of the computation: ``"bfloat16"``, or ``"8bit"``,
        blocks of 256 numbers that share a scale (about two bytes a parameter for Adam). For NumPy arrays that are
        computed in float32. It is rounded stochastically, from the seed, the update, the parameter's name and
        the place in it alone.
    master
        Whether 16-bit parameters have a float32 copy in the state, ``opt.state["w"]["master"]``, which takes the
        updates.
    rounding
        Of 16-bit parameters without such a copy: ``"nearest"``, half to even, or ``"stochastic"``.
    seed
        Of the bits that round stochastically.
    diagnostics
        Whether each step keeps norms, of gradients, update and parameters, for :attr:`diagnostics`.
    **hyper
        Hyperparameters of the rule of that name; any of them may be a schedule, a function of the updates made.

    Attributes
    ----------
    params
        The nest as it was handed in.
    t
        Updates made.
    skipped
        Steps that did not happen because of a non-finite gradient.
    state
        ``opt.state["layer.w"]["adam.m"]``: the arrays that the rule keeps, of the parameter's shape and dtype.
    hyper
        Hyperparameters by name; ``opt.hyper["beta1"] = 0.8`` changes one from the next step on.

    Raises
    ------
    GradstepValueError
        For unknown names, values out of range, read-only or overlapping arrays.
    GradstepTypeError
        For what is no array, immutable arrays, and dtypes that cannot be optimized.
    NonFiniteError
        When a parameter is NaN or infinite.

    Examples
    --------
    >>> import numpy as np, gradstep as gs
    >>> params = {"w": np.ones(3), "b": np.zeros(())}
    >>> opt = gs.Optimizer(params, "sgd", lr=0.5)
    >>> opt.step({"w": np.array([1.0, 0.0, -1.0]), "b": np.array(2.0)})
    >>> params["w"], params["b"]
    (array([0.5, 1. , 1.5]), array(-1.))
    """

    def __init__(
        self,
        params: Any,
        rule: str | Rule | Stage,
        *,
        groups: Mapping[str, Any] | None = None,
        on_nonfinite: str = "raise",
        engine: str = "auto",
        threads: int | None = None,
        state_dtype: str | None = None,
        master: bool = False,
        rounding: str = "nearest",
        seed: int = 0,
        diagnostics: bool = False,
        **hyper: Any,
    ) -> None:
        choose_nonfinite(on_nonfinite)
        threads = checked_threads(threads)
        if not isinstance(diagnostics, bool):
            raise GradstepTypeError(f"diagnostics must be True or False, not {diagnostics!r}.")
        self._is_metered = diagnostics
        self._precision = Precision(state_dtype, master, rounding, seed)
        self.stage = stage_of(rule, hyper)
        self.params = params
        self.on_nonfinite = on_nonfinite
        self._program = program(self.stage)
        self._nest, leaves = flatten(params)
        self._pick = self._nest.root.pick
        self._groups = assign(groups, self._nest.names, self._program)
        self._active = [k for k, group in enumerate(self._groups.of) if group is not None]
        self._frozen = len(self._active) < len(leaves)
        names = [self._nest.names[k] for k in self._active]
        check_parameters(names, [leaves[k] for k in self._active])
        check_writable(names, [leaves[k] for k in self._active])
        self._precision.check(names, [leaves[k] for k in self._active])
        self._leaves = leaves
        self.hyper = HyperView(self._program.hyper, self._program.domains)
        self._progress = _Progress([self._program.memory() for _ in self._groups.labels])
        self._slots = self._start()
        self.state: Mapping[str, Mapping[str, Any]] = MappingProxyType(
            {name: MappingProxyType(own) for name, own in self._slots.items()}
        )
        self._tensors = self._make_tensors()
        self._fit = Fit(self._tensors)
        self._pins = [weakref.ref(x) for x in self._fit.values if isinstance(x, np.ndarray)]  # so nobody resizes them
        self._groups_of = [group for group in self._groups.of if group is not None]
        self._rows = self._groups_of if self._program.over_tensor else list(range(len(self._groups.labels)))
        self._extremes = extremes({x.dtype for x in self._tensors})
        self._engine = engines.make(engine, self._program, self._tensors, threads, seed, is_metered=diagnostics)
        self._table: list[Row] = []  # the scalars of the last step
        self._made_host: Any = None
        self._host_version: int | None = None  # which hyperparameters it is made for; None: of one step alone
        self._lock = new_lock()
        self._asked: tuple[Any, list[Any]] | None = None  # the point last asked for, until it is answered

    def step(self, grads: Any = _OWN) -> None:
        """Update all parameters in place.

        Parameters
        ----------
        grads
            Gradients: a nest like the parameters, or a dict by dotted name; shapes and dtypes like the parameters.
            Left out: those in :attr:`grads`.

        Raises
        ------
        NonFiniteError
            When a gradient is not finite or too large for the rule (``on_nonfinite="raise"``); names the first.
        GradstepValueError, GradstepTypeError
            When the nest, a shape or a dtype does not fit. Whatever is raised, nothing has been changed.
        """
        with self._lock:
            self._step(grads)

    def _step(self, grads: Any) -> None:
        """:meth:`step` for who holds the lock."""
        tree = self.grads if grads is _OWN else grads
        leaves = self._pick(tree)
        if leaves is None:  # no nest just like the parameters'
            leaves = self._nest.leaves(tree, "gradients")
        if self._frozen:
            leaves = tuple([leaves[k] for k in self._active])
        guard = self.on_nonfinite != "ignore"
        try:
            if self._program.reduces or not self._at_once(leaves, guard):
                self._in_parts(leaves, guard)
        except BaseException:  # an interrupt in the midst of a step is raised when it is made
            self._progress.recover(self._engine.applied)
            self._engine.forget()
            raise

    def _at_once(self, grads: tuple[Any, ...], guard: bool) -> bool:
        """The step in one go, where everything is usual; else nothing has happened."""
        progress = self._progress
        t, memory, applied = progress.now
        try:
            host = self._made_host if self._host_version == self.hyper.version else self._host()
            table, memory = host.table(t + 1, memory, self._no_measure)
        except ScalarError:
            return False  # in parts, a bad gradient is found first
        progress.next = t + 1, memory, applied + 1
        if not self._engine.step(grads, table, t + 1, guard):
            return False
        progress.now = progress.next
        self._table = table
        return True

    def _in_parts(self, grads: Sequence[Any], guard: bool) -> None:
        """The step part by part, with every check and the words for what is wrong."""
        progress = self._progress
        try:
            table, memory = self._prepared(grads, guard)
        except NonFiniteError as error:
            if self.on_nonfinite != "skip" or isinstance(error, ScalarError):
                raise
            progress.skipped += 1
            return
        t, _, applied = progress.now
        progress.next = t + 1, memory, applied + 1
        self._engine.apply(table, t + 1)
        progress.now = progress.next
        self._table = table

    def _prepared(self, grads: Sequence[Any], guard: bool) -> tuple[list[Row], Sequence[dict[str, float]]]:
        """The scalars of the step, and the memory after it, when gradients are read and all is well."""
        engine = self._engine

        def measure(part: int, table: list[Row]) -> Sums:
            sums, good = engine.measure(part, table)
            if guard and not good:
                raise self._bad_gradient(grads)
            return sums

        if not engine.take(tuple(grads)):
            self._fit.check(grads)
            check_not_read_only(self._fit.names, self._fit.values)
            engine.load(grads)
        if guard and not self._program.reduces and not engine.look():
            raise self._bad_gradient(grads)
        t, memory, _ = self._progress.now
        return self._host().table(t + 1, memory, measure)

    def ask(self) -> Any:
        """The point at which gradients are wanted: a nest like the parameters of copies, the caller's own.

        To ask changes nothing that is saved, and to ask again gives the same. See :meth:`tell`.
        """
        with self._lock:
            self._asked = self._progress.now, [copied(x) for x in self._leaves]
            return self._nest.build([duplicate(x) for x in self._leaves])

    def tell(self, grads: Any, *, t: int | None = None) -> None:
        """:meth:`step` with gradients at the point last asked for, which is answered with it.

        Parameters
        ----------
        grads
            As for :meth:`step`.
        t
            What :attr:`t` was when the point was asked for: an answer that comes too late is refused.

        Raises
        ------
        GradstepValueError
            When no point has been asked for since the last answer, step, restore or reset, when ``t`` is another one's,
            and when a parameter has been changed since.
        NonFiniteError, GradstepValueError, GradstepTypeError
            As :meth:`step` does. Whatever is raised, nothing has been changed, and the point can still be answered.
        """
        with self._lock:
            if t is not None and t != self.t:
                raise GradstepValueError(f"tell: gradients for t = {t} are too late at t = {self.t}; drop them.")
            asked = self._asked
            if asked is None or asked[0] is not self._progress.now:
                raise GradstepValueError(f"tell: nothing has been asked for at t = {self.t}; call opt.ask() first.")
            for k in self._active:
                if not np.array_equal(to_numpy(self._leaves[k]), to_numpy(asked[1][k]), equal_nan=True):
                    name = self._nest.names[k]
                    raise GradstepValueError(f"tell: parameter {name!r} has been changed since opt.ask(); ask again.")
            self._step(grads)
            self._asked = None

    def fitting(self, grads: Any) -> list[Any]:
        """The gradients that :meth:`step` would take, in order, without those of frozen parameters.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            When the nest, a shape or a dtype does not fit.
        """
        leaves = self._nest.leaves(grads, "gradients")
        own = [leaves[k] for k in self._active]
        self._fit.check(own)
        return own

    def look(self, grads: Any) -> NonFiniteError | None:
        """What :meth:`step` would say of these gradients' numbers, or None where they are good; nothing is changed."""
        return self._first_bad(self.fitting(grads))

    def rehearse(self, grads: Any) -> None:
        """All of :meth:`step` but the update: its errors, and no change. ``on_nonfinite="skip"`` raises them too."""
        with self._lock:
            try:
                self._prepared(self.fitting(grads), self.on_nonfinite != "ignore")
            finally:
                self._engine.forget()

    @property
    def t(self) -> int:
        """Updates made."""
        return self._progress.now[0]

    @property
    def skipped(self) -> int:
        """Steps that did not happen because of a non-finite gradient."""
        return self._progress.skipped

    @property
    def clipped(self) -> bool:
        """Whether a stage that bounds a norm made gradients of the last step shorter."""
        parts = [
            (k, part.rule.numbers.index("factor"))
            for k, part in enumerate(self._program.parts)
            if part.rule.bounds and part.rule.measure
        ]
        return any(row[k][i] < 1.0 for row in self._table for k, i in parts)

    @property
    def grads(self) -> Any:
        """A nest like the parameters of arrays to write gradients into, zero at first; ``opt.step()`` takes them.

        They are made when first asked for, and stay where they are: no step has to look for them.
        """
        own = self.__dict__
        if "_grads" not in own:
            own.setdefault("_grads", self._nest.build([_zeros_like(x) for x in self._leaves]))  # the first one stays
        return own["_grads"]

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "lr" and name in self.__dict__.get("hyper", ()):
            raise GradstepTypeError(f"set a hyperparameter by opt.hyper[{name!r}] = {value!r}.")
        super().__setattr__(name, value)

    @property
    def lr(self) -> float:
        """The learning rate of the next step. ``opt.lr = 1e-4`` sets it, unless it follows a schedule."""
        if "lr" not in self.hyper:
            raise AttributeError(f"{self!r} has no shared lr; its hyperparameters are {', '.join(self.hyper)}.")
        return at(self.hyper["lr"], "lr", self.t, "optimizer")

    @lr.setter
    def lr(self, value: Any) -> None:
        self.hyper["lr"] = value

    @property
    def engine(self) -> str:
        """``"compiled"`` or ``"eager"``."""
        return self._engine.kind

    @property
    def diagnostics(self) -> Diagnostics | None:
        """Norms of the last step that was made; None before the first.

        Raises
        ------
        GradstepValueError
            When it was not asked for.
        """
        if not self._is_metered:
            raise NotKeptError(f"{self!r} keeps no diagnostics; make it with diagnostics=True.")
        with self._lock:
            if self._progress.now[2] == self._progress.since:
                return None
            columns, ranges = self._engine.metered()
        return summed(columns, ranges, self._groups_of, self._groups.labels)

    def averaged(self) -> Any:
        """The averaged parameters that a stage such as :func:`gradstep.ema` keeps: a nest of new arrays.

        Raises
        ------
        GradstepValueError
            When no stage keeps an average.
        """
        reading = [k for k, part in enumerate(self._program.parts) if part.rule.read is not None]
        if not reading:
            raise GradstepValueError(f"{self!r} keeps no average; add one: gs.chain(..., gs.ema(decay=0.999)).")
        part, read = reading[-1], self._program.parts[reading[-1]].rule.read
        assert read is not None  # noqa: S101 - just looked for
        out = [copied(x) for x in self._leaves]
        for k, x in zip(self._active, self._tensors, strict=True):
            out[k] = copied(as_stored(read(as_reals(x.value), *map(as_reals, x.slots[part])), x.value))
        return self._nest.build(out)

    def reset(self) -> None:
        """Forget all steps: t, skipped and the state are as at the start; parameters stay where they are."""
        with self._lock:
            for name, own in self._start().items():
                for key, x in own.items():
                    if key != "master":  # which is the parameter, in more bits
                        self._slots[name][key][...] = x
            memory = [self._program.memory() for _ in self._groups.labels]
            self._progress = _Progress(memory, self._engine.applied)

    def save(self, path: "AnyPath", *, extra: Any = None, rng: "Rng | None" = None, keep: int = 1) -> None:
        """Write all that the next steps depend on into a file, which is the old one or the new one but never between.

        Parameters
        ----------
        path
            Of the file (``run.safetensors``): safetensors' layout, which other libraries read.
        extra
            Anything of your own that JSON knows; ``opt.restore`` and ``gs.load`` give it back (tuples as lists).
        rng
            Your random generator, or a dict of several by name: their states are saved too.
        keep
            How many files are kept: the one before is ``run.1.safetensors``.

        Raises
        ------
        GradstepTypeError, GradstepValueError
            For frozen parameters that are no numbers, and for what JSON does not know.
        OSError
            When the system refuses something (a full disk); the old file is as it was.
        """
        from gradstep.checkpoint import as_saved, user_metadata, write  # slow to import, and not everybody saves

        with self._lock:
            arrays, manifest = as_saved(self.parts())
            write(path, arrays, manifest | user_metadata(extra, rng), keep)

    def restore(
        self, path: "AnyPath", *, strict: bool = True, hyper: bool = True, rng: "Rng | None" = None
    ) -> "Checkpoint":
        """Take parameters, state, t and all else from a file; the next step is that of the optimizer that was saved.

        Parameters
        ----------
        path
            A file that :meth:`save` wrote.
        strict
            Whether every parameter and state of either side must be on the other, with the same rule, groups and
            storage. If not, what both have is taken by name, and the rest stays as it is; shapes, dtypes and the rule
            must fit all the same.
        hyper
            Whether the hyperparameters are taken too, schedules among them. A plain function as schedule is not in the
            file; it must be the one of that name that this optimizer was made with.
        rng
            What was saved as ``rng``: the generators are put into their saved states.

        Returns
        -------
        Checkpoint
            What is in the file.

        Raises
        ------
        CheckpointError
            When the file is damaged or of a later format, or of another optimizer: the error says what differs, by
            name. Nothing has been changed.
        """
        from gradstep.checkpoint import load, plan

        found = load(path)
        with self._lock:
            plan(self.parts(), found, path, strict=strict, hyper=hyper, rng=rng)()
        return found

    def parts(self) -> "Parts":
        """What this optimizer is made of, for :mod:`gradstep.checkpoint`."""
        from gradstep.checkpoint import Parts

        def take(hyper: Mapping[str, Hyper], memory: Sequence[Mapping[str, float]], t: int, skipped: int) -> None:
            self.hyper.replace(hyper)
            self._progress = _Progress([dict(own) for own in memory], self._engine.applied, t, skipped)

        params = dict(zip(self._nest.names, self._leaves, strict=True))
        now = self.t, self.skipped, self._progress.memory
        own = self._program, self._groups, self._precision
        return Parts(*own, params, self._slots, self.hyper.raw, *now, take, self._lock)

    def __repr__(self) -> str:
        return f"<Optimizer {self.stage!r} of {len(self._leaves)} arrays, t={self.t}, {self._engine.kind}>"

    def _host(self) -> Host:
        """What computes the scalars; it is made anew where a hyperparameter has changed or follows a schedule."""
        if self._host_version != self.hyper.version:
            values = self._groups.values(self._program, self.hyper.raw, self.t)
            self._made_host = Host(self._program, values, self._rows, self._extremes)
            self._host_version = None if self._groups.scheduled(self.hyper.raw) else self.hyper.version
        return self._made_host

    def _bad_gradient(self, grads: Sequence[Any]) -> NonFiniteError:
        """The error for the first gradient that is bad, where one is."""
        error = self._first_bad(grads)
        assert error is not None, "a gradient was bad, and is good now; did another thread write it?"  # noqa: S101
        return error

    def _first_bad(self, grads: Sequence[Any]) -> NonFiniteError | None:
        for x, g in zip(self._tensors, grads, strict=True):
            limit = self._program.limit_in(x.dtype)
            if not within(g, limit):
                return bad_gradient(x.name, g, limit)
        return None

    @staticmethod
    def _no_measure(_part: int, _table: list[Row]) -> Sums:
        raise AssertionError("only a program that reduces measures")

    def _start(self) -> dict[str, dict[str, Any]]:
        values = self._groups.values(self._program, self.hyper.raw, 0)
        out: dict[str, dict[str, Any]] = {}
        for k in self._active:
            group = self._groups.of[k]
            assert group is not None  # noqa: S101 - active
            name = self._nest.names[k]
            x = self._leaves[k]
            start = start_slots(self._program, name, x, values[group], for_copies=True)
            own = start if self._precision.is_default else stored_start(self._layout(name, x), x, start)
            if all(isinstance(y, np.ndarray) for y in own.values()):
                own = dict(zip(own, packed(list(own.values())), strict=True))
            out[name] = own
        return out

    def _make_tensors(self) -> list[Tensor]:
        out: list[Tensor] = []
        for at_row, k in enumerate(self._active):
            name, group = self._nest.names[k], self._groups.of[k]
            assert group is not None  # noqa: S101 - active
            slots = tuple(tuple(self._slots[name][key] for key in keys) for keys in self._program.slots)
            row = at_row if self._program.over_tensor else group
            if self._precision.is_default:
                out.append(Tensor(name, self._leaves[k], slots, row))
            else:
                own, layout = self._slots[name], self._layout(name, self._leaves[k])
                scales = [own[f"{key}.scale"] for keys in self._program.slots for key in keys if f"{key}.scale" in own]
                out.append(Tensor(name, self._leaves[k], slots, row, layout, tuple(scales), own.get("master")))
        return out

    def _layout(self, name: str, x: Any) -> Layout:
        return self._precision.layout(x, name, self._program)


class _Progress:
    """What changes from step to step besides arrays: t, the host's memory, the steps that the engine has made.

    ``since`` is how many steps it had made at the beginning, before the first of these.

    All three change at once, by one assignment; ``next`` is what they will be when the step at hand is made.
    """

    __slots__ = ("next", "now", "since", "skipped")

    def __init__(self, memory: Sequence[dict[str, float]], applied: int = 0, t: int = 0, skipped: int = 0) -> None:
        self.now: tuple[int, Sequence[dict[str, float]], int] = (t, memory, applied)
        self.next: tuple[int, Sequence[dict[str, float]], int] = self.now
        self.since = applied
        self.skipped = skipped

    @property
    def memory(self) -> Sequence[dict[str, float]]:
        return self.now[1]

    def recover(self, applied: int) -> None:
        """After an interrupt: go on to ``next`` if the engine has made that step."""
        if applied == self.next[2]:
            self.now = self.next


def _zeros_like(x: Any) -> Any:
    return namespace(x).zeros_like(x)
