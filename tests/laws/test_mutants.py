"""Rules that are wrong on purpose, each caught by the law that is there to catch it."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from gradstep.errors import RuleError
from gradstep.rules import adagrad, adam, adamax, lamb, momentum, nesterov, rmsprop, sgd
from gradstep.stages import clip_by_norm, clip_by_value, ema, l2
from gradstep.testing import LAWS, Case
from gradstep.vocabulary import abs as magnitude
from gradstep.vocabulary import maximum, minimum, sign, sqrt

from .cases import paper
from .strangers import rule

MUTANTS = []


def wrong(rule, why, *laws, **changes):
    """``rule`` with changes, which each of ``laws`` must notice."""
    MUTANTS.extend(pytest.param(law, replace(rule, **changes), id=f"{law}-{why}") for law in laws)


@pytest.mark.parametrize(("law", "mutant"), MUTANTS)
def test_caught(law, mutant):
    module = paper(mutant.name)
    known = (module.trajectory, module.DEFAULTS) if module else ()
    with pytest.raises((AssertionError, RuleError, TypeError, ValueError)) as caught:
        LAWS[law](Case(mutant, *known))
    assert str(caught.value)


def test_each_law_catches_something():
    assert {param.values[0] for param in MUTANTS} == LAWS.keys()


# Adam's epsilon and bias corrections


def adam_with(root="unbias2 * sqrt(v) + eps", **changed):
    """Adam with another denominator, or with scalars changed by functions of (scalars, t)."""
    denominator = eval(f"lambda v, eps, unbias2: {root}", {"sqrt": sqrt})  # noqa: S307 - this file's own text

    def update(theta, g, m, v, rate, eps, beta1, rest1, beta2, rest2, unbias2):
        m = beta1 * m + rest1 * g
        v = beta2 * v + rest2 * (g * g)
        theta = theta - rate * m / denominator(v, eps, unbias2)
        return theta, g, m, v

    def scalars(t, **hyper):
        out = adam.scalars(t, **hyper)
        return {**out, **{key: change(out, t) for key, change in changed.items()}}

    return {
        "update": update,
        "scalars": lambda t, lr, beta1, beta2, eps: scalars(t, lr=lr, beta1=beta1, beta2=beta2, eps=eps),
    }


wrong(adam, "eps inside the root", "oracle", "units", **adam_with("unbias2 * sqrt(v + eps)"))
wrong(adam, "eps before the correction", "oracle", **adam_with("unbias2 * (sqrt(v) + eps)"))
wrong(adam, "no eps", "oracle", **adam_with("unbias2 * sqrt(v) + 0.0 * eps"))
wrong(adam, "eps a literal", "units", **adam_with("unbias2 * sqrt(v) + 1e-8 + 0.0 * eps"))
wrong(adam, "v not corrected", "oracle", **adam_with(unbias2=lambda x, t: 1.0))
wrong(adam, "t counted from 0", "oracle", **adam_with(unbias2=lambda x, t: 1 / sqrt(1 - x["beta2"] ** (t + 1))))
wrong(adam, "rest in float32", "oracle", **adam_with(rest2=lambda x, t: float(np.float32(x["rest2"]))))
wrong(adam, "a last digit", "oracle", **adam_with(rate=lambda x, t: x["rate"] * (1 + 1e-13)))
wrong(
    adam, "wrong at the first step alone", "oracle", **adam_with(rate=lambda x, t: x["rate"] * (1.1 if t == 1 else 1))
)
wrong(adam, "another default", "defaults", defaults={**adam.defaults, "beta2": 0.99})
wrong(adam, "lr in another unit", "units", units={"lr": "theta/g", "eps": "g"})
wrong(adam, "eps without a unit", "units", units={"lr": "theta"})
wrong(adam, "a unit that is none", "units", units={"lr": "metre", "eps": "g"})
wrong(adam, "squares that are not declared", "refuses_nonfinite", power=1)

# The equation on the board, slightly misread


def largest_gradient(theta, g, m, u, rate, beta1, rest1, beta2):
    m = beta1 * m + rest1 * g
    u = maximum(beta2 * u, g)  # not abs(g)
    return theta - rate * m / (u + 1e-30), g, m, u


wrong(momentum, "nesterov", "oracle", update=nesterov.update)
wrong(nesterov, "momentum", "oracle", update=momentum.update)
wrong(adamax, "abs forgotten", "odd_symmetry", "oracle", update=largest_gradient)
wrong(adamax, "a maximum kept like a square", "smaller_state", power=2)
wrong(sgd, "uphill", "first_step_descends", "oracle", update=lambda theta, g, lr: (theta + lr * g, g))
wrong(sgd, "prefers a direction", "odd_symmetry", update=lambda theta, g, lr: (theta - lr * maximum(g, 0.0), g))
wrong(
    sgd,
    "decay without a name",
    "first_step_descends",
    "units",
    update=lambda theta, g, lr: (theta - lr * (g + theta), g),
)
wrong(
    sgd,
    "a rate of its own",
    "zero_rate_keeps_theta",
    update=lambda theta, g, lr: (theta - (lr + g * 0.0 + 1e-3) * g, g),
)
wrong(adagrad, "a start without a unit", "units", start={"s": 0.1})
wrong(rmsprop, "another rule's default", "defaults", defaults={**rmsprop.defaults, "rho": 0.99})
wrong(momentum, "a velocity called nonnegative", "nonnegative_slots", nonnegative=("v",))
wrong(momentum, "a start that prefers a direction", "odd_symmetry", start={"v": 1e-6})

# Stages


def high_alone(theta, g, low, high):
    return theta, minimum(g, high + 0.0 * (g + low))


def sum_on_numpy(theta, g):
    return g * g * (0.99 if isinstance(g, np.ndarray) else 1.0)


wrong(clip_by_value, "one end", "odd_symmetry", update=high_alone)
wrong(l2, "no unit", "units", units={})
wrong(ema, "a start without a unit", "units", start={"average": 1.0})
wrong(ema, "a start in another unit", "units", start={"average": 1.0}, units={"average": "g"})
wrong(clip_by_value, "a bound without a unit", "units", units={})
wrong(
    clip_by_norm,
    "a norm without its root",
    "units",
    scalars=lambda total, max_norm: {"factor": min(1, max_norm / total)},
)
wrong(clip_by_norm, "nothing to sum", "form", measure={"total": lambda theta, g: 1.0})
wrong(clip_by_norm, "another sum on NumPy", "compiled_equals_eager", measure={"total": sum_on_numpy})

# Sums by name: LAMB's norm is that of its step

wrong(
    lamb,
    "a ratio of squares",
    "oracle",
    "units",
    scalars=lambda size, length, lr: {"rate": lr * size / length if size > 0 and length > 0 else lr},
)
wrong(
    lamb,
    "the gradient's norm",
    "oracle",
    "units",
    measure={**lamb.measure, "length": lambda g: g * g},
)
wrong(
    lamb,
    "another sum on NumPy",
    "compiled_equals_eager",
    measure={**lamb.measure, "size": lambda theta: sum_on_numpy(theta, theta)},
)
wrong(lamb, "nothing to sum by name", "form", measure={**lamb.measure, "size": lambda theta: 1.0})

# What the form forbids

FORM = {
    "a branch": lambda theta, g, lr: (theta - lr * g if theta else theta, g),
    "scalars alone": lambda theta, g, lr: (theta - (1 - lr) * g, g),
    "a division by a scalar": lambda theta, g, lr: (theta - g / lr, g),
    "NumPy": lambda theta, g, lr: (theta - lr * np.sqrt(g * g), g),
    "a power": lambda theta, g, lr: (theta - lr * g**3, g),
    "a sum": lambda theta, g, lr: (theta - lr * g.sum(), g),
    "no tuple": lambda theta, g, lr: theta - lr * g,
    "a scalar for an array": lambda theta, g, lr: (theta - lr * g, lr),
    "another argument": lambda theta, g, lr, eps=0.0: (theta - lr * g, g),
    "another order": lambda g, theta, lr: (theta - lr * g, g),
}
for _why, _update in FORM.items():
    wrong(sgd, _why, "form", update=_update)

_calls = count()
wrong(
    sgd, "a memory that is not declared", "form", "groups_and_chain", scalars=lambda lr: {"lr": lr / (1 + next(_calls))}
)
wrong(sgd, "an infinite scalar", "form", scalars=lambda t, lr: {"lr": lr * (1.0 if t < 1000 else float("inf"))})

# What no form can forbid: a rule that looks at what it is handed


def on_numpy(change):
    """Gradient descent that changes its gradient where it is a NumPy array."""
    return lambda theta, g, lr: (theta - lr * (change(g) if isinstance(g, np.ndarray) else g), g)


wrong(sgd, "other numbers on NumPy", "compiled_equals_eager", update=on_numpy(lambda g: np.nextafter(g, 0)))
wrong(sgd, "other numbers on NumPy", "equation", "namespaces", update=on_numpy(lambda g: 2 * g))
wrong(
    sgd,
    "a sum over the array",
    "concatenation",
    "compiled_equals_eager",
    "sharding",
    update=on_numpy(lambda g: g - g.sum()),
)
wrong(sgd, "another dtype", "purity", update=on_numpy(lambda g: g.astype("float64")))
wrong(sgd, "flushes denormals", "compiled_equals_eager", update=on_numpy(lambda g: np.where(abs(g) < 1e-38, 0 * g, g)))
wrong(sgd, "loses the sign of zero", "compiled_equals_eager", update=on_numpy(lambda g: g + 0))
wrong(sgd, "drops a shape", "purity", update=on_numpy(lambda g: np.atleast_1d(g)))


def in_place(theta, g, v, lr, momentum):
    if isinstance(v, np.ndarray):
        v *= momentum
        v -= lr * g
    else:
        v = momentum * v - lr * g
    return theta + v, g, v


def aliased(theta, g, v, lr, momentum):
    v = g.view() if isinstance(g, np.ndarray) else momentum * g + 0.0 * (v + lr)
    return theta + v, g, v


wrong(momentum, "in place", "namespaces", "purity", update=in_place)
wrong(momentum, "a view of the gradient", "purity", update=aliased)


# A rule with a start that is declared as it should be is right


@rule(
    lambda lr=1e-2, eps=1e-10: {"lr": lr, "eps": eps}, state="s", start={"s": 0.1},
    units={"lr": "theta", "eps": "g", "s": "g*g"}, power=2,
)  # fmt: skip
def started(theta, g, s, lr, eps):
    s = s + g * g
    return theta - lr * g / (sqrt(s) + eps), g, s


@rule(lambda lr=1e-2: {"lr": lr}, units={"lr": "theta"})
def signed(theta, g, lr):
    return theta - lr * sign(g) * minimum(magnitude(sign(g)), 1.0), g


@pytest.mark.parametrize("right", [started, signed], ids=lambda x: x.name)
@pytest.mark.parametrize("law", ["units", "odd_symmetry", "form", "compiled_equals_eager"])
def test_a_right_rule_passes(law, right):
    LAWS[law](Case(right))
