"""P5c: a run saved at any time, by a handler or another thread, is of one of its points, or one sentence is raised.

A signal handler may run between any two lines: these tests run one before lines of a turn, by a trace.
"""

import threading
from unittest import mock

import pytest

import gradstep as gs
from gradstep.errors import InUseError
from gradstep.loop.progress import Before
from gradstep.step.step import Step
from loop.resumed import CASES, make, sums, whole
from support import at_line, bits

TURN = 4  # the one in which it is saved
FILES = 25  # that another thread writes
KINDS = ("bounds", "skip", "random")


@pytest.fixture
def kinds(full):
    """Every kind of run, or one for each thing that a turn changes."""
    return tuple(CASES) if full else KINDS


@pytest.fixture
def stride(full):
    """Lines from one that a handler comes before to the next."""
    return 1 if full else 7


def saved_within_a_turn(name, folder, stride):
    """The different files that a handler writes before lines of one turn, and what it was told instead."""
    files, told, k, more = {}, set(), 1, True
    path = folder / "run.safetensors"
    while more:
        run = make(name, engine="eager")
        turns = iter(run)
        for _ in range(TURN - 1):
            next(turns)

        def save(run=run):
            try:
                run.save(path)
            except InUseError as error:
                told.add(str(error))
                return
            files.setdefault(all_but_seconds(path), path.read_bytes())

        more = at_line(k, save, lambda turns=turns: next(turns))
        turns.close()
        k += stride
    return list(files.values()), told


def all_but_seconds(path):
    found = gs.load(path)
    meta = {key: found.metadata[key] for key in ("optimizer", "rng", "best")}
    counts = {key: x for key, x in found.metadata["run"].items() if key != "seconds"}
    return repr((meta, counts, {key: bits(x) for key, x in found.arrays.items()}))


def goes_on(name, content, path):
    """Whether the rest of a run from this file is that of one that was not interrupted."""
    path.write_bytes(content)
    run = make(name, engine="eager")
    run.restore(path)
    list(run)
    return sums(run) == whole(name, engine="eager")[0]


def all_go_on(name, folder, stride):
    files, _ = saved_within_a_turn(name, folder, stride)
    return all(goes_on(name, content, folder / "x") for content in files)


def test_a_handler_within_a_turn(kinds, stride, in_memory, figure):
    refusals = set()
    for name in kinds:
        files, told = saved_within_a_turn(name, in_memory, stride)
        assert len(files) > 2, name  # of before the evaluation, of after the update, and of what follows that
        assert [k for k, content in enumerate(files) if not goes_on(name, content, in_memory / "x")] == [], name
        refusals |= told
    assert all("being written" in text or "being changed" in text for text in refusals)
    figure(
        "P5c",
        "a handler before 1 of {stride} lines of a turn: no file goes on with other bits, {n} / {n} kinds of run",
        stride=stride,
        n=len(kinds),
    )


def test_another_thread(in_memory, figure):
    path, files = in_memory / "run.safetensors", []
    while len(files) < FILES:
        run = make("random", engine="eager")
        ended = threading.Event()

        def save(run=run, ended=ended):
            while not ended.is_set():
                run.save(path)
                files.append(path.read_bytes())

        saver = threading.Thread(target=save)
        saver.start()
        list(run)
        ended.set()
        saver.join()
    assert [k for k, content in enumerate(files) if not goes_on("random", content, in_memory / "x")] == []
    figure("P5c", f"files of another thread that go on with other bits: 0 / {FILES} and more")


def test_control_the_run_as_it_is_just_then(in_memory, control):
    """Without going back to before the evaluation: counts and generators are those of its midst."""
    with mock.patch.object(Before, "__new__", lambda cls, _, counts, random: tuple.__new__(cls, (-1, counts, random))):
        torn = [name for name in ("skip", "random") if not all_go_on(name, in_memory, 7)]
    assert torn == ["skip", "random"]
    control("P5c", "saved as it is just then: other bits in 2 / 2 kinds of run")


def test_control_while_arrays_are_written(in_memory, control):
    with mock.patch.object(Step, "check_whole", return_value=None):
        assert not all_go_on("bounds", in_memory, 1)
    control("P5c", "without the look whether arrays are being written: other bits")
