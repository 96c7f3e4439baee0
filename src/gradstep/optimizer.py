"""The optimizer that holds its parameters: ``opt = gs.Optimizer(params, "adam", lr=1e-3); opt.step(grads)``."""

import threading
from collections.abc import Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

from gradstep import engine as engines
from gradstep.arrays import as_complex, as_reals, copied
from gradstep.chain import program
from gradstep.engine.tensor import Tensor, bad_gradient, check_gradients
from gradstep.errors import GradstepTypeError, GradstepValueError, NonFiniteError, ScalarError
from gradstep.functional import as_stage, check_parameters, choose_nonfinite, extremes, limit_in, start_slots
from gradstep.groups import assign
from gradstep.hyper import Hyper, at, checked
from gradstep.memory import check_not_read_only, check_writable
from gradstep.naming import unknown
from gradstep.rule import Rule, Stage, lookup
from gradstep.tree import flatten


class Optimizer:
    """Updates arrays in place.

    Parameters
    ----------
    params
        An array, or a nest of dicts, lists and tuples of arrays: NumPy's, or any that can be changed in place (torch,
        CuPy). float32, float64, complex64 or complex128, also 0-d, empty, strided; a dtype never changes.
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
        **hyper: Any,
    ) -> None:
        choose_nonfinite(on_nonfinite)
        self.stage = _stage(rule, hyper)
        self.params = params
        self.on_nonfinite = on_nonfinite
        self._program = program(self.stage)
        self._nest, leaves = flatten(params)
        self._groups = assign(groups, self._nest.names, self._program)
        self._active = [k for k, group in enumerate(self._groups.of) if group is not None]
        names = [self._nest.names[k] for k in self._active]
        check_parameters(names, [leaves[k] for k in self._active])
        check_writable(names, [leaves[k] for k in self._active])
        self._leaves = leaves
        self.hyper = HyperView(self._program.hyper)
        self.t = 0
        self.skipped = 0
        self._memory = [self._program.memory() for _ in self._groups.labels]
        self._slots = self._start()
        self.state: Mapping[str, Mapping[str, Any]] = MappingProxyType(
            {name: MappingProxyType(own) for name, own in self._slots.items()}
        )
        self._tensors = self._make_tensors()
        self._names, self._values = [x.name for x in self._tensors], [x.value for x in self._tensors]
        groups_of = [group for group in self._groups.of if group is not None]
        self._rows = groups_of if self._program.over_tensor else list(range(len(self._groups.labels)))
        dtypes = {x.dtype for x in self._tensors}
        self._limits = {dtype: limit_in(self._program, dtype) for dtype in dtypes}
        self._extremes = extremes(dtypes)
        self._engine = engines.make(engine, self._program, self._tensors)
        self._lock = threading.Lock()

    def step(self, grads: Any) -> None:
        """Update all parameters in place.

        Parameters
        ----------
        grads
            Gradients: a nest like the parameters, or a dict by dotted name; shapes and dtypes like the parameters.

        Raises
        ------
        NonFiniteError
            When a gradient is not finite or too large for the rule (``on_nonfinite="raise"``); names the first.
        GradstepValueError, GradstepTypeError
            When the nest, a shape or a dtype does not fit. Whatever is raised, nothing has been changed.
        """
        with self._lock:
            mine = self._nest.leaves(grads, "gradients")
            if len(self._active) < len(mine):
                mine = [mine[k] for k in self._active]
            check_gradients(self._names, self._values, mine)
            check_not_read_only(self._names, self._values)
            self._engine.load(mine)
            try:
                if self.on_nonfinite != "ignore":
                    self._guard(mine)
                table, memory = self._program.scalars(
                    self.t + 1,
                    self._groups.values(self._program, self.hyper.raw, self.t),
                    self._memory,
                    self._rows,
                    self._engine.measure,
                    self._extremes,
                )
            except NonFiniteError as error:
                if self.on_nonfinite != "skip" or isinstance(error, ScalarError):
                    raise
                self.skipped += 1
                return
            self._engine.apply(table)
            self.t += 1
            self._memory = memory

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
            out[k] = copied(as_complex(read(as_reals(x.value), *map(as_reals, x.slots[part])), x.value))
        return self._nest.build(out)

    def reset(self) -> None:
        """Forget all steps: t, skipped and the state are as at the start; parameters stay where they are."""
        with self._lock:
            for name, own in self._start().items():
                for key, x in own.items():
                    self._slots[name][key][...] = x
            self._memory = [self._program.memory() for _ in self._groups.labels]
            self.t = self.skipped = 0

    def __repr__(self) -> str:
        return f"<Optimizer {self.stage!r} of {len(self._leaves)} arrays, t={self.t}, {self._engine.kind}>"

    def _guard(self, grads: list[Any]) -> None:
        bad = self._engine.first_bad(self._limits)
        if bad is not None:
            x = self._tensors[bad]
            raise bad_gradient(x.name, grads[bad], self._limits[x.dtype])

    def _start(self) -> dict[str, dict[str, Any]]:
        values = self._groups.values(self._program, self.hyper.raw, 0)
        out: dict[str, dict[str, Any]] = {}
        for k in self._active:
            group = self._groups.of[k]
            assert group is not None  # noqa: S101 - active
            name = self._nest.names[k]
            out[name] = start_slots(self._program, name, self._leaves[k], values[group])
        return out

    def _make_tensors(self) -> list[Tensor]:
        out: list[Tensor] = []
        for at_row, k in enumerate(self._active):
            name, group = self._nest.names[k], self._groups.of[k]
            assert group is not None  # noqa: S101 - active
            slots = tuple(tuple(self._slots[name][key] for key in keys) for keys in self._program.slots)
            out.append(Tensor(name, self._leaves[k], slots, at_row if self._program.over_tensor else group))
        return out


class HyperView(MutableMapping[str, Hyper]):
    """Hyperparameters by name; a new value is checked, a schedule stays, no name comes or goes."""

    def __init__(self, values: Mapping[str, Hyper]) -> None:
        self.raw = dict(values)

    def __getitem__(self, name: str) -> Hyper:
        return self.raw[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.raw:
            raise unknown("unknown hyperparameter", name, self.raw)
        if callable(self.raw[name]):
            raise GradstepValueError(f"{name} follows the schedule {self.raw[name]!r}; it cannot be set by hand.")
        self.raw[name] = checked(name, value, "optimizer")

    def __delitem__(self, name: str) -> None:
        raise GradstepTypeError(f"hyperparameter {name} cannot be removed.")

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return repr(self.raw)


def _stage(rule: str | Rule | Stage, hyper: dict[str, Any]) -> Stage:
    if isinstance(rule, str):
        return lookup(rule)(**hyper)
    if isinstance(rule, Rule):
        return rule(**hyper)
    if hyper:
        raise GradstepTypeError(f"{min(hyper)} is given beside a stage; give it inside: gs.adam({min(hyper)}=...).")
    return as_stage(rule)
