"""Names that the author of a rule imports, beside :mod:`gradstep.vocabulary`."""

from gradstep.form.rule import (
    Domain,
    Fraction,
    NonNegative,
    Positive,
    Rule,
    Stage,
    lookup,
    registry,
    rule,
    shared,
    stage,
    variant,
)

__all__ = [
    "Domain",
    "Fraction",
    "NonNegative",
    "Positive",
    "Rule",
    "Stage",
    "lookup",
    "registry",
    "rule",
    "shared",
    "stage",
    "variant",
]
