"""Law x rule over the registry: a rule that is registered is in every law by that fact alone."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.form import declaration
from gradstep.rule import registry
from gradstep.testing import LAWS
from gradstep.testing.case import ENGINES
from gradstep.testing.trial import gradients, normal, run, same_snapshots

from .cases import CASES, excepted, paper

# namespaces, each apart, are in test_namespaces.py
MATRIX = [
    pytest.param(law, name, id=f"{law}-{name}", marks=excepted(law, name))
    for law in LAWS
    for name in CASES
    if law != "namespaces" and not CASES[name].silent(law)
]


@pytest.mark.parametrize(("law", "name"), MATRIX)
def test_law(law, name):
    LAWS[law](CASES[name])


@pytest.mark.parametrize("name", registry())
def test_every_rule_has_an_oracle(name):
    module = paper(name)
    assert module is not None, f"rule {name} needs tests/papers/{name}.py, written from the paper"
    author = module.CITATION.replace(",", " ").split()[0]
    assert author in registry()[name].doc, f"{name}: the docstring cites another source than the oracle"
    assert not CASES[name].silent("oracle")
    assert not CASES[name].silent("defaults")


def test_exceptions_name_laws_and_have_reasons():
    assert tuple(LAWS) == declaration.LAWS
    for name in CASES:
        for law, reason in CASES[name].rule.exceptions.items():
            assert law in LAWS, name
            assert len(reason.split()) > 3, (name, law)


@pytest.mark.parametrize("engine", ENGINES)
def test_adamw_is_decay_and_adam(engine):
    rng = np.random.default_rng(5)
    thetas = normal(rng, (100,), dtype="float32") + normal(rng, (3, 7))
    grads = gradients(rng, thetas, 50)
    hyper = {"lr": 0.02, "beta1": 0.8, "beta2": 0.99, "eps": 1e-5}
    one = run(gs.adamw(weight_decay=0.3, **hyper), thetas, grads, engine=engine)
    two = run(gs.chain(gs.decay(weight_decay=0.3), gs.adam(**hyper)), thetas, grads, engine=engine)
    for a, b in zip(one, two, strict=True):
        same_snapshots({key.replace("adamw.", "adam."): x for key, x in a.items()}, b, "adamw against decay and adam")
