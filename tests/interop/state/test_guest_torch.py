"""The guest in torch put in mid-run in place of one of torch's own optimizers, and taken out again."""

import math

import pytest
from moving import AFTER, BEFORE, close, gradients, start
from test_state_torch import CASES, double, go, theirs, values

import gradstep as gs

torch = pytest.importorskip("torch")
guests = pytest.importorskip("gradstep.interop.torch")
assert double  # a fixture

LATE = 4  # updates before the last parameter has its first gradient


def make(case, tensors, kind):
    """An optimizer over two groups: torch's own, or a guest."""
    name, options = case.split()[0], CASES[case]
    groups = [{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.05}]
    if kind == "guest":
        return guests.Optimizer(groups, f"torch.{name}", **options)
    return getattr(torch.optim, name)(groups, **options)


def leaves():
    return [torch.nn.Parameter(torch.tensor(x)) for x in start().values()]


def run(optim, tensors, grads, first):
    """Steps, of which those before ``LATE`` leave the last parameter out."""
    for k, own in enumerate(grads, first):
        for n, (p, g) in enumerate(zip(tensors, own.values(), strict=True)):
            p.grad = None if k < LATE and n == len(tensors) - 1 else torch.tensor(g)
        optim.step()


@pytest.mark.parametrize("case", CASES)
class TestGuest:
    def test_in_and_out(self, case):
        grads = gradients(BEFORE + AFTER + BEFORE)
        parts = grads[:BEFORE], grads[BEFORE : BEFORE + AFTER], grads[BEFORE + AFTER :]
        tensors, others = leaves(), leaves()
        first, guest, last = (make(case, tensors, kind) for kind in ("torch", "guest", "torch"))
        whole = make(case, others, "torch")
        run(first, tensors, parts[0], 0)
        guests.load_state(guest, first.state_dict())
        if "step" in next(iter(first.state.values()), ()):
            assert [int(guest.state[p]["step"]) for p in tensors] == [BEFORE, BEFORE, BEFORE - LATE]
        run(guest, tensors, parts[1], BEFORE)
        last.load_state_dict(guests.dump_state(guest, last.state_dict()))
        run(last, tensors, parts[2], BEFORE + AFTER)
        run(whole, others, grads, 0)
        close(values(tensors), values(others), 1e-7 if case == "NAdam" else 1e-12)

    def test_there_and_back_keeps_every_bit(self, case):
        tensors = leaves()
        guest, other, optim = (make(case, tensors, kind) for kind in ("guest", "guest", "torch"))
        run(guest, tensors, gradients(BEFORE), 0)
        optim.load_state_dict(guests.dump_state(guest, optim.state_dict()))
        steps = {"t": BEFORE} if case.startswith("SGD") else {}
        guests.load_state(other, optim.state_dict(), **steps)
        for p in tensors:
            assert guest.state[p].keys() == other.state[p].keys()
            for key in guest.state[p].keys() - ({"step"} if steps else set()):
                assert torch.equal(guest.state[p][key], other.state[p][key]), key


def test_a_rule_of_our_own_goes_in_and_out():
    tensors, optim = theirs("Adam", start())
    guest = guests.Optimizer(tensors, "adam", lr=0.01)
    go(optim, tensors, gradients(3))
    guests.load_state(guest, optim.state_dict())
    assert [int(guest.state[p]["step"]) for p in tensors] == [3, 3, 3]
    assert all(torch.equal(guest.state[p]["m"], optim.state[p]["exp_avg"]) for p in tensors)
    go(guest, tensors, gradients(2))
    optim.load_state_dict(guests.dump_state(guest, optim.state_dict()))
    assert all(torch.equal(guest.state[p]["v"], optim.state[p]["exp_avg_sq"]) for p in tensors)
    assert all(guest.state[p]["m"].data_ptr() != optim.state[p]["exp_avg"].data_ptr() for p in tensors)


def test_what_does_not_fit_is_refused_and_changes_nothing():
    tensors, optim = theirs("Adam", start())
    guest = guests.Optimizer(tensors, "torch.Adam", lr=0.01)
    go(guest, tensors, gradients(2))
    go(optim, tensors, gradients(3))
    good = optim.state_dict()
    before = [{key: x.clone() for key, x in guest.state[p].items()} for p in tensors]

    def changed(**own):
        return {**good, "state": {**good["state"], 2: {**good["state"][2], **own}}}

    one = {**good, "param_groups": [{**good["param_groups"][0], "params": [0]}]}
    for given, options, error, said in [
        (changed(exp_avg_sq=torch.tensor(-1.0)), {}, gs.GradstepValueError, "adam.v of '0.2' is below zero"),
        (changed(exp_avg=torch.ones(2)), {}, gs.GradstepValueError, "adam.m of '0.2' has the shape"),
        (changed(step=torch.tensor(1.5)), {}, gs.GradstepValueError, "step of '0.2' is no number of updates"),
        (changed(step=torch.tensor(math.nan)), {}, gs.GradstepValueError, "step of '0.2' is no number of updates"),
        (good, {"t": 7}, gs.GradstepValueError, "t says 7 updates"),
        (good, {"names": ["0.0"]}, gs.GradstepTypeError, "names are of an optimizer of ours"),
        (one, {}, gs.GradstepValueError, "it has 1 parameters, and this optimizer 3"),
        ({}, {}, gs.GradstepTypeError, "expected what torch_optimizer.state_dict"),
        (theirs("Adam", start())[1].state_dict(), {}, gs.GradstepValueError, "'0.0' has no exp_avg there"),
        (theirs("Adadelta", start())[1].state_dict(), {}, gs.GradstepValueError, "there is nothing for the adam"),
    ]:
        with pytest.raises(error, match=said):
            guests.load_state(guest, given, **options)
        for p, own in zip(tensors, before, strict=True):
            assert guest.state[p].keys() == own.keys()
            assert all(torch.equal(x, guest.state[p][key]) for key, x in own.items())
    guests.load_state(guest, good)
    assert [int(guest.state[p]["step"]) for p in tensors] == [3, 3, 3]


def test_neither_takes_what_is_no_optimizer():
    for act in (guests.load_state, guests.dump_state):
        with pytest.raises(gs.GradstepTypeError, match="expected a gradstep"):
            act("adam", theirs("Adam", start())[1].state_dict())
