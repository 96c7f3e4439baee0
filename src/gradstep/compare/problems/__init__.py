"""The problems by name. Nothing is loaded before a run begins."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.util import find_spec

from gradstep.compare.problems import (
    autoencoder,
    burgers,
    cartpole,
    digits,
    exact,
    factors,
    linear,
    mnist,
    normalised,
    sequences,
    text,
    vqe,
    words,
)
from gradstep.compare.problems.problem import Problem, Split, Target, Task, size_option
from gradstep.errors import GradstepError, GradstepValueError
from gradstep.naming import unknown
from gradstep.text import read_names

__all__ = ["FULL", "PROBLEMS", "QUICK", "Problem", "Split", "Target", "Task", "find_problem", "usual_options"]

EVERY = "every"  # an option of all problems: updates between two evaluations
# What makes each problem; its keyword arguments are the problem's options, `quadratic:condition=1000`.
PROBLEMS: Mapping[str, Callable[..., Problem]] = {
    "digits-softmax": digits.softmax,
    "breast-cancer": linear.breast_cancer,
    "fair": linear.fair,
    "diabetes": linear.diabetes,
    "randhie": linear.randhie,
    "pydoc-words": words.topics,
    "digits-mlp": digits.mlp,
    "digits-conv": digits.conv,
    "digits-batchnorm": normalised.conv,
    "mnist5k-mlp": mnist.mlp,
    "mnist5k-conv": mnist.conv,
    "pydoc-chars": text.pydoc,
    "pydoc-lstm": sequences.lstm,
    "pydoc-transformer": sequences.transformer,
    "digits-autoencoder": autoencoder.digits,
    "digits-factors": factors.digits,
    "burgers-pinn": burgers.pinn,
    "vqe": vqe.vqe,
    "cartpole": cartpole.policy,
    "logistic": exact.logistic,
    "quadratic": exact.quadratic,
    "rosenbrock": exact.rosenbrock,
    "beale": exact.beale,
    "rastrigin": exact.rastrigin,
}

# Real data and formulas whose runs are short, and which need no package beyond the extra of the comparison.
QUICK = ("digits-mlp", "digits-softmax", "digits-conv", "breast-cancer", "diabetes", "quadratic", "rosenbrock")
# All that is real data or a simulation, and bowls from round to flat: no function of two numbers.
FULL = (
    "digits-softmax",
    "breast-cancer",
    "fair",
    "diabetes",
    "randhie",
    "pydoc-words",
    "digits-mlp",
    "digits-conv",
    "digits-batchnorm",
    "mnist5k-mlp",
    "mnist5k-conv",
    "pydoc-chars",
    "pydoc-lstm",
    "pydoc-transformer",
    "digits-autoencoder",
    "digits-factors",
    "burgers-pinn",
    "vqe",
    "cartpole",
)


def usual_options(name: str) -> dict[str, float]:
    """Return the options of a problem with their defaults, but for ``every``; none of a file's."""
    made = PROBLEMS.get(name)
    return {} if made is None else {key: float(x.default) for key, x in inspect.signature(made).parameters.items()}


def find_problem(text: str) -> Problem:
    """The problem that a text names, with its options: ``digits-mlp``, ``quadratic:condition=1000``.

    Raises
    ------
    GradstepValueError
        For an unknown problem or option (with close matches), or an option out of range. All have ``every``, the
        updates between two evaluations; those on batches ``batch``, and networks ``width``.
    GradstepError
        Where the package is missing that has its data.
    """
    names = read_names(text)
    if len(names) != 1:
        raise GradstepValueError(f"{text!r} names {len(names)} problems; give one.")
    [named] = names
    if named.name not in PROBLEMS:
        raise unknown("unknown problem", named.name, PROBLEMS)
    make = PROBLEMS[named.name]
    own, given = inspect.signature(make).parameters, dict(named.values)
    for key in given:
        if key not in (*own, EVERY):
            raise unknown(f"problem {named.name}: unknown option", key, [*own, EVERY])
    every = given.pop(EVERY, None)
    problem = make(**given)
    if every is not None and every != problem.every:
        every = size_option(named.name, EVERY, every)
        [plain] = read_names(problem.name)
        pairs = (*plain.values, (EVERY, float(every)))
        problem = replace(problem, every=every, name=str(replace(plain, values=tuple(sorted(pairs)))))
    if problem.needs is not None and find_spec(problem.needs) is None:
        extra = "compare" if problem.needs in ("sklearn", "scipy") else "data"
        raise GradstepError(
            f"problem {problem.name}: its data come with {problem.needs}, which is missing; "
            f"pip install 'gradstep[{extra}]'."
        )
    return problem
