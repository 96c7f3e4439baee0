"""Tests keep their kernels to themselves, in this process and in those that it starts."""

import os
import tempfile

import pytest

if "GRADSTEP_CACHE_DIR" not in os.environ:
    _folder = tempfile.TemporaryDirectory(prefix="gradstep-kernels-")  # removed when the process ends
    os.environ["GRADSTEP_CACHE_DIR"] = _folder.name


def pytest_addoption(parser):
    parser.addoption("--figures", metavar="FILE", help="write the figures of tests/promises to a JSON file")
    parser.addoption("--full", action="store_true", help="the full sizes of tests/promises, which take long")


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all reports; the tests that want it are skipped where there is none."""
    from browser import chromium

    with chromium() as launched:
        yield launched
