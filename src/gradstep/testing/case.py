"""A rule under test: what is known of it, the hyperparameters to try it with, and which laws say nothing about it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gradstep.engine import compiled_engine
from gradstep.form.chain import chain
from gradstep.form.hyper import DOMAINS, Domain
from gradstep.form.rule import Rule, Stage
from gradstep.rules.sgd import sgd
from gradstep.stages import maximize

Oracle = Callable[..., Sequence[Any]]

COMPILED, WHY_NOT_COMPILED = compiled_engine()
ENGINES = ("eager", "compiled") if COMPILED else ("eager",)
BOUND = 1e-14
TINY = 0.01  # epsilons and first distances are smaller: they hardly show in a step
SHARED = 0.01  # stands in for a hyperparameter that a stage shares with the rule of its chain


def _keep(theta: Any, g: Any, _: Any) -> tuple[Any, Any, Any]:
    return theta, g, g


# What a stage leaves of the gradient is seen by a probe behind it, and a stage that wraps a rule has a plain one before
# it; both are in no registry.
probe = replace(maximize, name="probe", update=_keep, state=("g",), read=lambda theta: theta, operations={})
wrapped = replace(sgd, name="wrapped")
RATE = 0.25  # its lr


@dataclass(frozen=True)
class Case:
    """A rule, and what its author says that it computes.

    Attributes
    ----------
    rule
        The rule or other stage.
    oracle
        ``trajectory(theta0, gradients, **hyper) -> [theta_1, theta_2, ...]`` for one element: Python floats in,
        exact numbers out (mpmath's, fractions), written from the paper and not from the rule. Of a rule that sums over
        an array: for a list of elements, with lists of gradients in and lists of elements out; of a rule of whole
        arrays: for one matrix, lists of rows in and out.
    defaults
        The hyperparameters' defaults as the paper has them.
    bound
        How far the rule may be from the oracle, relative to abs(theta0) plus the length of the path.
    seed
        What all random numbers of the laws come from.
    rate
        For a stage that wraps a rule: the lr of plain descent, theta - lr g, which it is tried behind.
    """

    rule: Rule
    oracle: Oracle | None = None
    defaults: Mapping[str, float] | None = None
    bound: float = BOUND
    seed: int = 0
    rate: float = RATE

    def rng(self) -> np.random.Generator:
        """A new generator: each law draws the same numbers whichever laws came before it."""
        return np.random.default_rng(self.seed)

    def stage(self, **hyper: Any) -> Stage:
        """The rule with these hyperparameters; another stage with a probe behind it, whose slot is ``probe.g``."""
        made = self.alone(**hyper)
        return made if self.rule.kind == "rule" else chain(made, probe)

    def alone(self, **hyper: Any) -> Stage:
        """The rule or stage with these hyperparameters; one that wraps a rule with the rule before it."""
        missing: dict[str, Any] = {key: SHARED for key, value in self.rule.defaults.items() if value is None}
        made = self.rule(**{**missing, **hyper})
        return chain(wrapped(self.rate, name="wrapped"), made) if self.rule.wraps else made

    def settings(self) -> list[dict[str, float]]:
        """Values for all hyperparameters: the defaults, and two sets drawn near them."""
        plain = {key: SHARED if value is None else float(value) for key, value in self.rule.defaults.items()}  # type: ignore[arg-type]  # no schedules
        rng = self.rng()
        drawn = [{key: _near(value, rng, self.rule.domains.get(key)) for key, value in plain.items()} for _ in range(2)]
        return [plain, *drawn] if plain else [plain]

    def visible(self) -> list[dict[str, float]]:
        """The settings, one of them with a small lr, which bounds steps; and one with all large that is tiny or off."""
        plain, near, other = (self.settings() * 3)[:3]
        rng = self.rng()
        small = {"lr": other["lr"] / 64} if "lr" in other else {}
        tiny = [key for key, value in plain.items() if abs(value) < TINY and key not in {"lr", "weight_decay"}]
        large = {key: _near(5.0, rng, self.rule.domains.get(key), plain[key]) for key in tiny}
        return [plain, near, {**other, **small}, *([{**plain, **large}] if tiny else [])] if plain else [plain]

    def silent(self, law: str) -> str:
        """Return the reason for which a law does not apply to this rule; empty where it applies."""
        rule = self.rule
        reasons = {
            "compiled_equals_eager": WHY_NOT_COMPILED,
            "oracle": "" if self.oracle else "no oracle was given",
            "defaults": "" if self.defaults is not None else "no defaults were given",
            "first_step_descends": "" if rule.kind == "rule" else "it does not move the parameters by the gradient",
            "zero_rate_keeps_theta": _why_no_zero_rate(rule),
            "smaller_state": _why_no_smaller_state(rule),
            "concatenation": _why_not_concatenated(rule),
            "sharding": "" if rule.every is None else "processes gather gradients by micro-batches instead",
        }
        return reasons.get(law, "")


def _why_no_zero_rate(rule: Rule) -> str:
    """Return the reason for which a rule's lr is never zero; empty where it may be."""
    if "lr" not in rule.defaults:
        return "it has no lr"
    return "" if 0.0 in rule.domains.get("lr", DOMAINS["lr"]) else "its lr is above zero"


def _why_not_concatenated(rule: Rule) -> str:
    """Return the reason for which a rule treats a concatenation otherwise than its pieces; empty where it may not."""
    if rule.measure or rule.whole:
        return "it looks at whole arrays"
    return "what it draws depends on names and places" if rule.random is not None else ""


def _why_no_smaller_state(rule: Rule) -> str:
    """Return the reason for which the state of a rule is never stored in fewer bits; empty where it may be."""
    if not rule.state:
        return "it has no state"
    return "its state is not stored in fewer bits" if rule.whole or rule.inputs or rule.every is not None else ""


def _near(value: float, rng: np.random.Generator, domain: Domain | None, other: float | None = None) -> float:
    """A number near a default, or `other` out of its domain; no nearer to 1, where 1 - x**t loses its digits."""
    value = value or 0.1
    if 0.5 <= value < 1:
        odds = value / (1 - value) * 2 ** rng.uniform(-2, 0)
        return float(odds / (1 + odds))
    drawn = float(value * 2 ** rng.uniform(-2, 2))
    drawn = float(round(drawn)) if domain is not None and domain.whole else drawn
    return drawn if domain is None or drawn in domain else value if other is None else other
