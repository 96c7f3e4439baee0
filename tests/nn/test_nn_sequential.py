"""Sequential: what fit does, and that the same calls give the same bits."""

import doctest

import numpy as np
import pytest
from sklearn.datasets import load_digits

import gradstep as gs
import gradstep.nn
from gradstep.nn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Sequential

RNG = np.random.default_rng(0)
X = RNG.standard_normal((50, 6))
LABELS = RNG.integers(0, 3, 50)
TARGETS = RNG.standard_normal((50, 3))


def classifier(seed=0, dtype="float64", rate=0.0):
    return Sequential([Dense(6, 8, "tanh"), Dropout(rate), Dense(8, 3, "softmax")], seed=seed, dtype=dtype)


def flat(model):
    return np.concatenate([x.ravel() for own in model.params.values() for x in own.values()])


def test_names_and_params():
    model = Sequential([Conv2D(1, 2, 3), Flatten(), Dense(8, 4), Dropout(0.1), Dense(4, 2)])
    assert [layer.name for layer in model.layers] == ["conv2d_0", "flatten_0", "dense_0", "dropout_0", "dense_1"]
    assert list(model.params) == ["conv2d_0", "dense_0", "dense_1"]
    assert model.params["conv2d_0"]["weights"] is model.layers[0].weights
    assert {x.dtype for own in model.params.values() for x in own.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fit_is_the_same_bits_for_a_seed(dtype):
    def trained(seed):
        model = classifier(seed, dtype, rate=0.3).compile("adam", loss="cross_entropy", lr=1e-2)
        history = model.fit(X, LABELS, 3, batch_size=8, validation_data=(X, LABELS), progress=False)
        return flat(model), history

    (first, history), (second, again), (other, _) = trained(5), trained(5), trained(6)
    assert first.tobytes() == second.tobytes()
    assert history == again
    assert not np.array_equal(first, other)


def test_fit_is_the_loop_that_anyone_can_write():
    model = classifier(rate=0.3).compile("rmsprop", loss="mse", lr=1e-2)
    model.fit(X, TARGETS, 2, batch_size=20, shuffle=False, progress=False)
    own = classifier(rate=0.3)
    opt = gs.Optimizer(own.params, "rmsprop", lr=1e-2)
    for _ in range(2):
        for i in (0, 20, 40):
            opt.step(own.value_and_grad(X[i : i + 20], TARGETS[i : i + 20], loss="mse")[1])
    assert flat(model).tobytes() == flat(own).tobytes()
    assert opt.t == model.optimizer.t == 6


def test_fitting_twice_goes_on():
    once, twice = (classifier(rate=0.2).compile("adam", loss="mse", lr=1e-2) for _ in range(2))
    once.fit(X, TARGETS, 4, progress=False)
    twice.fit(X, TARGETS, 1, progress=False)
    twice.fit(X, TARGETS, 3, progress=False)
    assert flat(once).tobytes() == flat(twice).tobytes()


def test_value_and_grad_changes_no_parameter_and_gives_new_arrays():
    model = classifier()
    before = flat(model)
    _, first = model.value_and_grad(X, LABELS, loss="cross_entropy")
    kept = first["dense_0"]["weights"].copy()
    _, second = model.value_and_grad(2 * X, LABELS, loss="cross_entropy")
    np.testing.assert_array_equal(first["dense_0"]["weights"], kept)
    assert not np.array_equal(second["dense_0"]["weights"], kept)
    assert flat(model).tobytes() == before.tobytes()


def test_history_is_the_mean_over_examples():
    """With lr = 0 each epoch sees the same network; 50 examples in batches of 20 make an uneven last one."""
    model = classifier().compile("sgd", loss="cross_entropy", lr=0.0)
    history = model.fit(X, LABELS, 2, batch_size=20, validation_data=(X[:7], LABELS[:7]), progress=False)
    every, some = model.evaluate(X, LABELS), model.evaluate(X[:7], LABELS[:7])
    np.testing.assert_allclose(history.loss, [every.loss] * 2, rtol=1e-14)
    assert history.accuracy == [every.accuracy] * 2
    assert history.val_loss == [some.loss] * 2
    assert history.val_accuracy == [some.accuracy] * 2
    predicted = model.predict(X)
    np.testing.assert_allclose(every.loss, -np.log(predicted[np.arange(50), LABELS]).mean(), rtol=1e-14)
    assert every.accuracy == (predicted.argmax(axis=1) == LABELS).mean()


def test_history_of_mse_has_no_accuracy():
    model = classifier().compile("sgd", loss="mse", lr=0.1)
    history = model.fit(X, TARGETS, 3, progress=False)
    assert len(history.loss) == 3
    assert history.accuracy == history.val_loss == history.val_accuracy == []
    assert model.evaluate(X, TARGETS).accuracy is None
    np.testing.assert_allclose(model.evaluate(X, TARGETS).loss, ((model.predict(X) - TARGETS) ** 2).mean(), rtol=1e-14)


def test_every_epoch_sees_every_example_once_in_a_new_order(monkeypatch):
    model = Sequential([Dense(1, 1)], seed=1, dtype="float64").compile("sgd", loss="mse", lr=0.0)
    seen = []
    learn = model._learn
    monkeypatch.setattr(model, "_learn", lambda x, y, loss: (seen.append(x[:, 0]), learn(x, y, loss))[1])
    model.fit(np.arange(10.0)[:, None], np.zeros(10), 2, batch_size=4, progress=False)
    assert [len(x) for x in seen] == [4, 4, 2] * 2
    epochs = [np.concatenate(seen[:3]), np.concatenate(seen[3:])]
    assert [sorted(x) for x in epochs] == [list(range(10))] * 2
    assert not np.array_equal(*epochs)


def test_one_output_takes_targets_without_an_axis():
    model = Sequential([Dense(6, 1)], dtype="float64")
    a = model.value_and_grad(X, TARGETS[:, 0], loss="mse")
    b = model.value_and_grad(X, TARGETS[:, :1], loss="mse")
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1]["dense_0"]["weights"], b[1]["dense_0"]["weights"])


def test_labels_of_any_integer_type_and_one_hot_rows():
    model = classifier()
    want = model.value_and_grad(X, LABELS, loss="cross_entropy")[0]
    for y in (
        LABELS.astype(np.uint8),
        LABELS.tolist(),
        np.eye(3, dtype=int)[LABELS],
        np.eye(3, dtype=np.float32)[LABELS],
    ):
        assert model.value_and_grad(X, y, loss="cross_entropy")[0] == want
        assert model.evaluate(X, y, loss="cross_entropy") == model.evaluate(X, LABELS, loss="cross_entropy")


def test_predict_in_pieces_with_dropout_off():
    """600 examples are more than one piece; rows are independent, so only the order within sums may differ."""
    model = classifier(rate=0.5)
    x = np.random.default_rng(2).standard_normal((600, 6))
    whole = model.predict(x)
    assert whole.shape == (600, 3)
    first, last = model.layers[0], model.layers[2]
    z = np.tanh(x @ first.weights + first.biases) @ last.weights + last.biases
    np.testing.assert_allclose(whole, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), rtol=1e-13)
    assert whole.tobytes() == model.predict(x).tobytes()


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, np.uint8, bool])
def test_inputs_of_any_real_type(kind):
    x = RNG.integers(0, 2, (4, 6)).astype(kind)
    got = classifier(dtype="float32").predict(x)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, classifier(dtype="float32").predict(x.astype(np.float32)))


@pytest.mark.parametrize("tx", ["adam", gs.adamw, gs.chain(gs.clip_by_global_norm(1.0), gs.nesterov(lr=0.05))])
def test_compile_takes_names_rules_and_stages(tx):
    model = classifier()
    assert model.compile(tx, loss="cross_entropy") is model
    before = model.evaluate(X, LABELS).loss
    model.fit(X, LABELS, 20, progress=False)
    assert model.evaluate(X, LABELS).loss < before


def test_a_diverging_fit_is_stopped_with_finite_parameters():
    model = Sequential([Dense(6, 4), Dense(4, 3)]).compile("sgd", loss="mse", lr=1e6)
    with pytest.raises(gs.NonFiniteError):
        model.fit(X, TARGETS, 50, progress=False)
    assert np.isfinite(flat(model)).all()


def test_summary(capsys):
    model = Sequential(
        [Conv2D(1, 16, 3, "relu"), MaxPool2D(), Flatten(), Dropout(0.25), Dense(144, 10, "softmax")], dtype="float64"
    )
    model.summary()
    before = capsys.readouterr().out
    model.predict(np.zeros((1, 8, 8, 1)))
    model.summary()
    assert capsys.readouterr().out == (
        "layer        made by                    output      parameters\n"
        "--------------------------------------------------------------\n"
        "conv2d_0     Conv2D(1, 16, 3, 'relu')   (6, 6, 16)         160\n"
        "maxpool2d_0  MaxPool2D(2)               (3, 3, 16)           0\n"
        "flatten_0    Flatten()                  (144,)               0\n"
        "dropout_0    Dropout(0.25)              (144,)               0\n"
        "dense_0      Dense(144, 10, 'softmax')  (10,)            1,450\n"
        "--------------------------------------------------------------\n"
        "1,610 parameters, float64\n"
    )
    assert "conv2d_0     Conv2D(1, 16, 3, 'relu')   (?, ?, 16)         160\n" in before
    assert "flatten_0    Flatten()                  (?,)                 0\n" in before


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order] / 16.0, y[order]
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def test_digits_with_dense_layers(digits):
    (x, y), test = digits
    model = Sequential([Dense(64, 32, "relu"), Dense(32, 10, "softmax")]).compile("adam", loss="cross_entropy", lr=1e-2)
    model.fit(x, y, 12, progress=False)
    assert model.evaluate(*test).accuracy >= 0.95


def test_digits_with_a_convolution(digits):
    (x, y), (xt, yt) = digits
    layers = [Conv2D(1, 16, 3, "relu"), MaxPool2D(), Flatten(), Dense(144, 10, "softmax")]
    model = Sequential(layers).compile("adam", loss="cross_entropy", lr=1e-2)
    model.fit(x.reshape(-1, 8, 8, 1), y, 8, progress=False)
    assert model.evaluate(xt.reshape(-1, 8, 8, 1), yt).accuracy >= 0.97


def test_the_example_in_the_docstring():
    assert doctest.testmod(gradstep.nn).failed == 0
