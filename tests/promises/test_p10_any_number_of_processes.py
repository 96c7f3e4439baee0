"""P10: a step that several processes share has the bits of one, and so has a job that goes on in another number."""

from pathlib import Path

import pytest

from gradstep.distributed import in_threads

HERE = Path(__file__).resolve().parents[1] / "distributed"


@pytest.fixture
def distributed(monkeypatch):
    """The modules of the tests of processes, which are programs too."""
    monkeypatch.syspath_prepend(str(HERE))
    import kills_of_saves
    import processes
    import training

    return processes, training, kills_of_saves


@pytest.mark.process
def test_one_hash_for_any_number_of_processes(full, tmp_path, distributed, figure):
    processes, training, _ = distributed
    wanted = {name: training.train(None, name) for name in training.SETTINGS}
    numbers = (1, 2, 3, 4, 8) if full else (3,)
    for library in processes.LIBRARIES:
        for size in numbers:
            found = processes.run(library, size, "training.py", *wanted, folder=tmp_path)
            assert found == [wanted] * size, (library, size)
    text = f"1 hash for {{n}} numbers of processes, with Open MPI and MPICH, for each of {len(wanted)} trainings"
    figure("P10", text, n=len(numbers))


@pytest.mark.process
def test_killed_in_a_save_and_gone_on_in_more_processes(full, tmp_path, distributed, figure):
    *_, kills_of_saves = distributed
    phases = kills_of_saves.kill_at(tmp_path, full)
    figure("P10", "killed at {n} phases of saves, gone on in 3 for 2: the hash of what was left alone", n=phases)


def test_control_a_naive_sum_differs(distributed, control):
    """What people write: every process adds its gradients, the library adds those sums, and all step everything."""
    _, training, _ = distributed
    found = {in_threads(size, lambda comm: training.naive(comm, "adam"))[0] for size in (1, 2, 3, 4)}
    assert len(found) > 1
    control("P10", "gradients added by process, and those sums in the order of ranks: more than one hash")
