"""The guests as a package: loaded when asked for, and one sentence where their library is not installed."""

import pytest

import gradstep as gs
from support import script


@pytest.mark.process
def test_nothing_is_loaded_before_it_is_asked_for():
    loaded = script("import sys, gradstep as gs; gs.interop; print(*sys.modules)").split()
    assert not {"scipy", "torch", "jax", "optax", "keras", "sklearn", "flwr"} & set(loaded)
    assert {"flower", "keras", "optax", "scipy", "sklearn", "torch"} <= set(dir(gs.interop))


@pytest.mark.process
def test_a_library_that_is_not_installed_is_told_of_in_one_sentence():
    code = """
import sys
import gradstep as gs
sys.modules["optax"] = None
try:
    gs.interop.optax
except ModuleNotFoundError as error:
    print(error)
"""
    told = script(code).strip()
    assert told.startswith("gs.interop.optax needs the module ")
    assert told.endswith("; install it.")


@pytest.mark.process
def test_a_library_that_lacks_its_own_backend():
    """Keras without TensorFlow, which is its default: installing Keras again would not help."""
    pytest.importorskip("keras")
    code = """
import sys
import gradstep as gs
sys.modules["tensorflow"] = None
try:
    gs.interop.keras
except ModuleNotFoundError as error:
    print(error)
"""
    told = script(code, KERAS_BACKEND="tensorflow").strip()
    assert told == (
        "gs.interop.keras: keras is installed, and needs 'tensorflow', which is not; set KERAS_BACKEND=torch or jax "
        "before Python starts, or install it."
    )


def test_an_unknown_guest_is_refused_with_those_that_there_are():
    with pytest.raises(AttributeError, match=r"has no attribute 'tensorflow'; there are flower, keras, mlx, optax"):
        gs.interop.tensorflow  # noqa: B018 - asks for it
