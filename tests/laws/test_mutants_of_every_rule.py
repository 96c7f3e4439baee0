"""Every rule wrong in each of its numbers, slots, sums and units, and as it is misread: the law meant for it notices.

A rule is in the first by the fact that it is registered.
"""

import inspect
import textwrap
from dataclasses import replace
from functools import wraps

import pytest

from gradstep.rule import registry
from gradstep.testing import LAWS

from .cases import CASES

RULES = [name for name in registry() if not CASES[name].silent("oracle")]
OFF = 1.25
# What may be off without a difference to theta.
EQUAL = {
    ("adabelief_rectified", "rectified off"): "a switch",
    ("schedule_free_adamw_keras", "out off"): "it is the average's, which gives theta nothing back",
    ("adafactor_torch", "eps1 off"): "it is the least mean of R, where the least of the estimate, its square, hides it",
    ("asgd", "share off"): "it is the average's",
    ("asgd_torch", "share off"): "it is the average's",
    ("asgd_torch", "mu not kept"): "it is the average's",
    ("dadapt_adam", "gain3 off"): "d is a quotient, above and below the line as much larger",
    **{
        ("lamb_keras", x): "the step is as long as theta, whatever its direction's length"
        for x in ("mean off", "rest1 off")
    },
    ("muon_torch", "unit of eps"): "all norms are larger here",
    ("muon_torch_matched", "unit of eps"): "all norms are larger here",
    **{
        (name, "now off"): "it is zero"
        for name in ("muon_keras_plain", "muon_mlx_plain", "muon_torch_plain", "muon_torch_plain_matched")
    },
    ("nadam_timm", "eps_root off"): "it is zero",
    ("polyak_optax", "unit of lr"): "no step is as long as lr here",
    ("polyak_optax_plus", "unit of lr"): "no step is as long as lr here",
    ("prodigy", "gain3 off"): "as in dadapt_adam",
    ("psgd_kron", "due off"): "a switch",
    ("psgd_kron", "waited not kept"): "p and q change at each of the first 500 steps",
    ("radam", "rectified off"): "a switch, above a half or not",
    ("radam_optax", "now off"): "it is zero",
    ("radam_optax", "rectified off"): "a switch",
    ("radam_optax_nesterov", "rectified off"): "a switch",
    ("radam_torch", "rectified off"): "a switch",
    ("schedule_free_adamw_rooted", "top not kept"): "the rate does not fall here",
    ("schedule_free_adamw", "top not kept"): "the rate does not fall here",
    ("schedule_free_adamw_optax", "top not kept"): "the rate does not fall here",
    ("schedule_free_sgd", "top not kept"): "the rate does not fall here",
    ("schedule_free_sgd_optax", "top not kept"): "the rate does not fall here",
    ("signum", "rest1 off"): "m is as much larger, and its sign the same",
    ("soap", "rest off"): "the averages are as much larger, and their eigenvectors the same",
    ("soap", "first off"): "a switch",
    ("soap", "due off"): "a switch",
    # Every step is cut with the laws' gradients; tests/test_inputs.py has others.
    **{
        ("sophia_optax", x): "cut"
        for x in ("gamma off", "rest2 off", "h forgotten", "unit of curvature", "unit of gamma")
    },
}


def off(function, *keys):
    """The function with these of its numbers a quarter too large."""

    @wraps(function)
    def changed(*args, **kwargs):
        out = function(*args, **kwargs)
        return {**out, **{key: out[key] * OFF for key in keys if key in out}} if keys else out * OFF

    return changed


def forgotten(rule, slot):
    """The update with a slot that stays as it came."""
    place = 2 + rule.state.index(slot)
    came = list(rule.arrays).index(slot)

    @wraps(rule.update)
    def changed(*args, **kwargs):
        out = list(rule.update(*args, **kwargs))
        out[place] = args[came] if len(args) > came else kwargs[slot]
        return tuple(out)

    return changed


def kept(rule, key):
    """The scalars with a number of memory that stays as it came."""

    @wraps(rule.scalars)
    def changed(*args, **kwargs):
        return {**rule.scalars(*args, **kwargs), key: kwargs.get(key, rule.memory[key])}

    return changed


def mutants(rule):
    """Yield each with the name of what is wrong, and the law that is to notice."""
    early = {key: off(rule.early, key) for key in rule.early_numbers} if rule.early else {}
    for key in rule.numbers:
        changes = {"early": early[key]} if key in early else {"scalars": off(rule.scalars, key)}
        yield f"{key} off", "oracle", changes
    for key in rule.state:
        if key not in rule.inputs and rule.start.get(key) != "theta":
            yield f"{key} forgotten", "oracle", {"update": forgotten(rule, key)}
    for key in rule.memory:
        yield f"{key} not kept", "oracle", {"scalars": kept(rule, key)}
    for key, f in rule.measure.items():
        yield f"sum {key} off", "oracle", {"measure": {**rule.measure, key: off(f)}}
    if "units" not in rule.exceptions:
        for key in rule.units:
            yield f"unit of {key}", "units", {"units": {**rule.units, key: f"{rule.units[key]} / g"}}


@pytest.mark.parametrize("name", RULES)
def test_what_is_a_little_wrong_is_caught(name):
    case = CASES[name]
    survivors = []
    for what, law, changes in mutants(case.rule):
        try:
            LAWS[law](replace(case, rule=replace(case.rule, **changes)))
        except (AssertionError, ValueError, TypeError, ZeroDivisionError):
            assert (name, what) not in EQUAL
        else:
            survivors.append(what)
    assert survivors == [what for rule, what in EQUAL if rule == name]


# ---- misread: a rule, what stands in its file, and what a reader made of it

MISREAD = [
    ("adabelief", "surprise = g - m", "surprise = g"),  # Adam's
    ("adabelief", "(surprise * surprise) + eps_root", "(surprise * surprise + eps_root)"),
    ("adamaxw", "theta = theta - shrink * theta", "g = g + shrink * theta"),  # in the gradient
    ("adan", "look = g + beta2 * d", "look = g + rest2 * d"),  # optax 0.2.8
    ("adan", "keep=1.0 if t > 1 else 0.0", "keep=1.0"),  # the difference to no gradient
    ("ademamix", "rate2=lr * alpha * share", "rate2=lr * alpha * share / (1 - beta3**t)"),  # m2 corrected too
    ("ademamix", "rest3=1 - slow", "rest3=1 - beta3"),
    ("adopt", "float(t - 1) ** clip_exponent", "float(t) ** clip_exponent"),  # pytorch_optimizer 4.1.0
    ("adopt", "maximum(sqrt(v), eps)", "(sqrt(v) + eps)"),
    ("adopt", "n = minimum", "v = beta2 * v + rest2 * (g * g)\n    n = minimum"),  # Adam's order
    ("asgd", "lr * (t - 1)) ** alpha", "lr * t) ** alpha"),
    ("dadapt_adam", "product / ((1 - beta3) * size)", "product / size"),
    ("dadapt_sgd", "2 * product / norm", "product / norm"),
    ("dadapt_sgd", "first if first else sqrt(length)", "sqrt(length)"),  # each gradient's own norm
    ("dog", "(1 + sqrt(start))", "sqrt(start)"),
    ("dog", "max(distance, sqrt(away))", "sqrt(away)"),  # the distance now
    ("dowg", "weighted + distance * length", "weighted + length"),  # DoG's
    ("ftrl", "grown = n + g * g", "grown = n + 0.5 * (g * g)"),
    ("ftrl", "+ l2", "+ 2 * l2"),  # Keras
    ("laprop", "share * g / (unbias2 * sqrt(v) + eps)", "share * g / (unbias2 * (sqrt(v) + eps))"),
    ("lars", "rate * (g + weight_decay * theta)", "rate * g"),
    ("lars", "momentum * v + rate", "momentum * v + (1.0 - momentum) * rate"),
    ("ldog", "(1 + sqrt(start))", "sqrt(start)"),
    ("ldog", "(gradients or eps) + length", "gradients + length"),
    ("lion", "sign(beta1 * m + rest1 * g)", "sign(beta2 * m + rest2 * g)"),  # one beta
    ("madgrad", "cbrt(v)", "sqrt(v)"),
    ("madgrad", "sqrt(float(t))", "1.0"),
    ("momo", "beta = beta if t > 1 else 0.0", "beta = beta"),  # averages from zero
    ("momo", "level + ahead - base - f_min", "level - f_min"),  # Polyak's, of an average
    ("nadamw", "(beta1 * m + rest1 * g)", "m"),  # AdamW
    ("novograd", "beta2 * v + (1 - beta2) * length if t > 1 else length", "beta2 * v + (1 - beta2) * length"),
    (
        "novograd",
        "scale * g + weight_decay * theta",
        "(1.0 - beta1) * (scale * g + weight_decay * theta)",
    ),  # grad_averaging
    ("polyak", "max(0.0, loss - f_min)", "loss"),
    ("prodigy", "floor=d * eps", "floor=eps"),
    ("prodigy", "gain2=(1 - beta2) * now * now", "gain2=(1 - beta2) * now"),
    ("rprop", "theta = theta - now * size", "theta = theta - last * size"),  # optax 0.2.8: a step late
    ("rprop", "now = where(agree < 0.0, 0.0 * now, now)", "now = now"),  # Rprop with no way back
    ("schedule_free_adamw", "total_weight + top * top", "total_weight + 1.0"),  # Keras' weights
    ("schedule_free_sgd", "top * top / total_weight", "top / total_weight"),
    ("schedule_free_sgd", "(1 - beta1 * (1 - share))", "(1 - beta1)"),
    ("sgdw", "theta = theta - shrink * theta", "theta = theta"),
    ("signum", "sign(m)", "sign(g)"),  # no memory
    ("simplified_ademamix", "beta1 * m + g", "beta1 * m + (1.0 - beta1) * g"),  # pytorch_optimizer 4.1.0
    ("sophia", "maximum(gamma * h, eps)", "(gamma * h + eps)"),  # the authors' code, with its 1e-15
    ("sophia", "(t - 1) % k", "t % k"),  # the first estimate too late
    ("stable_adamw", "max(1.0, sqrt(ratios / elements))", "sqrt(ratios / elements)"),
    ("stable_adamw", "shrink=rate * weight_decay", "shrink=lr * weight_decay"),
    ("yogi", "sign(v - square) * square", "(v - square)"),  # Adam's
    ("adafactor_optax", "- shrink * theta", "- new * shrink * theta"),  # a decay times lr
    ("adafactor_timm", "rest1 * alpha * u", "rest1 * u"),
    ("adafactor_timm_rate", "shrink=lr * weight_decay", "shrink=weight_decay"),  # optax's
    ("adafactor_torch", "averages(g * g, r", "averages(g * g + eps1, r"),  # the paper's
    ("came", "(u - m) * (u - m)", "u * u"),
    ("muon_keras", "b = momentum * b + g", "b = momentum * b + (1.0 - momentum) * g"),
    ("muon_mlx", "theta = theta - lr", "theta = theta - lr * decay * theta - lr"),
    ("muon_moonlight", "maximum(rows(g), columns(g))", "maximum(1.0, rows(g) / columns(g))"),  # Jordan's
    ("muon_optax", "columns(g) / rows(g)", "rows(g) / columns(g)"),
    ("muon_torch", "maximum(norm(u), eps)", "(norm(u) + eps)"),
    ("psgd_kron", "matmul(matmul(p, m), transpose(q))", "matmul(matmul(p, g), transpose(q))"),  # fitted to gradients
    ("psgd_kron", "transpose(b), step) * matrix", "transpose(b), step)"),  # a vector's number too
    ("psgd_kron", "transpose(trisolve(transpose(q)", "transpose(trisolve(q"),
    ("shampoo", "left = left + gram", "left = 0.9 * left + gram"),  # an average
    ("sm3", "minimum(r, c) + g * g", "r + g * g"),
    ("soap", "when(due, lambda x: turned(p, turned_back(old[0], x, old[1]), q), m)", "m"),  # seen by the old bases
    ("soap", "made and made % every == 0", "t % every == 0"),  # a step too early
    ("soap", "moves = 1.0 if made else 0.0", "moves = 1.0"),  # the first gradient averaged, not seen by a basis
]


def misread(rule, old, new):
    """The rule's functions that have `old`, with `new` in its place; text that is not there is an error."""
    changes = {}
    for field in ("update", "scalars", "early"):
        function = getattr(rule, field)
        text = textwrap.dedent(inspect.getsource(function)) if function else ""
        if old in text:
            known = dict(inspect.unwrap(function).__globals__)
            exec(text[text.index("def ") :].replace(old, new), known)  # noqa: S102 - this file's own text
            changes[field] = known[function.__name__]
    assert changes, f"{rule.name} has no {old!r}: what is a misreading now?"
    return replace(rule, **changes)


@pytest.mark.parametrize(("name", "old", "new"), MISREAD)
def test_what_is_misread_is_caught(name, old, new):
    case = CASES[name]
    with pytest.raises((AssertionError, ValueError, TypeError, ZeroDivisionError)) as caught:
        LAWS["oracle"](replace(case, rule=misread(case.rule, old, new)))
    assert "apart" in str(caught.value), "it is another number that is to be noticed, not an error"
