"""What is asked of the guest in Keras; run in a process for each backend: ``python -m interop.keras_cases BACKEND``."""

import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from gradstep.interop.keras import Optimizer, dump_state, load_state
from gradstep.rule import registry
from support import OF_GUESTS, clear

BATCH, BATCHES = 16, 4
rng = np.random.default_rng(0)
X = rng.normal(size=(BATCH * BATCHES, 5)).astype("f4")
Y = X @ rng.normal(size=(5, 1)).astype("f4") + 1
EPS = float(np.finfo("f4").eps)


def model(optimizer, **options):
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    made.compile(optimizer=optimizer, loss="mse", **options)
    return made


def fit(made, epochs=3, **options):
    return made.fit(X, Y, batch_size=BATCH, shuffle=False, epochs=epochs, verbose=0, **options)


def batch(k):
    part = slice(k % BATCHES * BATCH, (k % BATCHES + 1) * BATCH)
    return X[part], Y[part]


def gradient(params, k):
    """Of the mean squared error of ``x @ w + b``, by hand."""
    x, y = batch(k)
    residual = x @ params[0] + params[1] - y
    return [2 / BATCH * x.T @ residual, 2 / BATCH * residual.sum(0)]


def loop(start, tx, steps, lr=None, change=lambda gradients: gradients):
    """The same with NumPy; ``lr`` is a float, as float32 keeps it, or a function of the updates made."""
    params = [x.copy() for x in start]
    opt = gs.Optimizer(params, tx)
    for k in range(steps):
        if lr is not None:
            opt.lr = float(np.float32(lr(k) if callable(lr) else lr))
        opt.step([g.astype("f4") for g in change(gradient(params, k))])
    return params


def numbers(variable):
    return np.array(to_numpy(variable.value))


def near(got, wanted, room=64):
    """Within so many roundings of numbers near one: a gradient's sums are summed in another order here and there."""
    for x, y in zip(got, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=0, atol=room * EPS)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def values(optimizer):
    return [keras.ops.convert_to_numpy(v) for v in optimizer.variables]


def refused(kind, text, call):
    with pytest.raises(kind, match=re.escape(text)) as error:
        call()
    assert isinstance(error.value, gs.GradstepError)
    assert clear(error)


def case_fit_is_a_numpy_loop():
    for name in OF_GUESTS:
        rule, made = registry()[name], model(Optimizer(name))
        start = made.get_weights()
        fit(made)
        room = 1024 if name == "shampoo" else 64  # whose roots of squares near zero make a last digit larger
        near(made.get_weights(), loop(start, rule, 12, rule.defaults["lr"]), room)
        assert int(made.optimizer.iterations) == 12


def case_a_chain_with_a_norm():
    tx = gs.chain(gs.clip_by_global_norm(0.5), gs.nadam(lr=0.05), gs.ema(decay=0.9))
    made = model(Optimizer(tx))
    start = made.get_weights()
    fit(made)
    near(made.get_weights(), loop(start, tx, 12, 0.05))
    each = gs.chain(gs.clip_by_norm(0.5), gs.adam(lr=0.05))
    made = model(Optimizer(each))
    fit(made)
    near(made.get_weights(), loop(start, each, 12, 0.05))


def case_names_of_other_libraries():
    theirs, ours = model(keras.optimizers.AdamW(0.01)), model(Optimizer("keras.AdamW", learning_rate=0.01))
    fit(theirs)
    fit(ours)
    near(ours.get_weights(), theirs.get_weights(), 256)
    made = Optimizer("optax.adam", learning_rate=0.5)
    assert float(made.learning_rate) == 0.5
    assert float(Optimizer.from_config(made.get_config()).learning_rate) == 0.5


def case_state_variables():
    made = model(Optimizer("nadam"))
    fit(made, 1)
    names = [v.name for v in made.optimizer.variables]
    path = made.trainable_variables[0].path.replace("/", "_")
    assert names[:4] == ["iteration", "learning_rate", "nadam.product", f"{path}_nadam.m"], names
    assert len(names) == 7
    dtypes = [keras.backend.standardize_dtype(v.dtype) for v in made.optimizer.variables]
    assert dtypes[2:] == ["int32", *["float32"] * 4], dtypes


def case_saved_mid_run_and_loaded():
    for optimizer in (
        Optimizer("nadam", learning_rate=0.05, beta1=0.8),
        Optimizer("radam", learning_rate=gs.schedules.cosine(0.1, 20)),
        Optimizer("adamw", weight_decay=0.1, clipnorm=1.0),
        Optimizer(gs.chain(gs.clip_by_global_norm(1.0), gs.adam(beta1=gs.schedules.linear(0.9, 9, 0.5)), gs.ema), 0.05),
        Optimizer(gs.nadam(lr=gs.schedules.cosine(0.1, 20))),
        Optimizer(gs.adam, beta1=gs.schedules.constant(0.8)),
        Optimizer(gs.conventions.keras.Adam, learning_rate=0.05),
        Optimizer(gs.conventions.keras.RMSprop(0.05, centered=True, momentum=0.9)),
        Optimizer(gs.chain(gs.decay(weight_decay=0.1, name="d", lr=1.0), gs.momentum)),
    ):
        made = model(optimizer)
        fit(made, 2)
        with tempfile.TemporaryDirectory() as folder:
            made.save(path := Path(folder) / "run.keras")
            again = keras.saving.load_model(path)
        assert again.optimizer.get_config() == made.optimizer.get_config()
        pairs = zip(again.optimizer.stage.parts, made.optimizer.stage.parts, strict=True)
        assert all((x.rule, x.name, x.given) == (y.rule, y.name, y.given) for x, y in pairs)
        same(values(again.optimizer), values(made.optimizer))
        fit(made)
        fit(again)
        same(again.get_weights(), made.get_weights())
        same(values(again.optimizer), values(made.optimizer))


def case_state_of_keras_s_own():
    """A guest in mid-run in place of Keras's own optimizer, and that one again."""
    grads = [[rng.normal(size=(3, 2)).astype("f4"), rng.normal(size=2).astype("f4")] for _ in range(12)]
    for kind, options in (
        ("Adam", {"amsgrad": True}),
        ("Nadam", {"beta_1": 0.8}),
        ("SGD", {"momentum": 0.9}),
        ("RMSprop", {"centered": True, "momentum": 0.7}),
    ):
        made = {
            "whole": getattr(keras.optimizers, kind)(0.05, **options),
            "first": getattr(keras.optimizers, kind)(0.05, **options),
            "guest": Optimizer(f"keras.{kind}", 0.05, **options),
            "other": Optimizer(f"keras.{kind}", 0.05, **options),
            "last": getattr(keras.optimizers, kind)(0.05, **options),
        }
        variables = {
            key: [keras.Variable(np.ones((3, 2), "f4")), keras.Variable(np.ones(2, "f4"))] for key in ("whole", "own")
        }
        for key, optimizer in made.items():
            optimizer.build(variables["whole" if key == "whole" else "own"])

        def go(key, own, made=made, variables=variables):
            for g in own:
                made[key].apply([ops.convert_to_tensor(x) for x in g], variables["whole" if key == "whole" else "own"])

        go("first", grads[:4])
        load_state(made["guest"], made["first"])
        assert int(made["guest"].iterations.value) == 4
        go("guest", grads[4:8])
        dump_state(made["guest"], made["last"])
        load_state(made["other"], made["last"])
        same(values(made["other"]), values(made["guest"]))
        go("last", grads[8:])
        go("whole", grads)
        for x, y in zip(variables["own"], variables["whole"], strict=True):
            near(numbers(x), numbers(y))
    before = values(made["guest"])
    for own, text, names in (
        (keras.optimizers.Adam(), "names are of an optimizer of ours", ["w"]),
        (keras.optimizers.Adadelta(), "it is not built", None),
        (made["first"], "this optimizer is not built", None),
    ):
        guest = Optimizer("keras.Adam") if text.startswith("this") else made["guest"]
        refused(gs.GradstepError, text, lambda own=own, names=names, guest=guest: load_state(guest, own, names))
    same(values(made["guest"]), before)
    gathers = Optimizer("keras.Adam", gradient_accumulation_steps=2)
    gathers.build(variables["own"])
    refused(gs.GradstepValueError, "gathers gradients over several steps", lambda: dump_state(gathers, made["last"]))


def case_own_variables():
    first, second = model(Optimizer("nadam")), model(Optimizer("nadam"))
    fit(first, 1)
    second.optimizer.build(second.trainable_variables)
    store = {}
    first.optimizer.save_own_variables(store)
    second.optimizer.load_own_variables(store)
    same(values(first.optimizer), values(second.optimizer))


def case_learning_rates():
    start = model("sgd").get_weights()
    cosine = keras.optimizers.schedules.CosineDecay(0.1, 10)
    made = model(Optimizer("adam", learning_rate=cosine))
    fit(made)
    near(made.get_weights(), loop(start, gs.adam, 12, lambda k: float(cosine(k))))
    ours = gs.schedules.cosine(0.1, 10)
    for optimizer in (Optimizer("adam", learning_rate=ours), Optimizer(gs.adam(lr=ours)), Optimizer("adam", lr=ours)):
        made = model(optimizer)
        fit(made)
        near(made.get_weights(), loop(start, gs.adam, 12, ours))
    made = model(Optimizer("sgd", learning_rate=0.1))
    fit(made, 1)
    made.optimizer.learning_rate = 0.01
    fit(made, 1)
    near(made.get_weights(), loop(start, gs.sgd, 8, lambda k: 0.1 if k < 4 else 0.01))


def case_callbacks():
    start = model("sgd").get_weights()
    made = model(Optimizer("momentum", learning_rate=0.02))
    fit(made, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, lr: 0.02 / (1 + epoch))])
    near(made.get_weights(), loop(start, gs.momentum, 12, lambda k: 0.02 / (1 + k // 4)))
    made = model(Optimizer("momentum", learning_rate=0.02))
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1, min_delta=1e9)
    rates = fit(made, callbacks=[plateau]).history["learning_rate"]
    np.testing.assert_allclose(rates, [0.02, 0.02, 0.01], rtol=1e-6)
    assert abs(float(made.optimizer.learning_rate) - 0.005) < 1e-8


def case_what_the_base_class_does():
    start = model("sgd").get_weights()

    def norms(gradients):
        return [g / max(1.0, float(np.linalg.norm(g)) / 0.5) for g in gradients]

    def norm(gradients):
        whole = float(np.sqrt(sum(np.sum(g * g) for g in gradients)))
        return [g / max(1.0, whole / 0.5) for g in gradients]

    for options, change in (
        ({"clipnorm": 0.5}, norms),
        ({"global_clipnorm": 0.5}, norm),
        ({"clipvalue": 0.25}, lambda gradients: [np.clip(g, -0.25, 0.25) for g in gradients]),
        ({"loss_scale_factor": 8.0, "name": "mine"}, lambda gradients: gradients),
    ):
        made = model(Optimizer("momentum", learning_rate=0.05, **options))
        fit(made)
        near(made.get_weights(), loop(start, gs.momentum, 12, 0.05, change))
    assert made.optimizer.name == "mine"
    made = model(Optimizer("momentum", learning_rate=0.05, weight_decay=0.1))
    fit(made)
    near(made.get_weights(), loop(start, gs.chain(gs.decay(weight_decay=0.1), gs.momentum), 12, 0.05))


def case_weight_decay_is_the_rule_s_where_it_has_one():
    made = Optimizer("adamw", weight_decay=0.25)
    assert made.stage.parts[0].given["weight_decay"] == 0.25
    assert made.weight_decay is None
    assert Optimizer.from_config(made.get_config()).stage.parts[0].given["weight_decay"] == 0.25
    refused(ValueError, "weight_decay must be a number", lambda: Optimizer("adamw", weight_decay=None))
    refused(ValueError, "weight_decay must be a number", lambda: Optimizer("keras.AdamW", weight_decay=None))
    fit(made := model(Optimizer("keras.Adam", learning_rate=0.05, weight_decay=None)), 1)
    fit(other := model(Optimizer("keras.Adam", learning_rate=0.05)), 1)
    same(made.get_weights(), other.get_weights())
    for rule in ("adamw", "keras.AdamW", "keras.SGD"):
        again = Optimizer.from_config(Optimizer(rule).get_config())
        assert again.made.hyper.get("weight_decay") == Optimizer(rule).made.hyper.get("weight_decay")


def case_variables_without_weight_decay():
    """Keras's own AdamW is the oracle where the rule decays, the rule without decay where it is left out."""
    for kind in ("AdamW", "SGD", "Adam", "Nadam"):
        theirs = getattr(keras.optimizers, kind)(0.05, weight_decay=0.3)
        ours = Optimizer(f"keras.{kind}", learning_rate=0.05, weight_decay=0.3)
        for optimizer in (theirs, ours):
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        both = [model(theirs), model(ours)]
        for made in both:
            made.layers[0].bias.assign([3.0])
            fit(made)
        near(both[1].get_weights(), both[0].get_weights(), 512)
    made = Optimizer("adam", weight_decay=0.1)
    made.exclude_from_weight_decay(var_names=["bias"])
    fit(model(made), 1)
    variables = [keras.Variable(np.ones(3, "f4"), name=name) for name in ("kernel", "bias")]
    made = Optimizer(gs.chain(gs.decay(weight_decay=0.1), gs.nadam(lr=0.5)))
    made.exclude_from_weight_decay(var_list=variables[1:])
    made.apply([ops.ones(3), ops.ones(3)], variables)
    plain, alone = Optimizer("nadam", learning_rate=0.5), keras.Variable(np.ones(3, "f4"))
    plain.apply([ops.ones(3)], [alone])
    same([numbers(variables[1])], [numbers(alone)])
    assert numbers(variables[0])[0] < numbers(alone)[0]
    same(
        [keras.ops.convert_to_numpy(made._memory["nadam.product"])],
        [ops.convert_to_numpy(plain._memory["nadam.product"])],
    )
    made = Optimizer(gs.chain(gs.clip_by_global_norm(1.0), gs.adamw))
    said = "clip_by_global_norm takes all variables together"
    refused(ValueError, said, lambda: made.exclude_from_weight_decay(var_names=["bias"]))


def case_compiled_training():
    start = model("sgd").get_weights()
    for rule in ("adam", "nadam"):
        made = model(Optimizer(rule, learning_rate=0.05), jit_compile=True)
        fit(made)
        near(made.get_weights(), loop(start, registry()[rule], 12, 0.05))


def case_sparse_gradients():
    """The numbers of the same gradient as a whole array."""
    if keras.backend.backend() != "jax":
        return
    from jax.experimental.sparse import BCOO

    rows = (0.5 * ops.ones((3, 4)), np.array([[0], [2], [4]]))
    for rule in ("adam", "sgd", "adagrad", "keras.Adam"):
        ends = []
        for g in (BCOO(rows, shape=(5, 4)), BCOO(rows, shape=(5, 4)).todense()):
            v = keras.Variable(np.ones((5, 4), "f4"))
            optimizer = Optimizer(rule, learning_rate=0.1)
            for _ in range(3):
                optimizer.apply([g], [v])
            ends.append(numbers(v))
        same(*[[x] for x in ends])
        assert ends[0][0, 0] < 1.0
        assert ends[0][1, 0] == 1.0


def case_average():
    made = model(Optimizer("sgd", learning_rate=0.05, use_ema=True, ema_momentum=0.5))
    start = made.get_weights()
    fit(made, 1)
    averages, params = None, [x.copy() for x in start]
    opt = gs.Optimizer(params, "sgd", lr=float(np.float32(0.05)))
    for k in range(4):
        opt.step([g.astype("f4") for g in gradient(params, k)])
        averages = [x.copy() if k == 0 else (a + x) / 2 for a, x in zip(averages or params, params, strict=True)]
    near(made.get_weights(), averages)  # fit puts them in at its end


def case_gradient_accumulation():
    made = model(Optimizer("nadam", learning_rate=0.05, gradient_accumulation_steps=2))
    start = made.get_weights()
    fit(made)
    params = [x.copy() for x in start]
    opt = gs.Optimizer(params, "nadam", lr=float(np.float32(0.05)))
    for k in range(0, 12, 2):
        pairs = zip(gradient(params, k), gradient(params, k + 1), strict=True)
        opt.step([((a + b) / 2).astype("f4") for a, b in pairs])
    near(made.get_weights(), params)
    assert int(made.optimizer.iterations) == 6


def case_apply_and_stateless_apply():
    start = [np.ones((2, 3), "f4"), np.ones(3, "f4")]
    grads = [np.full((2, 3), 0.5, "f4"), np.full(3, -2.0, "f4")]
    wanted = loop_of(start, grads, 3)
    variables = [keras.Variable(x) for x in start]
    optimizer = Optimizer("radam", learning_rate=0.5)
    for _ in range(3):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], variables)
    near([keras.ops.convert_to_numpy(v) for v in variables], wanted)
    variables = [keras.Variable(x) for x in start]
    optimizer = Optimizer("radam", learning_rate=0.5)
    optimizer.build(variables)
    now, state = [v.value for v in variables], [v.value for v in optimizer.variables]
    for _ in range(3):
        now, state = optimizer.stateless_apply(state, [keras.ops.convert_to_tensor(g) for g in grads], now)
    near([keras.ops.convert_to_numpy(x) for x in now], wanted)
    same([keras.ops.convert_to_numpy(v) for v in variables], start)


def loop_of(start, grads, steps):
    params = [x.copy() for x in start]
    opt = gs.Optimizer(params, "radam", lr=0.5)
    for _ in range(steps):
        opt.step(grads)
    return params


def case_a_variable_without_a_gradient():
    variables = [keras.Variable(np.ones(3, "f4")) for _ in range(2)]
    optimizer = Optimizer("adam", learning_rate=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras's, which says so
        optimizer.apply([None, keras.ops.ones(3)], variables)
    assert [float(keras.ops.convert_to_numpy(v)[0]) for v in variables] == [1.0, 0.5]


def case_low_precision():
    optimizer, v = Optimizer("adam", learning_rate=0.5), keras.Variable(np.ones(3), dtype="bfloat16")
    optimizer.apply([keras.ops.ones(3, "bfloat16")], [v])
    assert keras.backend.standardize_dtype(v.dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(optimizer.variables[-1].dtype) == "float32"
    assert float(keras.ops.convert_to_numpy(keras.ops.cast(v, "float32"))[0]) == 0.5
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        made = model(Optimizer("adam"))
        fit(made, 1)
        assert {keras.backend.standardize_dtype(v.dtype) for v in made.optimizer.variables[2:]} == {"float32"}
    finally:
        keras.mixed_precision.set_global_policy("float32")


def case_loss_scaling():
    made = model(keras.optimizers.LossScaleOptimizer(Optimizer("adam", learning_rate=0.05), initial_scale=8.0))
    start = made.get_weights()
    fit(made)
    near(made.get_weights(), loop(start, gs.adam, 12, 0.05))


def case_config():
    made = Optimizer("nadam", learning_rate=0.5, beta1=0.8, clipnorm=2.0, name="n")
    config = made.get_config()
    assert (config["rule"], config["beta1"], config["clipnorm"], config["name"]) == ("nadam", 0.8, 2.0, "n")
    again = Optimizer.from_config(config)
    assert again.get_config() == made.get_config()
    assert again.stage.parts[0].given == made.stage.parts[0].given
    through = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert through.get_config() == made.get_config()
    needs = "and a Keras config holds no function; give one of gradstep.schedules, or a number"
    refused(TypeError, f"beta1 is {abs!r}, {needs}", lambda: Optimizer("adam", beta1=abs).get_config())
    refused(TypeError, f"beta1 of adam is {abs!r}, {needs}", lambda: Optimizer(gs.adam(beta1=abs)).get_config())
    config = Optimizer(gs.adam()).get_config()
    config["rule"]["stages"][0]["rule"] = "mine"
    refused(ValueError, "import what declares it, then load.", lambda: Optimizer.from_config(config))


def case_refusals():
    refused(ValueError, "unknown rule 'adanx'", lambda: Optimizer("adanx"))
    refused(ValueError, "adam: unknown hyperparameter 'beta_1'", lambda: Optimizer("adam", beta_1=0.9))
    refused(ValueError, "beta1 must be", lambda: Optimizer("adam", beta1=2.0))
    refused(TypeError, "beta1 is given beside a stage", lambda: Optimizer(gs.adam(), beta1=0.5))
    refused(ValueError, "has no lr that its stages share", lambda: Optimizer(gs.adam(lr=0.1, name="a")))
    backend = keras.backend.backend
    try:
        keras.backend.backend = lambda: "tensorflow"
        refused(TypeError, "Keras runs on tensorflow; this optimizer needs", lambda: Optimizer("adam"))
    finally:
        keras.backend.backend = backend


CASES = {name.removeprefix("case_"): f for name, f in list(globals().items()) if name.startswith("case_")}

if __name__ == "__main__":
    assert keras.backend.backend() == sys.argv[1]
    for name, case in CASES.items():
        try:
            case()
            sys.stdout.write(f"{name} passed\n")
        except Exception:
            sys.stdout.write(f"{name} failed\n{traceback.format_exc()}")
