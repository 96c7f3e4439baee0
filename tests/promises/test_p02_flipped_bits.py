"""P2: every flipped bit is found."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import gradstep as gs
from gradstep.checkpoint import format as product
from promises import flips, small

MEGABYTES = 10


def undetected(path):
    """How many of all single flipped bits of a file are not noticed, and how many there are."""
    bits = range(8 * path.stat().st_size)
    return flips.undetected(path, bits), len(bits)


def test_every_bit_of_a_small_file(tmp_path, figure):
    small.saved(tmp_path / "run.safetensors")
    missed, bits = undetected(tmp_path / "run.safetensors")
    assert missed == 0
    figure("P2", f"undetected 0 / {bits} flips, all bits of a small file")


@pytest.mark.process
def test_bits_of_a_large_file(tmp_path, figure, full):
    count = 100_000 if full else 500
    rng = np.random.default_rng(5)
    params = {f"w{k}": rng.normal(size=(100, 300)).astype("f4") for k in range(MEGABYTES * 25 // 9)}
    opt = gs.Optimizer(params, "adam")
    path = tmp_path / "large.safetensors"
    opt.save(path)
    assert 9e6 < path.stat().st_size < 11e6
    bits = rng.choice(8 * path.stat().st_size, count, replace=False).tolist()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        shares = [pool.submit(flips.undetected_in_copy, str(path), bits[k::2]) for k in range(2)]
        assert sum(share.result() for share in shares) == 0
    figure("P2", f"undetected 0 / {{n}} flips, sampled of a {MEGABYTES} MB file", n=count)


def test_control_without_the_hashes_flips_are_loaded(tmp_path, monkeypatch, control):
    monkeypatch.setattr(product, "hashlib", small.Hashes)
    small.saved(tmp_path / "run.safetensors")
    missed, bits = undetected(tmp_path / "run.safetensors")
    assert missed > 1000
    control("P2", f"hashes that are all alike: undetected {missed} / {bits}")
    (tmp_path / "run.safetensors").unlink()  # whose hashes are none


def test_control_other_formats(tmp_path, control):
    """What the test finds in files without a hash."""
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "plain.bin"
    safetensors.save_file({"w": np.ones(64, "f4")}, path)
    missed = flips.undetected(path, range(8 * path.stat().st_size), lambda p: safetensors.load_file(p), Exception)
    assert missed >= 64 * 32
    control("P2", f"safetensors' own writer and reader: undetected {missed} / {8 * path.stat().st_size}")
