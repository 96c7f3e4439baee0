"""State from and to Keras: the training goes on as if it had never moved, and what does not fit is refused."""

import numpy as np
import pytest
from moving import AFTER, BEFORE, NAMES, close, gradients, of_vectors, optimizer, snapshot, start

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from gradstep.errors import GradstepTypeError, GradstepValueError
from gradstep.rule import registry

keras = pytest.importorskip("keras")
state = pytest.importorskip("gradstep.interop.state.keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # from within Keras

CASES = {  # constructor and arguments, Keras's and ours alike
    "SGD": {},
    "SGD momentum": {"momentum": 0.9},
    "SGD nesterov": {"momentum": 0.9, "nesterov": True, "clipnorm": 1.0},
    "Adagrad": {},
    "Adadelta": {"rho": 0.8},
    "RMSprop": {},
    "RMSprop momentum": {"momentum": 0.7},
    "RMSprop centered": {"centered": True},
    "RMSprop both": {"centered": True, "momentum": 0.7, "weight_decay": 0.1},
    "Adam": {},
    "Adam amsgrad": {"amsgrad": True, "beta_2": 0.9, "use_ema": True, "ema_momentum": 0.8},
    "AdamW": {"weight_decay": 0.1},
    "Adamax": {},
    "Nadam": {"beta_1": 0.8},
    "Ftrl": {"l1_regularization_strength": 0.01},
    "Lion": {"weight_decay": 0.1},
    "Lamb": {"weight_decay": 0.1},
    "Adafactor": {"weight_decay": 0.1, "use_ema": True},
}
LR = {"SGD": 0.1, "Adadelta": 0.5}


def hyper(case):
    return {"learning_rate": LR.get(case.split()[0], 0.01), **CASES[case]}


def stage(case):
    return getattr(gs.conventions.keras, case.split()[0])(**hyper(case))


def theirs(case, params, **other):
    variables = [keras.Variable(x, name=name.replace(".", "_")) for name, x in params.items()]
    optim = getattr(keras.optimizers, case.split()[0])(**{**hyper(case), **other})
    optim.build(variables)
    return variables, optim


def numbers(variable):
    return np.array(to_numpy(variable.value))


def go(optim, variables, grads):
    for own in grads:
        optim.apply([keras.ops.convert_to_tensor(g) for g in own.values()], variables)


def values(variables):
    return dict(zip(NAMES, map(numbers, variables), strict=True))


def single(count, **options):
    return gradients(count, "float32", **options)


@pytest.mark.parametrize("case", CASES)
class TestGoesOn:
    def test_from_keras(self, case):
        variables, optim = theirs(case, start("float32"))
        grads = single(BEFORE + AFTER)
        go(optim, variables, grads[:BEFORE])
        opt = optimizer(stage(case), values(variables))
        state.load_state(opt, optim)
        assert opt.t == BEFORE
        for own in grads[BEFORE:]:
            opt.step(own)
        go(optim, variables, grads[BEFORE:])
        close(opt.params, values(variables), 5e-6)
        if optim.use_ema:
            close(opt.averaged(), values(optim._model_variables_moving_average), 5e-6)

    @pytest.mark.parametrize("steps", [0, 3])
    def test_to_keras(self, case, steps):
        grads = single(BEFORE + AFTER)
        opt = optimizer(stage(case), start("float32"))
        for own in grads[:BEFORE]:
            opt.step(own)
        variables, optim = theirs(case, start("float32"))
        go(optim, variables, single(steps, seed=9))
        state.dump_state(opt, optim)
        assert numbers(optim.iterations) == BEFORE
        for x, own in zip(variables, opt.params.values(), strict=True):
            x.assign(own)
        go(optim, variables, grads[BEFORE:])
        for own in grads[BEFORE:]:
            opt.step(own)
        close(opt.params, values(variables), 5e-6)

    def test_there_and_back_keeps_every_bit(self, case):
        opt = optimizer(stage(case), start("float32"))
        for own in single(BEFORE):
            opt.step(own)
        _, optim = theirs(case, start("float32"))
        state.dump_state(opt, optim)
        other = optimizer(stage(case), opt.params)
        state.load_state(other, optim)
        assert of_vectors(other, snapshot(other)) == of_vectors(opt, snapshot(opt))

    def test_every_variable_is_set(self, case):
        """But the learning rate: a dump into an optimizer full of sevens leaves none."""
        opt = optimizer(stage(case), start("float32"))
        opt.step(single(1)[0])
        _, optim = theirs(case, start("float32"))
        idle = [x for x in getattr(optim, "_r", []) + getattr(optim, "_c", []) if x.dtype == "int32"]  # a vector's
        variables = [x for x in optim.variables if all(x is not other for other in [optim._learning_rate, *idle])]
        for x in [*variables, *([optim._u_product] if case == "Nadam" else [])]:
            x.assign(np.full(x.shape, 7))
        state.dump_state(opt, optim)
        for x in variables:
            assert not np.any(numbers(x) == 7), x.path


class TestOurSide:
    def test_names_in_another_order(self):
        variables, optim = theirs("Adam", start("float32"))
        go(optim, variables, single(2))
        opt = optimizer(stage("Adam"), dict(reversed(values(variables).items())))
        state.load_state(opt, optim, iter(NAMES))
        for name, m in zip(NAMES, optim._momentums, strict=True):
            np.testing.assert_array_equal(opt.state[name]["adam_eps_hat.m"], numbers(m))

    def test_frozen_parameters_stay_there(self):
        variables, optim = theirs("Adam", start("float32"))
        go(optim, variables, single(2))
        opt = optimizer(stage("Adam"), values(variables), groups={"scale": "freeze"})
        state.load_state(opt, optim)
        opt.step(single(1)[0])
        before = numbers(optim._momentums[2])
        state.dump_state(opt, optim)
        assert numbers(optim._momentums[2]) == before
        assert numbers(optim.iterations) == 3

    def test_a_wider_optimizer_takes_float32_and_gives_it_back(self):
        variables, optim = theirs("Adam", start("float32"))
        go(optim, variables, single(2))
        opt = optimizer(stage("Adam"), start())
        state.load_state(opt, optim)
        state.dump_state(opt, optim)
        opt.step(gradients(1)[0])
        why = "m of 'layer.w' is float64 here and would be rounded to float32 there"
        refuses(opt, optim, why, load=False)

    def test_a_product_that_groups_do_not_share(self):
        groups = {"scale": {"beta1": 0.3}}
        opt = optimizer(stage("Nadam"), start("float32"), groups=groups)
        opt.step(single(1)[0])
        _, optim = theirs("Nadam", start("float32"))
        refuses(opt, optim, "nadam_torch.product differs from group to group here", load=False)

    def test_16_bits(self):
        pytest.importorskip("ml_dtypes")
        variable = keras.Variable(np.ones(3), dtype="bfloat16")
        optim = keras.optimizers.Adam()
        optim.build([variable])
        opt = optimizer(stage("Adam"), {"w": np.ones(3, np.float32)})
        opt.state["w"]["adam_eps_hat.m"][...] = 0.25
        state.dump_state(opt, optim)
        other = optimizer(stage("Adam"), {"w": np.ones(3, np.float32)})
        state.load_state(other, optim)
        assert snapshot(other) == snapshot(opt)
        opt.state["w"]["adam_eps_hat.m"][...] = 0.1
        refuses(opt, optim, "is float32 here and would be rounded to bfloat16 there", load=False)


def refuses(opt, optim, why, names=None, error=GradstepValueError, load=True, dump=True):
    before = snapshot(opt)
    kept = [numbers(x) for x in getattr(optim, "variables", ())]
    for act in [state.load_state] * load + [state.dump_state] * dump:
        with pytest.raises(error, match=why):
            act(opt, optim, names)
    assert snapshot(opt) == before
    for x, y in zip(kept, getattr(optim, "variables", ()), strict=True):
        np.testing.assert_array_equal(x, numbers(y))


class TestRefusals:
    @pytest.mark.parametrize("rule", ["adam", "amsgrad_corrected", "nadam", "momentum", "ema"])
    def test_a_rule_that_keras_does_not_have(self, rule):
        opt = optimizer(registry(None)[rule](), start("float32"))
        refuses(opt, theirs("Adam", start("float32"))[1], f"nothing for the {rule} of this optimizer in it; it keeps")

    def test_more_or_less_there(self):
        opt = optimizer(stage("Adam"), start("float32"))
        refuses(opt, theirs("Adam", start(), use_ema=True)[1], "keeps _model_variables_moving_average, which nothing")
        refuses(opt, theirs("Adam amsgrad", start(), use_ema=False)[1], "keeps _velocity_hats, which nothing")
        opt = optimizer(stage("SGD momentum"), start("float32"))
        refuses(opt, theirs("SGD", start("float32"))[1], "it keeps no momentums, which is momentum.v here")

    def test_what_is_not_built(self):
        opt = optimizer(stage("Adam"), start("float32"))
        refuses(opt, keras.optimizers.Adam(), r"it is not built; call its build\(variables\) first")

    def test_gradients_over_several_steps(self):
        opt = optimizer(stage("Adam"), start("float32"))
        _, optim = theirs("Adam", start("float32"), gradient_accumulation_steps=2)
        refuses(opt, optim, "it gathers gradients over several steps")

    def test_optimizers_that_are_unknown(self):
        opt = optimizer(stage("Adam"), start("float32"))
        refuses(opt, keras.optimizers.ScheduleFreeAdamW(), "keras: ScheduleFreeAdamW is not among SGD, RMSprop,")
        refuses(
            opt, keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()), "keras: LossScaleOptimizer is not among"
        )
        refuses(opt, 3, "expected one of Keras's optimizers, not 3", error=GradstepTypeError)

    def test_names_shapes_and_numbers(self):
        variables, optim = theirs("Adam", start("float32"))
        go(optim, variables, single(2))
        opt = optimizer(stage("Adam"), start("float32"))
        refuses(opt, optim, "it has 3 parameters, and there are 1 names", ["scale"])
        other = optimizer(stage("Adam"), {"a": np.ones(2, np.float32)})
        refuses(other, optim, "it has 3 parameters, and this optimizer 1")
        turned = [NAMES[1], NAMES[0], NAMES[2]]
        refuses(opt, optim, r"of 'layer.w' has the shape \(2,\) there, and \(3, 2\) here", turned, dump=False)
        refuses(opt, optim, r"of 'layer.b' has the shape \(2,\) here, and \(3, 2\) there", turned, load=False)
        optim._velocities[1].assign(np.full(2, -1.0))
        refuses(opt, optim, "adam_eps_hat.v of 'layer.b' is below zero there", dump=False)
        optim._velocities[1].assign(np.full(2, np.nan))
        refuses(opt, optim, "adam_eps_hat.v of 'layer.b' is not finite there", dump=False)

    def test_complex_parameters(self):
        opt = optimizer(stage("Adam"), {"z": np.ones(2, np.complex64)})
        variable = keras.Variable(np.ones(2, np.float32))
        optim = keras.optimizers.Adam()
        optim.build([variable])
        refuses(opt, optim, "'z' is complex, and its state has another meaning there")

    def test_a_count_that_its_dtype_does_not_have(self):
        opt = optimizer(stage("Adam"), start("float32"))
        parts = opt.parts()
        parts.take(parts.hyper, parts.memory, 2**31, 0)
        _, optim = theirs("Adam", start("float32"))
        if optim.iterations.dtype != "int32":
            pytest.skip("iterations are int64 on this backend")
        refuses(opt, optim, "t = 2147483648 is no int32", load=False)


def test_every_rule_of_the_table_exists():
    assert {rule for own in state.PLACES.values() for rule in own} <= registry(None).keys()
