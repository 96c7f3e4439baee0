"""A sparse gradient in the guest in Keras, which a layer of one's own has on torch: a step is that of the dense one."""

import numpy as np
import pytest

import gradstep as gs

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "torch":
    pytest.skip("no gradient is sparse on this backend", allow_module_level=True)


class Table(keras.layers.Layer):
    """An embedding by torch; ``keras.layers.Embedding`` has dense gradients here."""

    def __init__(self, *, sparse):
        super().__init__()
        self.sparse = sparse

    def build(self, _shape):
        self.table = self.add_weight(shape=(6, 3), initializer="ones", name="table")

    def call(self, x):
        return torch.nn.functional.embedding(x.long(), self.table.value, sparse=self.sparse)


@pytest.mark.filterwarnings("ignore")  # of Keras
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_it_is_made_dense(rule):
    x, y = np.array([[0, 2], [2, 5]], "int32"), np.zeros((2, 2, 3), "float32")
    after = []
    for sparse, layout in ((True, torch.sparse_coo), (False, torch.strided)):
        layer = Table(sparse=sparse)
        model = keras.Sequential([keras.layers.Input((2,), dtype="int32"), layer])
        model.compile(optimizer=gs.interop.keras.Optimizer(rule, learning_rate=0.1), loss="mse")
        model.fit(x, y, epochs=2, verbose=0)
        assert layer.table.value.grad.layout is layout
        after.append(keras.ops.convert_to_numpy(layer.table))
    np.testing.assert_allclose(*after, rtol=1e-6)
    assert (after[0][[1, 3, 4]] == 1).all()
    assert (after[0][[0, 2, 5]] != 1).all()
