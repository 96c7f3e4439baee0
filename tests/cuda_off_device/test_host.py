"""The host's half against a driver that records: what is copied and launched, in order, and what a failure leaves."""

import gc
from itertools import pairwise

import numpy as np
import pytest

import gradstep as gs
from gradstep.errors import DeviceError
from support import clear, fingerprint, same

pytest.importorskip("llvmlite")
from .stand_in import StandIn, optimizer

CLIPPED = gs.chain(gs.clip_by_global_norm(1.0), gs.adam(lr=0.1))
ONE = [("wait_for",), "write", ("record", 7)]  # the tables go to the device in one copy


def params(sizes=(5, 300)):
    return {f"w{n}": np.linspace(-1, 1, n, dtype=np.float32) for n in sizes}


def grads(of, value=0.5):
    return {name: np.full_like(x, value) for name, x in of.items()}


def after(driver, act):
    """What ``act`` asked of the driver: names, and what is launched."""
    before = len(driver.calls)
    act()
    names = [x[0] if x[0] == "write" else x for x in driver.calls[before:]]
    assert {x[-1] for x in driver.calls[before:] if x[0] in ("launch", "read", "write", "record")} <= {driver.current}
    return names


def test_a_step_is_one_copy_one_launch_a_phase_and_one_word_back():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver)
    for _ in range(6):
        asked = after(driver, lambda: opt.step(grads(w)))
        assert asked == [*ONE, ("launch", "look", 7), ("launch", "apply", 7), ("read", 8, 7)]


def test_nothing_is_waited_for_where_no_gradient_is_looked_at():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver, on_nonfinite="ignore")
    assert after(driver, lambda: opt.step(grads(w))) == [*ONE, ("launch", "apply", 7)]


def test_only_gradients_scalars_and_the_jobs_words_travel():
    """The table of chunks does not: its size is no part of what a step sends."""
    driver = StandIn()
    w = params((70_000, 3))
    opt = optimizer(w, "adam", driver)
    opt.step(grads(w))
    _, *written = [x[1] for x in driver.calls if x[0] == "write"]  # the first is the table, where the engine is made
    numbers = len(gs.adam.numbers)
    assert written == [8 * (40 + len(w) + numbers)]


def test_a_norm_comes_to_the_host_before_anything_is_written():
    driver = StandIn()
    w = params()
    opt = optimizer(w, CLIPPED, driver)
    asked = after(driver, lambda: opt.step(grads(w)))
    sums = 8 * 2  # one number for each block of 4096 elements
    measure = [("launch", "measure0", 7), ("launch", "halve", 7), ("read", sums, 7), ("read", 8, 7)]
    assert asked == [*ONE, *measure, *ONE, ("launch", "apply", 7)]


def test_norms_of_a_step_are_read_when_somebody_asks():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver, diagnostics=True)
    asked = after(driver, lambda: opt.step(grads(w)))
    launched = [x[1] for x in asked if x[0] == "launch"]
    assert launched == ["look", "meter", "halve_meters", "apply"]
    assert [x for x in asked if x[0] == "read"] == [("read", 8, 7)]
    assert opt.diagnostics.update_norm > 0
    assert driver.calls[-1] == ("read", 2 * 4 * 8, 7)


def test_blocks_of_eight_bits_have_their_scales_written_last():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver, state_dtype="8bit")
    launched = [x[1] for x in after(driver, lambda: opt.step(grads(w))) if x[0] == "launch"]
    assert launched == ["look", "tops", "apply", "rescale"]


def test_arrays_of_two_dtypes_are_two_launches_a_phase():
    driver = StandIn()
    w = {"a": np.ones(9, np.float32), "b": np.ones(9)}
    opt = optimizer(w, "adam", driver)
    launched = [x[1] for x in after(driver, lambda: opt.step(grads(w))) if x[0] == "launch"]
    assert launched == ["look", "look", "apply", "apply"]


def test_another_stream_waits_for_the_one_before():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver, on_nonfinite="ignore")
    opt.step(grads(w))
    driver.current = 9
    asked = after(driver, lambda: opt.step(grads(w)))
    assert asked[0] == ("wait", 7)
    assert ("launch", "apply", 9) in asked


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize("tx", [gs.adam(lr=0.1), CLIPPED], ids=["adam", "clipped"])
@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e30])
def test_a_bad_gradient_changes_nothing(policy, tx, bad):
    w = params()
    opt = optimizer(w, tx, diagnostics=True, on_nonfinite=policy)
    opt.step(grads(w))
    norms, before = opt.diagnostics, fingerprint(opt)
    g = grads(w)
    g["w300"][299] = bad
    if tx is CLIPPED and np.isfinite(bad):
        bad = g["w300"][299] = np.inf  # a stage that bounds the norm takes any that is finite
    if policy == "raise":
        with pytest.raises(gs.NonFiniteError, match=r"'w300'.*\[299\]"):
            opt.step(g)
        assert fingerprint(opt) == before
    else:
        opt.step(g)
        assert (opt.t, opt.skipped) == (1, 1)
    assert opt.diagnostics == norms
    opt.step(grads(w))
    assert opt.t == 2


FAILURES = [("wait_for", 1), ("write", 2), ("record", 1), ("launch", 2), ("read", 1)]


@pytest.mark.parametrize("failing", FAILURES, ids=lambda x: x[0])
def test_a_call_that_fails_in_a_step_leaves_all_as_it_was(failing):
    w = params()
    plain = optimizer(params(), "adam")
    driver = StandIn(failing=failing)
    opt = optimizer(w, "adam", driver)
    opt.step(grads(w))
    before = fingerprint(opt)
    with pytest.raises(DeviceError) as error:
        opt.step(grads(w))
    assert clear(error)
    if failing[0] != "read":  # what was asked before the flag is done, and counts when it can be read
        assert fingerprint(opt) == before
        opt.step(grads(w))
    assert opt.t == 2
    for _ in range(2):
        plain.step(grads(w))
    assert same(opt.params, plain.params)


@pytest.mark.parametrize(
    "failing", [("allocate", 0), ("allocate", 3), ("pinned", 0), ("load", 0), ("event", 0)], ids=str
)
def test_what_is_not_there_at_the_start_is_one_sentence(failing):
    w = params()
    with pytest.raises(DeviceError, match="could not") as error:
        optimizer(w, "adam", StandIn(failing=failing))
    assert clear(error)
    assert same(w, params())


def test_a_look_that_fails_has_written_nothing():
    w = {"a": np.ones(9, np.float32), "b": np.ones(9)}
    opt = optimizer(w, "adam", StandIn(failing=("launch", 2)))  # two looks, and the first update
    with pytest.raises(DeviceError, match="could not launch"):
        opt.step(grads(w))
    assert same(w, {"a": np.ones(9, np.float32), "b": np.ones(9)})
    opt.step(grads(w))
    assert opt.t == 1


def test_a_context_lost_between_two_launches_is_no_place_to_go_on():
    """Half of the arrays have been written then, and all memory of the device is gone with its context."""
    w = {"a": np.ones(9, np.float32), "b": np.ones(9)}
    opt = optimizer(w, "adam", StandIn(failing=("launch", 3)))
    for _ in range(2):
        with pytest.raises(DeviceError, match="from a checkpoint") as error:
            opt.step(grads(w))
        assert clear(error)
    assert opt.t == 0


def test_an_update_is_known_to_be_made_when_its_flag_could_not_be_read():
    """An interrupt in the midst of the wait: whoever asks next asks the device."""
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver)
    read = driver.read

    def interrupted(*_):
        driver.read = read
        raise KeyboardInterrupt

    driver.read = interrupted
    with pytest.raises(KeyboardInterrupt):
        opt.step(grads(w))
    assert opt.t == 1


def test_a_recorded_stream_is_refused():
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver)
    driver.is_captured = True
    before = fingerprint(opt)
    with pytest.raises(DeviceError, match="recorded"):
        opt.step(grads(w))
    assert fingerprint(opt) == before


def test_a_gradient_may_be_a_view_a_parameter_or_state():
    w = {"w": np.linspace(-1, 1, 300, dtype=np.float32).reshape(30, 10)}
    opt = optimizer(w, gs.adam(lr=0.1))
    plain_w = {"w": w["w"].copy()}
    plain = gs.Optimizer(plain_w, gs.adam(lr=0.1), engine="eager")
    rng = np.random.default_rng(0)
    for t in range(4):
        view = rng.normal(size=(10, 30)).astype(np.float32).T
        for mine, theirs in ((opt, w), (plain, plain_w)):
            state = mine.state["w"]["adam.m"] if t == 3 else None
            mine.step({"w": [view, theirs["w"], theirs["w"][::-1], state][t]})
    assert same(w, plain_w)


def test_a_parameter_with_other_memory_is_refused():
    w = params()
    opt = optimizer(w, "adam")
    opt._step._tensors[0].value = w["w5"].copy()  # as torch's .data= does
    with pytest.raises(gs.GradstepValueError, match="'w5' was given other memory") as error:
        opt.step(grads(w))
    assert clear(error)
    assert opt.t == 0


def test_gradients_of_some_rows_are_gathered_first():
    seen = []
    for engine in ("cuda", "eager"):
        w = np.ones((30, 4), np.float32)
        opt = optimizer(w, "adam") if engine == "cuda" else gs.Optimizer(w, "adam", engine=engine)
        rng = np.random.default_rng(0)
        for _ in range(3):
            opt.step(gs.rows(rng.integers(0, 30, 7), rng.normal(size=(7, 4)).astype(np.float32)))
        seen.append((w, opt.engine))
    assert np.array_equal(seen[0][0], seen[1][0])
    assert seen[0][1] == "cuda"


def test_whole_arrays_and_strided_parameters_are_refused():
    with pytest.raises(gs.GradstepValueError, match="muon sees whole arrays"):
        optimizer(np.ones((3, 4), np.float32), "muon")
    with pytest.raises(gs.GradstepValueError, match="no contiguous array"):
        optimizer(np.ones((3, 8), np.float32)[:, ::2], "adam")


def test_several_rules_are_one_update():
    w = {"a": np.ones(9, np.float32), "b": np.ones(5, np.float32)}
    plain_w = {k: x.copy() for k, x in w.items()}
    made = [
        optimizer(w, "adam", groups={"b": gs.sgd(lr=0.5)}),
        gs.Optimizer(plain_w, "adam", groups={"b": gs.sgd(lr=0.5)}, engine="eager"),
    ]
    for opt in made:
        opt.step({"a": np.full(9, 0.5, np.float32), "b": np.full(5, 0.25, np.float32)})
    assert same(w, plain_w)
    before = fingerprint(made[0])
    with pytest.raises(gs.NonFiniteError):
        made[0].step({"a": np.full(9, 0.5, np.float32), "b": np.full(5, np.nan, np.float32)})
    assert fingerprint(made[0]) == before


def test_a_checkpoint_goes_on_on_the_other_engine(tmp_path):
    w, all_w = params(), params()
    tx = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=0.1))
    whole = gs.Optimizer(all_w, tx, engine="compiled")
    rng = np.random.default_rng(1)
    given = [{k: rng.normal(size=x.size).astype(np.float32) for k, x in w.items()} for _ in range(9)]
    for g in given:
        whole.step(g)
    file = tmp_path / "run.ckpt"
    first = optimizer(w, tx)
    for g in given[:3]:
        first.step(g)
    first.save(file)
    w2 = params()
    second = gs.Optimizer(w2, tx, engine="compiled")
    second.restore(file)
    for g in given[3:6]:
        second.step(g)
    second.save(file)
    w3 = params()
    third = optimizer(w3, tx)
    third.restore(file)
    for g in given[6:]:
        third.step(g)
    assert same(w3, all_w)


def test_torchs_tensors():
    torch = pytest.importorskip("torch")
    w = torch.linspace(-1, 1, 300).reshape(30, 10).requires_grad_()
    plain = w.detach().numpy().copy()
    opt, eager = optimizer(w, gs.adam(lr=0.1)), gs.Optimizer(plain, gs.adam(lr=0.1), engine="eager")
    for k in range(3):
        g = torch.linspace(k, 1, 300).reshape(10, 30).T if k else torch.ones(30, 10)
        opt.step(g)
        eager.step(g.numpy())
    assert np.array_equal(w.detach().numpy(), plain)
    assert opt.engine == "cuda"


def test_buffers_for_copies_take_turns():
    """A table on its way to the device is not written over: the event behind its copy is waited for."""
    driver = StandIn()
    w = params()
    opt = optimizer(w, "adam", driver, on_nonfinite="ignore")
    sources = []
    write = driver.write
    driver.write = lambda address, source, stream: (sources.append(source.ctypes.data), write(address, source, stream))
    for _ in range(8):
        opt.step(grads(w))
    assert sources[:4] == sources[4:]
    assert all(a != b for a, b in pairwise(sources))
    del opt
    gc.collect()
