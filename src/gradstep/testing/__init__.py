"""The laws that every rule obeys, for anyone who writes one: ``gradstep.testing.check_rule(my_rule)``.

A law is a function of a :class:`Case` that raises an AssertionError with its evidence. A rule that does not obey one
says so, with the reason, in ``@rule(exceptions={law: reason})``; that the law then fails is demanded too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gradstep.errors import GradstepTypeError
from gradstep.form.rule import Rule
from gradstep.testing import engines, guard, low, namespaces, purity, sharding, symmetry, writing
from gradstep.testing.case import BOUND, Case, Oracle
from gradstep.testing.meanings import MEANINGS

__all__ = ["LAWS", "MEANINGS", "Case", "Verdict", "check_rule", "judge"]

LAWS: dict[str, Callable[[Case], None]] = {
    law.__name__: law
    for law in (
        writing.form,
        writing.equation,
        namespaces.namespaces,
        engines.compiled_equals_eager,
        symmetry.oracle,
        writing.defaults,
        symmetry.units,
        purity.purity,
        guard.refuses_nonfinite,
        symmetry.odd_symmetry,
        symmetry.nonnegative_slots,
        symmetry.first_step_descends,
        symmetry.zero_rate_keeps_theta,
        low.smaller_state,
        engines.concatenation,
        engines.groups_and_chain,
        sharding.sharding,
    )
}


@dataclass(frozen=True)
class Verdict:
    """Outcome of a law: ``"obeyed"``, ``"excepted"`` or ``"silent"`` with the reason, ``"broken"`` and evidence."""

    word: Literal["obeyed", "excepted", "silent", "broken"]
    text: str = ""


def judge(case: Case) -> dict[str, Verdict]:
    """Return the verdict of each law on a rule, and of each exception that names no law."""
    rule = case.rule
    found = {name: Verdict("broken", f"{name!r} is no law") for name in rule.exceptions if name not in LAWS}
    for name, law in LAWS.items():
        reason = rule.exceptions.get(name)
        if silent := case.silent(name):
            found[name] = Verdict("silent", silent)
            continue
        try:
            law(case)
        except AssertionError as error:
            found[name] = Verdict("broken", str(error)) if reason is None else Verdict("excepted", reason)
        except Exception as error:  # a rule may fail in any way; each is evidence
            found[name] = Verdict("broken", f"{type(error).__name__}: {error}")
        else:
            still = f"it is obeyed, but excepted with the reason {reason!r}"
            found[name] = Verdict("obeyed") if reason is None else Verdict("broken", still)
    return found


def check_rule(
    rule: Rule,
    *,
    oracle: Oracle | None = None,
    defaults: Mapping[str, float] | None = None,
    bound: float = BOUND,
    seed: int = 0,
) -> dict[str, str]:
    """Hold a rule or another stage to all laws.

    Parameters
    ----------
    rule
        What ``@rule`` or ``@stage`` made.
    oracle
        The rule once more, for one element, written from its paper and in exact arithmetic (mpmath, fractions):
        ``trajectory(theta0, gradients, **hyper) -> [theta_1, theta_2, ...]``; for a list of elements where the rule
        sums over an array. What comes beside the gradients (``inputs``, ``takes``) is a list by name.
    defaults
        The defaults as the paper has them.
    bound
        How far rule and oracle may be apart, relative to abs(theta0) plus the length of the path.
    seed
        What all random numbers come from.

    Returns
    -------
    dict
        For each law ``"obeyed"``, ``"excepted: ..."`` or ``"silent: ..."`` with the reason.

    Raises
    ------
    AssertionError
        Names every law that is broken, with the evidence; also an exception that is none, or that names no law.
    """
    if not isinstance(rule, Rule):
        raise GradstepTypeError(f"check_rule takes a rule, such as gs.adam without parentheses, not {rule!r}.")
    found = judge(Case(rule, oracle, defaults, bound, seed))
    broken = [f"{name if name in LAWS else 'exceptions'}: {x.text}" for name, x in found.items() if x.word == "broken"]
    if broken:
        raise AssertionError("\n".join([f"{rule.name} breaks {len(broken)} law(s), with seed {seed}", *broken]))
    return {name: f"{x.word}: {x.text}" if x.text else x.word for name, x in found.items()}
