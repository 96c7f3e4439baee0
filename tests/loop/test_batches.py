"""Batches beside orders that are worked out here from the raw words of the bit generator."""

import itertools

import numpy as np
import pytest

import gradstep as gs
from loop.cases import DATA, fit
from support import bits, clear, same, script


def order(n, seed, epoch):
    """The permutation of an epoch: where each of the sorted 64-bit words stood."""
    words = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return sorted(range(n), key=lambda k: int(words[k]))


@pytest.mark.parametrize(("n", "size"), [(7, 3), (8, 4), (5, 5), (1, 1), (9, 1)])
@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_every_epoch_is_its_permutation_without_the_odd_rest(n, size, seed):
    batches = gs.Batches(n, size, seed=seed)
    each = n // size
    assert len(batches) == each
    for epoch in range(4):
        got = np.concatenate([batches(epoch * each + k) for k in range(each)]).tolist()
        assert got == order(n, seed, epoch)[: each * size]
        assert len({*got}) == each * size


def test_known_orders():
    """The words of PCG64 from these seeds, sorted: they are NumPy's promise, and must never change."""
    assert np.concatenate([gs.Batches(6, 3, seed=0)(k) for k in range(4)]).tolist() == GOLDEN[0]
    assert np.concatenate([gs.Batches(6, 3, seed=7)(k) for k in range(4)]).tolist() == GOLDEN[7]


# [sorted(range(6), key=PCG64(SeedSequence([seed, epoch])).random_raw(6).__getitem__) for epoch in (0, 1)], by seed
GOLDEN = {0: [3, 2, 1, 0, 4, 5, 4, 5, 1, 2, 0, 3], 7: [3, 4, 0, 2, 5, 1, 1, 3, 2, 4, 5, 0]}


def test_the_order_hangs_on_the_seed_and_nothing_else():
    def whole(seed):
        return [gs.Batches(50, 50, seed=seed)(k).tolist() for k in range(3)]

    seen = [whole(seed) for seed in range(5)]
    assert len({str(x) for x in seen}) == 5
    assert seen == [whole(seed) for seed in range(5)]
    assert seen[0][0] != seen[0][1] != seen[0][2]


def test_any_batch_at_any_time():
    batches = gs.Batches(10, 2, seed=4)
    forth = [batches(k).tolist() for k in range(30)]
    back = [batches(k).tolist() for k in reversed(range(30))]
    assert forth == back[::-1]
    assert gs.Batches(10, 2, seed=4)(29).tolist() == forth[29]


@pytest.mark.process
def test_numpys_own_permutations_are_not_used():
    code = """
import numpy as np, gradstep as gs
make = gs.Batches
def refuse(*_, **__):
    raise AssertionError
for name in ("Generator", "RandomState", "default_rng", "permutation", "shuffle", "choice"):
    setattr(np.random, name, refuse)
print(make(6, 6, seed=3)(1).tolist())
"""
    assert script(code).strip() == str(order(6, 3, 1))


def test_nests_of_arrays_with_their_dtypes():
    data = {"x": np.arange(12, dtype="f4").reshape(6, 2), "y": [np.arange(6), np.arange(6) > 2]}
    before = {"x": data["x"].copy(), "y": [y.copy() for y in data["y"]]}
    batch = gs.Batches(data, 4, seed=1)(1)
    chosen = order(6, 1, 1)[:4]
    assert same(batch, {"x": data["x"][chosen], "y": [data["y"][0][chosen], data["y"][1][chosen]]})
    batch["x"][...] = 0.0
    assert same(data, before)
    assert bits(gs.Batches(np.arange(6.0), 2)(0)) == bits(np.array(order(6, 0, 0)[:2], "f8"))


@pytest.mark.parametrize(
    ("data", "size", "seed"),
    [
        (6, 0, 0),
        (6, 7, 0),
        (6, 2.0, 0),
        (6, True, 0),
        (6, 2, -1),
        (6, 2, "a"),
        (0, 1, 0),
        (-3, 1, 0),
        (2.5, 1, 0),
        ("data", 1, 0),
        ({"x": np.ones(3), "y": np.ones(4)}, 1, 0),
        ({"x": np.ones(3), "y": np.array(1.0)}, 1, 0),
        (np.array(1.0), 1, 0),
        ({}, 1, 0),
        (True, 1, 0),
    ],
)
def test_what_makes_no_batches(data, size, seed):
    with pytest.raises((gs.GradstepValueError, gs.GradstepTypeError)) as error:
        gs.Batches(data, size, seed=seed)
    assert clear(error)


@pytest.mark.parametrize("k", [-1, 0.5, "0"])
def test_a_number_that_no_batch_has(k):
    with pytest.raises((gs.GradstepValueError, gs.GradstepTypeError)) as error:
        gs.Batches(6, 2)(k)
    assert clear(error)


class Loader:
    """What can be iterated over again and again, such as torch's DataLoader."""

    def __init__(self, batches):
        self.batches, self.begun = batches, 0

    def __iter__(self):
        self.begun += 1
        return iter(self.batches)


BATCHES = gs.Batches(DATA, size=4, seed=2)
KINDS = {
    "Batches": lambda: BATCHES,
    "function": lambda: lambda k: BATCHES(k),
    "list": lambda: [BATCHES(k) for k in range(30)],
    "loader": lambda: Loader([BATCHES(k) for k in range(30)]),
    "generator": lambda: (BATCHES(k) for k in itertools.count()),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_all_kinds_give_one_run_and_go_on_where_it_was(kind, tmp_path):
    whole = gs.Run(fit, np.zeros(3), "adam", lr=0.1, batches=BATCHES, max_steps=12)
    values = [step.value for step in whole]
    path = tmp_path / "run.safetensors"
    first = gs.Run(fit, np.zeros(3), "adam", lr=0.1, batches=kind(), max_steps=5, save_to=path)
    begin = [step.value for step in first]
    second = gs.Run(fit, np.zeros(3), "adam", lr=0.1, batches=kind(), max_steps=12, save_to=path, resume=True)
    assert begin + [step.value for step in second] == values
    assert bits(second.params) == bits(whole.params)


def test_a_used_iterator_cannot_go_back(tmp_path):
    run = gs.Run(fit, np.zeros(3), "sgd", batches=KINDS["generator"](), max_steps=3)
    list(run)
    run.save(tmp_path / "run.safetensors")
    before = bits(run.params)
    with pytest.raises(gs.GradstepValueError) as error:
        run.restore(tmp_path / "run.safetensors")
    assert clear(error)
    assert bits(run.params) == before
    assert (run.t, run.reason.kind) == (3, "budget")


def test_a_function_may_end_the_batches():
    def batches(k):
        if k == 3:
            raise StopIteration
        return BATCHES(k)

    run = gs.Run(fit, np.zeros(3), "sgd", batches=batches)
    assert len(list(run)) == 3
    assert run.reason.kind == "batches"


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_evaluation_that_fails_uses_no_batch(kind):
    """The objective fails at its fourth call; the fifth sees the same batch."""
    calls = []

    def f(x, batch):
        calls.append(batch["y"].tolist())
        if len(calls) == 4:
            raise KeyboardInterrupt
        return fit(x, batch)

    run = gs.Run(f, np.zeros(3), "adam", lr=0.1, batches=kind(), max_steps=8)
    with pytest.raises(KeyboardInterrupt):
        list(run)
    list(run)
    del calls[3]
    assert calls == [BATCHES(k)["y"].tolist() for k in range(9)]
    assert run.evaluations == 9
