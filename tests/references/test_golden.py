"""Rules, stages and variants beside other libraries, in float64: values after 1, 2, 3 and 5 updates (golden.json).

The values come from a program of its own that agrees with each library named, to the last digits or to what is said
there: where a library is exact in float32 alone, they are that program's. tests/papers/test_papers_golden.py holds the
oracles to the same.
"""

import json
from pathlib import Path

import numpy as np
import pytest

import gradstep as gs
import gradstep.variants
from gradstep.rule import registry
from gradstep.testing.case import ENGINES

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
CLOSE, CLOSE_OF_MATRICES = 1e-12, 1e-9


def stage(name, **hyper):
    return registry(None)[name](**hyper)


def from_second(t):
    """A decay that begins at the second update."""
    return 0.1 if t > 0 else 0.0


CHAINS = {
    "lion": lambda: gs.chain(gs.decay(weight_decay=0.1), gs.lion(lr=0.01)),
    "signum": lambda: gs.signum(lr=0.01),
    "yogi": lambda: stage("yogi_corrected", lr=0.01),
    "adabelief": lambda: gs.adabelief(lr=0.01),
    "adabelief_rectified": lambda: stage("adabelief_rectified", lr=0.01, beta2=0.9),
    "adan": lambda: gs.chain(gs.adan(lr=0.01), stage("proximal_decay", weight_decay=0.1)),
    "adan_optax": lambda: stage("adan_optax", lr=0.01),
    "ademamix": lambda: gs.chain(gs.decay(weight_decay=0.1), gs.ademamix(lr=0.01, alpha=2.0)),
    "ademamix_warm": lambda: gs.ademamix(lr=0.01, alpha=2.0, alpha_steps=4, beta3_steps=4),
    "simplified_ademamix": lambda: gs.chain(gs.decay(weight_decay=0.1), gs.simplified_ademamix(lr=0.01, alpha=2.0)),
    "adopt": lambda: gs.adopt(lr=0.01),
    "adopt_unclipped_decoupled": lambda: gs.chain(
        gs.decay(weight_decay=from_second), stage("adopt_unclipped", lr=0.01)
    ),
    "adopt_timm": lambda: gs.chain(gs.l2(weight_decay=0.1), gs.adopt(lr=0.01, clip_exponent=0.333)),
    "laprop": lambda: gs.chain(gs.laprop(lr=0.01), gs.decay(weight_decay=0.1)),
    "stable_adamw": lambda: gs.stable_adamw(lr=0.01),
    "schedule_free_sgd": lambda: gs.chain(gs.l2(weight_decay=0.1), gs.schedule_free_sgd(lr=0.1, warmup=3)),
    "schedule_free_adamw": lambda: gs.schedule_free_adamw(lr=0.01, weight_decay=0.1, warmup=3),
    "schedule_free_adamw_keras": lambda: stage("schedule_free_adamw_keras", lr=0.01, warmup=3),
    "prodigy": lambda: gs.prodigy(weight_decay=0.1),
    "prodigy_corrected": lambda: gs.prodigy(d0=0.1, correction=1),
    "prodigy_safeguarded": lambda: gs.prodigy(d0=0.1, growth=1.02),
    "dadapt_adam": lambda: gs.dadapt_adam(weight_decay=0.1),
    "dadapt_adam_corrected": lambda: gs.dadapt_adam(d0=0.1, correction=1),
    "dadapt_sgd": lambda: gs.dadapt_sgd(momentum=0.9, d0=0.1),
    "dog": lambda: gs.dog(),
    "ldog": lambda: stage("ldog"),
    "dowg": lambda: gs.dowg(),
    "rprop": lambda: gs.rprop(lr=0.01),
    "ftrl_keras": lambda: stage("ftrl_keras", lr=0.1, l1=0.1, l2=0.2, beta=0.5, shrinkage=0.05),
    "ftrl_mcmahan": lambda: gs.ftrl(lr=0.1, l1=0.1, l2=0.2, beta=0.5),
    "madgrad": lambda: gs.chain(gs.l2(weight_decay=0.1), gs.madgrad(lr=0.01)),
    "sophia_optax": lambda: stage("sophia_optax", lr=0.01, k=2),
    "lamb": lambda: gs.lamb(lr=0.01, weight_decay=0.1),
    "lamb_timm": lambda: gs.chain(gs.clip_by_global_norm(max_norm=1.0), gs.lamb(lr=0.01, weight_decay=0.01)),
    "lamb_keras": lambda: gs.chain(
        gs.decay(weight_decay=0.1, name="before"), gs.lamb(lr=0.01, weight_decay=0.0, eps=1e-7)
    ),
    "lars_optax": lambda: stage("lars_optax", lr=1.0, weight_decay=0.1),
    "lars_timm": lambda: stage("lars_timm", lr=1.0, weight_decay=0.1, momentum=0.9),
    "novograd": lambda: stage("novograd", lr=0.01, weight_decay=0.1),
    "novograd_optax": lambda: stage("novograd", lr=0.01, weight_decay=0.1, beta1=0.9, beta2=0.25, eps=1e-6),
    "adafactor_torch": lambda: stage("adafactor_torch", lr=0.01, weight_decay=0.1, eps1=2.0**-52),
    "adafactor_optax": lambda: stage("adafactor_optax", lr=0.01, momentum=0.9, weight_decay=0.01),
    "adafactor_keras": lambda: gs.chain(gs.decay(weight_decay=0.1), gs.adafactor(lr=0.01)),
    "adafactor_t5x": lambda: stage("adafactor_timm", weight_decay=0.1),
    "came": lambda: stage("came", lr=0.01, weight_decay=0.1),
    "sm3": lambda: stage("sm3", lr=0.01),
    "muon_torch": lambda: stage("muon_torch", lr=0.01, weight_decay=0.1),
    "muon_moonlight": lambda: stage("muon_moonlight", lr=0.01, weight_decay=0.1),
    "muon_optax": lambda: stage("muon_optax", lr=0.01),
    "shampoo": lambda: stage("shampoo", lr=0.1, eps=1e-6),
    "soap": lambda: stage("soap", lr=0.01, every=2),
    "mars": lambda: gs.chain(
        gs.decay(weight_decay=0.1), stage("mars", beta1=0.95), gs.adam(lr=0.01, beta1=0.95, beta2=0.99)
    ),
    "mars_timm": lambda: gs.chain(
        gs.decay(weight_decay=0.1), stage("mars_timm", beta1=0.9), gs.adam(lr=0.01, beta2=0.99)
    ),
    "cautious_adamw": lambda: gs.chain(gs.decay(weight_decay=0.1), gs.adam(lr=0.01), stage("cautious_mean")),
    "lookahead_adam": lambda: gs.chain(gs.adam(lr=0.01), stage("lookahead", k=2)),
    "asgd": lambda: gs.asgd(lr=0.01),
}


def test_every_setting_has_a_chain():
    assert CHAINS.keys() == GOLDEN["settings"].keys()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CHAINS)
def test_after_some_updates(name, engine):
    golden = GOLDEN["settings"][name]
    problem = GOLDEN["problems"][golden["problem"]]
    params = {key: np.array(x) for key, x in problem["params"].items()}
    tx = CHAINS[name]()
    close = CLOSE_OF_MATRICES if any(part.rule.whole for part in tx.parts) else CLOSE
    opt = gs.Optimizer(params, tx, engine=engine)
    for t, arrays in enumerate(problem["grads"], 1):
        g = {key: np.array(x) for key, x in arrays.items()}
        more = {"curvature": {key: abs(x) for key, x in g.items()}} if name == "sophia_optax" else {}
        opt.step(g, **more)
        for key, x in golden["after"].get(str(t), {}).items():
            np.testing.assert_allclose(params[key], x, rtol=close, atol=close, err_msg=f"{key} after {t} updates")
