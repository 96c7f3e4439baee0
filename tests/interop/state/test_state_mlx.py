"""State from and to MLX: the training goes on as if it had never moved, and what does not fit is refused."""

import numpy as np
import pytest
from moving import AFTER, BEFORE, NAMES, close, gradients, nested, of_vectors, optimizer, snapshot, start

import gradstep as gs
from gradstep.errors import GradstepTypeError, GradstepValueError

mx = pytest.importorskip("mlx.core")
optimizers = pytest.importorskip("mlx.optimizers")
state = gs.interop.mlx

CASES = {  # constructor and arguments, MLX's and ours alike
    "SGD": {"learning_rate": 0.1},
    "SGD momentum": {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.5},
    "SGD nesterov": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"learning_rate": 0.01},
    "Adagrad": {"learning_rate": 0.01},
    "AdaDelta": {"learning_rate": 0.5},
    "Adam": {"learning_rate": 0.01},
    "Adam corrected": {"learning_rate": 0.01, "betas": (0.9, 0.95), "bias_correction": True},
    "AdamW": {"learning_rate": 0.01, "weight_decay": 0.1},
    "Adamax": {"learning_rate": 0.01},
    "Lion": {"learning_rate": 0.01, "weight_decay": 0.1},
    "Adafactor": {"weight_decay": 0.1},
    "Adafactor momentum": {"beta_1": 0.9},
    "Adafactor unsized": {"scale_parameter": False},
    "Adafactor rate": {"learning_rate": 0.01, "relative_step": False},
    "Adafactor rate unsized": {"learning_rate": 0.01, "relative_step": False, "scale_parameter": False, "beta_1": 0.5},
    "Muon": {"learning_rate": 0.01},
    "Muon plain": {"learning_rate": 0.01, "nesterov": False},
}


def shaped(case, arrays):
    """Muon takes matrices alone."""
    return (
        {name: x.reshape(-1, x.shape[-1] if x.ndim > 1 else 1) for name, x in arrays.items()}
        if is_muon(case)
        else arrays
    )


def is_muon(case):
    return case.startswith("Muon")


def begun(case):
    return shaped(case, start("float32"))


def several(case, count, seed=2):
    return [shaped(case, own) for own in gradients(count, "float32", seed)]


def stage(case):
    return getattr(gs.conventions.mlx, case.split()[0])(**CASES[case])


class Theirs:
    """An MLX optimizer with its parameters, a nest."""

    def __init__(self, case, params):
        self.optim = getattr(optimizers, case.split()[0])(**CASES[case])
        self.set(params)
        self.optim.init(self.params)

    def set(self, params):
        self.params = nested({name: mx.array(x) for name, x in params.items()})

    def go(self, grads):
        with mx.stream(mx.cpu):
            for own in grads:
                self.params = self.optim.apply_gradients(
                    nested({name: mx.array(g) for name, g in own.items()}), self.params
                )
                mx.eval(self.params, self.optim.state)

    def values(self):
        layer, scale = self.params["layer"], self.params["scale"]
        return dict(zip(NAMES, map(np.array, (layer["w"], layer["b"], scale)), strict=True))


def tolerance(case):
    return 1e-4 if is_muon(case) else 5e-6  # whose steps enlarge roundings


@pytest.mark.parametrize("case", CASES)
class TestGoesOn:
    def test_from_mlx(self, case):
        there, grads = Theirs(case, begun(case)), several(case, BEFORE + AFTER)
        there.go(grads[:BEFORE])
        opt = optimizer(stage(case), there.values())
        state.load_state(opt, there.optim)
        assert opt.t == BEFORE
        for own in grads[BEFORE:]:
            opt.step(own)
        there.go(grads[BEFORE:])
        close(opt.params, there.values(), tolerance(case))

    @pytest.mark.parametrize("steps", [0, 3])
    def test_to_mlx(self, case, steps):
        grads = several(case, BEFORE + AFTER)
        opt, there = optimizer(stage(case), begun(case)), Theirs(case, begun(case))
        for own in grads[:BEFORE]:
            opt.step(own)
        there.go(several(case, steps, seed=9))
        state.dump_state(opt, there.optim)
        assert int(there.optim.state["step"]) == BEFORE
        there.set(opt.params)
        there.go(grads[BEFORE:])
        for own in grads[BEFORE:]:
            opt.step(own)
        close(opt.params, there.values(), tolerance(case))

    def test_there_and_back_keeps_every_bit(self, case):
        opt = optimizer(stage(case), begun(case))
        for own in several(case, BEFORE):
            opt.step(own)
        there = Theirs(case, begun(case))
        state.dump_state(opt, there.optim)
        other = optimizer(stage(case), opt.params)
        state.load_state(other, there.optim)
        kept = [of_vectors(x, snapshot(x)) for x in (opt, other)]
        if case.startswith("Adafactor") and "beta_1" not in CASES[case]:  # the momentum is the last step, and forgotten
            kept = [({key: x for key, x in own.items() if not key.endswith(".m")}, *rest) for own, *rest in kept]
        assert kept[0] == kept[1]


def test_parameters_are_paired_by_their_names_in_any_order():
    there = Theirs("Adam", start("float32"))
    there.go(gradients(2, "float32"))
    turned = {name: there.values()[name] for name in reversed(NAMES)}
    opt = optimizer(stage("Adam"), turned)
    state.load_state(opt, there.optim)
    np.testing.assert_array_equal(opt.state["layer.b"]["adam_uncorrected.m"], there.optim.state["layer"]["b"]["m"])
    named = optimizer(stage("Adam"), {f"own.{name}": x for name, x in there.values().items()})
    state.load_state(named, there.optim, [f"own.{name}" for name in NAMES])
    np.testing.assert_array_equal(named.state["own.scale"]["adam_uncorrected.m"], there.optim.state["scale"]["m"])


@pytest.mark.parametrize(
    ("ours", "theirs", "says"),
    [
        ("RMSprop", "Adam", "there is nothing for the rmsprop of this optimizer in it; it keeps what adam or adam_un"),
        ("SGD", "SGD momentum", "it keeps v, which nothing in the chain of this optimizer does"),
        ("SGD momentum", "SGD", "it keeps no v, which is unfolded_momentum.b here"),
        ("Lion", "SGD", "there is nothing for the lion of this optimizer in it"),
    ],
)
def test_state_of_another_rule_is_refused(ours, theirs, says):
    there = Theirs(theirs, start("float32"))
    there.go(gradients(1, "float32"))
    opt = optimizer(stage(ours), there.values())
    before = snapshot(opt)
    for move in (state.load_state, state.dump_state):
        with pytest.raises(GradstepValueError, match=says):
            move(opt, there.optim)
    assert snapshot(opt) == before


def test_what_is_none_of_its_optimizers_is_refused():
    opt = optimizer(stage("Adam"), start("float32"))
    for thing in ({}, None, opt, optimizers.MultiOptimizer([optimizers.SGD(0.1)])):
        with pytest.raises(GradstepTypeError, match="expected one of its optimizers, SGD, RMSprop"):
            state.load_state(opt, thing)


def test_bfloat16_is_refused():
    there = Theirs("Adam", start("float32"))
    there.optim.state["scale"]["v"] = there.optim.state["scale"]["v"].astype(mx.bfloat16)
    opt = optimizer(stage("Adam"), start("float32"))
    with pytest.raises(GradstepValueError, match="state of 'scale' is bfloat16 there"):
        state.load_state(opt, there.optim)
