"""The host's numbers after some updates, such as sums of weights, where nobody has kept them."""

from gradstep.checkpoint import Parts
from gradstep.form.rule import Rule


def counted(parts: Parts, t: int, group: int) -> dict[str, float]:
    """The memory of a group after ``t`` updates, as its rules would count it from the beginning.

    With the hyperparameters as they are; schedules are followed from their beginning too. Numbers that come from sums
    stay as they begin.
    """
    program, changes = parts.program, parts.groups.scheduled(parts.hyper)
    memory = program.memory()
    if not memory:
        return memory
    values_at = parts.groups.values(parts.hyper)
    values = values_at(0)[group]
    for k in range(1, t + 1):
        if changes:
            values = values_at(k - 1)[group]
        after = dict(memory)
        for part, keys in zip(program.parts, program.keys, strict=True):
            if part.rule.memory and not part.rule.per_step:
                hyper = {key: values[flat] for key, flat in keys.items()}
                own = {key: memory[f"{part.label}.{key}"] for key in part.rule.memory}
                after |= {f"{part.label}.{key}": x for key, x in part.rule.host(k, hyper, own)[1].items()}
        if after == memory and not changes:
            break  # as it will stay
        memory = after
    return memory


def memory_of_sums(rule: Rule) -> tuple[str, ...]:
    """Return the host's numbers of a rule which come from what a step sums, and can't be counted without."""
    return tuple(rule.memory) if rule.per_step else ()
