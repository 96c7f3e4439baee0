"""The post's class: its numbers are those of the plain rules, bit for bit; where the post departs from its formulas."""

import copy
import math
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import gradstep as gs
from gradstep.layers import Optimizer
from gradstep.nn import Conv2D, Dense, Dropout, Flatten, Sequential
from support import at_line

STAGES = {  # for learning_rate = 0.05 and mr = 0.5
    "sgd": gs.momentum(lr=0.05, momentum=0.5),
    "iterative": gs.sgd(lr=0.05),
    "momentum": gs.chain(gs.l2(weight_decay=5e-4), gs.momentum(lr=0.05, momentum=0.9)),
    "rmsprop": gs.rmsprop(lr=0.05, rho=0.9, eps=1e-8),
    "adagrad": gs.adagrad(lr=0.05, eps=1e-8),
    "adam": gs.adam(lr=0.05, beta1=0.9, beta2=0.999, eps=1e-8),
    "adamax": gs.adamax(lr=0.05, beta1=0.9, beta2=0.999),
    "adadelta": gs.adadelta(lr=1.0, rho=0.9, eps=1e-8),
}
NAMES = list(STAGES)


def some_layers(dtype="float64", seed=0):
    """Two layers to train and, between them, one with nothing to train; with the post's attributes alone."""
    rng = np.random.default_rng(seed)

    def layer(*shape):
        weights, biases = rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape[-1]).astype(dtype)
        return SimpleNamespace(weights=weights, biases=biases, parameters=weights.size + biases.size)

    return [layer(5, 3), SimpleNamespace(parameters=0), layer(2, 2, 3, 4)]


def set_deltas(layers, rng, dtype=None):
    for layer in layers:
        if layer.parameters:
            for kind in ("weights", "biases"):
                x = getattr(layer, kind)
                setattr(layer, f"delta_{kind}", rng.standard_normal(x.shape).astype(dtype or x.dtype))


def steps(call, layers, count, seed=1):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        set_deltas(layers, rng)
        call(layers)


def arrays(layers):
    return [getattr(x, kind) for x in layers if x.parameters for kind in ("weights", "biases")]


def gradients(layers):
    return [-getattr(x, f"delta_{kind}") for x in layers if x.parameters for kind in ("weights", "biases")]


def bits(layers):
    return [(x.dtype, x.tobytes()) for x in arrays(layers)]


def plain(stage, count, dtype="float64", seed=1):
    layers = some_layers(dtype)
    opt = gs.Optimizer(arrays(layers), stage)
    steps(lambda layers: opt.step(gradients(layers)), layers, count, seed)
    return bits(layers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_the_plain_rule(name, dtype):
    layers = some_layers(dtype)
    opt = Optimizer(layers, name, learning_rate=0.05, mr=0.5)
    before = arrays(layers)
    steps(opt.opt_dict[name], layers, 20)
    assert bits(layers) == plain(STAGES[name], 20, dtype)
    assert all(a is b for a, b in zip(arrays(layers), before, strict=True))


def test_the_eight_names_are_methods():
    opt = Optimizer(some_layers())
    assert list(opt.opt_dict) == NAMES
    assert all(method == getattr(opt, name) for name, method in opt.opt_dict.items())
    assert (opt.name, opt.learning_rate, opt.mr) == (None, 0.01, 0.001)


@pytest.mark.parametrize("name", NAMES)
def test_training_false_sets_the_terms_back_and_nothing_else(name):
    layers = some_layers()
    opt = Optimizer(layers, learning_rate=0.05, mr=0.5)
    steps(opt.opt_dict[name], layers, 5, seed=2)
    before = bits(layers)
    opt.opt_dict[name](layers, training=False)
    assert bits(layers) == before
    for x, y in zip(arrays(layers), arrays(some_layers()), strict=True):
        x[...] = y
    steps(opt.opt_dict[name], layers, 5)
    assert bits(layers) == plain(STAGES[name], 5)


@pytest.mark.parametrize("name", NAMES)
def test_terms_live_on_when_a_layer_holds_new_arrays(name):
    layers = some_layers()
    opt = Optimizer(layers, name, learning_rate=0.05, mr=0.5)

    def step(layers):
        old = arrays(layers)
        kept = [x.copy() for x in old]
        for x in layers:
            if x.parameters:
                x.weights, x.biases = np.asfortranarray(x.weights.copy()), x.biases.copy()
        opt.opt_dict[name](layers)
        assert all(np.array_equal(a, b) for a, b in zip(old, kept, strict=True))

    steps(step, layers, 6)
    assert bits(layers) == plain(STAGES[name], 6)


def test_two_names_keep_their_own_terms():
    """Adam and Adamax, and two that the post keeps in the same attributes: Adamax and Adadelta."""
    for one, two in [("adam", "adamax"), ("adamax", "adadelta")]:
        layers, expected = some_layers(), some_layers()
        opt = Optimizer(layers, learning_rate=0.05)
        steps(lambda layers: (opt.opt_dict[one](layers), opt.opt_dict[two](layers)), layers, 4)  # noqa: B023
        own = [gs.Optimizer(arrays(expected), STAGES[name]) for name in (one, two)]
        steps(lambda layers: [x.step(gradients(layers)) for x in own], expected, 4)  # noqa: B023
        assert bits(layers) == bits(expected)


def test_two_optimizers_over_the_same_layers_do_not_meet():
    layers = some_layers()
    first, second = Optimizer(layers, "adam", 0.05), Optimizer(layers, "adam", 0.05)
    steps(first.adam, layers, 3, seed=2)
    for x, y in zip(arrays(layers), arrays(some_layers()), strict=True):
        x[...] = y
    steps(second.adam, layers, 3)
    assert bits(layers) == plain(STAGES["adam"], 3)


@pytest.mark.parametrize("name", NAMES)
def test_deltas_of_another_float_dtype_move_weights_that_keep_theirs(name):
    layers, expected = some_layers("float32"), some_layers("float32")
    opt = Optimizer(layers, name, learning_rate=0.05, mr=0.5)
    own = gs.Optimizer(arrays(expected), STAGES[name])
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(3):
        set_deltas(layers, rng, "float64")
        before = [x.copy() for x in gradients(layers)]
        opt.opt_dict[name](layers)
        assert all(np.array_equal(a, b) for a, b in zip(gradients(layers), before, strict=True))
        set_deltas(expected, again, "float64")
        own.step([g.astype("float32") for g in gradients(expected)])
    assert bits(layers) == bits(expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_learning_rate_that_is_given_counts(name):
    def moved(rate, call):
        layers = some_layers()
        before = [x.copy() for x in arrays(layers)]
        steps(lambda layers: Optimizer(layers, name, rate).opt_dict[name](layers, **call), layers, 1)
        return np.concatenate([(x - y).ravel() for x, y in zip(arrays(layers), before, strict=True)])

    one, by_call = moved(0.25, {}), moved(8.0, {"learning_rate": 0.25})
    if name == "adadelta":  # the paper has no learning rate: only a call can ask for one, and it stands at 1 otherwise
        assert one.tobytes() == moved(8.0, {}).tobytes() == moved(8.0, {"learning_rate": 1.0}).tobytes()
        np.testing.assert_allclose(by_call, 0.25 * one, rtol=0, atol=1e-15)
    else:
        assert one.tobytes() == by_call.tobytes()
        np.testing.assert_allclose(moved(0.5, {}), 2 * one, rtol=0, atol=1e-15)  # rounding of weights of order 1


def test_hyperparameters_may_change_from_call_to_call():
    layers, expected = some_layers(), some_layers()
    opt = Optimizer(layers, learning_rate=0.05)
    own = gs.Optimizer(arrays(expected), STAGES["adam"])
    steps(opt.adam, layers, 2)
    steps(lambda layers: opt.adam(layers, beta1=0.5), layers, 2, seed=4)
    steps(lambda layers: own.step(gradients(layers)), expected, 2)
    own.hyper["beta1"] = 0.5
    steps(lambda layers: own.step(gradients(layers)), expected, 2, seed=4)
    assert bits(layers) == bits(expected)


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_the_layers_of_nn(name):
    """And gives what the model's own optimizer gives with the same rule."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((40, 5, 5, 1)), rng.integers(0, 3, 40)

    def model():
        return Sequential([Conv2D(1, 4, 3, "relu"), Flatten(), Dropout(0.2), Dense(36, 3, "softmax")], seed=6)

    walked, fitted = model(), model().compile(STAGES[name], loss="cross_entropy")
    opt = Optimizer(walked.layers, name, learning_rate=0.05, mr=0.5)
    before = walked.evaluate(x, y, loss="cross_entropy").loss
    for _ in range(10):
        walked.value_and_grad(x, y, loss="cross_entropy")
        opt.opt_dict[name](walked.layers)
    fitted.fit(x, y, 10, batch_size=40, shuffle=False, progress=False)
    assert bits(walked.layers) == bits(fitted.layers)
    assert walked.evaluate(x, y, loss="cross_entropy").loss < before


def test_a_copy_goes_on_as_the_one_copied():
    layers = some_layers()
    opt = Optimizer(layers, "adam", learning_rate=0.05)
    steps(opt.adam, layers, 3)
    others, other = copy.deepcopy((layers, opt))
    steps(opt.adam, layers, 3, seed=2)
    steps(other.adam, others, 3, seed=2)
    assert bits(layers) == bits(others)
    with pytest.raises(gs.GradstepTypeError, match="cannot be pickled"):
        pickle.dumps(opt)


def test_within_a_step_another_one_is_refused():
    """As by a signal handler, before any line; the arrays are those of one whole step of each name."""
    k, said = 1, []
    while True:
        layers, expected = some_layers(), some_layers()
        opt = Optimizer(layers, "adam")
        set_deltas(layers, np.random.default_rng(7))
        set_deltas(expected, np.random.default_rng(7))
        made = [0]

        def act(opt=opt, layers=layers, made=made):
            try:
                opt.adam(layers)
            except gs.errors.InUseError as error:
                said.append(str(error))
            else:
                made[0] += 1

        if not at_line(k, act, lambda opt=opt, layers=layers: opt.adam(layers)):
            break
        own = Optimizer(expected, "adam")
        for _ in range(1 + made[0]):
            own.adam(expected)
        assert bits(layers) == bits(expected)
        k += 1
    assert said
    assert all("opt.adam was called while" in text for text in said)


def test_layers_with_nothing_to_train():
    for name in NAMES:
        Optimizer([SimpleNamespace(parameters=0)], name).opt_dict[name]([SimpleNamespace(parameters=0)])


def with_change(change):
    layers = some_layers()
    set_deltas(layers, np.random.default_rng(7))
    change(layers)
    return layers


def put(attribute, value, i=2):
    return lambda layers: setattr(layers[i], attribute, value(getattr(layers[i], attribute, None)))


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            put("weights", lambda x: x.astype(int)),
            gs.GradstepTypeError,
            "layer 2: weights must be a NumPy array of float32",
        ),
        (put("weights", lambda x: 0.5), gs.GradstepTypeError, "layer 2: weights must be a NumPy array .*, not 0.5"),
        (put("biases", lambda x: None), gs.GradstepTypeError, "layer 2: biases must be a NumPy array .*, not None"),
        (put("biases", lambda x: x.tolist()), gs.GradstepTypeError, "layer 2: biases must be a NumPy array"),
        (put("delta_biases", lambda x: 0), gs.GradstepTypeError, "layer 2: delta_biases must be a NumPy array"),
        (
            put("delta_weights", lambda x: x * 1j),
            gs.GradstepTypeError,
            "layer 2: delta_weights .* not an array of complex128",
        ),
        (lambda x: delattr(x[2], "delta_weights"), gs.GradstepTypeError, "layer 2 has no attribute 'delta_weights'"),
        (lambda x: delattr(x[0], "biases"), gs.GradstepTypeError, "layer 0 has no attribute 'biases'"),
        (lambda x: delattr(x[1], "parameters"), gs.GradstepTypeError, "layer 1 has no attribute 'parameters'"),
        (
            put("delta_weights", lambda x: x[0]),
            gs.GradstepValueError,
            r"layer 2: delta_weights has shape \(2, 3, 4\), but we",
        ),
        (put("delta_biases", lambda x: x * np.nan), gs.NonFiniteError, "layer 2.biases"),
        (put("weights", read_only), gs.GradstepValueError, "layer 2.weights' is read-only"),
        (lambda x: setattr(x[2], "biases", x[2].weights[0, 0, 0]), gs.GradstepValueError, "share memory"),
        (
            lambda x: x.__setitem__(2, x[0]),
            gs.GradstepValueError,
            r"layer 2: weights are float64 of shape \(5, 3\), but were float64 of shape \(2, 2, 3, 4\) when",
        ),
        (
            lambda x: [put(a, lambda y: y.astype("float32"))(x) for a in ("weights", "delta_weights")],
            gs.GradstepValueError,
            "layer 2: weights are float32 .* but were float64",
        ),
        (lambda x: x.pop(), gs.GradstepValueError, r"layer 2 is in one .* alone; call adam\(layers, training=False\)"),
        (
            lambda x: setattr(x[0], "parameters", 0),
            gs.GradstepValueError,
            "layer 0 is in one of the layers and the terms",
        ),
    ],
)
def test_bad_layers_change_nothing(change, error, message):
    opt = Optimizer(some_layers(), "adam")
    layers = with_change(change)
    before = [np.array(v) for x in layers for v in vars(x).values()]
    with pytest.raises(error, match=message):
        opt.adam(layers)
    after = [np.array(v) for x in layers for v in vars(x).values()]
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(before, after, strict=True))
    good = with_change(lambda x: None)
    expected = with_change(lambda x: None)
    opt.adam(good)
    gs.Optimizer(arrays(expected), gs.adam(lr=0.01)).step(gradients(expected))
    assert bits(good) == bits(expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: Optimizer(x, "adma"), gs.GradstepValueError, "unknown optimizer 'adma'; did you mean adam"),
        (lambda x: Optimizer(x, "adam", learning_rate=-1.0), gs.GradstepValueError, "lr must be"),
        (lambda x: Optimizer(x, "sgd", mr=1.0), gs.GradstepValueError, "momentum must be"),
        (
            lambda x: Optimizer(x[0], "sgd"),
            gs.GradstepTypeError,
            "layers must be a list of layers, not SimpleNamespace",
        ),
        (lambda x: Optimizer(x).adam(x, beta2=1.5), gs.GradstepValueError, "beta2 must be"),
        (lambda x: Optimizer(x).adam(x, decay=0.1), gs.GradstepValueError, "adam has no decay; leave it at 0, not 0.1"),
        (
            lambda x: Optimizer(x).adamax(x, epsilon=1e-7),
            gs.GradstepValueError,
            "adamax has no epsilon; leave it at 1e-08",
        ),
        (
            lambda x: Optimizer(x).adagrad(x, beta1=0.8),
            gs.GradstepValueError,
            "adagrad has no beta1; leave it at 0.9, not",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    layers = with_change(lambda x: None)
    before = bits(layers)
    with pytest.raises(error, match=message):
        call(layers)
    assert bits(layers) == before


# Where the post departs. Below, `post_*` do on one number what the post's lines do; `rate` is the constructor's
# learning_rate, deltas are minus the gradient, and all return how far the number has moved from 0.


def post_adam(gradients, rate, argument=0.001, mr=0.001, forget=0.0):
    w = m = v = previous = 0.0
    for t, g in enumerate(gradients, 1):
        delta = -g
        m, v = 0.9 * m + 0.1 * delta, 0.999 * v + 0.001 * delta**2
        delta = m / (1 - 0.9**t) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w += previous * mr + argument * delta  # `rate` is not used
        previous = delta * forget  # the post: times 0
    return w, delta


def post_adamax(gradients, rate, m=0.0, v=0.0):
    w = 0.0
    for g in gradients:
        m, v = 0.9 * m - 0.1 * g, max(0.999 * v, abs(g))
        w += rate / (1 - 0.9) * (m / (v + 1e-8))
    return w, m, v


def post_adadelta(gradients, m=0.0, v=0.0):
    w = 0.0
    for g in gradients:
        delta = -g
        v = 0.9 * v + 0.1 * delta**2
        with np.errstate(invalid="ignore"):
            delta *= np.sqrt((m + 1e-8) / (v + 1e-8))
        m = 0.9 * m + 0.1 * delta  # the update, not its square
        w += delta
    return w


def post_rmsprop(gradients, rate):
    w = v = 0.0
    for g in gradients:
        v = 0.9 * v + 0.1 * g**2
        w += rate * (-g / math.sqrt(v + 1e-8))
    return w


def post_momentum(gradients, rate, argument=0.1, start=0.0):
    w, v = start, 0.0
    for g in gradients:
        v = 0.9 * v + rate * -g - 0.0005 * rate * w  # `argument` is not used
        w += v
    return w - start


def moved(name, gradients, rate=0.01, mr=0.001, start=0.0, **call):
    """Gradstep over a layer of one number, and the plain rule; the same bits."""
    layer = SimpleNamespace(weights=np.array([[start]]), biases=np.zeros(1), delta_biases=np.zeros(1), parameters=2)
    opt = Optimizer([layer], name, rate, mr)
    for g in gradients:
        layer.delta_weights = np.array([[-g]])
        opt.opt_dict[name]([layer], **call)
        assert layer.delta_weights == -g
    return layer.weights[0, 0] - start


def by_rule(stage, gradients, start=0.0):
    w = np.array([start])
    opt = gs.Optimizer(w, stage)
    for g in gradients:
        opt.step(np.array([g]))
    return w[0] - start


def adam_rate():
    return post_adam([2.0], 0.5)[0], -0.5 / (1 + 0.5e-8), moved("adam", [2.0], 0.5), by_rule(gs.adam(lr=0.5), [2.0])


def adam_deltas():
    layer = SimpleNamespace(weights=np.ones((1, 1)), biases=np.ones(1), delta_biases=np.ones(1), parameters=2)
    layer.delta_weights = np.array([[-2.0]])
    Optimizer([layer], "adam").adam([layer])
    return post_adam([2.0], 0.5)[1], -2.0, layer.delta_weights[0, 0], -2.0


def adamax_constant():
    ones = [1.0] * 10
    return post_adamax(ones, 0.1)[0], -1.0, moved("adamax", ones, 0.1), by_rule(gs.adamax(lr=0.1), ones)


def zeiler(gradients):
    """Algorithm 1 of the paper: both averages are of squares."""
    w = of_gradients = of_steps = 0.0
    for g in gradients:
        of_gradients = 0.9 * of_gradients + 0.1 * g * g
        step = -math.sqrt(of_steps + 1e-8) / math.sqrt(of_gradients + 1e-8) * g
        of_steps = 0.9 * of_steps + 0.1 * step * step
        w += step
    return w


ADADELTA = gs.adadelta(rho=0.9, eps=1e-8)


def adadelta_square():
    g = [-1.0] * 10
    return post_adadelta(g), zeiler(g), moved("adadelta", g), by_rule(ADADELTA, g)


def adadelta_root():
    g = [1.0] * 2
    return post_adadelta(g), zeiler(g), moved("adadelta", g), by_rule(ADADELTA, g)


def adadelta_after_adamax():
    _, m, v = post_adamax([-1.0], 0.1)
    layer = SimpleNamespace(weights=np.zeros((1, 1)), biases=np.zeros(1), delta_biases=np.zeros(1), parameters=2)
    layer.delta_weights = np.ones((1, 1))
    opt = Optimizer([layer], learning_rate=0.1)
    opt.adamax([layer])
    layer.weights[...] = 0.0
    opt.adadelta([layer])
    return post_adadelta([-1.0], m, v), zeiler([-1.0]), layer.weights[0, 0], by_rule(ADADELTA, [-1.0])


def rmsprop_epsilon():
    g = [1e-5]
    hinton = -0.1 * 1e-5 / (math.sqrt(0.1 * 1e-10) + 1e-8)
    return post_rmsprop(g, 0.1), hinton, moved("rmsprop", g, 0.1), by_rule(gs.rmsprop(lr=0.1), g)


def rmsprop_printed():
    """The post prints beta at g itself, (1 - beta) at the square before: not what its code does."""
    printed = 0.1 * 0.0 + 0.9 * -1.0
    with np.errstate(invalid="ignore"):
        post = -0.1 / np.sqrt(printed + 1e-8) * -1.0
    formula = 0.1 / (math.sqrt(0.1) + 1e-8)
    return post, formula, moved("rmsprop", [-1.0], 0.1), by_rule(gs.rmsprop(lr=0.1), [-1.0])


def momentum_argument():
    stage = gs.chain(gs.l2(weight_decay=5e-4), gs.momentum(lr=0.5, momentum=0.9))
    return (
        post_momentum([1.0], 0.01, 0.5),
        -0.5,
        moved("momentum", [1.0], 0.01, learning_rate=0.5),
        by_rule(stage, [1.0]),
    )


def momentum_printed():
    """The post prints: rate times gradient, plus the whole step before. Heavy ball: that step shrinks by the rate."""
    g = [1.0] + [0.0] * 9
    step = printed = 0.0
    for x in g:
        step = 0.9 * x + step
        printed -= step
    formula = -0.1 * sum(0.9**k for k in range(10))
    return printed, formula, moved("sgd", g, 0.1, mr=0.9), by_rule(gs.momentum(lr=0.1, momentum=0.9), g)


def adagrad_printed():
    """The post prints no epsilon: 0 / 0 where no gradient has come yet."""
    with np.errstate(invalid="ignore"):
        printed = np.float64(0.0) / np.sqrt(0.0)
    return printed, 0.0, moved("adagrad", [0.0], 0.1), by_rule(gs.adagrad(lr=0.1, eps=1e-8), [0.0])


DEPARTURES = {
    "Adam, `learning_rate=0.5`: a step with gradient 2": adam_rate,
    "Adam: `delta_weights` after that step, -2 before": adam_deltas,
    "Adamax, `learning_rate=0.1`: ten steps with gradient 1": adamax_constant,
    "Adadelta: ten steps with gradient -1": adadelta_square,
    "Adadelta: two steps with gradient 1": adadelta_root,
    "Adadelta: a step with gradient -1, after one of Adamax": adadelta_after_adamax,
    "RMSprop, `learning_rate=0.1`: a step with gradient 0.00001": rmsprop_epsilon,
    "RMSprop as printed, rate 0.1: a step with gradient -1": rmsprop_printed,
    "Momentum, called with `learning_rate=0.5`: a step with gradient 1": momentum_argument,
    "Gradient descent as printed, rate 0.1, `mr=0.9`: gradient 1, then nine of 0": momentum_printed,
    "Adagrad as printed, rate 0.1: a step with gradient 0": adagrad_printed,
}
PAGE = (Path(__file__).parents[1] / "docs" / "the-post.md").read_text(encoding="utf-8")
TABLE = {label: cells for label, *cells in re.findall(r"^\| (\S.*?) \| (\S+) \| (\S+) \|$", PAGE, flags=re.MULTILINE)}


@pytest.mark.parametrize("label", DEPARTURES)
def test_a_departure(label):
    """The post differs; Gradstep is the formula, to rounding, and the plain rule, to the bit. The page shows both."""
    post, formula, ours, rule = DEPARTURES[label]()
    assert ours == rule
    assert abs(ours - formula) <= 1e-15
    assert not abs(post - ours) <= 1e-3 * abs(ours)
    assert TABLE[label] == [f"{post:.6g}", f"{ours:.6g}"]


def test_the_page_shows_these_departures_and_no_others():
    assert TABLE.keys() == DEPARTURES.keys()


def test_the_previous_delta_of_the_posts_adam_is_always_zero():
    """So `mr` has no effect there; it would have, were the delta not multiplied by 0. The paper has no such term."""
    g = [1.0, -2.0, 0.5]
    without, posts, meant = (post_adam(g, 0.001, mr=mr, forget=f)[0] for mr, f in [(0.0, 0.0), (0.9, 0.0), (0.9, 1.0)])
    assert posts == without
    assert abs(meant - without) > 0.1
    assert moved("adam", g, 0.001, mr=0.9) == by_rule(gs.adam(lr=0.001), g)
    np.testing.assert_allclose(moved("adam", g, 0.001, mr=0.9), without, rtol=0, atol=1e-18)


def test_momentum_is_as_the_post_has_it():
    """Its weight decay, which its formula has not, is a term of the gradient: stage l2. Only roundings differ."""
    g = [1.0, -2.0, 0.5, 3.0]
    np.testing.assert_allclose(
        moved("momentum", g, 0.1, start=2.0), post_momentum(g, 0.1, start=2.0), rtol=0, atol=1e-15
    )
    assert abs(moved("momentum", g, 0.1, start=2.0) - moved("momentum", g, 0.1, start=2.0, weight_decay=0.0)) > 1e-4
