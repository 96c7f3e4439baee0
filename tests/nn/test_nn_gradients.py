"""Every gradient against two references that know nothing of the backward code.

The complex step (Squire & Trapp 1998) has no truncation error: Im f(x + ih) / h with h = 1e-30 is f' to rounding, so
1e-12 of the largest entry is what is asked. Central differences of the product's own loss value check that value too:
with h = 1e-6 their error is about h^2 |f'''| / 6 + 1e-16 |f| / h, both below 1e-9 here.
"""

import itertools

import numpy as np
import pytest

from gradstep.nn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Sequential
from gradstep.nn.activations import ACTIVATIONS

TINY = 1e-30
COMPLEX = 1e-12
CENTRAL = 1e-8


def everything(params):
    return [(name, kind, x) for name, own in params.items() for kind, x in own.items()]


def reference_loss(outputs, y, loss):
    """The losses from their definitions, on the outputs of the last layer; works for complex numbers."""
    if loss == "mse":
        return ((outputs - y) ** 2).sum() / outputs.size
    return -sum(np.log(p[label]) for p, label in zip(outputs, y, strict=True)) / len(y)


def forward(model, x):
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rng = np.random.default_rng(7)
        x = layer.forward(x, training=True)
    return x


def complex_step(model, x, y, loss):
    for layer in model.layers:
        if layer.parameters:
            layer._weights, layer._biases = (a.astype(complex) for a in (layer.weights, layer.biases))
    out = {}
    for layer in model.layers:
        for kind in ("weights", "biases") if layer.parameters else ():
            array = getattr(layer, kind)
            slopes = np.empty(array.shape)
            for i in np.ndindex(array.shape):
                array[i] += 1j * TINY
                slopes[i] = reference_loss(forward(model, x), y, loss).imag / TINY
                array[i] = array[i].real
            out.setdefault(layer.name, {})[kind] = slopes
    return out


def value_and_grad(model, x, y, loss):
    for layer in model.layers:
        if isinstance(layer, Dropout):
            layer.rng = np.random.default_rng(7)
    return model.value_and_grad(x, y, loss=loss)


def central(model, x, y, loss, h=1e-6):
    out = {}
    for name, kind, array in everything(model.params):
        slopes = np.empty(array.shape)
        for i in np.ndindex(array.shape):
            kept = array[i]
            array[i] = kept + h
            above = value_and_grad(model, x, y, loss)[0]
            array[i] = kept - h
            below = value_and_grad(model, x, y, loss)[0]
            array[i] = kept
            slopes[i] = (above - below) / (2 * h)
        out.setdefault(name, {})[kind] = slopes
    return out


def check(model, x, y, loss):
    value, grads = value_and_grad(model, x, y, loss)
    np.testing.assert_allclose(value, reference_loss(forward(model, x), y, loss), rtol=1e-13)
    references = [(central(model, x, y, loss), CENTRAL), (complex_step(model, x, y, loss), COMPLEX)]
    for reference, tolerance in references:
        assert reference.keys() == grads.keys()
        for name, kind, g in everything(grads):
            assert g.dtype == np.float64
            assert np.abs(g).max() > 1e-4, f"{name}.{kind}: nothing is tested by a gradient of zero"
            scale = max(1.0, np.abs(g).max()) if tolerance == CENTRAL else np.abs(g).max()
            np.testing.assert_allclose(
                g, reference[name][kind], rtol=0.0, atol=tolerance * scale, err_msg=f"{name}.{kind}"
            )


def data(shape, outputs, loss, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    y = rng.standard_normal((shape[0], *outputs)) if loss == "mse" else rng.integers(0, outputs[-1], shape[0])
    return x, y


@pytest.mark.parametrize(("hidden", "last"), list(itertools.product(ACTIVATIONS, ACTIVATIONS)))
def test_dense_with_mse(hidden, last):
    model = Sequential([Dense(3, 5, hidden), Dense(5, 4, last)], seed=1, dtype="float64")
    check(model, *data((6, 3), (4,), "mse"), "mse")


@pytest.mark.parametrize("hidden", ACTIVATIONS)
def test_dense_with_cross_entropy(hidden):
    model = Sequential([Dense(3, 5, hidden), Dense(5, 4, "softmax")], seed=1, dtype="float64")
    check(model, *data((6, 3), (4,), "cross_entropy"), "cross_entropy")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_convolution_in_a_network(activation, loss):
    """Two convolutions, so that the first one's gradient passes through the second one's."""
    model = Sequential(
        [Conv2D(2, 3, 2, activation), Conv2D(3, 2, 3, activation, padding="same"), Flatten(), Dense(24, 3, "softmax")],
        seed=2,
        dtype="float64",
    )
    check(model, *data((3, 4, 5, 2), (3,), loss), loss)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_convolution_as_the_last_layer(activation):
    model = Sequential([Conv2D(1, 3, 2, activation)], seed=2, dtype="float64")
    check(model, *data((2, 3, 4, 1), (2, 3, 3), "mse"), "mse")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, (3, 2), (1, 4)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_strides_and_paddings(stride, kernel, padding):
    layers = [Conv2D(1, 2, 1, "tanh"), Conv2D(2, 2, kernel, "tanh", stride, padding)]
    model = Sequential(layers, seed=4, dtype="float64")
    x = data((2, 5, 6, 1), (), "mse")[0]
    y = data(model.predict(x).shape, (), "mse", seed=5)[0]
    check(model, x, y, "mse")


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_whole_network(loss):
    layers = [
        Conv2D(1, 3, 3, "relu", padding="same"), MaxPool2D(2), Dropout(0.3),
        Conv2D(3, 4, 2, "tanh"), Flatten(), Dense(16, 6, "sigmoid"), Dropout(0.5), Dense(6, 3, "softmax"),
    ]  # fmt: skip
    model = Sequential(layers, seed=6, dtype="float64")
    check(model, *data((4, 7, 6, 1), (3,), loss), loss)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_float32_gives_the_same_to_its_precision(loss):
    """Sums of fewer than 100 terms, each rounded to 6e-8: 3e-6 of the largest entry is 50 roundings."""

    def layers():
        return [Conv2D(1, 3, 3, "relu"), MaxPool2D(2), Flatten(), Dense(12, 6, "sigmoid"), Dense(6, 3, "softmax")]

    single, double = (Sequential(layers(), seed=6, dtype=dtype) for dtype in ("float32", "float64"))
    for name, kind, array in everything(single.params):
        double.params[name][kind][...] = array
    x, y = data((4, 7, 6, 1), (3,), loss)
    value, grads = single.value_and_grad(x, y, loss=loss)
    want_value, want = double.value_and_grad(
        x.astype(np.float32), y if loss != "mse" else y.astype(np.float32), loss=loss
    )
    np.testing.assert_allclose(value, want_value, rtol=3e-7)
    for name, kind, g in everything(grads):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, want[name][kind], rtol=0.0, atol=3e-6 * np.abs(want[name][kind]).max())


BACKWARD = {
    **{f"dense {a}": (lambda a=a: Dense(4, 3, a), (5, 4)) for a in ACTIVATIONS},
    **{f"conv {a}": (lambda a=a: Conv2D(2, 3, 2, a, padding="same"), (2, 4, 3, 2)) for a in ACTIVATIONS},
    "conv stride 2": (lambda: Conv2D(2, 2, (3, 2), "linear", stride=2), (2, 6, 7, 2)),
    "conv stride 3 same": (lambda: Conv2D(1, 2, 2, "linear", stride=3, padding="same"), (2, 7, 8, 1)),
    "pool": (lambda: MaxPool2D(2), (2, 4, 6, 3)),
    "pool with a rest": (lambda: MaxPool2D(3), (2, 7, 8, 2)),
    "flatten": (Flatten, (2, 3, 2, 2)),
    "dropout": (lambda: Dropout(0.4), (6, 5)),
}


@pytest.mark.parametrize("case", BACKWARD)
def test_gradient_with_respect_to_inputs(case):
    """The derivative of sum(weight * outputs) at each input, for each layer alone."""
    make, shape = BACKWARD[case]
    rng = np.random.default_rng(8)
    x = rng.standard_normal(shape)

    def run(x):
        layer = make()
        layer.build(np.random.default_rng(9), np.dtype("float64"))
        if layer.parameters and np.iscomplexobj(x):
            layer._weights, layer._biases = (a.astype(complex) for a in (layer.weights, layer.biases))
        return layer, layer.forward(x, training=True)

    layer, outputs = run(x)
    weight = rng.standard_normal(outputs.shape)
    got = layer.backward(weight)
    want = np.empty(shape)
    for i in np.ndindex(shape):
        moved = x.astype(complex)
        moved[i] += 1j * TINY
        want[i] = (weight * run(moved)[1]).sum().imag / TINY
    assert got.shape == shape
    np.testing.assert_allclose(got, want, rtol=0.0, atol=COMPLEX * np.abs(want).max())


def naive_convolution(x, weights, biases, stride, padding):
    """Loops and bounds checks, from the definition; pixels outside the image count as zero."""
    n, height, width, channels = x.shape
    kh, kw, _, filters = weights.shape
    if padding == "same":
        down, across = -(-height // stride), -(-width // stride)
        top = max((down - 1) * stride + kh - height, 0) // 2
        left = max((across - 1) * stride + kw - width, 0) // 2
    else:
        down, across, top, left = (height - kh) // stride + 1, (width - kw) // stride + 1, 0, 0
    out = np.zeros((n, down, across, filters))
    for e, i, j, f in np.ndindex(out.shape):
        total = biases[f]
        for a, b, c in np.ndindex(kh, kw, channels):
            row, column = i * stride + a - top, j * stride + b - left
            if 0 <= row < height and 0 <= column < width:
                total += x[e, row, column, c] * weights[a, b, c, f]
        out[e, i, j, f] = total
    return out


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, (2, 3), (4, 1)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_convolution_equals_the_naive_loop(stride, kernel, padding):
    """With whole numbers, sums are exact in any order, so equality is exact."""
    rng = np.random.default_rng(10)
    layer = Conv2D(3, 2, kernel, "linear", stride, padding)
    layer.build(rng, np.dtype("float64"))
    layer.weights = rng.integers(-9, 10, layer.weights.shape).astype(float)
    layer.biases = rng.integers(-9, 10, 2).astype(float)
    x = rng.integers(-9, 10, (2, 5, 7, 3)).astype(float)
    want = naive_convolution(x, layer.weights, layer.biases, stride, padding)
    np.testing.assert_array_equal(layer.forward(x, training=False), want)
    assert layer.output_shape((5, 7, 3)) == want.shape[1:]


def test_pooling_takes_the_largest_and_leaves_the_rest_out():
    x = np.random.default_rng(11).standard_normal((2, 5, 7, 3))
    out = MaxPool2D(2).forward(x, training=False)
    assert out.shape == (2, 2, 3, 3)
    for e, i, j, c in np.ndindex(out.shape):
        assert out[e, i, j, c] == max(x[e, 2 * i + a, 2 * j + b, c] for a in (0, 1) for b in (0, 1))


def test_of_equal_pixels_the_first_gets_the_gradient():
    layer = MaxPool2D(2)
    x = np.array([[1.0, 5.0], [5.0, 5.0]]).reshape(1, 2, 2, 1)
    both = np.concatenate([np.zeros_like(x), x])
    layer.forward(both, training=True)
    got = layer.backward(np.array([3.0, 4.0]).reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(got[..., 0], [[[3.0, 0.0], [0.0, 0.0]], [[0.0, 4.0], [0.0, 0.0]]])
