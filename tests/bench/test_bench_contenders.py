"""Like is compared with like: everybody's parameters go where Gradstep's go. What is not installed is skipped."""

import numpy as np
import pytest

from gradstep import rules
from gradstep.bench import Kind, Size, measure
from gradstep.bench.contenders import (
    KINDS,
    OURS,
    STREAMS,
    UnavailableError,
    keras_apply,
    optax_jit,
    pytorch_optimizer,
    torch_optim,
)
from gradstep.bench.contenders.base import load
from gradstep.bench.contenders.by_hand import RULES as BY_HAND
from gradstep.bench.work import Work
from gradstep.rule import registry
from support import OF_GRADIENTS

pytestmark = pytest.mark.filterwarnings("ignore")  # other libraries' affairs
STEPS = 5
# pytorch_optimizer's have no Adam.
TESTED = [name for name in KINDS if not name.endswith("-state") and not name.startswith("pytorch_optimizer")]
# Rules that torch has by the same formula as Gradstep, if not in the same order of operations.
ALIKE = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adadelta", "adam", "adamw"]


def away_from_zero(rng, work):
    """Numbers of size 0.5 to 1.5, so that where an epsilon stands makes no difference, in tensors of two sizes."""
    shapes = ((8, 5), (7, 3)) if work.declared.whole else (40, 7)
    return [(rng.uniform(0.5, 1.5, n) * rng.choice([-1, 1], n)).astype(work.dtype) for n in shapes]


def made(name, work, arrays):
    try:
        return KINDS[name].make(work, arrays)
    except UnavailableError as error:
        if str(error).endswith("is not installed"):
            pytest.skip(str(error))
        raise


def trajectory(name, work):
    """The parameters after each step, each tensor after the other."""
    rng = np.random.default_rng(3)
    contender = made(name, work, away_from_zero(rng, work))
    out = []
    for _ in range(STEPS):
        grads = contender.gradients(away_from_zero(rng, work))
        contender.begin()
        contender.attach(grads)
        contender.step(grads)
        out.append(np.concatenate([np.array(x, "f8").ravel() for x in contender.parameters()]))
    return np.array(out)


@pytest.mark.parametrize("name", [name for name in TESTED if name != OURS])
def test_everyone_computes_the_same_adam(name):
    np.testing.assert_allclose(trajectory(name, Work()), trajectory(OURS, Work()), rtol=1e-6)


@pytest.mark.parametrize("name", ["torch-single", "optax", "keras", "numpy"])
def test_the_same_adam_in_float64(name):
    work = Work(dtype="float64")
    np.testing.assert_allclose(trajectory(name, work), trajectory(OURS, work), rtol=1e-8)


@pytest.mark.parametrize("name", ["torch-single", "torch-foreach", "numpy"])
@pytest.mark.parametrize("rule", ALIKE)
def test_the_same_rule_by_the_same_name(rule, name):
    if name == "numpy" and rule not in BY_HAND:
        pytest.skip("not written by hand")
    np.testing.assert_allclose(trajectory(name, Work(rule)), trajectory(OURS, Work(rule)), rtol=2e-6)


@pytest.mark.parametrize("name", ["torch-single", "torch-foreach", "torch-fused", "optax", "keras", "numpy"])
def test_the_whole_phase_clips_alike(name):
    """With gradient descent: Adam does not show how long a gradient was."""
    work = Work("sgd", chain=True)
    mine = trajectory(OURS, work)
    np.testing.assert_allclose(trajectory(name, work), mine, rtol=1e-6)
    assert np.abs(mine[-1] - trajectory(OURS, Work("sgd"))[-1]).max() > 1e-3  # a norm of 7 is clipped to 1


@pytest.mark.parametrize("name", ["torch-single", "torch-foreach", "optax", "numpy"])
def test_the_whole_phase_averages_alike(name):
    rng = np.random.default_rng(4)
    work = Work("sgd", chain=True)
    first = away_from_zero(rng, work)
    ours, other = made(OURS, work, first), made(name, work, first)
    for _ in range(STEPS):
        arrays = away_from_zero(rng, work)
        for contender in (ours, other):
            grads = contender.gradients(arrays)
            contender.attach(grads)
            contender.step(grads)
    mine = [np.asarray(x) for x in ours.optimizer.averaged().values()]
    average = other.carried[2] if name == "optax" else other.average
    for x, y in zip(mine, average.values() if isinstance(average, dict) else average, strict=True):
        np.testing.assert_allclose(np.asarray(y), x, rtol=1e-6)
    assert np.abs(mine[0] - ours.parameters()[0]).max() > 1e-4


def test_tables_name_rules_that_exist():
    for table in (torch_optim.RULES, optax_jit.RULES, keras_apply.RULES, pytorch_optimizer.RULES, BY_HAND):
        assert set(table) <= set(rules.__all__)


@pytest.mark.parametrize("rule", OF_GRADIENTS)
@pytest.mark.parametrize("name", ["torch-single", "torch-foreach", "optax", "keras"])
def test_every_rule_runs_or_says_why_not(rule, name):
    library, table = {"optax": ("optax", optax_jit.RULES), "keras": ("Keras", keras_apply.RULES)}.get(
        name, ("torch", torch_optim.RULES)
    )
    if rule not in table:
        pytest.importorskip(library.lower())
        with pytest.raises(UnavailableError, match=rf"^{library} has no {rule}$"):
            trajectory(name, Work(rule))
        return
    moved = trajectory(name, Work(rule))
    assert np.isfinite(moved).all()
    changed = moved[-1] != moved[0]
    # optax's steps of the first two are too small for some float32 at first; rprop takes back where signs turn
    assert changed.any() if (name, rule) in {("optax", x) for x in ("dog", "prodigy", "rprop")} else changed.all()


def test_muon_of_torch_in_float32_rounds_no_product_and_leaves_theirs_as_it_was():
    torch = pytest.importorskip("torch")
    work = Work("muon")
    in_bfloat16, mine, exact = (trajectory(name, work) for name in ("torch-single", "torch-float32", OURS))
    before = torch.optim._muon._zeropower_via_newtonschulz
    assert 1e-4 < np.abs(mine - in_bfloat16).max() < 0.03
    assert trajectory("torch-single", work) == pytest.approx(in_bfloat16, abs=0)
    assert torch.optim._muon._zeropower_via_newtonschulz is before
    assert mine.shape == exact.shape


def test_a_contender_of_one_rule_is_not_missed_in_others(monkeypatch):
    never = Kind("never", None, "numpy", rules=("muon",))
    result = measure(Work("sgd"), Size(1, 10), [KINDS[OURS], never], seconds=0.0, pause=0.0)
    assert ([row.contender for row in result.rows], result.skipped) == ([OURS], [])


def test_every_rule_of_whole_arrays_has_a_peer():
    named = {*torch_optim.RULES, *optax_jit.RULES, *pytorch_optimizer.RULES}
    assert {name for name in OF_GRADIENTS if registry()[name].whole} <= named


@pytest.mark.parametrize("rule", [name for name in OF_GRADIENTS if registry()[name].whole])
@pytest.mark.parametrize("name", ["pytorch_optimizer", "pytorch_optimizer-scalable"])
def test_matrices_by_pytorch_optimizer(rule, name):
    if (KINDS[name].rules or (rule,)) == (rule,):
        moved = trajectory(name, Work(rule))
        assert np.isfinite(moved).all()
        assert (moved[-1] != moved[0]).any()


def test_a_missing_library_is_told():
    with pytest.raises(UnavailableError, match=r"^nosuchlibrary is not installed$"):
        load("nosuchlibrary.part")


@pytest.mark.parametrize("rule", OF_GRADIENTS)
def test_the_stream_moves_as_many_arrays_as_the_rule_keeps(rule):
    """And each of them: what is written came from another array, or is the sum that needs both theta and g."""
    work, rng = Work(rule), np.random.default_rng(0)
    try:
        stream = STREAMS.make(work, [rng.normal(size=9).astype("f4")])
    except UnavailableError as error:
        pytest.skip(str(error))
    slots = [x for own in stream.optimizer.state.values() for x in own.values()]
    assert len(slots) == work.slots == len(registry()[rule].state)
    for k, x in enumerate(slots):
        x[...] = k + 2
    theta, g = stream.parameters()[0].copy(), stream.gradients([rng.normal(size=9)])
    stream.step(g)
    after = [stream.parameters()[0], *slots]
    for k, x in enumerate(after[:-1]):
        np.testing.assert_array_equal(x, np.full(9, k + 2, "f4"))
    np.testing.assert_array_equal(after[-1], theta + g["w0"])
    assert "streams" not in registry(None)


@pytest.mark.parametrize(("name", "extra"), [(OURS, 0), ("numpy", 0), ("torch-fused", 2 * 4), ("optax", 4)])
def test_bytes_held(name, extra):
    """Two moments beside the parameters; torch counts steps in a float32 for each tensor, optax in one int32."""
    contender = made(name, Work(), [np.zeros(1000, "f4"), np.zeros(24, "f4")])
    grads = contender.gradients([np.ones(1000, "f4"), np.ones(24, "f4")])
    contender.attach(grads)
    contender.step(grads)
    assert contender.held() == (4096, 8192 + extra)
