"""What the grids become for a device: one text for all, exact arithmetic, wide accesses, nothing of this machine."""

import os
import platform
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

import gradstep as gs
from gradstep.array.storage import Layout
from gradstep.form.chain import program
from gradstep.form.rule import as_stage
from gradstep.step.precision import Precision
from laws.cases import CASES

pytest.importorskip("llvmlite")
from gradstep.engine.cuda import kernels, ptx
from gradstep.engine.cuda.engine import _joining
from gradstep.engine.cuda.grid import NVPTX

from .stand_in import CHAIN

ARCHITECTURES = ["sm_80", "sm_90", "sm_100", "sm_120"]
RULES = [name for name, case in CASES.items() if not case.rule.whole]
STORED = [
    ("float32", None, False, False),
    ("float64", None, False, False),
    ("bfloat16", "bfloat16", True, False),
    ("float16", None, False, True),
    ("float32", "8bit", False, False),
    ("bfloat16", "8bit", True, False),
]


def text(tx, dtype="float32", state=None, master=False, stochastic=False, is_metered=False):
    made = program(as_stage(tx))
    formats = tuple(form for part in made.parts for form in Precision(state=state).formats(part.rule))
    layout = Layout(dtype, formats, master, stochastic)
    limit = made.limit_in(layout.compute)
    return ptx.of(NVPTX.text(kernels.module(made.rules, layout, limit, NVPTX, is_metered=is_metered)))


def function(ptx_text, name):
    """The body of a kernel."""
    found = re.search(rf"\.visible \.entry {name}\(.*?^\}}$", ptx_text, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[0]


def instructions(body):
    return re.findall(r"^\s+(?:@!?%p\d+ )?([a-z][\w.:]*)", body, re.MULTILINE)


def full_loop(body):
    """The block that has the widest accesses: the loop over whole vectors."""
    blocks = re.split(r"^\$L__BB\d+_\d+:|\bbra\b", body, flags=re.MULTILINE)
    return max(blocks, key=lambda block: block.count(".v4.b32") + block.count(".v2.b64"))


def assembler():
    """The path of NVIDIA's assembler, where one of its packages is installed."""
    for name in ("nvidia-cuda-nvcc-cu12", "nvidia-cuda-nvcc"):
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError:
            continue
        for file in files:
            if file.name == "ptxas":
                path = Path(str(file.locate()))
                if not os.access(path, os.X_OK):
                    path.chmod(0o755)
                return path
    pytest.skip("ptxas is not installed; pip install nvidia-cuda-nvcc-cu12")


@pytest.mark.parametrize("name", RULES)
def test_arithmetic_is_exact_and_not_contracted(name):
    """Each operation rounds by itself, to the nearest, and there are as many as the rule has."""
    made = program(CASES[name].stage())
    body = text(CASES[name].stage())
    assert not re.search(r"\bfma\.|\bmad\.rn|\.approx|\.ftz|\.full\.", body)
    floats = [x for x in instructions(body) if re.fullmatch(r"(add|sub|mul|div|sqrt)\.\w*\.?f(32|64)", x)]
    assert all(".rn." in x for x in floats), Counter(floats)
    have = Counter(x.split(".")[0] for x in instructions(full_loop(function(body, "apply"))) if ".rn.f32" in x)
    width = 4
    words = Counter()
    for rule in made.rules:
        words += Counter(rule.operations)
    if not {"cbrt"} & words.keys() and not any(rule.random for rule in made.rules):
        assert have["mul"] <= width * words["*"]
        assert have["add"] + have["sub"] <= width * (words["+"] + words["-"])
        assert have["sqrt"] <= width * words["sqrt"]  # what two of a rule's terms have in common is done once
        assert have["div"] <= width * words["/"]


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "momentum", "rmsprop", "adagrad", "nadam", "lion"])
def test_as_many_operations_as_were_counted(name):
    """The operands that check a rule have counted what a thread does for each of its four elements."""
    words = getattr(gs, name).operations
    loop = full_loop(function(text(getattr(gs, name)), "apply"))
    have = Counter(x.split(".")[0] for x in instructions(loop) if ".rn.f32" in x)
    assert have["mul"] == 4 * words.get("*", 0)
    assert have["add"] + have["sub"] == 4 * (words.get("+", 0) + words.get("-", 0))


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_the_full_loop_moves_sixteen_bytes_at_a_time(stored):
    body = text(gs.adam, *stored)
    names = ["look", "apply"] + (["tops"] if "8bit" in stored else [])
    for name in names:
        loop = full_loop(function(body, name))
        moved = [x for x in instructions(loop) if re.match(r"(ld|st)\.global", x)]
        if stored[1] == "8bit":  # a scale is read for 256 numbers, and a magnitude written for sixteen
            moved = [x for x in moved if x not in ("ld.global.b32", "st.global.b32" if name == "tops" else "")]
        assert moved
        assert {x.split(".", 2)[2] for x in moved} <= {"v4.b32", "v2.b64"}, Counter(moved)
    assert ".v4." in body or ".v2.b64" in body


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_sums_of_whole_blocks_move_sixteen_bytes_at_a_time(stored):
    """A thread has as many lanes of the sixteen as its vectors have elements."""
    dtype, state, master, stochastic = stored
    measured = text(gs.chain(gs.clip_by_global_norm(3.0), gs.adam(lr=0.1)), *stored)
    metered = text(gs.adam, dtype, state, master, stochastic, is_metered=True)
    for body, name in ((measured, "measure0"), (metered, "meter")):
        moved = [x for x in instructions(full_loop(function(body, name))) if re.match(r"(ld|st)\.global", x)]
        if name == "meter" and state == "8bit":
            moved = [x for x in moved if x != "ld.global.b32"]  # a scale
        assert moved
        assert {x.split(".", 2)[2] for x in moved} <= {"v4.b32", "v2.b64"}, (name, Counter(moved))


@pytest.mark.process
@pytest.mark.parametrize("is_wide", [False, pytest.param(True, marks=pytest.mark.wide)], ids=["some", "all"])
def test_one_text_assembles_for_every_device_without_spills(is_wide, tmp_path):
    path = assembler()
    texts = {"joining": ptx.of(_joining(NVPTX)), "metered": text(gs.adamw, is_metered=True)}
    texts |= {str(x): text(gs.adam, *x, is_metered=True) for x in (STORED if is_wide else STORED[-1:])}
    texts |= {name: text(CASES[name].stage()) for name in (RULES if is_wide else ["lamb", "rmsprop", "ftrl"])}
    for name, body in texts.items():
        file = tmp_path / "k.ptx"
        file.write_text(body)
        for architecture in ARCHITECTURES:
            call = [path, f"-arch={architecture}", "-v", file, "-o", tmp_path / "k.cubin"]
            done = subprocess.run(call, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (name, architecture, done.stderr)
            assert not re.search(r"[1-9]\d* bytes spill", done.stderr), (name, architecture, done.stderr)


def test_text_is_for_old_devices_too_and_says_how_large_a_block_is():
    body = text(gs.adam)
    assert ".version 7.0" in body
    assert ".target sm_80" in body
    assert body.count(".maxntid 256") == 2


@pytest.mark.process
def test_text_has_nothing_of_the_machine_and_is_the_same_in_another_process(tmp_path):
    body = text(CHAIN)
    for word in (platform.node(), str(Path.cwd()), str(Path.home()), sys.prefix, os.environ.get("USER") or "-nobody-"):
        assert len(word) < 3 or word not in body
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from cuda_off_device.test_ptx import text, CHAIN; "
        "import hashlib; print(hashlib.sha256(text(CHAIN).encode()).hexdigest())"
    )
    import hashlib

    from support import script

    made = script(code, str(Path(__file__).parents[1]), GRADSTEP_CACHE_DIR=str(tmp_path)).strip()
    assert made == hashlib.sha256(body.encode()).hexdigest()
    (kept,) = tmp_path.glob("*.ptx")
    assert body.encode() in kept.read_bytes()


def test_a_text_on_disk_is_used_and_a_damaged_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSTEP_CACHE_DIR", str(tmp_path))
    made = program(as_stage(gs.sgd))
    assembly = NVPTX.text(kernels.module(made.rules, Layout("float32", ()), 1.5, NVPTX, is_metered=False))
    ptx._of.cache_clear()
    body = ptx.of(assembly)
    (kept,) = tmp_path.glob("*.ptx")
    ptx._of.cache_clear()
    monkeypatch.setattr(ptx, "_compile", lambda _: pytest.fail("it was kept"))
    assert ptx.of(assembly) == body
    data = bytearray(kept.read_bytes())
    data[len(data) // 2] ^= 1
    kept.write_bytes(data)
    ptx._of.cache_clear()
    monkeypatch.setattr(ptx, "_compile", lambda _: "anew")
    assert ptx.of(assembly) == "anew"
    ptx._of.cache_clear()
