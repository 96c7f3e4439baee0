"""Bad input gets one sentence that names the layer, and changes nothing."""

import re

import numpy as np
import pytest

import gradstep as gs
from gradstep.nn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Sequential

X = np.random.default_rng(0).standard_normal((5, 4))
LABELS = np.array([0, 1, 2, 1, 0])


def classifier():
    return Sequential([Dense(4, 3, "softmax")])


def compiled():
    return classifier().compile("adam", loss="cross_entropy")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(4, 3), Dense(2, 1)], "dense_1 takes 2 inputs, but gets 3."),
        ([Conv2D(1, 2, 3), Conv2D(3, 2, 3)], "conv2d_1 takes 3 channels, but gets 2."),
        (
            [Conv2D(1, 2, 3), Dense(2, 1)],
            "dense_0 takes examples of 2 numbers, but gets shape (?, ?, 2); put Flatten() in",
        ),
        ([Dense(4, 3), Conv2D(1, 2, 3)], "conv2d_0 takes images of shape (height, width, channels), but gets (3,)."),
        ([Dense(4, 3), MaxPool2D()], "maxpool2d_0 takes images of shape (height, width, channels), but gets (3,)."),
        ([MaxPool2D(), Dense(4, 3)], "dense_0 takes examples of 4 numbers, but gets shape (?, ?, ?)"),
        ([], "Sequential needs a list of at least one layer, not []."),
        (Dense(4, 3), "Sequential needs a list of at least one layer, not Dense(4, 3, 'linear')."),
    ],
)
def test_layers_that_do_not_fit_are_refused_when_the_model_is_made(layers, message):
    with pytest.raises(gs.GradstepValueError, match=re.escape(message)):
        Sequential(layers)


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([Dense(4, 3)], (5, 3), "dense_0 takes 4 inputs, but gets 3."),
        ([Dense(4, 3)], (5,), "the inputs must be a batch (examples, ...) of at least one, not of shape (5,)."),
        ([Dense(4, 3)], (0, 4), "the inputs must be a batch (examples, ...) of at least one, not of shape (0, 4)."),
        (
            [Conv2D(1, 2, 3)],
            (5, 8, 8),
            "conv2d_0 takes images of shape (height, width, channels), but gets (8, 8); for one ",
        ),
        ([Conv2D(1, 2, 3)], (5, 8, 8, 3), "conv2d_0 takes 1 channels, but gets 3."),
        (
            [Conv2D(1, 2, 3)],
            (5, 2, 8, 1),
            "conv2d_0: a window of 3 x 3 does not fit in (2, 8, 1); make the kernel smaller",
        ),
        ([MaxPool2D(3)], (5, 8, 2, 1), "maxpool2d_0: a square of 3 x 3 does not fit in (8, 2, 1)."),
        ([Conv2D(1, 2, 3), Flatten(), Dense(72, 3)], (5, 7, 8, 1), "dense_0 takes 72 inputs, but gets 60."),
    ],
)
def test_a_first_batch_that_does_not_fit(layers, shape, message):
    with pytest.raises(gs.GradstepValueError, match=re.escape(message)):
        Sequential(layers).predict(np.zeros(shape))


def test_a_layer_belongs_to_one_model():
    layer = Dense(3, 3)
    with pytest.raises(gs.GradstepValueError, match=r"layer 1, .* is already in a model"):
        Sequential([layer, layer])
    Sequential([layer])
    with pytest.raises(gs.GradstepValueError, match=r"layer 0, .* is already in a model"):
        Sequential([layer])


def test_layers_of_a_model_that_was_refused_can_be_used():
    first = Dense(4, 3)
    with pytest.raises(gs.GradstepValueError):
        Sequential([first, Dense(2, 1)])
    assert Sequential([Dense(1, 4), first]).layers[1].name == "dense_1"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Sequential([Dense]),
            gs.GradstepTypeError,
            "layer 0 is <class .*Dense'>, which is no layer of gradstep.nn",
        ),
        (lambda: Sequential([Dense(1, 1)], dtype="float16"), gs.GradstepValueError, "dtype must be float32 or float64"),
        (
            lambda: Sequential([Dense(1, 1)], seed=-1),
            gs.GradstepValueError,
            "seed must be an integer of at least 0, not -1",
        ),
        (
            lambda: Sequential([Dense(1, 1)], seed=1.5),
            gs.GradstepValueError,
            "seed must be an integer of at least 0, not 1.5",
        ),
        (
            lambda: classifier().compile("adam", loss="mes"),
            gs.GradstepValueError,
            "unknown loss 'mes'; did you mean mse",
        ),
        (lambda: classifier().compile("adm", loss="mse"), gs.GradstepValueError, r"did you mean .*adam"),
        (lambda: classifier().compile("adam", loss="mse", lr=-1.0), gs.GradstepValueError, "lr must be"),
        (
            lambda: Sequential([Dense(4, 3)]).compile("adam", loss="cross_entropy"),
            gs.GradstepValueError,
            "cross_entropy needs the activation 'softmax' in the last layer, dense_0: Dense",
        ),
        (
            lambda: Sequential([Dense(4, 3, "softmax"), Dropout(0.1)]).compile("adam", loss="cross_entropy"),
            gs.GradstepValueError,
            "needs the activation 'softmax' in the last layer, dropout_0",
        ),
        (
            lambda: Sequential([Conv2D(1, 3, 3, "softmax")]).compile("adam", loss="cross_entropy"),
            gs.GradstepValueError,
            "cross_entropy needs Dense as the last layer, not conv2d_0",
        ),
        (
            lambda: Sequential([Dense(4, 1, "softmax")]).compile("adam", loss="cross_entropy"),
            gs.GradstepValueError,
            "softmax over the one output of dense_0 is always 1",
        ),
        (lambda: Sequential([Flatten()]).compile("adam", loss="mse"), gs.GradstepValueError, "no layer has parameters"),
        (lambda: classifier().fit(X, LABELS, 1), gs.GradstepValueError, "fit comes after compile"),
        (lambda: classifier().evaluate(X, LABELS), gs.GradstepValueError, "there is no loss yet"),
        (lambda: classifier().value_and_grad(X, LABELS), gs.GradstepValueError, "there is no loss yet"),
    ],
)
def test_bad_models(call, error, message):
    with pytest.raises(error, match=message):
        call()


def changed(x, i, value):
    x = x.astype(float) if isinstance(value, float) else x.copy()
    x[i] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "more", "error", "message"),
    [
        (changed(X, (1, 2), np.nan), LABELS, {}, gs.GradstepValueError, "the inputs hold NaN or infinity"),
        (changed(X, (1, 2), np.inf), LABELS, {}, gs.GradstepValueError, "the inputs hold NaN or infinity"),
        (changed(X, (1, 2), 1e39), LABELS, {}, gs.GradstepValueError, r"NaN or infinity \(as float32\)"),
        (X.astype(complex), LABELS, {}, gs.GradstepTypeError, "the inputs must be real numbers, not complex128"),
        (X.astype(str), LABELS, {}, gs.GradstepTypeError, "the inputs must be real numbers, not <U"),
        (X[:, :3], LABELS, {}, gs.GradstepValueError, "dense_0 takes 4 inputs, but gets 3"),
        (X, LABELS[:4], {}, gs.GradstepValueError, r"there are 5 examples, but the targets have shape \(4,\)"),
        (X, 3, {}, gs.GradstepValueError, r"there are 5 examples, but the targets have shape \(\)"),
        (X, changed(LABELS, 3, 7), {}, gs.GradstepValueError, "label 7 of example 3 is out of range; .* knows 0 to 2"),
        (X, changed(LABELS, 2, -1), {}, gs.GradstepValueError, "label -1 of example 2 is out of range"),
        (X, LABELS.astype(float), {}, gs.GradstepTypeError, "labels must be integers from 0 to 2, not float64"),
        (
            X,
            LABELS[:, None],
            {},
            gs.GradstepValueError,
            r"labels of shape \(5,\) or one-hot rows of shape \(5, 3\), not \(5, 1\)",
        ),
        (X, np.ones((5, 3)), {}, gs.GradstepValueError, "each row of one-hot targets must hold probabilities"),
        (X, np.tile([2.0, -1.0, 0.0], (5, 1)), {}, gs.GradstepValueError, "each row of one-hot targets must hold"),
        (X, np.full((5, 3), np.nan), {}, gs.GradstepValueError, "the targets hold NaN"),
        (X, LABELS, {"epochs": 0}, gs.GradstepValueError, "fit: epochs must be an integer above 0, not 0"),
        (X, LABELS, {"batch_size": 2.5}, gs.GradstepValueError, "fit: batch_size must be an integer above 0"),
        (X, LABELS, {"progress": "loud"}, gs.GradstepValueError, "progress must be True, False or 'auto', not 'loud'"),
        (X, LABELS, {"validation_data": X}, gs.GradstepValueError, r"validation_data must be a pair \(x, y\)"),
        (
            X,
            LABELS,
            {"validation_data": (X, LABELS + 1)},
            gs.GradstepValueError,
            "label 3 of example 2 is out of range",
        ),
    ],
)
def test_bad_data_changes_nothing(x, y, more, error, message):
    model = compiled()
    before = {kind: a.copy() for kind, a in model.params["dense_0"].items()}
    with pytest.raises(error, match=message):
        model.fit(x, y, **{"epochs": 1, "progress": False, **more})
    assert model.optimizer.t == 0
    for kind, a in before.items():
        np.testing.assert_array_equal(model.params["dense_0"][kind], a)


def test_bad_targets_of_mse():
    model = Sequential([Dense(4, 2)])
    with pytest.raises(gs.GradstepValueError, match=r"mse needs targets of the outputs' shape \(5, 2\), not \(5,\)"):
        model.value_and_grad(X, LABELS, loss="mse")
    with pytest.raises(gs.GradstepValueError, match="the targets hold NaN"):
        model.value_and_grad(X, np.full((5, 2), np.nan), loss="mse")
    with pytest.raises(gs.GradstepTypeError, match="the targets must be real numbers"):
        model.value_and_grad(X, np.zeros((5, 2), complex), loss="mse")
