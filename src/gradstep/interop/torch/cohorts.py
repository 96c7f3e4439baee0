"""Groups of torch's parameters sorted into cohorts, most often one, which a single pass over memory steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from gradstep.chain import program
from gradstep.errors import GradstepValueError
from gradstep.interop.settings import Setting, Settings
from gradstep.interop.torch.cohort import STEP, Cohort, Member, in_numpy, state_names

Groups = Sequence[Mapping[str, Any]]
State = dict[Any, Any]  # by parameter


class Cohorts:
    """The parameters of some groups, and the steps that they make.

    Parameters
    ----------
    groups, state
        ``param_groups`` and ``state`` of an optimizer of torch. State that is there is gone on from; when all cohorts
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
        self.each = [self._made(own) for own in _sorted_out(groups, self.settings, state)]
        self._install()

    def follow(self, groups: Groups, state: State) -> bool:
        """Take hyperparameters that have changed; false where so much has that the cohorts must be made anew."""
        if groups is not self.groups or state is not self.state or self._where() != self.where:
            return False
        if (values := self._values()) != self.values:
            settings = self.rules.of(groups)
            if [x.form for x in settings] != [x.form for x in self.settings]:
                return False
            for cohort in self.each:
                cohort.follow([x.hyper for x in settings])
            self.settings, self.values = settings, values
        return True

    def step(self) -> bool:
        """Step the parameters that have gradients, all or none: false where it is none, by the policy.

        Raises
        ------
        NonFiniteError
            For a gradient that is not finite.
        GradstepValueError
            When a stage takes a norm over all parameters, and they do not go in one pass.
        """
        ready = self._ready()
        if len(ready) > 1:
            self._check_norms([cohort for cohort, _ in ready])
            looks = (cohort.opt.look(grads) for cohort, grads in ready if self.policy != "ignore")
            if bad := next(filter(None, looks), None):
                if self.policy == "raise":
                    raise bad
                return False
        made = [cohort.step(grads) for cohort, grads in ready]
        return all(made)

    def _ready(self) -> list[tuple[Cohort, dict[str, Any]]]:
        """The cohorts that step, each with its gradients; who has none leaves those who have."""
        ready: list[tuple[Cohort, Any]] = []
        each: list[Cohort] = []
        for cohort in self.each:
            grads, own = cohort.gradients(), [cohort]
            if grads is None and all(parts := cohort.parted()):
                own = [self._made(part) for part in parts]
                grads = own[0].gradients()
            each += own
            if grads is not None:
                ready.append((own[0], grads))
        if len(each) > len(self.each):
            self.each = each
            self._install()
        return ready

    def _made(self, members: Sequence[Member]) -> Cohort:
        return Cohort(members, self.settings, self.policy, self.state)

    def _install(self) -> None:
        for cohort in self.each:
            self.state.update(zip(cohort.params, cohort.state, strict=True))
        self.where, self.values = self._where(), self._values()

    def _where(self) -> list[Any]:
        """All that says whose numbers are where: the parameters, their state, the memory of both."""
        params = [[*map(id, group["params"])] for group in self.groups]
        return [params, [*map(id, self.state.values())], [cohort.where() for cohort in self.each]]

    def _values(self) -> list[dict[str, Any]]:
        return [self.rules.values(group) for group in self.groups]

    @staticmethod
    def _check_norms(cohorts: Sequence[Cohort]) -> None:
        for part in cohorts[0].program.parts:
            if part.rule.over == "all":
                raise GradstepValueError(
                    f"{part.label} takes a norm over all parameters, and these go in {len(cohorts)} passes, for "
                    f"{cohorts[0].names[0]!r} and {cohorts[1].names[0]!r} differ in stages, updates made, or device; "
                    f"use torch.nn.utils.clip_grad_norm_ in its place."
                )


def _sorted_out(groups: Groups, settings: Sequence[Setting], state: State) -> list[list[Member]]:
    """Members by what a cohort has in common: stages, kind of memory, updates, and a group's numbers on the host."""
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
