"""A guest in torch: ``gs.interop.torch.Optimizer(model.parameters(), "torch.AdamW", lr=1e-3)``.

Schedulers, ``GradScaler``, hooks and ``state_dict`` work as with torch's own optimizers; the steps are Gradstep's.
"""

from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from gradstep.engine import check_kind
from gradstep.errors import GradstepValueError
from gradstep.form.rule import Rule, Stage
from gradstep.interop.settings import Settings
from gradstep.interop.torch.buckets import Buckets, State
from gradstep.interop.torch.moved import dump_state as dump_state
from gradstep.interop.torch.moved import load_state as load_state
from gradstep.locks import new_lock, refuse_reentry
from gradstep.step import choose_nonfinite

torch: Any = import_module("torch")  # type checkers would take this package for it

OWN = ("skipped", "_how")  # attributes that torch does not know
RULE = "rule"  # the entry of a state dict that says whose it is


class Optimizer(torch.optim.Optimizer):
    """An optimizer of torch whose steps are Gradstep's.

    Parameters
    ----------
    params
        Tensors, or groups of them as torch has them.
    rule
        A rule's name, another library's constructor (``"torch.AdamW"``), or a stage.
    on_nonfinite
        ``"raise"``, ``"skip"`` or ``"ignore"``, as for :class:`gradstep.Optimizer`: all parameters or none.
    engine
        ``"auto"``: parameters on the CPU go through the compiled engine, others through the eager one. ``"cuda"``:
        those on CUDA devices go through fused kernels, one pass a device, and all others as by ``"auto"``; see
        ``docs/gpu.md``. ``"eager"`` and ``"compiled"``: that one for all.
    **hyper
        Hyperparameters of a rule given by name: numbers, for ``param_groups`` hold them and schedulers change them.
        There the learning rate is ``lr``, whatever a constructor calls it.

    Attributes
    ----------
    state
        ``opt.state[p]["m"]``: what the rule keeps, tensors of the parameter's shape, float32 for 16 bits, and numbers
        of the host, float64; ``"step"``: its updates. Where several stages keep something, ``"adam.m"``.
    skipped
        Steps that did not happen because of a gradient that is not finite.

    Raises
    ------
    GradstepValueError, GradstepTypeError
        For what :class:`gradstep.Optimizer` refuses; in a step, sparse gradients, and a norm over more than one pass.
    DeviceError
        When a CUDA device cannot do its part; the text says whether anything was changed.
    NonFiniteError
        For a parameter or gradient that is not finite. Whatever but DeviceError is raised, nothing has been changed.
    InUseError
        For a step, a new group or another state within its own step, by a signal handler; also when that asks for the
        state while arrays are being written.
    """

    def __init__(
        self,
        params: Any,
        rule: str | Rule | Stage,
        *,
        on_nonfinite: str = "raise",
        engine: str = "auto",
        **hyper: Any,
    ) -> None:
        choose_nonfinite(on_nonfinite)
        check_kind(engine)
        self.skipped = 0
        self._lock = new_lock()
        self._how = Settings(rule, hyper), on_nonfinite, engine
        self._buckets: Any = None
        super().__init__(params, dict(self._how[0].defaults))
        self._buckets = Buckets(self.param_groups, self.state, *self._how)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """See torch; parameters that were there keep their state."""
        refuse_reentry(self._lock, "opt.add_param_group")
        if isinstance(param_group, dict):  # else torch says so
            own = self._how[0].renamed(param_group)
            self._how[0].check(own, f"group {len(self.param_groups)}")
            param_group = param_group if own.keys() == param_group.keys() else own
        super().add_param_group(param_group)
        if self._buckets is not None:
            try:
                self._buckets = Buckets(self.param_groups, self.state, *self._how)
            except BaseException:
                self.param_groups.pop()
                raise

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make a step, and give what ``closure`` gave; a parameter without a gradient stays, and so does its state."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        refuse_reentry(self._lock, "opt.step")
        with self._lock:
            if self._buckets.have_gradients(self.param_groups):
                self.skipped += not self.buckets().step(loss)
            else:
                self._buckets.warn_of_none()
        return loss

    def buckets(self) -> Buckets:
        """Return the parameters in the order of steps, with all changes of groups and state: for this package."""
        if not self._buckets.follow(self.param_groups, self.state):
            self._buckets = Buckets(self.param_groups, self.state, *self._how, before=self._buckets)
        return self._buckets

    def go_on_from(self, state: State) -> None:
        """Take a state by parameter in place of what is there, when it fits: for this package."""
        refuse_reentry(self._lock, "load_state")
        made = Buckets(self.param_groups, state, *self._how)
        self.state, self._buckets = state, made

    def state_dict(self) -> dict[str, Any]:
        """See torch; within a step it is that before it or after it."""
        self._buckets.settle()
        return super().state_dict() | {RULE: self._how[0].name}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See torch; but state is taken as it was saved, to the bit, and refused where it is of another optimizer."""
        refuse_reentry(self._lock, "opt.load_state_dict")
        handle = self.register_load_state_dict_pre_hook(type(self)._examined)
        try:
            super().load_state_dict(state_dict)
        finally:
            handle.remove()

    def __getstate__(self) -> dict[str, Any]:
        self._buckets.settle()
        return super().__getstate__() | {key: self.__dict__[key] for key in OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({key: state[key] for key in OWN if key in state})
        self.__dict__.setdefault("_lock", new_lock())
        found = {p: x.kept if isinstance(x, SimpleNamespace) else x for p, x in state["state"].items()}
        kept: Any = defaultdict(dict, found)
        groups = [self._how[0].completed(group) for group in state["param_groups"]]
        for k, group in enumerate(groups):
            self._how[0].check(group, f"group {k}")
        self._buckets = Buckets(groups, kept, *self._how)
        super().__setstate__(state | {"state": kept, "param_groups": groups})

    def _examined(self, state_dict: dict[str, Any]) -> dict[str, Any]:
        """Refuse another rule's state; return it in boxes: torch would cast what it sees to the parameters' dtype."""
        theirs, ours = state_dict.get(RULE, self._how[0].name), self._how[0].name
        if theirs != ours:
            raise GradstepValueError(
                f"the state is one of {theirs}, and this optimizer is {ours}; nothing was changed."
            )
        return state_dict | {"state": {k: SimpleNamespace(kept=x) for k, x in state_dict["state"].items()}}
