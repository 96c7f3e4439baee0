"""Contenders leave the process as it was."""

import sys

import pytest


@pytest.fixture(autouse=True)
def precision_of_jax():
    """JAX has one switch for float64 in a process; the contender that turns it on is alone in a ``gradstep bench``."""
    before = "jax" in sys.modules and sys.modules["jax"].config.jax_enable_x64
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", before)
