"""The laws in words: what each asks of the author of a rule, and what to write where one is broken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from gradstep.form.rule import Rule
from gradstep.testing.case import Case
from gradstep.testing.symmetry import units


@dataclass(frozen=True)
class Meaning:
    """A law in the words of an author: what it asks, and what to write where it is broken."""

    asks: str
    answer: str


MEANINGS: Mapping[str, Meaning] = {
    "form": Meaning(
        "scalars computes numbers on the host; the update has no branch and uses only words of the vocabulary",
        "do what the message says: numbers made of hyperparameters go to scalars, a branch becomes where(...)",
    ),
    "equation": Meaning(
        "the printed equation gives the rule's own numbers",
        "let the update depend on its arguments alone, and use words of gradstep.vocabulary for all it computes",
    ),
    "namespaces": Meaning(
        "NumPy, torch, JAX and others give the same numbers",
        "use words of gradstep.vocabulary in place of a library's functions",
    ),
    "compiled_equals_eager": Meaning(
        "the compiled step has the bits of the plain one",
        "let the update depend on its arguments alone; if it does, this is a fault of Gradstep: please report it",
    ),
    "oracle": Meaning(
        "the numbers are those of the formula, written a second time in exact arithmetic",
        "compare both with the paper, line by line; a difference at the first step is most often one of t or of eps",
    ),
    "defaults": Meaning(
        "the defaults are the paper's",
        "write the paper's, or say in the oracle's defaults why they differ",
    ),
    "units": Meaning(
        "a problem in other units, of the loss or of the parameters, takes the same path in those units",
        "say with units= what each number is measured in, but for pure numbers; an eps in the wrong place has no unit",
    ),
    "purity": Meaning(
        "gs.update leaves what it is handed as it is, and gives the same shapes and dtypes",
        "write m = m + x in place of m += x, and keep nothing between calls",
    ),
    "refuses_nonfinite": Meaning(
        "a gradient with NaN, an infinity or a number too large for the rule is refused, and nothing is written",
        "write power=2 where gradients are squared (power=3 where they are cubed), so that the limit is known",
    ),
    "odd_symmetry": Meaning(
        "the mirror image of a problem takes the mirror image of the path",
        "look for a constant added to theta or g; where a direction is meant, write it as an exception",
    ),
    "nonnegative_slots": Meaning(
        "slots that are named in nonnegative= never fall below zero",
        "take the slot out of nonnegative=, or keep it from falling below zero",
    ),
    "first_step_descends": Meaning(
        "no element goes uphill in the first step",
        "look at the sign of the step; a decay or a tiny gradient may be meant to: then write an exception",
    ),
    "zero_rate_keeps_theta": Meaning(
        "with lr = 0 nothing moves",
        "multiply all that moves theta by lr; where decay is meant to go on without it, write an exception",
    ),
    "smaller_state": Meaning(
        "state that is stored in 16 or 8 bits makes no step much longer",
        "name averages of squares in nonnegative=; where the rule cannot bear it, write an exception",
    ),
    "concatenation": Meaning(
        "two arrays step as they would as one",
        "what looks at other elements must be a sum: reduce= with over=",
    ),
    "groups_and_chain": Meaning(
        "groups with equal numbers, brackets in a chain and constant schedules change nothing",
        "keep no numbers outside of state and memory=",
    ),
    "sharding": Meaning(
        "several processes that share a step have the bits of one",
        "keep no numbers outside of state and memory=, and sum by reduce= alone",
    ),
}

_UNITS = ("1", "theta", "g", "theta/g", "1/theta", "g*g")
_PURE = ("beta", "momentum", "rho", "decay_rate")
TRIES = 60


def suggested_units(case: Case) -> dict[str, str] | None:
    """Return units of a rule's hyperparameters with which it obeys the law of units; None where none of those tried do.

    Those that are declared stay, and what is called like a pure number is one.
    """
    rule = case.rule
    for k, own in enumerate(_choices(rule)):
        if k == TRIES:
            return None
        try:
            units(replace(case, rule=replace(rule, units=own)))
        except Exception:  # noqa: S112 - of a rule that is broken in other ways as well
            continue
        return own
    return None


def _choices(rule: Rule) -> Iterator[dict[str, str]]:
    open_ = [key for key in rule.defaults if key not in rule.units and not key.startswith(_PURE)]
    likely = {
        "lr": ("theta", "theta/g", "1"),
        "eps": ("g", "g*g", "1", "theta"),
        "weight_decay": ("1/theta", "1"),
    }
    for chosen in product(*(likely.get(key, _UNITS) for key in open_)):
        units_ = {**rule.units, **dict(zip(open_, chosen, strict=True))}
        yield {key: unit for key, unit in units_.items() if unit != "1"}
