"""Helpers of several test files: engines, arrays, equality of bits, fingerprints, processes, terminals."""

import contextlib
import hashlib
import linecache
import os
import re
import select
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import gradstep as gs
from gradstep import rules
from gradstep.array.tree import flatten
from gradstep.form.chain import program
from gradstep.form.rule import as_stage
from gradstep.rule import registry

SOURCE = Path(gs.__file__).parents[1]
OF_GRADIENTS = [name for name in rules.__all__ if not getattr(rules, name).extras]  # they need no more for a step
# Guests keep the host's numbers for all arrays, and draw nothing.
_PROGRAMS = {name: program(as_stage(getattr(rules, name))) for name in OF_GRADIENTS}
OF_GUESTS = [name for name, made in _PROGRAMS.items() if not (made.memory_of_each() or made.random)]


def installed(name):
    """Return the module of that name; skip the test where it is not there, or is broken here."""
    try:
        return import_module(name)
    except (ImportError, RuntimeError) as error:  # such as timm, beside another torchvision
        pytest.skip(f"{name}: {error}")


def bits(x):
    """Return an array's dtype, shape and bits; all NaNs are one, for no promise is made of their payloads."""
    x = np.array(x, order="C")
    x = x.astype(x.dtype.newbyteorder("="))
    parts = x.reshape(-1).view(f"f{x.dtype.itemsize // 2}") if x.dtype.kind == "c" else x.reshape(-1)
    words = parts.view(f"u{parts.dtype.itemsize}").copy()
    words[np.isnan(parts)] = 1
    return x.dtype.name, x.shape, words.tobytes()


def same(a, b):
    """Return True where two nests hold the same bits under the same names."""
    (left, xs), (right, ys) = flatten(a), flatten(b)
    return left.names == right.names and all(bits(x) == bits(y) for x, y in zip(xs, ys, strict=True))


def states(opt):
    """All state arrays as one flat dict."""
    return {f"{name}/{slot}": x for name, own in opt.state.items() for slot, x in own.items()}


def fingerprint(opt):
    """A hash of all that a step may change."""
    digest = hashlib.sha256(repr((opt.t, opt.skipped, dict(opt.hyper), opt.parts().memory)).encode())
    for nest in (opt.params, states(opt)):
        form, leaves = flatten(nest)
        for name, x in zip(form.names, leaves, strict=True):
            digest.update(repr((name, *bits(np.asarray(x)))).encode())
    return digest.hexdigest()


@contextlib.contextmanager
def case(*what):
    """Say in which case of a loop something failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"In the case {', '.join(map(repr, what))}.")
        raise


def clear(error):
    """Return True where an error's text is one readable sentence."""
    text = str(error.value)
    return "\n" not in text and 20 < len(text) < 400 and text[-1] in ".?"


def script(code, *arguments, before="", **environment):
    """Run Python code in a fresh interpreter and return its output. ``before`` runs before Gradstep is imported."""
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


# The command as a process of its own.
COMMAND = [sys.executable, "-W", "error", "-c", "import sys; from gradstep.cli import main; sys.exit(main())"]


def environment(**more):
    kept = {key: x for key, x in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    return {**kept, "PYTHONPATH": str(SOURCE), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


def at_a_terminal(arguments, folder, until=None, **more):
    """Run a command at an emulated terminal; type Ctrl-C when ``until`` has appeared. Return exit code, output, pid."""
    import pty  # of POSIX alone

    mine, its = pty.openpty()
    # A session of its own with this terminal, so that Ctrl-C goes to the command and all its workers, as at a shell.
    start = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", start, *COMMAND, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=folder,
        env=environment(**more),
        start_new_session=True,
    )
    os.close(its)
    output, typed, deadline = b"", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([mine], [], [], 0.1)[0]:
            try:
                output += os.read(mine, 65536)
            except OSError:  # the other end is closed
                break
        if until and not typed and re.search(until, output.decode("utf-8", "replace")):
            os.write(mine, b"\x03")
            typed = True
    os.close(mine)
    return process.wait(timeout=20), output.decode("utf-8", "replace"), process.pid


ENGINES = ["compiled", "eager"] if gs.Optimizer(np.ones(1), "sgd").engine == "compiled" else ["eager"]
engines = pytest.mark.parametrize("engine", ENGINES)


def form(rule):
    """What a rule asks of an engine: two rules of one form differ in their formula and in nothing else."""
    sees = "arrays" if rule.whole else f"sums over {rule.over}" if rule.measure else "elements"
    kept = bool(rule.state), bool(rule.inputs), bool(rule.memory), bool(rule.start)
    return rule.kind, sees, *sorted(set(rule.shapes.values())), kept, rule.wraps, bool(rule.every), bool(rule.random)


def wide(names, made=str):
    """Rows of a wide matrix, ``made`` of the names of rules: one of each form, and all of them under ``--full``.

    The laws try every rule; such a matrix multiplies that by dtypes, storage, engines or namespaces. A name that is no
    rule's, of a chain, stays.
    """
    seen, rows = set(), []
    for name in names:
        rule = registry(None).get(name)
        again = rule is not None and form(rule) in seen
        seen.add(rule and form(rule))
        rows.append(pytest.param(made(name), id=name, marks=[pytest.mark.wide] * again))
    return rows


LONG = gs.chain(
    gs.clip_by_global_norm(3.0),
    gs.l2(0.1),
    gs.clip_by_norm(2.0, name="each"),
    gs.nadam(lr=0.05),
    gs.decay,
    gs.ema(decay=0.5),
)


def mapped(tree, f):
    """``f`` of each leaf, in a nest of the same form."""
    nest, leaves = flatten(tree)
    return nest.build([f(x) for x in leaves])


def normal(rng, like):
    """A gradient for ``like``, contiguous."""
    x = rng.normal(size=like.shape)
    if like.dtype.kind == "c":
        x = x + 1j * rng.normal(size=like.shape)
    return np.asarray(x, like.dtype.newbyteorder("="))


def made(kind, params, tx, **options):
    """Return an optimizer that takes gradients by their structs (``"read"``), by ``"plain"`` Python, or eagerly."""
    with mock.patch.dict(os.environ, GRADSTEP_PLAIN="1" if kind == "plain" else ""):
        return gs.Optimizer(params, tx, engine="eager" if kind == "eager" else "compiled", **options)


def check_engines(build, tx, steps=3):
    """Hold compiled, eager and functional steps over nests that ``build()`` makes to the same bits."""
    seen = []
    for engine in ENGINES:
        rng = np.random.default_rng(1)
        params = build()
        opt = gs.Optimizer(params, tx, engine=engine)
        for _ in range(steps):
            opt.step(mapped(params, lambda x: normal(rng, x)))  # noqa: B023
        seen.append((params, states(opt)))
    rng = np.random.default_rng(1)
    params = mapped(build(), lambda x: np.array(x, x.dtype.newbyteorder("="), order="C"))
    state = gs.init(tx, params)
    for _ in range(steps):
        params, state = gs.update(tx, params, mapped(params, lambda x: normal(rng, x)), state)
    flat = {f"{name}/{slot}": x for name, own in state.slots.items() for slot, x in own.items()}
    for mine, slots in seen:
        assert same(mine, params)
        assert same(slots, flat)


def numbers(shape, dtype="f8", seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return np.asarray(x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x, dtype)


def at_line(k, act, call):
    """Call ``call`` and, before the k-th line that is executed in it, ``act``; whether there was such a line."""
    seen = [0]

    def trace(frame, event, _):
        if event == "line" and "gradstep" in frame.f_code.co_filename and not _leaves_a_block(frame):
            seen[0] += 1
            if seen[0] == k:
                act()
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return seen[0] >= k


def _leaves_a_block(frame):
    """Whether a line begins a ``with``: a trace comes by there at its end too, where no signal handler is run."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def named(x):
    """The id of a test's parameter: its repr without an address, for workers must collect the same ids."""
    return repr(x).partition(" at 0x")[0]
