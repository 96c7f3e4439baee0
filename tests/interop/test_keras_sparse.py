"""Sparse gradients in the guest in Keras, which a layer of one's own has on torch.

Keras's own layers and its other backends have none: see ``test_keras_itself_has_dense_gradients``.
"""

import numpy as np
import pytest

import gradstep as gs

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("no gradient is sparse on this backend", allow_module_level=True)

from gradstep.interop import keras as keras_guest  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras and torch


class Table(keras.layers.Layer):
    """An embedding by torch; ``keras.layers.Embedding`` has dense gradients here."""

    def __init__(self, *, sparse, rows):
        super().__init__()
        self.sparse, self.rows = sparse, rows

    def build(self, _shape):
        self.table = self.add_weight(shape=(self.rows, 3), initializer="ones", name="table")

    def call(self, x):
        return torch.nn.functional.embedding(x.long(), self.table.value, sparse=self.sparse)


def table(rule, *, sparse, rows=6, **hyper):
    """A model of one table, built, with its optimizer."""
    layer = Table(sparse=sparse, rows=rows)
    model = keras.Sequential([keras.layers.Input((2,), dtype="int32"), layer])
    model.compile(optimizer=gs.interop.keras.Optimizer(rule, learning_rate=0.1, **hyper), loss="mse")
    return model, layer


def slots(model):
    return {x.path: keras.ops.convert_to_numpy(x) for x in model.optimizer.variables if len(x.shape)}


X, Y = np.array([[0, 2], [2, 5]], "int32"), np.zeros((2, 2, 3), "float32")


@pytest.mark.parametrize("rule", ["sgd", "adam", "adagrad"])
def test_a_step_is_that_of_the_dense_gradient(rule):
    after = []
    for sparse, layout in ((True, torch.sparse_coo), (False, torch.strided)):
        model, layer = table(rule, sparse=sparse)
        model.fit(X, Y, epochs=2, verbose=0)
        assert layer.table.value.grad.layout is layout
        after.append([keras.ops.convert_to_numpy(layer.table), *slots(model).values()])
    for x, y in zip(*after, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)
    assert (after[0][0][[1, 3, 4]] == 1).all()
    assert (after[0][0][[0, 2, 5]] != 1).all()


@pytest.mark.parametrize(
    ("rule", "hyper", "stepped"),
    [("sgd", {}, (3, 3)), ("adagrad", {}, (3, 3)), ("torch.SparseAdam", {}, (3, 3)), ("adam", {}, (6, 3)),
     ("momentum", {}, (6, 3)), (gs.chain(gs.clip_by_global_norm(1.0), gs.sgd(lr=0.1)), {}, (6, 3))],
    ids=["sgd", "adagrad", "SparseAdam", "adam", "momentum", "clipped"],
)  # fmt: skip
def test_rows_alone_are_stepped_where_they_are_all_that_moves(rule, hyper, stepped, monkeypatch):
    """Three of six rows have a gradient; a rule that moves the others too, as by momentum, has it dense."""
    seen, step = [], keras_guest.traced.step

    def spy(stage, params, *rest):
        seen.append([tuple(x.shape) for x in params.values()])
        return step(stage, params, *rest)

    monkeypatch.setattr(keras_guest.traced, "step", spy)
    model, layer = table(rule, sparse=True, **hyper)
    place = layer.table.value.data_ptr()
    model.fit(X, Y, epochs=1, verbose=0)
    assert seen == [[stepped]]
    assert layer.table.value.data_ptr() == place
    assert (keras.ops.convert_to_numpy(layer.table)[[0, 2, 5]] != 1).all()


def test_sparse_adam_is_lazy_as_torch_s():
    """Moments of rows without a gradient rest, and so do the rows."""
    model, layer = table("torch.SparseAdam", sparse=True)
    theirs = torch.nn.Parameter(torch.ones(6, 3))
    sparse_adam = torch.optim.SparseAdam([theirs], lr=0.1)
    for k in range(3):
        x = X if k % 2 == 0 else np.array([[4, 4]], "int32")
        model.fit(x, Y[: len(x)], batch_size=2, epochs=1, verbose=0)
        torch.nn.functional.embedding(torch.tensor(x).long(), theirs, sparse=True).pow(2).mean().backward()
        sparse_adam.step()
        sparse_adam.zero_grad()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer.table), theirs.detach().numpy(), rtol=1e-5)


def test_a_gradient_of_no_rows_and_one_beside_a_dense_one():
    own = gs.interop.keras.Optimizer("adagrad", learning_rate=0.1)
    variables = [keras.Variable(np.ones((4, 2), "f4")), keras.Variable(np.ones(3, "f4"))]
    own.build(variables)
    index = torch.zeros((1, 0), dtype=torch.long)
    nothing = torch.sparse_coo_tensor(index, torch.zeros((0, 2)), (4, 2))
    own.apply([nothing, torch.ones(3)], variables)
    assert (keras.ops.convert_to_numpy(variables[0]) == 1).all()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variables[1]), 0.9, rtol=1e-6)


def test_keras_itself_has_dense_gradients():
    """Its Embedding takes rows by ``ops.take``, whose gradient torch makes dense before any optimizer sees it."""
    layer = keras.layers.Embedding(6, 3)
    model = keras.Sequential([keras.layers.Input((2,), dtype="int32"), layer])
    model.compile(optimizer=keras.optimizers.SGD(), loss="mse")
    model.fit(X, Y, epochs=1, verbose=0)
    assert layer.embeddings.value.grad.layout is torch.strided
