"""The optimizer that holds its parameters: ``opt = gs.Optimizer(params, "adam", lr=1e-3); opt.step(grads)``."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from gradstep.array.namespaces import copied, duplicate, namespace, one_number, to_numpy
from gradstep.conventions import stage_of
from gradstep.engine.cpu.threads import checked_threads
from gradstep.engine.meters import Diagnostics
from gradstep.errors import (
    GradstepTypeError,
    GradstepValueError,
    NonFiniteError,
    NotKeptError,
)
from gradstep.form.chain import program
from gradstep.form.hyper import Hyper, HyperView
from gradstep.form.rule import Rule, Stage
from gradstep.locks import refuse_reentry
from gradstep.naming import html_table
from gradstep.step import Own, Snapshot, joint_step
from gradstep.step.face import Face, read_only
from gradstep.step.groups import GroupValues, assign
from gradstep.step.precision import Precision

if TYPE_CHECKING:
    from gradstep.checkpoint import Checkpoint, Parts, Rng
    from gradstep.files import AnyPath


class _Own:
    """Stands for the gradients that an optimizer holds itself."""

    def __repr__(self) -> str:
        return "opt.grads"


_OWN: Any = _Own()
SHOWN = 20  # arrays in a notebook


class Optimizer(Face):
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
        A rule as the value, ``{"*.bias": gs.adam(lr=1e-3)}``, takes the place of ``rule`` there; each rule sees the
        parameters that it updates, and no others: a norm over all gradients is over those.
    on_nonfinite
        What to do about a gradient with NaN, an infinity or a number too large for the rule: ``"raise"``, ``"skip"``
        (the step does not happen; ``opt.skipped`` counts it) or ``"ignore"`` (no look at them; where a stage takes a
        norm, one that is not finite is refused all the same). All or nothing, never half a step.
    engine
        ``"auto"``, ``"compiled"`` (NumPy and llvmlite) or ``"eager"``. The result is the same, bit for bit. ``"cuda"``:
        arrays on a device, contiguous; proved off the device and not yet run on one, see docs/gpu.md.
    threads
        The most threads that a step of the compiled engine may use, the caller's among them; None: as
        :func:`gradstep.set_threads` says. Small steps use one. The result is the same, bit for bit.
    state_dtype
        How the rule's state is stored where that is not the dtype of the computation: ``"bfloat16"``, or ``"8bit"``,
        blocks of 256 numbers that share a scale (about two bytes a parameter for Adam). For NumPy arrays, and with
        ``engine="cuda"`` those of a device, that are computed in float32. It is rounded stochastically, from the
        seed, the update, the parameter's name and the place in it alone.
    master
        Whether 16-bit parameters have a float32 copy in the state, ``opt.state["w"]["master"]``, which takes the
        updates. A number of the parameter that is set in place counts: the copy takes it up in the next step.
    rounding
        Of 16-bit parameters without such a copy: ``"nearest"``, half to even, or ``"stochastic"``.
    seed
        Of the bits that round stochastically, and of what stages such as :func:`gradstep.gradient_noise` draw.
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
    groups
        Each group's own by its pattern: ``opt.groups["*.bias"]["lr"] = 1e-4``, likewise.

    Raises
    ------
    GradstepValueError
        For unknown names, values out of range, read-only or overlapping arrays; in a step, for a parameter that has
        been replaced in ``params`` by another array.
    GradstepTypeError
        For what is no array, immutable arrays, and dtypes that cannot be optimized.
    NonFiniteError
        When a parameter is NaN or infinite.
    InUseError
        When a step is made, or the optimizer changed, within its own step: by a schedule, a callback, a finalizer or a
        signal handler. To save it there works, unless arrays are just being written one after the other.

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
        self.on_nonfinite = on_nonfinite
        if not isinstance(diagnostics, bool):
            raise GradstepTypeError(f"diagnostics must be True or False, not {diagnostics!r}.")
        self._options: dict[str, Any] = {
            "engine": engine,
            "threads": checked_threads(threads),
            "diagnostics": diagnostics,
        }
        precision = Precision(state_dtype, master, rounding, seed)
        self._stage = stage_of(rule, hyper)
        made = program(self._stage)
        self._hold(params)
        self._groups = assign(groups, self._nest.names, made)
        self._hyper = HyperView(made.hyper, made.domains)
        self._values = GroupValues(self._groups, self._hyper)
        self._active = [k for k, group in enumerate(self._groups.of) if group is not None]
        self._step = joint_step(
            [(rule, self._groups.used[rule]) for rule in self._groups.rules or [""]],
            {self._nest.names[k]: self._leaves[k] for k in self._active},
            self._values.at(0),
            [group for group in self._groups.of if group is not None],
            precision=precision,
            **self._options,
        )
        self._takes = frozenset(self._step.takes)
        self._takes_inputs = bool(self._step.inputs) or bool(self._takes)
        self._lock = self._step.lock
        self._state = read_only(self._step.slots)
        self._asked: tuple[Any, list[Any]] | None = None  # the point last asked for, until it is answered
        _import_checkpoints()

    def step(self, grads: Any = _OWN, *, loss: Any = None, **inputs: Any) -> None:
        """Update all parameters in place.

        Parameters
        ----------
        grads
            Gradients: a nest like the parameters, or a dict by dotted name; shapes and dtypes like the parameters, or
            :func:`gradstep.rows` where only some rows have one. Left out: those in :attr:`grads`.
        loss
            The loss at the parameters, a number: for rules that take it, such as ``gs.polyak``; others leave it alone.
        **inputs
            What else a rule takes beside the gradient: nests of arrays, ``curvature=h``.

        Raises
        ------
        NonFiniteError
            When a gradient is not finite or too large for the rule (``on_nonfinite="raise"``); names the first.
        GradstepValueError, GradstepTypeError
            When the nest, a shape or a dtype does not fit. Whatever is raised, nothing has been changed.
        InUseError
            When it is called within a step of this optimizer.
        """
        lock = self._lock
        if lock._is_owned():
            refuse_reentry(lock, "opt.step")
        with lock:
            self._update(grads, loss, inputs)

    def _update(self, grads: Any, loss: Any, inputs: dict[str, Any]) -> None:
        """Make one update; the lock is held."""
        tree = self._written() if grads is _OWN else grads
        leaves = self._nest.root.pick(tree)
        if leaves is None:  # no nest just like the parameters'
            leaves = self._nest.leaves(tree, "gradients")
        if len(self._active) < len(leaves):
            leaves = tuple([leaves[k] for k in self._active])
        if not self._same():
            self._refuse_replaced()
        values = self._values.at(self._step.t)
        if inputs or self._takes_inputs:
            self._step.with_inputs(leaves, values, self._on_nonfinite, *self._extras(loss, inputs))
            return
        self._step(leaves, values, self._on_nonfinite)

    def _extras(self, loss: Any, inputs: dict[str, Any]) -> tuple[dict[str, list[Any]], dict[str, float]]:
        """Return what comes beside the gradients: arrays in order without those of frozen parameters, and numbers."""
        if loss is not None and "loss" in self._takes:
            inputs = {**inputs, "loss": loss}
        self._step.check_inputs(inputs)
        taken = {name: one_number(name, inputs[name]) for name in self._step.takes}
        arrays = {name: self._nest.leaves(nest, name) for name, nest in inputs.items() if name not in taken}
        return {name: [own[k] for k in self._active] for name, own in arrays.items()}, taken

    def ask(self) -> Any:
        """Return the point at which gradients are wanted: a nest like the parameters of copies, the caller's own.

        To ask changes nothing that is saved, and to ask again gives the same. See :meth:`tell`.
        """
        with self._lock:
            self._refuse_replaced()
            self._asked = self._step.progress, [copied(x) for x in self._leaves]
            return self._nest.build([duplicate(x) for x in self._leaves])

    def tell(self, grads: Any, *, t: int | None = None, loss: Any = None, **inputs: Any) -> None:
        """Make a step with gradients at the point last asked for, which is answered with it.

        Parameters
        ----------
        grads
            As for :meth:`step`.
        t
            What :attr:`t` was when the point was asked for: an answer that comes too late is refused.
        loss, **inputs
            As for :meth:`step`.

        Raises
        ------
        GradstepValueError
            When no point has been asked for since the last answer, step, restore or reset, when ``t`` is another one's,
            and when a parameter has been changed since.
        NonFiniteError, GradstepValueError, GradstepTypeError
            As :meth:`step` does. Whatever is raised, nothing has been changed, and the point can still be answered.
        """
        refuse_reentry(self._lock, "opt.tell")
        with self._lock:
            if t is not None and t != self.t:
                raise GradstepValueError(f"tell: gradients for t = {t} are too late at t = {self.t}; drop them.")
            asked = self._asked
            if asked is None or asked[0] is not self._step.progress:
                raise GradstepValueError(f"tell: nothing has been asked for at t = {self.t}; call opt.ask() first.")
            for k in self._active:
                if not np.array_equal(to_numpy(self._leaves[k]), to_numpy(asked[1][k]), equal_nan=True):
                    name = self._nest.names[k]
                    raise GradstepValueError(f"tell: parameter {name!r} has been changed since opt.ask(); ask again.")
            self._update(grads, loss, inputs)
            self._asked = None

    def fitting(self, grads: Any) -> list[Any]:
        """Return the gradients that :meth:`step` would take, in order, without those of frozen parameters.

        Raises
        ------
        GradstepValueError, GradstepTypeError
            When the nest, a shape or a dtype does not fit.
        """
        leaves = self._nest.leaves(grads, "gradients")
        own = [leaves[k] for k in self._active]
        self._step.check(own)
        return own

    def look(self, grads: Any) -> NonFiniteError | None:
        """Return the error that :meth:`step` would raise for these gradients' numbers; None where they are good."""
        return self._step.first_bad(self.fitting(grads))

    def rehearse(self, grads: Any, *, loss: Any = None, **inputs: Any) -> None:
        """Do all of :meth:`step` but the update: its errors, and no change. ``on_nonfinite="skip"`` raises them too."""
        refuse_reentry(self._lock, "opt.rehearse")
        with self._lock:
            own = self.fitting(grads)
            self._step.rehearse(own, self._values.at(self.t), self._on_nonfinite, *self._extras(loss, inputs))

    @property
    def began(self) -> dict[str, dict[str, int]]:
        """For each parameter that is not frozen the :attr:`t` at which its state began, of each stage of the chain.

        It is 0, unless :meth:`restore` has started it anew: ``opt.t - opt.began["layer.w"]["adam"]`` updates are
        counted for Adam's averages of ``layer.w``.
        """
        return self._step.began

    @property
    def clipped(self) -> bool:
        """True where a stage that bounds a norm made gradients of the last step shorter."""
        return self._step.clipped

    @property
    def grads(self) -> Any:
        """A nest like the parameters of arrays to write gradients into, zero at first; ``opt.step()`` takes them.

        They are made when first asked for, and stay where they are: no step has to look for them. A step leaves their
        numbers as they are; :meth:`zero_grad` sets them to zero.
        """
        own = self.__dict__
        if "_grads" not in own:
            own.setdefault("_grads", self._nest.build([_zeros_like(x) for x in self._leaves]))  # the first one stays
        return own["_grads"]

    def zero_grad(self) -> None:
        """Set all of :attr:`grads` to zero. A step does not: gradients that are added up go on from what is there."""
        refuse_reentry(self._lock, "opt.zero_grad")
        with self._lock:
            for x in self._nest.leaves(self.grads, "opt.grads"):
                x[...] = 0

    def _written(self) -> Any:
        """Return :attr:`grads` for a step; refuse those that nobody has asked for, for they are all zero."""
        if "_grads" not in self.__dict__:
            raise GradstepValueError(
                "opt.step() without gradients takes those in opt.grads, and nothing was written there; hand them in: "
                "opt.step(grads)."
            )
        return self.grads

    @property
    def engine(self) -> str:
        """``"compiled"``, ``"eager"`` or ``"cuda"``."""
        return self._step.kind

    @property
    def diagnostics(self) -> Diagnostics | None:
        """Norms of the last step that was made; None before the first.

        Raises
        ------
        GradstepValueError
            When it was not asked for.
        """
        if not self._options["diagnostics"]:
            raise NotKeptError(f"{self!r} keeps no diagnostics; make it with diagnostics=True.")
        with self._lock:
            return self._step.diagnostics(self._groups.labels)

    def averaged(self) -> Any:
        """Return the averaged parameters that a stage such as :func:`gradstep.ema` keeps: a nest of new arrays.

        Raises
        ------
        GradstepValueError
            When no stage keeps an average.
        """
        with self._lock:
            self._refuse_replaced()
            averages = self._step.averaged(lambda: self._values.at(self.t - 1))
            if averages is None:
                raise GradstepValueError(f"{self!r} keeps no average; add one: gs.chain(..., gs.ema(decay=0.999)).")
            out = [copied(x) for x in self._leaves]
        for k, x in zip(self._active, averages, strict=True):
            out[k] = x
        return self._nest.build(out)

    def reset(self) -> None:
        """Forget all steps: t, skipped and the state are as at the start; parameters stay where they are."""
        refuse_reentry(self._lock, "opt.reset")
        with self._lock:
            self._step.reset(self._values.at(0))

    def save(self, path: "AnyPath", *, extra: Any = None, rng: "Rng | None" = None, keep: int = 1) -> None:
        """Write all that the next steps depend on into a file, which is the old one or the new one but never between.

        A signal handler may call it at any time, also within a step.

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
        InUseError
            When a signal handler calls it while arrays are being written one after the other.
        """
        from gradstep.checkpoint import as_saved, user_metadata, write

        with self._lock:
            self._refuse_replaced()
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
            storage. If not, what both have is taken by name: of a model that has grown, was frozen in part, has a stage
            more in its chain, or another dtype. State that the file does not have starts anew and counts its own
            updates (:attr:`began`). Shapes of parameters must fit all the same, and some stage must be in both chains.
        hyper
            Whether the hyperparameters are taken too, schedules among them. A plain function as schedule is not in the
            file; it must be the one of that name that this optimizer was made with.
        rng
            What was saved as ``rng``: the generators are put into their saved states.

        Returns
        -------
        Checkpoint
            What is in the file; ``anew`` and ``converted`` say what was not simply taken.

        Raises
        ------
        CheckpointError
            When the file is damaged or of a later format, or of another optimizer: the error says what differs, by
            name. Nothing has been changed.
        """
        from gradstep.checkpoint import load, plan

        found = load(path)
        refuse_reentry(self._lock, "opt.restore")
        with self._lock:
            self._refuse_replaced()
            return plan(self.parts(), found, path, strict=strict, hyper=hyper, rng=rng)()

    def parts(self) -> "Parts":
        """Return the pieces of this optimizer, for :mod:`gradstep.checkpoint`."""
        from gradstep.checkpoint import Parts

        def take(
            hyper: Mapping[str, Hyper],
            memory: Sequence[Mapping[str, float]],
            t: int,
            skipped: int,
            arrays: Sequence[tuple[Any, Any]] = (),
            own: Mapping[str, Own] = MappingProxyType({}),
        ) -> None:
            self._hyper.replace(hyper)
            self._step.restore(Snapshot(t, skipped, memory, own), arrays)

        params = dict(zip(self._nest.names, self._leaves, strict=True))
        now = self._step.snapshot()
        first = self._groups.program, self._groups, self._step.precision, params, self._step.slots, self._hyper.raw
        return Parts(*first, now.t, now.skipped, now.memory, take, self._lock, now.own)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Optimizer":
        """Return an optimizer of copies of the parameters, with copies of the state: it goes on as this one would."""
        with self._lock:
            self._refuse_replaced()
            now = self._step.snapshot()
            params = deepcopy(self._params, memo)
            own = self._step.precision
            groups = {**self._groups.given, **self._groups.stages}
            made = type(self)(
                params,
                self._stage,
                groups=groups or None,
                on_nonfinite=self._on_nonfinite,
                state_dtype=own.state,
                master=own.master,
                rounding=own.rounding,
                seed=own.seed,
                **self._options,
            )
            made._groups.take(self._groups.given)
            made._hyper.replace(self._hyper.raw)
            if "_grads" in self.__dict__:
                made.__dict__["_grads"] = deepcopy(self.grads, memo)
            pairs = [(made._step.slots[name][key], x) for name, y in self._step.slots.items() for key, x in y.items()]
            made._step.restore(now, pairs)
        return made

    def __copy__(self) -> "Optimizer":
        raise GradstepTypeError(
            "a shallow copy of an optimizer would step the same parameters with a count of its own; use copy.deepcopy, "
            "which copies parameters and state."
        )

    def __reduce_ex__(self, _protocol: Any) -> Any:
        raise GradstepTypeError(
            "an optimizer cannot be pickled: its parameters are arrays that somebody else holds too. Write it to a "
            "file with opt.save(path), and make one like it there: gs.Optimizer(...).restore(path)."
        )

    def __repr__(self) -> str:
        others = "".join(f", {own!r} for {pattern!r}" for pattern, own in self._groups.stages.items())
        n = len(self._leaves)
        return f"<Optimizer {self.stage!r}{others} of {n} array{'s' * (n != 1)}, t={self.t}, {self.engine}>"

    def _repr_html_(self) -> str:
        own = {f"rule for {pattern}": own for pattern, own in self._groups.stages.items()}
        named = zip(self._nest.names, self._leaves, strict=True)
        arrays = {f"array {name}": f"{tuple(x.shape)}, {x.dtype}" for name, x in named}
        shown = dict(list(arrays.items())[:SHOWN])
        more = {"more arrays": len(arrays) - SHOWN} if len(arrays) > SHOWN else {}
        return html_table({"rule": self.stage, **own, "updates made": self.t, "engine": self.engine, **shown, **more})


@cache  # at the interpreter's end nothing can be imported
def _import_checkpoints() -> None:
    """Import what saves: slow, so not with Gradstep; but before a handler that saves could interrupt the import."""
    import gradstep.checkpoint  # noqa: F401  # pyright: ignore[reportUnusedImport]


def _zeros_like(x: Any) -> Any:
    return namespace(x).zeros_like(x)
