"""A step that several processes share: the bits of one, errors that all raise, a part of the state each.

Threads stand for processes here; real ones are in test_processes.py.
"""

import numpy as np
import pytest
import training
from training import BLOCK, MICRO_BATCHES, gradient, parameters

import gradstep as gs
from gradstep.distributed import Sharded, in_threads
from gradstep.errors import GradstepError, GradstepTypeError, GradstepValueError, NonFiniteError

SIZES = (1, 2, 3, 4, 8)


def tree(xs):
    """Add by the definition."""
    if len(xs) == 1:
        return xs[0]
    half = 1 << (len(xs) - 1).bit_length() - 1
    return tree(xs[:half]) + tree(xs[half:])


def mean(nests):
    k = len(nests)
    return {name: np.asarray(tree([x[name] for x in nests]) / nests[0][name].dtype.type(k)) for name in nests[0]}


def alone(setting, micro_batches=MICRO_BATCHES):
    """Train by an ordinary optimizer with the mean of all micro-batches."""
    params = parameters()
    opt = gs.Optimizer(params, **training.SETTINGS[setting]())
    for t in range(training.STEPS):
        opt.step(mean([gradient(t, i, params) for i in range(micro_batches)]))
    return " ".join([training.digest(params), *([training.digest(opt.averaged())] if "ema" in setting else [])])


@pytest.mark.parametrize("setting", training.SETTINGS)
def test_bits_for_any_number_of_processes(setting):
    wanted = alone(setting)
    assert training.train(None, setting) == wanted
    for size in SIZES:
        assert set(in_threads(size, lambda comm: training.train(comm, setting))) == {wanted}, size


@pytest.mark.parametrize("micro_batches", [1, 2, 7])
def test_bits_for_any_number_of_micro_batches(micro_batches):
    wanted = alone("adam", micro_batches)
    for size in (1, 2, 5):
        found = in_threads(size, lambda comm: training.train(comm, "adam", micro_batches=micro_batches))
        assert set(found) == {wanted}, size


def test_a_naive_sum_has_other_bits():
    """The control: with the library's own sum the number of processes shows."""
    found = [in_threads(size, lambda comm: training.naive(comm, "adam"))[0] for size in (1, 2, 3, 4)]
    assert len(set(found)) == 4


def test_fast_is_near_and_has_other_bits():
    def f(comm, reduction):
        params = {name: np.zeros_like(x) for name, x in parameters().items()}
        opt = Sharded(params, "sgd", lr=1.0, comm=comm, micro_batches=6, reduction=reduction)
        opt.step(gradient(0, i, params) for i in opt.mine)
        return params

    exact = f(None, "exact")
    for size in (2, 4, 8):  # of three each has just a node of the tree
        each = in_threads(size, lambda comm: f(comm, "fast"))
        assert {training.digest(x) for x in each} == {training.digest(each[0])}
        assert training.digest(each[0]) != training.digest(exact)
        for name, x in exact.items():
            np.testing.assert_allclose(each[0][name], x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "complex64", "complex128", ">f4"])
def test_other_dtypes(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)

    def draw(shape):
        x = rng.normal(size=shape)
        return np.asarray(x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)

    start = {"a": draw(2 * BLOCK + 5), "b": np.asfortranarray(draw((40, 30))), "c": draw(())}
    grads = [[{name: draw(x.shape) for name, x in start.items()} for _ in range(3)] for _ in range(3)]

    def f(comm):
        params = {name: x.copy(order="K") for name, x in start.items()}
        opt = Sharded(params, "adam", comm=comm, micro_batches=3)
        for own in grads:
            opt.step([own[i] for i in opt.mine])
        return training.digest(params)

    assert {x for size in (1, 2, 3, 4) for x in in_threads(size, f)} == {f(None)}


def test_sums_of_16_bits_are_made_in_32():
    params = {"w": np.zeros(2, np.float16)}
    opt = Sharded(params, "sgd", lr=1.0, micro_batches=4)
    opt.step([{"w": np.array([60000.0, x], np.float16)} for x in (1.0, 2e-4, 2e-4, 2e-4)])
    assert params["w"].tolist() == [-60000.0, float(np.float16(-(1.0 + 3 * float(np.float16(2e-4))) / 4))]


def test_gradients_may_be_made_in_the_same_arrays():
    params, again = parameters(), parameters()
    opt, other = (Sharded(x, "adam", micro_batches=6) for x in (params, again))
    buffers = parameters()

    def one_by_one():
        for i in opt.mine:
            for name, x in gradient(0, i, params).items():
                buffers[name][...] = x
            yield buffers

    opt.step(one_by_one())
    other.step([gradient(0, i, params) for i in other.mine])
    assert training.digest(params) == training.digest(again)


def test_the_mean_leaves_gradients_alone():
    params = parameters()
    opt = Sharded(params, "sgd", micro_batches=3)
    grads = [gradient(0, i, params) for i in range(3)]
    before = [training.digest(g) for g in grads]
    opt.step(grads)
    assert [training.digest(g) for g in grads] == before


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_each_has_a_part_of_the_state(size):
    params = parameters()
    opt = gs.Optimizer(params, "adam")
    total = sum(x.nbytes for own in opt.state.values() for x in own.values())
    found = in_threads(size, lambda comm: Sharded(parameters(), "adam", comm=comm))
    each = [sum(x.nbytes for own in opt.state.values() for x in own.values()) for opt in found]
    assert sum(each) == total
    assert max(each) <= total / size + BLOCK * 2 * 4
    for own in found:
        for name, (begin, end) in own.pieces.items():
            assert begin % BLOCK == 0
            assert own.state[name]["adam.m"].size == end - begin


def test_rules_of_whole_arrays_have_them_whole():
    for opt in in_threads(3, lambda comm: Sharded(parameters(), "lamb", comm=comm)):
        for name, piece in opt.pieces.items():
            assert piece == (0, parameters()[name].size)


def shared(act, size=3, rule="adam", **options):
    """Return the errors of processes that call ``act(opt, comm)``, and see that nothing has changed."""

    def f(comm):
        params = parameters()
        before = training.digest(params)
        opt = Sharded(params, rule, comm=comm, **{"micro_batches": 4, **options})
        with pytest.raises(GradstepError) as info:
            act(opt, comm)
        assert (training.digest(params), opt.t) == (before, 0)
        opt.step([gradient(0, i, params) for i in opt.mine])  # and it goes on
        assert opt.t == 1
        return type(info.value), str(info.value), training.digest(params)

    return in_threads(size, f)


def test_a_bad_gradient_of_one_is_refused_by_all():
    def act(opt, comm):
        grads = [gradient(0, i, opt.params) for i in opt.mine]
        if comm.rank == 2:
            grads[1]["embed"][5000] = np.nan
        opt.step(grads)

    found = shared(act)
    assert len(set(found)) == 1
    assert found[0][:2] == (
        NonFiniteError,
        "process 2: gradient 'embed' of the micro-batches 2 to 3 is not finite: [5000] = nan; nothing was changed.",
    )


@pytest.mark.parametrize("rule", ["adam", "muon", "lamb", gs.chain(gs.clip_by_global_norm(1.0), gs.adam())], ids=str)
def test_a_bad_gradient_is_skipped_by_all(rule):
    def f(comm):
        params = parameters()
        own = {"groups": {"embed": gs.adam(), "scale": gs.adam()}} if rule == "muon" else {}
        opt = Sharded(params, rule, comm=comm, micro_batches=4, on_nonfinite="skip", **own)
        for t in range(4):
            grads = [gradient(t, i, params) for i in opt.mine]
            if t == 2 and 1 in opt.mine:
                grads[opt.mine.index(1)]["w"][3, 3] = np.inf
            opt.step(grads)
        return opt.t, opt.skipped, training.digest(params)

    found = {x for size in (1, 2, 3) for x in in_threads(size, f)}
    assert len(found) == 1
    assert found.pop()[:2] == (3, 1)


def test_a_mean_that_is_too_large_is_told_by_its_place():
    def act(opt, comm):
        grads = [gradient(0, i, opt.params) for i in opt.mine]
        for own in grads:
            own["embed"][-1] = 2e38
        opt.step(grads)

    ((kind, text, _),) = set(shared(act, size=2, micro_batches=2))
    assert kind is NonFiniteError
    assert text == f"process 1: gradient 'embed' is not finite: [{5 * BLOCK + 76}] = inf; nothing was changed."


def test_one_with_the_wrong_number_of_micro_batches():
    def act(opt, comm):
        opt.step([gradient(0, i, opt.params) for i in opt.mine][comm.rank == 1 :])

    ((kind, text, _),) = set(shared(act, size=2))
    assert kind is GradstepValueError
    assert text == "process 1: step: gradients of 1 micro-batches came, and this process has 2 of the 4 (2 to 3)."


def test_one_with_too_many_micro_batches():
    def act(opt, comm):
        opt.step([gradient(0, i, opt.params) for i in range(4)])

    ((kind, text, _),) = set(shared(act, size=2))
    assert (kind, "more than 2 micro-batches came" in text) == (GradstepValueError, True)


@pytest.mark.parametrize(
    ("wrong", "kind", "words"),
    [
        (lambda g: {**g, "b": g["b"][:-1]}, GradstepValueError, "gradient 'b' has shape (32,)"),
        (lambda g: {**g, "b": g["b"].astype("f8")}, GradstepTypeError, "gradient 'b' has dtype float64"),
        (lambda g: {**g, "x": g["b"]}, GradstepValueError, "'x' belongs to no parameter"),
        (lambda g: {name: x for name, x in g.items() if name != "b"}, GradstepValueError, "'b' is missing"),
        (lambda g: {**g, "w": gs.rows([0], g["w"][:1])}, GradstepTypeError, "not gs.rows"),
    ],
)
def test_gradients_that_do_not_fit(wrong, kind, words):
    def act(opt, comm):
        opt.step([wrong(g) if comm.rank == 1 else g for g in (gradient(0, i, opt.params) for i in opt.mine)])

    ((found, text, _),) = set(shared(act, size=2))
    assert found is kind
    assert text.startswith("process 1: ")
    assert words in text


def test_a_schedule_that_fails_on_one():
    def f(comm):
        def lr(t):
            if comm.rank == 1 and t == 1:
                raise ZeroDivisionError("lr")
            return 0.1

        params = parameters()
        opt = Sharded(params, "adam", lr=lr, comm=comm, micro_batches=2)
        opt.step([gradient(0, i, params) for i in opt.mine])
        before = training.digest(params)
        with pytest.raises(GradstepError) as info:
            opt.step([gradient(1, i, params) for i in opt.mine])
        assert training.digest(params) == before
        assert isinstance(info.value.__cause__, ZeroDivisionError) == (comm.rank == 1)
        return str(info.value)

    ((text),) = set(in_threads(3, f))
    assert "process 1: " in text
    assert "lr" in text


def test_an_interrupt_of_one_ends_all():
    def f(comm):
        params = parameters()
        opt = Sharded(params, "adam", comm=comm, micro_batches=2)

        def grads():
            if comm.rank == 0:
                raise KeyboardInterrupt
            yield from (gradient(0, i, params) for i in opt.mine)

        with pytest.raises(KeyboardInterrupt if comm.rank == 0 else GradstepError) as info:
            opt.step(grads())
        return str(info.value)

    assert in_threads(2, f) == ["", "process 0: KeyboardInterrupt"]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda rank: {"rule": "adam", "lr": 0.1 * (rank + 1)}, "rules, groups or options"),
        (lambda rank: {"rule": "adam" if rank else "adamw"}, "rules, groups or options"),
        (lambda rank: {"rule": "adam", "micro_batches": 1 + rank}, "micro_batches or reduction"),
        (lambda rank: {"rule": "adam", "params": {"w": np.ones(3 + rank)}}, "parameters (names, shapes"),
        (lambda rank: {"rule": "adam", "params": {"w": np.full(3, 1.0 + rank)}}, "numbers in its parameters"),
    ],
)
def test_processes_of_different_minds(own, words):
    def f(comm):
        with pytest.raises(GradstepValueError) as info:
            Sharded(**{"params": {"w": np.ones(3)}, "comm": comm, **own(comm.rank)})
        return str(info.value)

    ((text),) = set(in_threads(2, f))
    assert text.startswith("process 1 has other ")
    assert words in text


def test_a_hyperparameter_that_one_has_set():
    def act(opt, comm):
        if comm.rank == 1:
            opt.hyper["lr"] = 0.5
        try:
            opt.step([gradient(0, i, opt.params) for i in opt.mine])
        finally:
            opt.hyper["lr"] = 0.25

    ((kind, text, _),) = set(shared(act, size=2))
    assert (kind, "process 1 has other hyperparameters" in text) == (GradstepValueError, True)


def test_a_hyperparameter_that_all_have_set():
    def f(comm):
        params = parameters()
        opt = Sharded(params, "adam", groups={"b": {"lr": gs.times(0.5)}}, comm=comm, micro_batches=3)
        for t in range(3):
            if t == 1:
                opt.hyper["lr"], opt.groups["b"]["beta1"] = 0.5, 0.5
            opt.step([gradient(t, i, params) for i in opt.mine])
        return training.digest(params)

    assert {x for size in (2, 3) for x in in_threads(size, f)} == {f(None)}


def test_a_loss_is_the_mean_of_losses():
    losses = [0.1, 0.7, 1e9, -1e9, 3.0]

    def f(comm):
        params = parameters()
        opt = Sharded(params, "polyak", comm=comm, micro_batches=5)
        opt.step([gradient(0, i, params) for i in opt.mine], loss=[losses[i] for i in opt.mine])
        return training.digest(params)

    params = parameters()
    opt = gs.Optimizer(params, "polyak")
    opt.step(mean([gradient(0, i, params) for i in range(5)]), loss=tree(losses) / 5)
    assert {x for size in (1, 2, 3, 6) for x in in_threads(size, f)} == {training.digest(params)}


@pytest.mark.parametrize("policy", ["ignore", "raise"])
def test_a_loss_that_is_no_number(policy):
    def f(comm):
        params = parameters()
        opt = Sharded(params, "polyak", comm=comm, micro_batches=2, on_nonfinite=policy)
        with pytest.raises(NonFiniteError, match="loss is nan"):
            opt.step([gradient(0, i, params) for i in opt.mine], loss=[np.nan for _ in opt.mine])
        return opt.t

    assert in_threads(2, f) == [0, 0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"micro_batches": 0}, "micro_batches must be at least 1"),
        ({"reduction": "quick"}, "unknown reduction"),
        ({"on_nonfinite": "stop"}, "on_nonfinite must be"),
        ({"rule": gs.chain(gs.accumulate(), gs.adam())}, "accumulate gathers gradients call by call"),
        ({"groups": {"nothing": "freeze"}}, "'nothing' matches no parameter"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(GradstepError, match=words):
        Sharded(parameters(), **{"rule": "adam", **options})
    with pytest.raises(GradstepError, match=f"process 0: .*{words}"):
        in_threads(2, lambda comm: Sharded(parameters(), **{"rule": "adam", "comm": comm, **options}))


@pytest.mark.parametrize("grads", [parameters(), np.ones(3), None])
def test_what_is_no_list_of_gradients(grads):
    opt = Sharded(parameters(), "adam")
    with pytest.raises(GradstepTypeError, match="must be a list with an entry for each micro-batch"):
        opt.step(grads)


def test_arrays_of_others_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(GradstepTypeError, match=r"detach\(\).numpy\(\)"):
        Sharded({"w": torch.ones(3)}, "adam")


def test_what_stores_state_in_fewer_bits_stays_whole():
    def f(comm):
        params = parameters()
        opt = Sharded(params, "adam", comm=comm, micro_batches=2, state_dtype="8bit", seed=4)
        for t in range(3):
            opt.step([gradient(t, i, params) for i in opt.mine])
        assert all(piece == (0, params[name].size) for name, piece in opt.pieces.items())
        return training.digest(params)

    assert {x for size in (2, 3) for x in in_threads(size, f)} == {f(None)}


def test_master_copies_are_cut():
    def f(comm):
        params = {name: x.astype(np.float16) for name, x in parameters().items()}
        opt = Sharded(params, "adam", comm=comm, micro_batches=2, master=True)
        for t in range(3):
            opt.step([gradient(t, i, params) for i in opt.mine])
        assert comm is None or comm.size > 3 or opt.pieces["embed"] != (0, 5 * BLOCK + 77)
        return training.digest(params)

    assert {x for size in (2, 3) for x in in_threads(size, f)} == {f(None)}


def test_the_ends_of_the_cut_are_where_state_is(capsys):
    opt = Sharded(parameters(), "adam", micro_batches=3)
    assert repr(opt) == "<Sharded adam() of 5 arrays, 3 micro-batches, process 0 of 1, t=0>"
    assert opt.mine == range(3)


def test_what_would_have_no_effect_is_refused():
    """A rate that nothing reads, and an array that the step does not write, are silent wrong numbers."""
    params = {"w": np.ones(3)}
    opt = gs.distributed.Sharded(params, "sgd", lr=0.5)
    opt.lr = 0.25
    opt.step([{"w": np.ones(3)}])
    assert params["w"].tolist() == [0.75] * 3
    for name in ("learning_rate", "params", "mine", "state", "beta"):
        with pytest.raises(gs.GradstepAttributeError, match=name):
            setattr(opt, name, 1)
    with pytest.raises(TypeError):
        opt.state["w"] = {}
    params["w"] = np.ones(3)
    for act in (lambda: opt.step([{"w": np.ones(3)}]), lambda: opt.save("never"), opt.averaged):
        with pytest.raises(gs.GradstepValueError, match="parameter 'w' has been replaced by another array"):
            act()
    assert opt.t == 1
