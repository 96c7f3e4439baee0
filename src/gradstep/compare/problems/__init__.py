"""The problems by name. Nothing is loaded before a run begins."""

import inspect
from collections.abc import Callable, Mapping

from gradstep.compare.naming import read_names
from gradstep.compare.problems import digits, exact, linear
from gradstep.compare.problems.problem import Problem, Split, Target, Task
from gradstep.errors import GradstepValueError
from gradstep.naming import unknown

__all__ = ["FULL", "PROBLEMS", "QUICK", "Problem", "Split", "Target", "Task", "find_problem"]

# What makes each problem; its keyword arguments are the problem's options, `quadratic:condition=1000`.
PROBLEMS: Mapping[str, Callable[..., Problem]] = {
    "digits-mlp": digits.mlp,
    "digits-softmax": digits.softmax,
    "digits-conv": digits.conv,
    "breast-cancer": linear.breast_cancer,
    "diabetes": linear.diabetes,
    "rosenbrock": exact.rosenbrock,
    "quadratic": exact.quadratic,
}
# Real data and formulas whose runs are short, and which need no package beyond the extra of the comparison.
QUICK = ("digits-mlp", "digits-softmax", "digits-conv", "breast-cancer", "diabetes", "quadratic", "rosenbrock")
# All that is real data.
FULL = ("digits-mlp", "digits-softmax", "digits-conv", "breast-cancer", "diabetes")


def find_problem(text: str) -> Problem:
    """The problem that a text names, with its options: ``digits-mlp``, ``quadratic:condition=1000``.

    Raises
    ------
    GradstepValueError
        For an unknown problem or option (with close matches), or an option out of range.
    """
    names = read_names(text)
    if len(names) != 1:
        raise GradstepValueError(f"{text!r} names {len(names)} problems; give one.")
    [named] = names
    if named.name not in PROBLEMS:
        raise unknown("unknown problem", named.name, PROBLEMS)
    make = PROBLEMS[named.name]
    options = inspect.signature(make).parameters
    for key, _ in named.values:
        if not options:
            raise GradstepValueError(f"problem {named.name} has no options, but {key} is given.")
        if key not in options:
            raise unknown(f"problem {named.name}: unknown option", key, options)
    return make(**dict(named.values))
