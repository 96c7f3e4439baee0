"""What several test files share: equality of bits, fingerprints of optimizers, scripts in a fresh interpreter."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import gradstep as gs
from gradstep.tree import flatten

SOURCE = Path(gs.__file__).parents[1]


def bits(x):
    """An array's dtype, shape and bits; all NaNs are one, for their payloads are nobody's promise."""
    x = np.array(x, order="C")
    x = x.astype(x.dtype.newbyteorder("="))
    parts = x.reshape(-1).view(f"f{x.dtype.itemsize // 2}") if x.dtype.kind == "c" else x.reshape(-1)
    words = parts.view(f"u{parts.dtype.itemsize}").copy()
    words[np.isnan(parts)] = 1
    return x.dtype.name, x.shape, words.tobytes()


def same(a, b):
    """Whether two nests hold the same bits under the same names."""
    (left, xs), (right, ys) = flatten(a), flatten(b)
    return left.names == right.names and all(bits(x) == bits(y) for x, y in zip(xs, ys, strict=True))


def states(opt):
    """All state arrays as one flat dict."""
    return {f"{name}/{slot}": x for name, own in opt.state.items() for slot, x in own.items()}


def fingerprint(opt):
    """A hash of all that a step may change."""
    digest = hashlib.sha256(repr((opt.t, opt.skipped, dict(opt.hyper), opt._memory)).encode())
    for nest in (opt.params, states(opt)):
        form, leaves = flatten(nest)
        for name, x in zip(form.names, leaves, strict=True):
            digest.update(repr((name, *bits(np.asarray(x)))).encode())
    return digest.hexdigest()


def clear(error):
    """Whether an error's text is one readable sentence."""
    text = str(error.value)
    return "\n" not in text and 20 < len(text) < 400 and text[-1] in ".?"


def script(code, *arguments, before="", **environment):
    """Run Python code in a fresh interpreter; its standard output. ``before`` runs before Gradstep is imported."""
    env = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{before}\n{code}", *arguments],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
