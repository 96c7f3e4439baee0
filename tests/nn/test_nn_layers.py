"""Layers, activations and losses by themselves: values at the edges, first weights, Dropout, the post's attributes."""

import numpy as np
import pytest

import gradstep as gs
from gradstep.nn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Sequential
from gradstep.nn.activations import ACTIVATIONS
from gradstep.nn.losses import LOSSES


def built(layer, seed=0, dtype="float64"):
    layer.build(np.random.default_rng(seed), np.dtype(dtype))
    return layer


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_at_the_edges(dtype):
    z = np.array([-1e4, -80.0, 0.0, 80.0, 1e4], dtype)
    sigmoid = ACTIVATIONS["sigmoid"].forward(z)
    assert sigmoid.dtype == dtype
    assert sigmoid[0] == 0.0
    np.testing.assert_allclose(sigmoid[1], np.exp(-80.0), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(sigmoid[2:], [0.5, 1.0, 1.0])
    softmax = ACTIVATIONS["softmax"].forward(np.array([[1e4, 1e4, -1e4]], dtype))
    np.testing.assert_array_equal(softmax, [[0.5, 0.5, 0.0]])
    np.testing.assert_array_equal(
        ACTIVATIONS["relu"].forward(np.array([-1.0, -0.0, 2.0, np.nan])), [0.0, 0.0, 2.0, np.nan]
    )
    np.testing.assert_array_equal(ACTIVATIONS["tanh"].forward(z), np.tanh(z))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_is_finite_where_the_probability_is_0(dtype):
    """The softmax of these logits is exactly [0, 1]; its logarithm would be infinite."""
    logits = np.array([[-1e4, 1e4]], dtype)
    value, gradient = LOSSES["cross_entropy"].value_and_gradient(logits, np.array([0]))
    assert value == 2e4
    np.testing.assert_array_equal(gradient, [[-1.0, 1.0]])
    assert gradient.dtype == dtype


def test_cross_entropy_of_uniform_predictions_is_log_of_the_number_of_classes():
    value, gradient = LOSSES["cross_entropy"].value_and_gradient(np.zeros((3, 4)), np.array([0, 1, 2]))
    np.testing.assert_allclose(value, np.log(4.0), rtol=1e-15)
    np.testing.assert_array_equal(gradient, (0.25 - np.eye(4)[:3]) / 3)


def test_one_hot_rows_give_the_bits_of_labels():
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((9, 5)), rng.integers(0, 5, 9)
    by_label = LOSSES["cross_entropy"].value_and_gradient(logits, labels)
    by_row = LOSSES["cross_entropy"].value_and_gradient(logits, np.eye(5)[labels])
    assert by_label[0] == by_row[0]
    np.testing.assert_array_equal(by_label[1], by_row[1])


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"), [(Dense(300, 200, "relu"), 300, 200), (Conv2D(16, 64, (3, 5), "relu"), 240, 960)]
)
def test_he_start(layer, fan_in, fan_out):
    """The spread of n normal numbers is known to 1 / sqrt(2 n); five times that is allowed."""
    weights = built(layer).weights
    expected = np.sqrt(2.0 / fan_in)
    assert abs(weights.std() / expected - 1.0) < 5 / np.sqrt(2 * weights.size)
    assert abs(weights.mean()) < 5 * expected / np.sqrt(weights.size)
    assert not layer.biases.any()


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"), [(Dense(300, 200, "tanh"), 300, 200), (Conv2D(16, 64, (3, 5)), 240, 960)]
)
def test_glorot_start(layer, fan_in, fan_out):
    """Of n uniform numbers the largest misses the limit by more than 20 / n of it with probability e^-10 or so."""
    weights = built(layer).weights
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    assert limit * (1 - 20 / weights.size) < np.abs(weights).max() <= limit
    assert abs(weights.mean()) < 5 * limit / np.sqrt(3 * weights.size)


def test_a_seed_is_the_same_start_in_both_dtypes():
    single, double = (built(Dense(7, 5, "relu"), 3, d).weights for d in ("float32", "float64"))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, double.astype(np.float32))
    assert not np.array_equal(double, built(Dense(7, 5, "relu"), 4).weights)


def test_dropout_scales_what_it_keeps():
    layer = built(Dropout(0.25), 5, "float32")
    x = np.ones((200, 100), np.float32)
    out = layer.forward(x, training=True)
    kept = out != 0
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[kept], np.float32(1.0 / 0.75))
    assert abs(kept.mean() - 0.75) < 5 * np.sqrt(0.25 * 0.75 / out.size)
    np.testing.assert_array_equal(layer.backward(x), out)
    assert not np.array_equal(layer.forward(x, training=True), out)
    np.testing.assert_array_equal(layer.forward(x, training=False), x)


def test_dropout_of_rate_0_keeps_all():
    x = np.random.default_rng(6).standard_normal((50, 20))
    np.testing.assert_array_equal(built(Dropout(0)).forward(x, training=True), x)


def test_the_posts_attributes():
    dense, conv = Dense(6, 4, "tanh"), Conv2D(2, 3, (4, 5))
    assert (dense.parameters, conv.parameters) == (6 * 4 + 4, 4 * 5 * 2 * 3 + 3)
    assert [x.parameters for x in (Flatten(), MaxPool2D(), Dropout(0.1))] == [0, 0, 0]
    model = Sequential([dense], dtype="float64")
    rng = np.random.default_rng(7)
    _, grads = model.value_and_grad(rng.standard_normal((5, 6)), rng.standard_normal((5, 4)), loss="mse")
    np.testing.assert_array_equal(dense.delta_weights, -grads["dense_0"]["weights"])
    np.testing.assert_array_equal(dense.delta_biases, -grads["dense_0"]["biases"])


def test_parameters_are_only_changed_in_place():
    layer = Dense(2, 3)
    model = Sequential([layer])
    weights, biases = layer.weights, layer.biases
    layer.weights = np.full((2, 3), 2.0)
    layer.weights += 1.0
    layer.biases -= 1.0
    assert layer.weights is weights is model.params["dense_0"]["weights"]
    assert layer.biases is biases
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, 3.0)
    np.testing.assert_array_equal(biases, -1.0)
    with pytest.raises(gs.GradstepValueError, match=r"dense_0: weights have shape \(2, 3\), not \(3,\)"):
        layer.weights = np.zeros(3)
    np.testing.assert_array_equal(weights, 3.0)


@pytest.mark.parametrize(
    "layer",
    [
        Dense(3, 4, "relu"), Conv2D(1, 2, 3), Conv2D(1, 2, (3, 1), "tanh", stride=2, padding="same"),
        MaxPool2D(3), Flatten(), Dropout(0.5),
    ],
)  # fmt: skip
def test_a_layer_shows_how_to_make_it(layer):
    again = eval(repr(layer))  # noqa: S307
    assert repr(again) == repr(layer)
    assert again.parameters == layer.parameters


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0, 3), gs.GradstepValueError, "Dense: inputs must be an integer above 0, not 0"),
        (lambda: Dense(3, 2.0), gs.GradstepValueError, "Dense: outputs must be an integer above 0, not 2.0"),
        (lambda: Dense(3, True), gs.GradstepValueError, "Dense: outputs"),
        (lambda: Dense(3, 2, "relo"), gs.GradstepValueError, "unknown activation 'relo'; did you mean relu"),
        (lambda: Dense(3, 2, None), gs.GradstepValueError, "unknown activation 'None'; known: linear"),
        (lambda: Conv2D(1, -2, 3), gs.GradstepValueError, "Conv2D: filters must be an integer above 0, not -2"),
        (lambda: Conv2D(1, 2, (3, 0)), gs.GradstepValueError, "Conv2D: kernel must be an integer above 0, not 0"),
        (lambda: Conv2D(1, 2, (3, 3, 3)), gs.GradstepValueError, "Conv2D: kernel must be an integer above 0"),
        (lambda: Conv2D(1, 2, 3, stride=0), gs.GradstepValueError, "Conv2D: stride must be"),
        (lambda: Conv2D(1, 2, 3, padding="sane"), gs.GradstepValueError, "unknown padding 'sane'; did you mean same"),
        (lambda: MaxPool2D(0), gs.GradstepValueError, "MaxPool2D: size must be an integer above 0"),
        (lambda: Dropout(1.0), gs.GradstepValueError, "Dropout: the rate must be at least 0 and below 1, not 1.0"),
        (lambda: Dropout(float("nan")), gs.GradstepValueError, "Dropout: the rate must be"),
        (lambda: Dropout(10**400), gs.GradstepValueError, "Dropout: the rate must be .*, not inf"),
        (lambda: Dropout("half"), gs.GradstepTypeError, "Dropout: the rate must be a number, not 'half'"),
    ],
)
def test_bad_layers(make, error, message):
    with pytest.raises(error, match=message):
        make()
