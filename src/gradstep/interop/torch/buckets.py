"""Groups of torch's parameters sorted into buckets, most often one, which a single pass over memory steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.checkpoint.transfer import uninterrupted
from gradstep.errors import GradstepValueError, InUseError, NonFiniteError, ScalarError
from gradstep.form.chain import program
from gradstep.interop.settings import Setting, Settings
from gradstep.interop.torch.bucket import STEP, Bucket, Member, in_numpy, state_names

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

    Raises
    ------
    GradstepValueError, GradstepTypeError, NonFiniteError
        For values, parameters and state that cannot be taken. Nothing has been changed.
    """

    def __init__(self, groups: Groups, state: State, settings: Settings, policy: str) -> None:
        self.groups, self.state, self.rules, self.policy = groups, state, settings, policy
        self.settings = settings.of(groups)
        if strange := [x for x in state if isinstance(x, int)]:
            raise GradstepValueError(f"the state has an entry {strange[0]}, which is none of the parameters.")
        self.each = [self._made(own) for own in sorted_out(groups, self.settings, state)]
        self._begun: list[tuple[Bucket, Any]] = []  # the passes of the last step of several, and their progress before
        self._install()

    def follow(self, groups: Groups, state: State) -> bool:
        """Take what has changed in groups and memory; false where so much has that buckets must be made anew."""
        for bucket in self.each:
            bucket.settle()
        if groups is not self.groups or state is not self.state or self._owners() != self._owned:
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

    def step(self) -> bool:
        """Step the parameters that have gradients, all or none: false where it is none, by the policy.

        Raises
        ------
        NonFiniteError
            For a gradient that is not finite, and for hyperparameters that the dtype cannot hold.
        GradstepValueError
            When a stage takes a norm over all parameters, and they do not go in one pass.
        """
        ready = self._ready()
        if len(ready) < 2:
            return all(bucket.update(grads, self.policy) for bucket, grads in ready)
        self._check_norms([bucket for bucket, _ in ready])
        for bucket, grads in ready:  # what one of them refuses, it refuses before any other has stepped
            try:
                bucket.step.rehearse(grads, bucket.values, self.policy)
            except NonFiniteError as error:
                if self.policy != "skip" or isinstance(error, ScalarError):
                    raise
                return False
        self._begun = [(bucket, bucket.step.progress) for bucket, _ in ready]

        def act() -> None:
            for (bucket, before), (_, grads) in zip(self._begun, ready, strict=True):
                if bucket.step.progress is before:
                    bucket.update(grads, self.policy)

        uninterrupted(act)()
        return True

    def _ready(self) -> list[tuple[Bucket, tuple[Any, ...]]]:
        """Return the buckets that step, each with its gradients; members without one leave those that have one."""
        ready: list[tuple[Bucket, Any]] = []
        each: list[Bucket] = []
        for bucket in self.each:
            grads, own = bucket.gradients(), [bucket]
            if grads is None and all(parts := bucket.parted()):
                own = [self._made(part) for part in parts]
                grads = own[0].gradients()
            each += own
            if grads is not None:
                ready.append((own[0], grads))
        if len(each) > len(self.each):
            self.each = each
            self._install()
        return ready

    def _made(self, members: Sequence[Member]) -> Bucket:
        return Bucket(members, self.settings, self.state)

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


def sorted_out(groups: Groups, settings: Sequence[Setting], state: State) -> list[list[Member]]:
    """Return members by what a bucket has in common: stage, kind of memory, updates, and a group's host numbers."""
    found: dict[Any, list[Member]] = {}
    numbers: dict[Any, list[Any]] = {}
    for k, group in enumerate(groups):
        made = program(settings[k].stage)
        kept = [short for short, key in state_names(made).items() if key in made.memory()]
        params = group["params"]
        names = group.get("param_names", ())
        for i, x in enumerate(params):
            name = names[i] if len(set(names)) == len(params) else i
            own = state.get(x) or {}
            like = settings[k].form, in_numpy(x), float(own.get(STEP, 0))
            variants = numbers.setdefault((k, *like), [])
            if (memory := [float(own[key]) for key in kept if key in own]) not in variants:
                variants.append(memory)
            found.setdefault((*like, variants.index(memory)), []).append(Member(k, f"{k}.{name}", x))
    return list(found.values())
