"""Where llvmlite, futexes, file locks or ml_dtypes are not there, or none of them, the bits are the same."""

import re
from pathlib import Path

import numpy as np
import pytest

from support import script

LACKS = {
    "llvmlite": "import sys; sys.modules['llvmlite'] = None",  # musl, PyPy, free-threaded Python
    "locks": "import sys; sys.modules['fcntl'] = None",  # Windows
    "ml_dtypes": "import sys; sys.modules['ml_dtypes'] = None",
    "futex": "from gradstep.engine.cpu import threads; threads.is_available = lambda: False",  # macOS and Windows
}
LACKS["all of them"] = "; ".join(LACKS.values())
TRAINING = """
import hashlib
import numpy as np
import gradstep as gs

def train(opt, steps, rng):
    for _ in range(steps):
        opt.step({k: rng.normal(size=x.shape).astype(x.dtype) for k, x in opt.params.items()})

def made():
    params = {"w": np.ones((300, 70), np.float32), "b": np.zeros(70), "h": np.ones(600, np.float16)}
    tx = gs.chain(gs.clip_by_global_norm(1.0), gs.adamw(lr=gs.schedules.cosine(0.1, 20)), gs.ema(decay=0.9))
    return gs.Optimizer(params, tx, master=True)

def digest(opt):
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in opt.params.values())).hexdigest()

def run(path):
    opt, rng = made(), np.random.default_rng(0)
    train(opt, 5, rng)
    opt.save(path, rng=rng)
    other, rng = made(), np.random.default_rng(9)
    other.restore(path, rng=rng)
    train(other, 5, rng)
    return other.engine, digest(other)
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What the training comes to on this machine, with all that there is."""
    pytest.importorskip("ml_dtypes")
    names = {}
    exec(TRAINING, names)
    return names["run"](tmp_path_factory.mktemp("here") / "run.safetensors")


@pytest.mark.process
@pytest.mark.parametrize("lack", LACKS)
def test_the_same_bits_where_it_is_not_there(lack, here, tmp_path):
    engine, digest = script(
        f"{TRAINING}\nimport sys; print(*run(sys.argv[1]))", str(tmp_path / "run.safetensors"), before=LACKS[lack]
    ).split()
    assert digest == here[1]
    assert engine == ("eager" if "llvmlite" in LACKS[lack] else here[0])


def test_the_control_sees_another_training(here):
    names = {}
    exec(TRAINING.replace("lr=gs.schedules.cosine(0.1, 20)", "lr=gs.schedules.cosine(0.1, 21)"), names)
    opt = names["made"]()
    names["train"](opt, 10, np.random.default_rng(0))
    assert names["digest"](opt) != here[1]


def test_the_page_names_every_lack():
    page = (Path(__file__).parents[1] / "docs/stability.md").read_text(encoding="utf-8")
    for word in ("futex", "file locks", "llvmlite"):
        assert re.search(rf"its lacks?[^|]*no {word}", page)
