"""The pure pair on array-api-strict, torch and JAX."""

import numpy as np
import pytest

import gradstep as gs
from functional_cases import CHAINS, arrays, run
from support import same, wide


class TestStrict:
    """array-api-strict does what the standard says and nothing else: the reference for a foreign namespace."""

    @pytest.mark.parametrize("name", wide(CHAINS))
    def test_same_bits_as_numpy(self, name):
        strict = pytest.importorskip("array_api_strict")
        tx = CHAINS[name]

        def foreign(nest):
            return {k: strict.asarray(x) for k, x in nest.items()}

        mine, state = run(tx, arrays(dtypes=("f4", "f8")), lambda k: arrays(k + 1, ("f4", "f8")))
        theirs, other = run(tx, foreign(arrays(dtypes=("f4", "f8"))), lambda k: foreign(arrays(k + 1, ("f4", "f8"))))
        assert same({k: np.asarray(x) for k, x in theirs.items()}, mine)
        assert all(type(x) is type(strict.zeros(1)) for x in theirs.values())
        for key, own in state.slots.items():
            assert same({k: np.asarray(x) for k, x in other.slots[key].items()}, own)

    def test_complex(self):
        strict = pytest.importorskip("array_api_strict")
        mine, _ = run(gs.adam(), arrays(dtypes=("c8",)), lambda k: arrays(k + 1, ("c8",)))
        x = {k: strict.asarray(v) for k, v in arrays(dtypes=("c8",)).items()}
        theirs, _ = run(gs.adam(), x, lambda k: {n: strict.asarray(v) for n, v in arrays(k + 1, ("c8",)).items()})
        for k, v in theirs.items():
            np.testing.assert_array_equal(np.asarray(v), mine[k])  # signs of zeros may differ, values may not

    def test_namespaces_do_not_mix(self):
        strict = pytest.importorskip("array_api_strict")
        tx, x = gs.sgd(), strict.ones(3)
        with pytest.raises(gs.GradstepTypeError, match="is of type ndarray, its parameter of type Array"):
            gs.update(tx, x, np.ones(3), gs.init(tx, x))


class TestTorch:
    """torch's float32 root on a CPU is not correctly rounded: rules without a root have NumPy's bits, others an ulp."""

    @pytest.mark.parametrize("name", wide(CHAINS))
    def test_numbers_of_numpy(self, name):
        torch = pytest.importorskip("torch")
        tx = CHAINS[name]

        def foreign(nest):
            return {k: torch.asarray(x) for k, x in nest.items()}

        mine, _ = run(tx, arrays(), lambda k: arrays(k + 1))
        theirs, state = run(tx, foreign(arrays()), lambda k: foreign(arrays(k + 1)))
        if name in ("sgd", "momentum", "nesterov", "adamax"):
            assert same({k: x.numpy() for k, x in theirs.items()}, mine)
        for k, x in mine.items():
            ulp = np.finfo(x.dtype).eps
            np.testing.assert_allclose(theirs[k].numpy(), x, rtol=4 * ulp, atol=ulp)
        assert all(isinstance(x, torch.Tensor) for own in state.slots.values() for x in own.values())

    def test_leaves_of_a_graph(self):
        torch = pytest.importorskip("torch")
        w = torch.tensor([3.0, 4.0], requires_grad=True)
        state = gs.init(gs.adam(), w)
        (w * w).sum().backward()
        after, state = gs.update(gs.adam(), w, w.grad, state)
        assert not after.requires_grad
        assert not any(x.requires_grad for x in state.slots["params"].values())
        assert w.detach().tolist() == [3.0, 4.0]


class TestJax:
    """XLA on CPU contracts and flushes denormals where it fuses, so bits are its own; the bound is a few roundings."""

    @staticmethod
    def foreign(nest):
        jnp = pytest.importorskip("jax").numpy
        return {k: jnp.asarray(x) for k, x in nest.items()}

    @pytest.mark.parametrize("name", wide(CHAINS))
    def test_close_to_numpy(self, name):
        tx = CHAINS[name]
        mine, _ = run(tx, arrays(dtypes=("f4", "c8")), lambda k: arrays(k + 1, ("f4", "c8")))
        theirs, state = run(
            tx, self.foreign(arrays(dtypes=("f4", "c8"))), lambda k: self.foreign(arrays(k + 1, ("f4", "c8")))
        )
        assert state.t == 3
        for k, x in mine.items():
            assert theirs[k].dtype == x.dtype
            np.testing.assert_allclose(np.asarray(theirs[k]), x, rtol=2e-6, atol=2e-6)

    @pytest.mark.parametrize("policy", ["raise", "ignore"])
    def test_update_under_jit_says_what_may_be_traced(self, policy):
        jax = pytest.importorskip("jax")
        params = self.foreign(arrays(dtypes=("f4",)))
        state = gs.init(gs.adam, params)
        step = jax.jit(lambda p, g: gs.update(gs.adam, p, g, state, on_nonfinite=policy)[0])
        with pytest.raises(gs.GradstepTypeError, match=r"call gs\.scalars outside and trace gs\.apply"):
            step(params, params)

    @pytest.mark.parametrize("name", ["adam", "radam", "amsgrad", "long", "clip each"])
    def test_apply_under_jit(self, name):
        jax = pytest.importorskip("jax")
        tx = CHAINS[name]
        params = self.foreign(arrays(dtypes=("f4", "c8")))
        state = gs.init(tx, params)
        traced = 0

        @jax.jit
        def step(params, grads, slots, numbers):
            nonlocal traced
            traced += 1
            return gs.apply(tx, params, grads, slots, numbers)

        plain, slots, memory = params, state.slots, state.memory
        for t in range(3):
            grads = self.foreign(arrays(t + 1, ("f4", "c8")))
            numbers, memory = gs.scalars(tx, params, grads, gs.State(t, memory, slots))
            params, slots = step(params, grads, slots, numbers)
            plain, state = gs.update(tx, plain, grads, state)
        assert traced == 1
        for key, x in plain.items():
            # a contracted a*b + c differs by half an ulp of the product in each of a handful of operations
            np.testing.assert_allclose(np.asarray(params[key]), np.asarray(x), rtol=1e-6, atol=1e-6)
