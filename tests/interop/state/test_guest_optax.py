"""Our transformation in optax put in mid-run in place of one of optax's own, and taken out again."""

import numpy as np
import pytest
from moving import AFTER, BEFORE, close, gradients, optimizer, snapshot, start
from test_state_optax import CASES, double, flat, go, stage, transformation, tree

import gradstep as gs

jax = pytest.importorskip("jax")
ours = pytest.importorskip("gradstep.interop.optax")
assert double  # a fixture


def moved(rule, params, own, like):
    """The state of one transformation as that of another, by way of an optimizer of ours."""
    opt = optimizer(rule, {name: np.asarray(x) for name, x in flat(params).items()})
    ours.load_state(opt, own, t=BEFORE)
    return ours.dump_state(opt, like)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.split()[0] in ("sgd", "adam", "rmsprop", "radam", "nadam")]
)
def test_in_and_out(case):
    grads = gradients(BEFORE + AFTER)
    tx, guest = transformation(case, 0.1), ours.transformation(stage(case, 0.1))
    params, own = go(tx, tree(start()), tx.init(tree(start())), grads[:BEFORE])
    whole = go(tx, params, own, grads[BEFORE:])[0]
    kept = moved(stage(case, 0.1), params, own, guest.init(params))
    close(flat(go(guest, params, kept, grads[BEFORE:])[0]), flat(whole), 1e-9)
    back = moved(stage(case, 0.1), params, kept, tx.init(params))
    close(flat(go(tx, params, back, grads[BEFORE:])[0]), flat(whole), 1e-9)


@pytest.mark.parametrize("rule", ["nadam", "radam", "sgd", gs.chain(gs.clip_by_norm(1.0), gs.adam, gs.ema(decay=0.9))])
def test_to_the_last_bit(rule):
    tx = ours.transformation(rule)
    params, own = go(tx, tree(start()), tx.init(tree(start())), gradients(BEFORE))
    opt = optimizer(rule, start())
    ours.load_state(opt, own)
    assert opt.t == BEFORE
    made = ours.dump_state(opt, tx.init(params))
    assert jax.tree.structure(made) == jax.tree.structure(own)
    assert all(
        x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (made, own)), strict=True)
    )


def test_what_does_not_fit_is_refused():
    tx = ours.transformation("adam")
    own = tx.init(tree(start()))
    for act, said in [
        (lambda: ours.load_state(own, own), "by way of an optimizer of ours: opt = gs.Optimizer"),
        (lambda: ours.dump_state(tx, own), "by way of an optimizer of ours: opt = gs.Optimizer"),
    ]:
        with pytest.raises(gs.GradstepTypeError, match=said):
            act()
    opt = optimizer("sgd", start())
    before = snapshot(opt)
    with pytest.raises(gs.GradstepValueError, match="it keeps mu, which nothing"):
        ours.load_state(opt, own)
    assert snapshot(opt) == before
