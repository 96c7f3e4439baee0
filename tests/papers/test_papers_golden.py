"""The oracles beside values of other libraries in float64: after 1, 2, 3 and 5 updates of two small arrays.

tests/references/golden.json has the values, and which libraries gave them.
"""

import json
from pathlib import Path

import pytest
from mpmath import mp, mpf

from . import stages, wrappers
from .exact import DIGITS
from .matrices import numbers_of
from .test_papers import oracle

GOLDEN = json.loads((Path(__file__).parents[1] / "references/golden.json").read_text())
CLOSE = 1e-12


def elements(name, **hyper):
    """A trajectory of one array by an oracle of one element; `given` are functions of the gradient, by name."""

    def path(theta0, gradients, given):
        own = [[g[i] for g in gradients] for i in range(len(theta0))]
        made = [
            oracle(name).trajectory(x, g, **hyper, **{key: list(map(f, g)) for key, f in given.items()})
            for x, g in zip(theta0, own, strict=True)
        ]
        return [list(theta) for theta in zip(*made, strict=True)]

    return path


def array(name, **hyper):
    return lambda theta0, gradients, given: oracle(name).trajectory(theta0, gradients, **hyper)


def matrix(name, **hyper):
    """By an oracle of matrices; the array's rows have that many elements."""

    def path(theta0, gradients, columns):
        def rows(x):
            return [x[i : i + columns] for i in range(0, len(x), columns)]

        return list(map(numbers_of, oracle(name).trajectory(rows(theta0), list(map(rows, gradients)), **hyper)))

    return path


def decayed(path, rate, start=1, behind=False):
    """theta - rate theta before each step, or behind it, from update `start` on; the steps do not see theta."""

    def decaying(theta0, gradients, given):
        theta, before, out = theta0, theta0, []
        for t, after in enumerate(path(theta0, gradients, given), 1):
            share = 1 - mpf(rate) if t >= start else 1
            steps = [b - a for b, a in zip(before, after, strict=True)]
            theta = [(x - s) * share if behind else x * share - s for x, s in zip(theta, steps, strict=True)]
            before = after
            out.append(theta)
        return out

    return decaying


def l2(path, weight_decay):
    """weight_decay theta in the gradients."""

    def decaying(theta0, gradients, given):
        theta, taken, out = theta0, [], []
        for g in gradients:
            taken.append(stages.l2(g, theta, weight_decay))
            theta = path(theta0, taken, given)[-1]
            out.append(theta)
        return out

    return decaying


def proximal(path, lr, weight_decay):
    def decaying(theta0, gradients, given):
        theta, before, out = theta0, theta0, []
        for after in path(theta0, gradients, given):
            moved = [x - (b - a) for x, b, a in zip(theta, before, after, strict=True)]
            theta, before = wrappers.proximal_decay(moved, lr, weight_decay), after
            out.append(theta)
        return out

    return decaying


def mars(path, first, beta1=0.95):
    return lambda theta0, gradients, given: path(theta0, wrappers.mars(gradients, 0.025, beta1, first), given)


def cautious(theta0, gradients, given):
    """Adam's steps masked, behind a decay."""
    theta, before, out = theta0, theta0, []
    for g, after in zip(gradients, elements("adam", lr=0.01)(theta0, gradients, {}), strict=True):
        theta = stages.decay(theta, 0.01, 0.1)
        moved = [x - (b - a) for x, b, a in zip(theta, before, after, strict=True)]
        theta, before = stages.cautious_mean(theta, moved, g), after
        out.append(theta)
    return out


def lookahead(theta0, gradients, given):
    steps = elements("adam", lr=0.01)(theta0, gradients, {})
    moves = iter([[a - b for a, b in zip(y, x, strict=True)] for x, y in zip([theta0, *steps], steps, strict=False)])

    def step(theta, _):
        return [x + move for x, move in zip(theta, next(moves), strict=True)]

    return list(wrappers.lookahead(theta0, step, gradients, mpf(0.5), 2))


ADAM95 = elements("adam", lr=0.01, beta1=0.95, beta2=0.99)
PATHS = {
    "lion": decayed(elements("lion", lr=0.01), 0.01 * 0.1),
    "signum": elements("signum", lr=0.01),
    "yogi": elements("yogi_corrected", lr=0.01),
    "adabelief": elements("adabelief", lr=0.01),
    "adabelief_rectified": elements("adabelief_rectified", lr=0.01, beta2=0.9),
    "adan": proximal(elements("adan", lr=0.01), 0.01, 0.1),
    "adan_optax": elements("adan_optax", lr=0.01),
    "ademamix": decayed(elements("ademamix", lr=0.01, alpha=2), 0.001),
    "ademamix_warm": elements("ademamix", lr=0.01, alpha=2, alpha_steps=4, beta3_steps=4),
    "simplified_ademamix": decayed(elements("simplified_ademamix", lr=0.01, alpha=2), 0.001),
    "adopt": elements("adopt", lr=0.01),
    "adopt_unclipped_decoupled": decayed(elements("adopt_unclipped", lr=0.01), 0.001, start=2),
    "adopt_timm": l2(elements("adopt", lr=0.01, clip_exponent=0.333), 0.1),
    "laprop": decayed(elements("laprop", lr=0.01), 0.001, behind=True),
    "stable_adamw": array("stable_adamw", lr=0.01),
    "schedule_free_sgd": l2(elements("schedule_free_sgd", lr=0.1, warmup=3), 0.1),
    "schedule_free_adamw": elements("schedule_free_adamw", lr=0.01, weight_decay=0.1, warmup=3),
    "schedule_free_adamw_keras": elements("schedule_free_adamw_keras", lr=0.01, warmup=3),
    "prodigy": array("prodigy", weight_decay=0.1),
    "prodigy_corrected": array("prodigy", d0=0.1, correction=1),
    "prodigy_safeguarded": array("prodigy", d0=0.1, growth=1.02),
    "dadapt_adam": array("dadapt_adam", weight_decay=0.1),
    "dadapt_adam_corrected": array("dadapt_adam", d0=0.1, correction=1),
    "dadapt_sgd": array("dadapt_sgd", momentum=0.9, d0=0.1),
    "dog": array("dog"),
    "ldog": array("ldog"),
    "dowg": array("dowg"),
    "rprop": elements("rprop", lr=0.01),
    "ftrl_keras": elements("ftrl_keras", lr=0.1, l1=0.1, l2=0.2, beta=0.5, shrinkage=0.05),
    "ftrl_mcmahan": elements("ftrl", lr=0.1, l1=0.1, l2=0.2, beta=0.5),
    "madgrad": l2(elements("madgrad", lr=0.01), 0.1),
    "sophia_optax": elements("sophia_optax", lr=0.01, k=2),
    "lamb": array("lamb", lr=0.01, weight_decay=0.1),
    "lamb_timm": array("lamb_timm", lr=0.01, weight_decay=0.01),
    "lamb_keras": array("lamb_keras", lr=0.01, weight_decay=0.1),
    "lars_optax": array("lars_optax", lr=1, weight_decay=0.1),
    "lars_timm": array("lars_timm", lr=1, weight_decay=0.1, momentum=0.9),
    "novograd": array("novograd", lr=0.01, weight_decay=0.1),
    "novograd_optax": array("novograd", lr=0.01, weight_decay=0.1, beta1=0.9, beta2=0.25, eps=1e-6),
    "adafactor_torch": matrix("adafactor_torch", lr=0.01, weight_decay=0.1),
    "adafactor_optax": matrix("adafactor_optax", lr=0.01, momentum=0.9, weight_decay=0.01),
    "adafactor_keras": matrix("adafactor_keras", lr=0.01, weight_decay=0.1),
    "adafactor_t5x": matrix("adafactor_timm", weight_decay=0.1),
    "came": matrix("came", lr=0.01, weight_decay=0.1),
    "sm3": matrix("sm3", lr=0.01),
    "muon_torch": matrix("muon_torch", lr=0.01, weight_decay=0.1),
    "muon_moonlight": matrix("muon_moonlight", lr=0.01, weight_decay=0.1),
    "muon_optax": matrix("muon_optax", lr=0.01),
    "shampoo": matrix("shampoo", lr=0.1, eps=1e-6),
    "soap": matrix("soap", lr=0.01, every=2),
    "mars": decayed(mars(ADAM95, first=0), 0.001),
    "mars_timm": decayed(mars(elements("adam", lr=0.01, beta1=0.9, beta2=0.99), first=1, beta1=0.9), 0.001),
    "cautious_adamw": cautious,
    "lookahead_adam": lookahead,
    "asgd": elements("asgd", lr=0.01),
}
# One list of all arrays, where the sums go over them.
TOGETHER = {"prodigy", "prodigy_corrected", "prodigy_safeguarded", "dadapt_adam", "dadapt_adam_corrected"}
TOGETHER |= {"dadapt_sgd", "dog", "dowg"}


def flat(nest):
    return [x for part in nest for x in flat(part)] if isinstance(nest, list) else [mpf(nest)]


def joined(arrays):
    return {"all": flat(list(arrays.values()))}


def clipped(arrays):
    """timm's LAMB cuts the gradients' norm to 1 before all else."""
    return dict(zip(arrays, stages.clip_by_global_norm([flat(x) for x in arrays.values()], 1), strict=True))


def test_every_setting_has_an_oracle():
    assert PATHS.keys() == GOLDEN["settings"].keys()


@pytest.mark.parametrize("name", PATHS)
def test_after_some_updates(name):
    golden = GOLDEN["settings"][name]
    problem = GOLDEN["problems"][golden["problem"]]
    form = joined if name in TOGETHER else lambda arrays: {key: flat(x) for key, x in arrays.items()}
    with mp.workdps(DIGITS):
        start = form(problem["params"])
        grads = [clipped(g) if name == "lamb_timm" else form(g) for g in problem["grads"]]
        after = {t: form(x) for t, x in golden["after"].items()}
        for key, theta0 in start.items():
            if PATHS[name].__qualname__.startswith("matrix"):
                own = problem["params"][key]
                given = len(own[0]) if isinstance(own[0], list) else 1
            else:
                given = {"curvature": abs} if name == "sophia_optax" else {}
            path = PATHS[name](theta0, [g[key] for g in grads], given)
            for t, expected in after.items():
                for a, e in zip(path[int(t) - 1], expected[key], strict=True):
                    assert abs(a - e) <= CLOSE * max(1, abs(e)), f"{key} after {t} updates: {mp.nstr(a, 17)}, not {e}"
