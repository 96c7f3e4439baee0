"""Groups of torch's parameters sorted into buckets, most often one, which a single pass over memory steps."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.array.namespaces import one_number
from gradstep.checkpoint.transfer import uninterrupted
from gradstep.errors import (
    DeviceError,
    GradstepTypeError,
    GradstepValueError,
    InUseError,
    NonFiniteError,
    ScalarError,
)
from gradstep.form.chain import program
from gradstep.interop.settings import Setting, Settings
from gradstep.interop.torch.bucket import Bucket, Member
from gradstep.interop.torch.local import in_numpy, is_dtensor, is_ready, local, on_cuda
from gradstep.interop.torch.rows import Rows
from gradstep.interop.torch.state import STEP, state_names

Groups = Sequence[Mapping[str, Any]]
State = dict[Any, Any]  # by parameter


class Buckets:
    """The parameters of some groups, and the steps that they make.

    Parameters
    ----------
    groups, state
        ``param_groups`` and ``state`` of an optimizer of torch. State that is there is gone on from; when all buckets
        are made, theirs is put in its place.
    settings
        What the groups' values stand for.
    policy
        What to do about gradients that are not finite.
    engine
        As the guest was asked for.
    before
        The buckets in whose place these are, where parameters may have another dtype or device since.

    Attributes
    ----------
    waiting
        Parameters that have no numbers yet: of lazy modules, and on the meta device. Their state begins when they have.

    Raises
    ------
    GradstepValueError, GradstepTypeError, NonFiniteError
        For values, parameters and state that cannot be taken. Nothing has been changed.
    """

    def __init__(
        self,
        groups: Groups,
        state: State,
        settings: Settings,
        policy: str,
        engine: str = "auto",
        *,
        before: "Buckets | None" = None,
    ) -> None:
        self.groups, self.state, self.rules, self.policy, self.engine = groups, state, settings, policy, engine
        self.settings = settings.of(groups)
        if strange := [x for x in state if isinstance(x, int)]:
            raise GradstepValueError(f"the state has an entry {strange[0]}, which is none of the parameters.")
        taken: Mapping[Any, Any] = state
        for bucket in before.each if before is not None else ():
            taken = {**taken, **bucket.moved(state)}
        self.waiting = [x for x in members_of(groups) if not is_ready(x.value)]
        self.each = [self._made(own, taken) for own in sorted_out(groups, self.settings, taken, engine)]
        self._check_spread()
        self._warned = False
        self._begun: list[tuple[Bucket, Any]] = []  # the passes of the last step of several, and their progress before
        self._install()

    def follow(self, groups: Groups, state: State) -> bool:
        """Take what has changed in groups and memory; false where so much has that buckets must be made anew."""
        for bucket in self.each:
            bucket.settle()
        if groups is not self.groups or state is not self.state or self._owners() != self._owned:
            return False
        if self.waiting and any(is_ready(x.value) for x in self.waiting):
            return False
        if not all(bucket.follow() for bucket in self.each):
            return False
        if (values := self._values()) != self.values:
            settings = self.rules.of(groups)
            if [x.form for x in settings] != [x.form for x in self.settings]:
                return False
            for bucket in self.each:
                bucket.set_values(settings)
            self.settings, self.values = settings, values
        return True

    def settle(self) -> None:
        """Let the state be that of one step, also within a signal handler.

        Raises
        ------
        InUseError
            When parameters and state are being written just now.
        """
        for bucket in self.each:
            bucket.step.snapshot()
            bucket.settle()
        if len({bucket.step.progress is before for bucket, before in self._begun}) > 1:
            raise InUseError(
                "parameters go in several passes, and some are made; ask again when the step has returned."
            )

    def step(self, loss: Any = None) -> bool:
        """Step the parameters that have gradients, all or none: false where it is none, by the policy.

        ``loss`` is what a closure gave; rules that take it refuse a step without.

        Raises
        ------
        NonFiniteError
            For a gradient that is not finite, and for hyperparameters that the dtype cannot hold.
        GradstepValueError
            When a stage takes a norm over all parameters, and they do not go in one pass.
        """
        ready = self._ready()
        taken = self._taken(ready, loss)
        if len(ready) < 2:
            return all(bucket.update(grads, self.policy, taken) for bucket, grads in ready)
        self._check_norms([bucket for bucket, _ in ready])
        for bucket, grads in ready:  # what one of them refuses, it refuses before any other has stepped
            try:
                bucket.rehearse(grads, self.policy, taken)
            except NonFiniteError as error:
                if self.policy != "skip" or isinstance(error, ScalarError):
                    raise
                return False
        self._begun = [(bucket, bucket.step.progress) for bucket, _ in ready]
        ends = [bucket.step.t + bucket.times for bucket, _ in ready]

        def act() -> None:
            for (bucket, grads), end in zip(ready, ends, strict=True):
                if bucket.step.t < end:
                    bucket.update(grads, self.policy, taken, end - bucket.step.t)

        try:
            uninterrupted(act)()
        except DeviceError as error:  # what failed was tried a second time
            made = [bucket.step.t == end for (bucket, _), end in zip(ready, ends, strict=True)]
            if any(bucket.step.progress is not before for bucket, before in self._begun) and not all(made):
                self._begun = []
                raise DeviceError(
                    f"{error} Parameters elsewhere have made this step, and these have not: go on from a checkpoint."
                ) from error
            if not all(made):
                raise
        return True

    @staticmethod
    def _taken(ready: Sequence[tuple[Bucket, Any]], loss: Any) -> dict[str, float]:
        """Return the numbers that a step is made with."""
        asking = [bucket for bucket, _ in ready if bucket.program.takes]
        if not asking:
            return {}
        if loss is None:
            takers = [part.label for part in asking[0].program.parts if part.rule.takes]
            raise GradstepTypeError(
                f"{takers[0]} takes the loss of each step: call opt.step(closure), whose closure returns it."
            )
        return {"loss": one_number("loss", loss.detach() if hasattr(loss, "detach") else loss)}

    @staticmethod
    def have_gradients(groups: Groups) -> bool:
        """Return True where there is anything to step."""
        for group in groups:
            for x in group["params"]:
                if x.grad is not None:
                    return True
        return False

    def warn_of_none(self) -> None:
        """Warn, once, where no parameter has a gradient and some never will."""
        if self.waiting and not self._warned and any(x.value.device.type == "meta" for x in self.waiting):
            self._warned = True
            warnings.warn(
                "no parameter has a gradient, and some are on the meta device, where they have no numbers; if the "
                "model has been given memory since this optimizer was made, to_empty(), it has new parameters: make "
                "the optimizer of those.",
                stacklevel=4,
            )

    def _ready(self) -> list[tuple[Bucket, tuple[Any, ...] | Rows]]:
        """Return the buckets that step, each with its gradients; members of different kinds of gradient are parted."""
        for name, x in ((x.name, x.value) for x in self.waiting):
            if x.grad is not None:
                raise GradstepTypeError(
                    f"parameter {name!r} is on the meta device and has no numbers that a gradient could move; "
                    f"give the model memory, model.to_empty(device=...), and make the optimizer of its new parameters."
                )
        ready: list[tuple[Bucket, Any]] = []
        each: list[Bucket] = []
        for bucket in self.each:
            grads, own = bucket.gradients(), [bucket]
            if grads is None and len(parts := bucket.parted()) > 1:
                own = [self._made(part, self.state) for part in parts]
                found = [(made, made.gradients()) for made in own]
            else:
                found = [(bucket, grads)]
            each += own
            ready += [(made, grads) for made, grads in found if grads is not None]
        if len(each) > len(self.each):
            self.each = each
            self._install()
        return ready

    def _made(self, members: Sequence[Member], state: Mapping[Any, Any]) -> Bucket:
        return Bucket(members, self.settings, state, self.rules, self.engine)

    def _check_spread(self) -> None:
        """Refuse a policy by which the processes that share parameters would go different ways."""
        for bucket in self.each if self.policy == "skip" else ():
            if bucket.is_spread:
                raise GradstepValueError(
                    f"parameter {bucket.names[0]!r} is a DTensor, of which each process sees its shard; with "
                    f"on_nonfinite='skip' some would step and others not. Use 'raise', or a GradScaler, which asks all."
                )

    def _install(self) -> None:
        for bucket in self.each:
            self.state.update(zip(bucket.params, bucket.state, strict=True))
        self._owned, self.values = self._owners(), self._values()

    def _owners(self) -> list[Any]:
        """Return all that says which tensors there are, and which state is whose."""
        return [[*map(id, group["params"])] for group in self.groups] + [[*map(id, self.state.values())]]

    def _values(self) -> list[dict[str, Any]]:
        return [self.rules.values(group) for group in self.groups]

    @staticmethod
    def _check_norms(buckets: Sequence[Bucket]) -> None:
        for part in buckets[0].program.parts:
            if part.rule.over == "all":
                raise GradstepValueError(
                    f"{part.label} takes a norm over all parameters, and these go in {len(buckets)} passes, for "
                    f"{buckets[0].names[0]!r} and {buckets[1].names[0]!r} differ in stages, updates made, or device; "
                    f"use torch.nn.utils.clip_grad_norm_ in its place."
                )


def members_of(groups: Groups) -> list[Member]:
    """Return the parameters of all groups; one that is in its group several times, with how often it is."""
    found: dict[int, Member] = {}
    for k, group in enumerate(groups):
        params = group["params"]
        names = group.get("param_names", ())
        for i, x in enumerate(params):
            if (known := found.get(id(x))) is not None:
                found[id(x)] = known._replace(times=known.times + 1)
            else:
                name = names[i] if len(set(names)) == len(params) else i
                found[id(x)] = Member(k, f"{k}.{name}", x)
    return list(found.values())


def sorted_out(
    groups: Groups, settings: Sequence[Setting], state: Mapping[Any, Any], engine: str
) -> list[list[Member]]:
    """Return members that have numbers, by what a bucket has in common.

    That is the stage, the kind of memory, the updates, what is kept, and the host's numbers of a group; for the engine
    of one CUDA device the device too.
    """
    found: dict[Any, list[Member]] = {}
    numbers: dict[Any, list[Any]] = {}
    for member in members_of(groups):
        k, x = member.group, member.value
        if not is_ready(x):
            continue
        made = program(settings[k].stage)
        kept = [short for short, key in state_names(made).items() if key in made.memory()]
        own = state.get(x) or {}
        device = x.device if engine == "cuda" and on_cuda(x) else None
        kind = is_dtensor(x), in_numpy(local(x)), member.times, device
        like = settings[k].form, kind, float(own.get(STEP, 0)), frozenset(map(str, own))
        variants = numbers.setdefault((k, *like), [])
        if (memory := [float(own[key]) for key in kept if key in own]) not in variants:
            variants.append(memory)
        found.setdefault((*like, variants.index(memory)), []).append(member)
    return list(found.values())
