"""Versions, engine and machine that a result was made with, as a report and ``gradstep info`` show them."""

import platform
from importlib import metadata

import numpy as np

import gradstep
from gradstep.engine import compiled_engine


def environment() -> dict[str, str]:
    """Return names with a version or description."""
    return {
        "gradstep": gradstep.__version__,
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "engine": engine(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def engine() -> str:
    """Return the engine for NumPy arrays: ``compiled (llvmlite 0.44.0, znver3)``, or ``eager`` and why."""
    compiled, why = compiled_engine()
    if compiled is None:
        return f"eager: {why}"
    from gradstep.engine.cpu import native

    return f"compiled (llvmlite {version('llvmlite')}, {native.cpu()})"


def version(package: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
