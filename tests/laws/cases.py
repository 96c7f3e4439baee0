"""All registered rules and stages, each with its oracle from tests/papers."""

from importlib import import_module
from importlib.util import find_spec

import pytest

import gradstep.variants  # noqa: F401 - registered by being imported
from gradstep.rule import registry
from gradstep.testing import Case
from gradstep.testing.case import BOUND


def paper(name):
    """The oracle's module, or None where there is none."""
    return import_module(f"papers.{name}") if find_spec(f"papers.{name}") else None


def case(rule):
    module = paper(rule.name) if rule.kind == "rule" else None
    if module is None:
        return Case(rule)
    return Case(rule, module.trajectory, module.DEFAULTS, getattr(module, "BOUND", BOUND))


CASES = {name: case(rule) for name, rule in registry(None).items()}


def excepted(law, name):
    """The mark of a law that the rule says it does not obey: it must fail."""
    reason = CASES[name].rule.exceptions.get(law)
    return [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)] if reason else []
