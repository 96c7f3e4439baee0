"""``gradstep bench --device cuda``: contenders on a pretended device, its clock, and what is said without one."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gradstep.bench import ON_DEVICE, Measured, Result, Size, Work, choose, measure, tables
from gradstep.bench.clock import CALLS, Runner
from gradstep.bench.contenders import OURS, STREAMS_ON_DEVICE
from gradstep.cli import main
from gradstep.rule import registry
from support import OF_GRADIENTS

pytest.importorskip("llvmlite")
torch = pytest.importorskip("torch")

from .pretended import Pretended  # noqa: E402 - needs torch

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's affairs
CARD = "Pretended H1"


class Event:
    """A mark in a stream of a device that does everything at once."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, other):
        return 1000 * (other.at - self.at)


@pytest.fixture
def cuda(monkeypatch):
    with Pretended(monkeypatch) as pretended:
        for name, made in {
            "Event": Event,
            "synchronize": lambda: None,
            "get_device_name": lambda: CARD,
            "mem_get_info": lambda: (10**9, 10**10),
            "memory_allocated": lambda: 1000,
            "max_memory_allocated": lambda: 5000,
            "reset_peak_memory_stats": lambda: None,
        }.items():
            monkeypatch.setattr(f"torch.cuda.{name}", made)
        yield pretended


def steps(name, work, count=3):
    """The parameters after some steps of a contender."""
    rng = np.random.default_rng(3)
    arrays = lambda: [rng.normal(size=n).astype(np.float32) for n in (40, 7)]  # noqa: E731
    contender = ON_DEVICE[name].make(work, arrays())
    for _ in range(count):
        grads = contender.gradients(arrays())
        contender.begin()
        contender.attach(grads)
        contender.step(grads)
    return np.concatenate([np.asarray(x, "f8").ravel() for x in contender.parameters()])


@pytest.mark.parametrize("chain", [False, True])
@pytest.mark.parametrize("name", [name for name in ON_DEVICE if not name.endswith("-state") and name != OURS])
def test_everybody_does_the_same_work(name, chain, cuda):
    work = Work("adam", chain=chain)
    np.testing.assert_allclose(steps(name, work), steps(OURS, work), rtol=0, atol=1e-6)


def test_a_command_on_a_device(cuda, capsys, tmp_path):
    file = tmp_path / "out.json"
    sizes = ["--sizes", "1x10,3x7", "--seconds", "0", "--pause", "0"]
    assert main(["bench", "--device", "cuda", *sizes, "--json", str(file)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"adam, 1x10 float32 on {CARD}: 1 tensor, 10 elements; stream " in out
    assert "not measured" not in out
    assert "µs/call" in out
    for result in json.loads(file.read_text())["results"]:
        assert result["device"] == CARD
        assert {row["contender"] for row in result["rows"]} == set(ON_DEVICE)
        for row in result["rows"]:
            assert row["peak_bytes"] == 4000
            assert row["call_us"] > 0
            assert row["of_stream"] > 0


def test_a_line_for_each_rule(cuda, capsys, monkeypatch):
    """Rules of whole arrays are left out, and the peers are torch's."""
    asked = []

    def made(work, size, kinds, _seconds, _pause, where):
        asked.append((work.rule, str(size), where.name, [kind.name for kind in kinds]))
        rows = [Measured(OURS, 2.0, 1.0, 3.0, 1.0, 1.0, None, 4.0, None, [2.0], 5.0)]
        return Result(work.rule, str(size), work.dtype, 1, 10, 10, None, None, rows, [], where.name)

    monkeypatch.setattr("gradstep.bench.measure", made)
    assert main(["bench", "--device", "cuda", "--rules", "--sizes", "1x10"]) == 0
    assert f"1x10 float32 on {CARD}: time of a step" in capsys.readouterr().out
    rules = [name for name in OF_GRADIENTS if not registry()[name].whole]
    assert asked == [(name, "1x10", CARD, [OURS, "torch-foreach", "torch-fused"]) for name in rules]


class Recorded:
    """A device whose steps take what it was told, whatever the host's clock says."""

    name = CARD

    def __init__(self, *us):
        self.now, self.us_of, self.waits = 0.0, iter(us), 0

    def step(self, _):
        self.now += next(self.us_of)

    def mark(self):
        return self.now

    def us(self, pairs):
        self.waits += 1
        return [b - a for a, b in pairs]

    def wait(self):
        self.waits += 1

    def free(self):
        return 10**9

    def peak(self, step):
        step()
        return 4000


def runner(made, step_us):
    contender = SimpleNamespace(begin=lambda: None, attach=lambda _: None, step=made.step)
    return Runner("x", contender, "ab", step_us=step_us, device=made)


def test_steps_are_timed_by_the_devices_marks():
    made = Recorded(*[1000.0] * 5, *[1000.0] * 4, *[1200.0] * 6, *[7.0] * CALLS)
    own = runner(made, 1000.0)
    own.turn()
    assert own.turns == [1200.0]
    assert len(own.calls) == 1
    assert 0 < own.calls[0] < 1000  # the host's: the call returned at once
    assert made.waits == 2 + CALLS


def test_short_steps_of_a_device_are_timed_together():
    made = Recorded(*[20.0] * 250, *[30.0] * 500, *[7.0] * CALLS)
    own = runner(made, 20.0)
    own.turn()
    assert own.turns == [30.0]


def test_the_table_of_recorded_times(monkeypatch):
    """Ours 100 and 120 µs, a peer 300, the kernel without arithmetic 80: ratios, rates and parts of the stream."""
    times = {OURS: (100.0, 100.0, 120.0), "torch-fused": (300.0, 300.0, 300.0), "streams": (80.0, 80.0, 80.0)}
    made = SimpleNamespace(
        begin=lambda: None,
        attach=lambda _: None,
        step=lambda _: None,
        gradients=lambda arrays: arrays,
        held=lambda: (4000, 8000),
    )

    def turn(own):
        own.turns.append(times[own.name][len(own.turns)])
        own.calls.append(11.0)

    monkeypatch.setattr(Runner, "turn", turn)
    monkeypatch.setattr(Runner, "warm_up", lambda _: None)
    kinds = [
        type(kind)(kind.name, lambda *_: made, kind.arrays)
        for kind in (ON_DEVICE[OURS], ON_DEVICE["torch-fused"], STREAMS_ON_DEVICE)
    ]
    monkeypatch.setattr("gradstep.bench.side_by_side.STREAMS_ON_DEVICE", kinds[2])
    result = measure(Work(), Size(1, 1000), kinds[:2], seconds=0.0, pause=0.0, device=Recorded())
    assert tables.title(result) == (
        f"adam, 1x1000 float32 on {CARD}: 1 tensor, 1,000 elements; stream 0.35 GB/s"
    )  # 28 bytes an element in 80 µs
    assert tables.headings(result)[-2:] == ("peak extra", "µs/call")
    assert [tables.cells(row) for row in result.rows] == [
        ("gradstep", "100", "100 to 110", "1.00", "0.28", "80 %", "16", "0.0 MB", "11.0"),
        ("torch-fused", "300", "300 to 300", "3.00", "0.09", "27 %", "16", "0.0 MB", "11.0"),
    ]


def refused(capsys, *arguments):
    assert main(["bench", "--device", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    return err


def test_without_a_device_one_sentence_says_why(capsys, monkeypatch):
    monkeypatch.setattr("gradstep.engine.cuda.driver.available", lambda: (None, "this machine has no driver"))
    assert "--device cuda: this machine has no driver." in refused(capsys, "cuda")
    monkeypatch.setattr("gradstep.engine.cuda.driver.available", lambda: (object(), ""))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "this torch has no CUDA device" in refused(capsys, "cuda")
    monkeypatch.setattr("gradstep.engine.compiled_engine", lambda: (None, "llvmlite is not installed"))
    assert "llvmlite is not installed" in refused(capsys, "cuda")


def test_what_does_not_go_with_a_device(cuda, capsys):
    assert "cpu or cuda, not tpu" in refused(capsys, "tpu")
    for more in (["--scaling"], ["--errors"], ["--threads", "2"]):
        assert "goes without" in refused(capsys, "cuda", *more)
    assert "muon sees whole arrays" in refused(capsys, "cuda", "--rule", "muon")
    assert "unknown contender 'optax'" in refused(capsys, "cuda", "--peers", "optax")


def test_torchs_name_stands_for_its_contenders():
    assert [kind.name for kind in choose("torch", ON_DEVICE)] == [OURS, "torch-foreach", "torch-fused"]
