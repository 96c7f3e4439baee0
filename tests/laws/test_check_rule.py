"""``gradstep.testing.check_rule`` in the hands of somebody who writes a rule of his own."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest
from mpmath import mpf, sign

from gradstep import vocabulary
from gradstep.rules import sgd
from gradstep.stages import clip_by_norm
from gradstep.testing import LAWS, Case, check_rule
from papers.exact import exact

from .strangers import rule


def scalars(lr=1e-4, beta1=0.9, beta2=0.99):
    return {"lr": lr, "beta1": beta1, "rest1": 1 - beta1, "beta2": beta2, "rest2": 1 - beta2}


@rule(scalars, state="m", units={"lr": "theta"})
def lion_of_a_stranger(theta, g, m, lr, beta1, rest1, beta2, rest2):
    """Lion. Chen et al. 2023, arXiv:2302.06675, Algorithm 2, without the decay."""
    theta = theta - lr * vocabulary.sign(beta1 * m + rest1 * g)
    m = beta2 * m + rest2 * g
    return theta, g, m


@exact()
def lion_by_the_paper(theta, gradients, *, lr, beta1, beta2):
    m = mpf(0)
    for g in gradients:
        theta = theta - lr * sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        yield theta


def test_a_strangers_rule():
    report = check_rule(
        lion_of_a_stranger, oracle=lion_by_the_paper, defaults={"lr": 1e-4, "beta1": 0.9, "beta2": 0.99}
    )
    assert report == dict.fromkeys(LAWS, "obeyed")


def descent(theta, gradients, *, lr):
    theta, out = Fraction(theta), []
    for g in gradients:
        theta -= Fraction(lr) * Fraction(g)
        out.append(theta)
    return out


def test_an_oracle_in_fractions():
    LAWS["oracle"](Case(sgd, descent))
    with pytest.raises(AssertionError, match="the oracle"):
        LAWS["oracle"](Case(sgd, lambda theta, gradients, lr: descent(theta, gradients, lr=lr * 1.0001)))


def test_what_says_nothing_is_told():
    report = check_rule(clip_by_norm)
    assert {law for law, word in report.items() if word.startswith("silent: ")} == {
        "oracle",
        "defaults",
        "first_step_descends",
        "zero_rate_keeps_theta",
        "smaller_state",
        "concatenation",
    }


def test_every_broken_law_is_named_with_its_evidence():
    uphill = replace(sgd, update=lambda theta, g, lr: (theta + lr * g + lr, g), exceptions={"equation": "none"})
    with pytest.raises(AssertionError) as caught:
        check_rule(uphill, oracle=descent, defaults={"lr": 0.5}, seed=3)
    first, *lines = str(caught.value).splitlines()
    assert first == f"sgd breaks {len(lines)} law(s), with seed 3"
    assert [line.partition(":")[0] for line in lines] == [
        "equation",  # it is obeyed
        "oracle",
        "defaults",
        "units",
        "odd_symmetry",
        "first_step_descends",
    ]
    assert "equation: it is obeyed, but excepted with the reason 'none'" in lines
    assert "defaults: they are {'lr': 0.01}, the paper's {'lr': 0.5}" in lines


def test_a_declared_exception_is_reported():
    shrinking = replace(
        sgd,
        update=lambda theta, g, lr: (theta - lr * g - lr * theta, g),
        units={},
        exceptions={"first_step_descends": "it shrinks theta", "units": "lr stands for two things"},
    )
    report = check_rule(shrinking)
    assert report["first_step_descends"] == "excepted: it shrinks theta"
    assert report["units"] == "excepted: lr stands for two things"


def test_an_exception_that_names_no_law():
    with pytest.raises(AssertionError, match="exceptions: 'first_step' is no law"):
        check_rule(replace(sgd, exceptions={"first_step": "a slip of the pen"}))


def test_an_exception_is_no_cover_for_a_rule_that_fails_otherwise():
    def fails(theta, g, lr):
        raise RuntimeError("oh")

    broken = replace(sgd, update=fails, exceptions=dict.fromkeys(LAWS, "everything is excepted"))
    with pytest.raises(AssertionError, match="form: RuntimeError: oh"):
        check_rule(broken)


@pytest.mark.process
def test_it_needs_neither_pytest_nor_mpmath():
    code = (
        "import sys\n"
        "for name in ('pytest', 'hypothesis', 'mpmath'): sys.modules[name] = None\n"
        "from gradstep import sgd\n"
        "from gradstep.testing import check_rule\n"
        "assert check_rule(sgd)['form'] == 'obeyed'\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
