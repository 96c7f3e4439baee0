"""The law of namespaces, one namespace at a time; torch and JAX belong to the [peers] extra."""

from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pytest

import gradstep as gs
from gradstep.array.namespaces import to_numpy
from gradstep.testing.namespaces import NAMESPACES, agrees

from .cases import CASES, excepted


@pytest.fixture(params=NAMESPACES)
def namespace(request):
    """Each namespace that is installed; JAX with float64."""
    name = request.param
    pytest.importorskip(name.partition(".")[0], reason=f"{name} is not installed")
    with jax_in_float64() if name == "jax.numpy" else nullcontext():
        yield name


def jax_in_float64():
    import jax

    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else import_module("jax.experimental").enable_x64()


@pytest.mark.parametrize("name", [pytest.param(name, marks=excepted("namespaces", name)) for name in CASES])
def test_namespaces(namespace, name):
    agrees(CASES[name], namespace)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex(namespace, dtype):
    xp, rng = import_module(namespace), np.random.default_rng(6)
    theta, g = (np.asarray(rng.normal(size=(2, 5)) + 1j * rng.normal(size=(2, 5)), dtype) for _ in range(2))
    ours, theirs = (gs.init(gs.adam, x) for x in (theta, xp.asarray(theta)))
    wanted, ours = gs.update(gs.adam, theta, g, ours)
    got, theirs = gs.update(gs.adam, xp.asarray(theta), xp.asarray(g), theirs)
    room = NAMESPACES[namespace] * np.finfo(dtype).eps
    for x, y in ((got, wanted), *((theirs.slots["params"][key], x) for key, x in ours.slots["params"].items())):
        assert to_numpy(x).dtype == dtype
        np.testing.assert_allclose(to_numpy(x), y, rtol=room, atol=0)
